# What the instance may do: what `berth policy` prints for the line above, and nothing more. The app has the same role, unless the
# hop limit or imds=block keeps it away: what only the app needs is better given to the app.

data "aws_caller_identity" "this" {}
data "aws_region" "this" {}
data "aws_partition" "this" {}

locals {
  arn     = "arn:${data.aws_partition.this.partition}"
  account = data.aws_caller_identity.this.account_id
  # The name of it in every version of the provider.
  region = data.aws_region.this.id

  # account, region and repository of an image in ECR, null of any other
  ecr = try(regex("^([0-9]{12})[.]dkr[.-]ecr(?:-fips)?[.]([a-z0-9-]+)[.][^/]+/([^:@]+)", var.image), null)

  # A secret's ARN ends in six characters that its name does not tell.
  secrets_arns = [
    for secret in var.secrets :
    startswith(secret, "arn:") ? secret : "${local.arn}:secretsmanager:${local.region}:${local.account}:secret:${secret}-??????"
  ]
}

data "aws_iam_policy_document" "this" {
  statement {
    actions = [
      "autoscaling:CompleteLifecycleAction",
      "autoscaling:RecordLifecycleActionHeartbeat",
      "autoscaling:SetInstanceHealth",
    ]
    resources = ["${local.arn}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}"]
  }

  # AWS knows no resource for these.
  statement {
    actions   = ["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = local.ecr == null ? [] : [local.ecr]
    content {
      actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = ["${local.arn}:ecr:${statement.value[1]}:${statement.value[0]}:repository/${statement.value[2]}"]
    }
  }

  dynamic "statement" {
    for_each = local.ecr == null ? [] : [local.ecr]
    content {
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.secrets) == 0 ? [] : [local.secrets_arns]
    content {
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  # Two or more go in one call.
  dynamic "statement" {
    for_each = length(var.secrets) < 2 ? [] : [local.secrets_arns]
    content {
      actions   = ["secretsmanager:BatchGetSecretValue"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "this" {
  name = var.name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.this.dns_suffix}" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "berth"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  role = aws_iam_role.this.name
}
