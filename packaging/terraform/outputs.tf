output "user_data" {
  value       = local.user_data
  description = "For a look before a rollout: terraform output -raw user_data | berth check -"
}

output "group" {
  value = aws_autoscaling_group.this.name
}

output "launch_template" {
  value = "${aws_launch_template.this.id}:${aws_launch_template.this.latest_version}"
}

output "target_group" {
  value = aws_lb_target_group.this.arn
}

output "role" {
  value       = aws_iam_role.this.name
  description = "For what the app itself may do."
}
