output "user_data" {
  description = "User-data of the instances."
  value       = module.app.user_data
}

output "autoscaling_group_name" {
  description = "Name of the group, for example for `aws autoscaling start-instance-refresh`."
  value       = module.app.autoscaling_group_name
}
