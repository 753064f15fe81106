output "user_data" {
  description = "What the instances run."
  value       = module.app.user_data
}

output "autoscaling_group_name" {
  description = "The group, for `aws autoscaling start-instance-refresh` and the like."
  value       = module.app.autoscaling_group_name
}
