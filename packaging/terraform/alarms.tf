# Two alarms stop an instance refresh and roll it back; all of them notify `alarm_topic_arns`.

locals {
  rollback_alarms = [
    aws_cloudwatch_metric_alarm.errors.alarm_name,
    aws_cloudwatch_metric_alarm.healthy.alarm_name,
  ]

  target = {
    # From the listener's ARN, …:listener/app/NAME/ID/ID of the listener. With a data source for the load balancer, every change of it would
    # make these values unknown at plan time.
    LoadBalancer = join("/", slice(split("/", var.listener_arn), 1, 4))
    TargetGroup  = element(split(":", local.target_group), 5)
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "The app answers with 5xx."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  dimensions          = local.target
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 2
  threshold           = 10
  comparison_operator = "GreaterThanOrEqualToThreshold"
  # No errors are no data.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
  tags               = local.tags
}

resource "aws_cloudwatch_metric_alarm" "healthy" {
  alarm_name          = "${var.name}-healthy"
  alarm_description   = "Fewer instances take traffic than the group must have."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.target
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  threshold           = var.min_size
  comparison_operator = "LessThanThreshold"
  # Before the first target there is no data, and no refresh either.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
  tags               = local.tags
}

# An instance whose boot fails is replaced by one whose boot fails again, while the other instances serve. No metric counts
# abandoned launch hooks, so this alarm fires when the group does not reach its size. 20 minutes are two boots that took all of boot.timeout.
resource "aws_cloudwatch_metric_alarm" "boots" {
  alarm_name          = "${var.name}-boots"
  alarm_description   = "The group does not reach its size: read the console output of its last instances."
  evaluation_periods  = 20
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags

  metric_query {
    id          = "missing"
    expression  = "desired - in_service"
    label       = "instances missing"
    return_data = true
  }

  metric_query {
    id = "desired"
    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupDesiredCapacity"
      dimensions  = { AutoScalingGroupName = var.name }
      period      = 60
      stat        = "Minimum"
    }
  }

  metric_query {
    id = "in_service"
    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = { AutoScalingGroupName = var.name }
      period      = 60
      stat        = "Maximum"
    }
  }
}
