# One app behind a load balancer: group, launch template, both lifecycle hooks, target group, instance refresh.
#
# The figures fit berth's defaults (drain.settle=20s, drain.timeout=300s, stop_timeout=30s, boot.timeout=10m,
# listen=0.0.0.0:9911). Whoever changes one of these keys looks for its name below. tests/tidy/examples.py holds them together.

data "aws_lb_listener" "this" {
  arn = var.listener
}

data "aws_lb" "this" {
  arn = data.aws_lb_listener.this.load_balancer_arn
}

locals {
  # `listen`
  readiness_port = 9911

  secrets = length(var.secrets) == 0 ? "" : " secrets=${join(",", var.secrets)}"
  keys    = join("", [for key, value in var.keys : " ${key}='${value}'"])
  line    = "image=${var.image} port=${var.port} health=${var.health}${local.secrets}${local.keys}"

  # The first line is for cloud-init, which takes the second for a comment and says nothing.
  user_data = "#cloud-config\n#berth ${local.line}\n"
}

resource "aws_launch_template" "this" {
  name_prefix   = "${var.name}-"
  image_id      = var.ami
  instance_type = var.instance_type

  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = [aws_security_group.this.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # berth speaks IMDSv2 only and runs on the host: one hop is enough for it, and keeps a container on Docker's bridge from the
  # instance's role. Tags in the metadata stay off: they would save berth one call, and with them on a tag key that has a
  # space or a slash makes every launch fail.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

resource "aws_autoscaling_group" "this" {
  name                = var.name
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnets
  target_group_arns   = [aws_lb_target_group.this.arn]

  # A number and not "$Latest": so a new version starts a refresh, and a refresh can go back.
  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # The hooks are part of the group, so that its very first instances meet them. Terraform gives them to a new group only: to change one
  # later, change it here and with `aws autoscaling put-lifecycle-hook`.
  #
  # Launch: an instance is registered with the load balancer when berth completes this, after the app has answered. berth sends
  # heartbeats while a boot is slow, so this is the time for an agent that says nothing; it is boot.timeout, so that even
  # without a heartbeat no boot is cut short. Then, and when berth says that the boot failed, the instance is replaced.
  initial_lifecycle_hook {
    name                 = "berth-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }

  # Termination: the load balancer has let go of the instance, then this holds it until berth has stopped the app. Longer than
  # drain.settle + drain.timeout + stop_timeout and what the engine takes, so that it holds without heartbeats too. An agent that is
  # gone must not keep an instance: CONTINUE.
  initial_lifecycle_hook {
    name                 = "berth-terminate"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 420
    default_result       = "CONTINUE"
  }

  # The load balancer's verdict counts, which is berth's: /ready. In service means that the app has answered already, so the time of
  # grace is for the load balancer's first check alone, not for a boot.
  health_check_type         = "ELB"
  health_check_grace_period = 30
  # The same for a refresh: how long after InService the next instance is replaced.
  default_instance_warmup = 30

  instance_refresh {
    strategy = "Rolling"
    preferences {
      # New before old: no less than everything, and a tenth more (one instance in a small group) meanwhile.
      min_healthy_percentage = 100
      max_healthy_percentage = 110
      skip_matching          = true
      auto_rollback          = true
      alarm_specification {
        alarms = local.rollback_alarms
      }
    }
  }

  dynamic "warm_pool" {
    for_each = var.warm_pool == null ? [] : [var.warm_pool]
    content {
      # Into the pool the launch hook is completed once the image is pulled, out of it once the app has answered.
      pool_state = "Stopped"
      min_size   = warm_pool.value
    }
  }

  # For the alarm below; they cost nothing.
  enabled_metrics = ["GroupDesiredCapacity", "GroupInServiceInstances"]
  # Longer than boot.timeout: an apply that ends well has seen the app answer.
  wait_for_capacity_timeout = "15m"

  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = true
  }

  lifecycle {
    # Whoever scales changes it.
    ignore_changes = [desired_capacity]
  }

  # A target group that no listener uses is asked by nobody, and an instance must not need a role that it cannot use yet.
  depends_on = [aws_lb_listener_rule.this, aws_iam_role_policy.this]
}

resource "aws_lb_target_group" "this" {
  name     = var.name
  vpc_id   = data.aws_lb.this.vpc_id
  protocol = "HTTP"
  port     = var.port

  # What the load balancer asks is berth. An instance on its way out by spot or SIGTERM is noticed after unhealthy_threshold *
  # interval + timeout = 12 s; drain.settle, for which the app goes on serving, is longer than that.
  health_check {
    port                = local.readiness_port
    path                = "/ready"
    matcher             = "200"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # How long a request that is under way may take at most when its instance leaves. No longer than drain.settle + drain.timeout, or
  # berth would stop the app first. On spot there are two minutes for everything: use less than 90 there.
  deregistration_delay = 120
}

resource "aws_lb_listener_rule" "this" {
  listener_arn = var.listener
  priority     = var.priority

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    path_pattern {
      values = var.paths
    }
  }
}

resource "aws_security_group" "this" {
  name   = var.name
  vpc_id = data.aws_lb.this.vpc_id
}

# From the load balancer: the app, and berth's readiness. Nobody else needs either.
resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = {
    for pair in setproduct(data.aws_lb.this.security_groups, [var.port, local.readiness_port]) :
    "${pair[0]}-${pair[1]}" => { group = pair[0], port = pair[1] }
  }

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value.group
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "this" {
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
