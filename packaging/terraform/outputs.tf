output "user_data" {
  description = "User-data of the instances. Look before a rollout: `terraform output -raw user_data | berth check -`."
  value       = local.user_data
}

output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "launch_template_id" {
  description = "ID of the launch template."
  value       = aws_launch_template.this.id
}

output "launch_template_version" {
  description = "Version of the launch template that the group runs, or is being refreshed to."
  value       = aws_launch_template.this.latest_version
}

output "target_group_arn" {
  description = "ARN of the target group."
  value       = aws_lb_target_group.this.arn
}

output "security_group_id" {
  description = "ID of the instances' security group, for example as the source in a rule of a database's."
  value       = aws_security_group.this.id
}

output "role_name" {
  description = "Name of the instances' role, to attach what the app itself may do (with `metadata_hop_limit = 2`)."
  value       = aws_iam_role.this.name
}

output "policy_json" {
  description = "IAM policy that berth got in that role."
  value       = aws_iam_role_policy.berth.policy
}
