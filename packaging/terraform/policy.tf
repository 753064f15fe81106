# The role of the instances: the policy that `berth policy` prints for the line in user_data.tf, and a shell by Session Manager. The app can use
# the same role, unless the hop limit or imds=block prevents it.

data "aws_caller_identity" "this" {}
data "aws_region" "this" {}
data "aws_partition" "this" {}

locals {
  partition = data.aws_partition.this.partition
  account   = data.aws_caller_identity.this.account_id
  # The attribute that every version of the provider has.
  region = data.aws_region.this.id

  # Every secret and parameter that the line refers to. The value of secret.NAME is one reference, or a text with references in ${…},
  # where $${ is a literal ${.
  templates     = { for key, value in var.keys : key => replace(value, "/[$][$][{]/", "") if startswith(key, "secret.") }
  registry_auth = lookup(var.keys, "registry_auth", "auto")
  for_the_app = distinct(concat(
    var.secrets,
    flatten([for value in local.templates : strcontains(value, "$${") ? [for found in regexall("[$][{]([^}]+)[}]", value) : found[0]] : [value]]),
  ))
  references = distinct(concat(
    local.for_the_app,
    contains(["auto", "ecr", "none"], local.registry_auth) ? [] : [local.registry_auth],
    [for pointer in compact([lookup(var.keys, "config", "")]) : pointer if !startswith(pointer, "s3:")],
  ))

  # The same without the key of the JSON object, split by the two services.
  named      = { for reference in local.references : reference => trimprefix(split("#", reference)[0], "secretsmanager:") }
  is_of_ssm  = { for reference, name in local.named : reference => can(regex("^ssm:|^arn:[^:]*:ssm:", name)) }
  parameters = distinct([for reference, name in local.named : trimprefix(name, "ssm:") if local.is_of_ssm[reference]])
  # A parameter of this path stands for a secret, and reading it needs both.
  stand_in = "^/?aws/reference/secretsmanager/([^:]+)"
  secrets = distinct(concat(
    [for reference, name in local.named : name if !local.is_of_ssm[reference]],
    [for name in local.parameters : regex(local.stand_in, name)[0] if can(regex(local.stand_in, name))],
  ))

  # A version or a label is not part of a parameter's ARN.
  parameter_arns = distinct([for name in local.parameters : startswith(name, "arn:")
    ? join(":", slice(split(":", name), 0, 6))
    : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/${trimprefix(split(":", name)[0], "/")}"
  ])

  # A secret's ARN ends in six characters that its name does not have; JSON key, stage and version may follow.
  secret_ids = distinct([for name in local.secrets : startswith(name, "arn:") ? join(":", slice(split(":", name), 0, 7)) : name])
  secret_arns = distinct([for id in local.secret_ids : !startswith(id, "arn:")
    ? "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${id}-??????"
    : can(regex("-[A-Za-z0-9]{6}$", id)) ? id : "${id}-??????"
  ])
  # berth fetches the app's secrets of one region in one call, except those of another stage or version.
  current = distinct([for reference in local.for_the_app : join(":", slice(split(":", "${local.named[reference]}::::::"), 0, 7))
  if !local.is_of_ssm[reference] && !can(regex("^arn:([^:]*:){7}[^:]*:[^:]*[^:]|^arn:([^:]*:){7}[^:]*:[^:]*:[^:]", local.named[reference]))])
  batches = { for id in local.current : startswith(id, "arn:") ? split(":", id)[3] : "" => id... }

  # Account, region and repository of an image in ECR; with registry_auth=ecr any registry counts as ECR.
  ecr        = try(regex("^([0-9]{12})[.]dkr[.-]ecr(?:-fips)?[.]([a-z0-9-]+)[.][^/]+/", var.image), [local.account, local.region])
  is_of_ecr  = can(regex("^[0-9]{12}[.]dkr[.-]ecr(-fips)?[.][a-z0-9-]+[.][^/]+/", var.image))
  repository = regex("^(?:(?:[^/]*[.:][^/]*|localhost)/)?([^@]+?)(?::[^:/@]+)?(?:@.*)?$", var.image)[0]
  is_public  = startswith(var.image, "public.ecr.aws/")
  logs_in    = local.registry_auth == "ecr" && !local.is_public || local.registry_auth == "auto" && local.is_of_ecr

  log_group = lookup(var.keys, "log_driver", "") == "awslogs" ? lookup(var.keys, "log_opt.awslogs-group", "") : ""

  # Sid, actions, resources; a statement without resources is left out.
  statements = [
    ["BerthSecrets", ["secretsmanager:GetSecretValue"], local.secret_arns],
    ["BerthSecretsAtOnce", ["secretsmanager:BatchGetSecretValue"], anytrue([for ids in values(local.batches) : length(ids) > 1]) ? ["*"] : []],
    ["BerthParameters", ["ssm:GetParameters"], local.parameter_arns],
    ["BerthKeys", ["kms:Decrypt"], var.kms_key_arns],
    ["BerthRegistryLogin", ["ecr:GetAuthorizationToken"], local.logs_in ? ["*"] : []],
    ["BerthImage", ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    local.logs_in ? ["arn:${local.partition}:ecr:${local.ecr[1]}:${local.ecr[0]}:repository/${local.repository}"] : []],
    # These actions have no resource.
    ["BerthGroupLookup",
      concat(["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"], local.registers ? ["autoscaling:DescribeAutoScalingGroups"] : []),
    ["*"]],
    ["BerthGroup", ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat", "autoscaling:SetInstanceHealth"],
    ["arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}"]],
    ["BerthTargets", ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
    distinct([for group in var.target_groups : split("#", group)[0]])],
    ["BerthTargetHealth", ["elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:DescribeTargetGroupAttributes"],
    local.registers ? ["*"] : []],
    ["BerthAppLogs",
      concat(["logs:CreateLogStream", "logs:PutLogEvents"], lookup(var.keys, "log_opt.awslogs-create-group", "") == "true" ? ["logs:CreateLogGroup"] : []),
      local.log_group == "" ? [] : [
        "arn:${local.partition}:logs:${lookup(var.keys, "log_opt.awslogs-region", local.region)}:${local.account}:log-group:${local.log_group}:*"
    ]],
  ]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in local.statements : { Sid = statement[0], Effect = "Allow", Action = statement[1], Resource = statement[2] }
      if length(statement[2]) > 0
    ]
  })
}

resource "aws_iam_role" "this" {
  name_prefix = "${var.name}-"
  description = "Instances of ${var.name}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.this.dns_suffix}" }
    }]
  })
  tags = local.tags
}

resource "aws_iam_role_policy" "berth" {
  name   = "berth"
  role   = aws_iam_role.this.id
  policy = var.policy_json != null ? var.policy_json : local.policy
}

resource "aws_iam_role_policy" "session_manager" {
  count = var.session_manager ? 1 : 0

  name = "session-manager"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "SessionManager"
      Effect = "Allow"
      Action = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      Resource = ["*"]
    }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.this.name
  tags        = local.tags
}
