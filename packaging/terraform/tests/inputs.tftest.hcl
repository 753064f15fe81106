# What the module refuses, and what it makes of some inputs. `terraform test`, without an account.

mock_provider "aws" {}

variables {
  name          = "ap-api"
  image         = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d"
  port          = 8080
  ami_id        = "ami-0123456789abcdef0"
  instance_type = "t3.small"

  vpc_id                          = "vpc-0123456789abcdef0"
  subnet_ids                      = ["subnet-0123456789abcdef0"]
  listener_arn                    = "arn:aws:elasticloadbalancing:us-east-2:123456789012:listener/app/lb/0123456789abcdef/fedcba9876543210"
  load_balancer_security_group_id = "sg-0123456789abcdef0"
}

run "values_are_quoted_as_they_need_it" {
  command = plan
  variables {
    health = "cmd:pg_isready -U app"
    keys = {
      "env.EMPTY" = ""
      "env.QUOTE" = "it's"
      "command"   = "nginx,-g,'daemon off;'"
    }
  }
  assert {
    condition     = output.user_data == "#cloud-config\n#berth image=${var.image} port=8080 health='cmd:pg_isready -U app' command='nginx,-g,'\\''daemon off;'\\''' env.EMPTY='' env.QUOTE='it'\\''s'\n"
    error_message = output.user_data
  }
}

run "another_port_of_the_app_is_mapped" {
  command = plan
  variables { port = 3000 }
  assert {
    condition     = strcontains(output.user_data, " port=8080:3000 ") && aws_lb_target_group.this[0].port == 8080
    error_message = output.user_data
  }
}

run "figures_follow_the_keys" {
  command = plan
  variables {
    keys = { "listen" = "0.0.0.0:9000", "drain.settle" = "1m30s", "drain.timeout" = "1h", "stop_timeout" = "500ms", "boot.timeout" = "20m" }
  }
  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].port == "9000" && aws_vpc_security_group_ingress_rule.readiness.from_port == 9000
    error_message = "The load balancer asks ${aws_lb_target_group.this[0].health_check[0].port}."
  }
  assert {
    condition     = sort([for hook in aws_autoscaling_group.this.initial_lifecycle_hook : hook.heartbeat_timeout]) == sort(["1200", "3761"])
    error_message = jsonencode(aws_autoscaling_group.this.initial_lifecycle_hook)
  }
}

run "the_hop_limit_is_1" {
  command = plan
  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "An app gets the role."
  }
}

run "imds_allow_means_it" {
  command = plan
  variables { keys = { "imds" = "allow" } }
  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 2
    error_message = "An app on Docker's bridge does not get the role."
  }
}

run "a_given_policy_is_taken" {
  command = plan
  variables { policy_json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  assert {
    condition     = output.policy_json == var.policy_json
    error_message = output.policy_json
  }
}

run "instances_register_themselves_on_a_port_that_berth_chooses" {
  command = plan
  variables {
    instance_port = 0
    target_groups = ["arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/blue/73e2d6bc24d8a067", "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/admin/0123456789abcdef#9000"]
  }
  assert {
    condition     = strcontains(output.user_data, " port=0:8080 health=/health target_groups='${join(",", var.target_groups)}'\n")
    error_message = output.user_data
  }
  assert {
    condition     = length(aws_lb_target_group.this) == 0 && length(aws_lb_listener_rule.this) == 0 && length(aws_autoscaling_group.this.target_group_arns) == 0
    error_message = "The group registers them too."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.app.from_port == 20000 && aws_vpc_security_group_ingress_rule.app.to_port == 29999
    error_message = "The load balancer does not reach ${aws_vpc_security_group_ingress_rule.app.from_port}."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.healthy.dimensions == tomap({ LoadBalancer = "app/lb/0123456789abcdef", TargetGroup = "targetgroup/blue/73e2d6bc24d8a067" })
    error_message = jsonencode(aws_cloudwatch_metric_alarm.healthy.dimensions)
  }
}

run "a_port_that_berth_chooses_needs_a_target_group_to_register_it_with" {
  command = plan
  variables { instance_port = 0 }
  expect_failures = [aws_lb_target_group.this]
}

run "a_group_does_not_know_the_health_of_instances_that_register_themselves" {
  command = plan
  variables {
    target_groups     = ["arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/blue/73e2d6bc24d8a067"]
    health_check_type = "ELB"
  }
  expect_failures = [aws_autoscaling_group.this]
}

run "everything_has_the_tags" {
  command = plan
  variables { tags = { Team = "api" } }
  assert {
    condition = alltrue([for tags in [
      aws_launch_template.this.tags, aws_lb_target_group.this[0].tags, aws_lb_listener_rule.this[0].tags, aws_security_group.this.tags,
      aws_vpc_security_group_ingress_rule.app.tags, aws_vpc_security_group_ingress_rule.readiness.tags,
      aws_vpc_security_group_egress_rule.all.tags, aws_iam_role.this.tags, aws_iam_instance_profile.this.tags,
      aws_cloudwatch_metric_alarm.errors.tags, aws_cloudwatch_metric_alarm.healthy.tags, aws_cloudwatch_metric_alarm.boots.tags,
      { for tag in aws_autoscaling_group.this.tag : tag.key => tag.value if tag.propagate_at_launch },
      aws_launch_template.this.tag_specifications[0].tags, aws_launch_template.this.tag_specifications[1].tags,
    ] : tags["Team"] == "api" && tags["Name"] == "ap-api"])
    error_message = "Something has not."
  }
}

run "a_key_with_a_variable_of_its_own_is_refused" {
  command = plan
  variables { keys = { "image" = "x:1" } }
  expect_failures = [var.keys]
}

run "a_line_break_is_refused" {
  command = plan
  variables { keys = { "env.TEXT" = "one\ntwo" } }
  expect_failures = [var.keys]
}

run "a_key_with_a_space_is_refused" {
  command = plan
  variables { keys = { "env.A privileged" = "true" } }
  expect_failures = [var.keys]
}

run "an_image_without_a_tag_is_refused" {
  command = plan
  variables { image = "nginx" }
  expect_failures = [var.image]
}

run "a_settle_time_shorter_than_the_load_balancer_takes_is_refused" {
  command = plan
  variables { keys = { "drain.settle" = "10s" } }
  expect_failures = [aws_autoscaling_group.this]
}

run "a_slower_load_balancer_needs_a_longer_settle_time" {
  command = plan
  variables { unhealthy_threshold = 10 }
  expect_failures = [aws_autoscaling_group.this]
}

run "requests_get_no_longer_than_berth_keeps_the_app" {
  command = plan
  variables { deregistration_delay = 3600 }
  expect_failures = [aws_autoscaling_group.this]
}

run "the_app_and_berth_need_a_port_each" {
  command = plan
  variables { instance_port = 9911 }
  expect_failures = [aws_autoscaling_group.this]
}

run "a_pool_state_that_does_not_exist_is_refused" {
  command = plan
  variables { warm_pool = { pool_state = "Asleep" } }
  expect_failures = [var.warm_pool]
}
