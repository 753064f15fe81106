# One app behind a load balancer: launch template, group with both lifecycle hooks, target group, listener rule, security group. With
# `target_groups` there is neither target group nor rule: the instances register themselves with those.
# policy.tf has the role of the instances, user_data.tf what they run.

resource "aws_launch_template" "this" {
  name_prefix   = "${var.name}-"
  description   = "${var.name}: runs ${var.image}"
  image_id      = var.ami_id
  instance_type = var.instance_type

  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = [aws_security_group.this.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # berth speaks IMDSv2 only and runs on the host, so one hop is enough for it. One hop is not enough for an app on Docker's bridge:
  # with 1 it gets no credentials, whatever `imds` says. Tags in the metadata stay off: with them on, a tag key that has a space or
  # a slash makes every launch fail.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.metadata_hop_limit != null ? var.metadata_hop_limit : lookup(var.keys, "imds", "") == "allow" ? 2 : 1
  }

  # The group tags its instances; their volumes and interfaces are tagged here.
  dynamic "tag_specifications" {
    for_each = toset(["volume", "network-interface"])
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }

  tags = local.tags
}

locals {
  tags = merge({ Name = var.name }, var.tags)

  registers    = length(var.target_groups) > 0
  target_group = local.registers ? split("#", var.target_groups[0])[0] : one(aws_lb_target_group.this[*].arn)
}

resource "aws_autoscaling_group" "this" {
  name                = var.name
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = aws_lb_target_group.this[*].arn

  # A number and not "$Latest": so a new version starts a refresh, and a refresh can go back.
  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # The hooks are part of the group, so that they apply to its first instances and exist until its last instance has
  # drained. Terraform sets them only when it creates a group: for an existing group, `aws autoscaling put-lifecycle-hook` changes them. With
  # other timeouts in `keys` that is not urgent: berth sends heartbeats.
  #
  # Launch: an instance is registered with the load balancer when berth completes this hook, after the app has answered; with `target_groups`
  # berth completes it when the load balancer calls the instance healthy. The instance is replaced when berth reports a failed boot, or sends nothing within the timeout.
  initial_lifecycle_hook {
    name                 = "berth-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = local.launch_timeout
    default_result       = "ABANDON"
  }

  # Termination: after the load balancer has deregistered the instance, this hook holds it until berth has stopped the app. CONTINUE, because
  # an agent that no longer runs must not keep an instance.
  initial_lifecycle_hook {
    name                 = "berth-terminate"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = local.termination_timeout
    default_result       = "CONTINUE"
  }

  # With ELB the grace period begins at InService, after the app has answered: it is only for the load balancer's first check.
  health_check_type         = var.health_check_type
  health_check_grace_period = 30
  # The same for a refresh: how long after InService the next instance is replaced.
  default_instance_warmup = 30

  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage       = var.instance_refresh.min_healthy_percentage
      max_healthy_percentage       = var.instance_refresh.max_healthy_percentage
      skip_matching                = var.instance_refresh.skip_matching
      auto_rollback                = var.instance_refresh.auto_rollback
      standby_instances            = var.instance_refresh.standby_instances
      scale_in_protected_instances = var.instance_refresh.scale_in_protected_instances
      alarm_specification {
        alarms = local.rollback_alarms
      }
    }
  }

  dynamic "warm_pool" {
    for_each = var.warm_pool == null ? [] : [var.warm_pool]
    content {
      # berth completes the launch hook on the way into the pool once the image is pulled, and on the way out once the app has answered.
      pool_state                  = warm_pool.value.pool_state
      min_size                    = warm_pool.value.min_size
      max_group_prepared_capacity = warm_pool.value.max_group_prepared_capacity
      instance_reuse_policy {
        reuse_on_scale_in = warm_pool.value.reuse_on_scale_in
      }
    }
  }

  # For the alarm "boots"; these metrics are free.
  enabled_metrics = ["GroupDesiredCapacity", "GroupInServiceInstances"]
  # Longer than a boot may take: after a successful apply the app has answered. A group that is ended is not waited for: the provider
  # would wait for as many instances as there were before.
  wait_for_capacity_timeout = var.max_size == 0 ? "0s" : "${local.launch_timeout + 300}s"

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  timeouts {
    # Every instance drains before the group is deleted. The value cannot follow `keys`: Terraform must know a timeout at plan time.
    delete = "30m"
  }

  lifecycle {
    # Scaling policies and operators change it.
    ignore_changes = [desired_capacity]

    precondition {
      condition     = local.registers || local.seconds["drain.settle"] > local.noticed_after
      error_message = "drain.settle is ${local.durations["drain.settle"]}, but the load balancer notices a 503 only after ${local.noticed_after} s: it would send requests to an app that has stopped. Set drain.settle in keys to ${local.noticed_after + 5}s, or lower unhealthy_threshold."
    }
    precondition {
      condition     = local.registers || var.deregistration_delay <= local.seconds["drain.settle"] + local.seconds["drain.timeout"]
      error_message = "deregistration_delay is ${var.deregistration_delay} s, but berth stops the app after drain.settle + drain.timeout = ${local.seconds["drain.settle"] + local.seconds["drain.timeout"]} s: lower it, or raise drain.timeout in keys."
    }
    precondition {
      condition     = local.readiness_port != var.instance_port
      error_message = "instance_port and the port of listen in keys are both ${var.instance_port}: the app and berth need one each."
    }
    precondition {
      condition     = !local.registers || var.health_check_type == "EC2"
      error_message = "With target_groups, health_check_type = \"ELB\" has no effect: the group asks only about target groups that are attached to it."
    }
  }

  # Created before the group: a target group without a listener checks nothing, and an instance needs its role and its rules from the
  # start. Destroyed after it: the last instances need all of it for their drain.
  depends_on = [
    aws_iam_role_policy.berth,
    aws_iam_role_policy.session_manager,
    aws_lb_listener_rule.this,
    aws_vpc_security_group_egress_rule.all,
    aws_vpc_security_group_ingress_rule.app,
    aws_vpc_security_group_ingress_rule.readiness,
  ]
}

resource "aws_lb_target_group" "this" {
  count = local.registers ? 0 : 1

  # A new port or VPC makes a new target group beside the old one, so the name is not fixed. A name has at most 32 characters, a prefix 6.
  name_prefix = substr(var.name, 0, 6)
  vpc_id      = var.vpc_id
  protocol    = "HTTP"
  port        = var.instance_port

  # The health check asks berth, not the app.
  health_check {
    port                = local.readiness_port
    path                = "/ready"
    matcher             = "200"
    interval            = local.check_interval
    timeout             = local.check_timeout
    healthy_threshold   = 2
    unhealthy_threshold = var.unhealthy_threshold
  }

  deregistration_delay = var.deregistration_delay

  tags = local.tags

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = var.instance_port != 0
      error_message = "With instance_port = 0 berth chooses the port and registers it: set target_groups too."
    }
  }
}

resource "aws_lb_listener_rule" "this" {
  count = local.registers ? 0 : 1

  listener_arn = var.listener_arn
  priority     = var.priority

  action {
    type             = "forward"
    target_group_arn = local.target_group
  }

  condition {
    path_pattern {
      values = var.path_patterns
    }
  }

  dynamic "condition" {
    for_each = length(var.host_headers) == 0 ? [] : [var.host_headers]
    content {
      host_header {
        values = condition.value
      }
    }
  }

  tags = local.tags
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Instances of ${var.name}"
  vpc_id      = var.vpc_id

  tags = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "app" {
  security_group_id            = aws_security_group.this.id
  description                  = "Requests for the app, from the load balancer"
  referenced_security_group_id = var.load_balancer_security_group_id
  ip_protocol                  = "tcp"
  # 0 is a port that berth chooses among these.
  from_port = var.instance_port == 0 ? 20000 : var.instance_port
  to_port   = var.instance_port == 0 ? 29999 : var.instance_port

  tags = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "readiness" {
  security_group_id            = aws_security_group.this.id
  description                  = "Health checks of the load balancer, answered by berth"
  referenced_security_group_id = var.load_balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.readiness_port
  to_port                      = local.readiness_port

  tags = local.tags
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.this.id
  description       = "AWS APIs, the registry, and what the app calls"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"

  tags = local.tags
}
