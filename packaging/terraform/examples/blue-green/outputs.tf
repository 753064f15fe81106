output "url" {
  description = "URL of the colour that is live."
  value       = "http://${aws_lb.this.dns_name}/"
}

output "test_url" {
  description = "URL of the other colour."
  value       = "http://${aws_lb.this.dns_name}:8080/"
}

output "live" {
  description = "Target group that is live."
  value       = aws_lb_target_group.this[var.live].arn
}

output "idle" {
  description = "The other target group."
  value       = aws_lb_target_group.this[local.idle].arn
}

output "user_data" {
  description = "User-data of the instances of each colour."
  value       = { for colour, app in module.app : colour => app.user_data }
}
