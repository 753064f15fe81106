output "user_data" {
  description = "User-data of the instances. Check it before a rollout: `terraform output -raw user_data | berth check -`."
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
  description = "Version of the launch template that the group runs, or that a refresh moves it to."
  value       = aws_launch_template.this.latest_version
}

output "target_group_arn" {
  description = "ARN of the target group, or of the first one in `target_groups`."
  value       = local.target_group
}

output "security_group_id" {
  description = "ID of the instances' security group, for example as the source in a rule of a database's security group."
  value       = aws_security_group.this.id
}

output "role_name" {
  description = "Name of the instances' role, for policies of the app itself (with `metadata_hop_limit = 2`)."
  value       = aws_iam_role.this.name
}

output "policy_json" {
  description = "IAM policy for berth in that role."
  value       = aws_iam_role_policy.berth.policy
}
