output "url" {
  description = "Where the app answers."
  value       = "http://${aws_lb.this.dns_name}/"
}

output "user_data" {
  description = "What the instances run."
  value       = module.app.user_data
}

output "alarm_topic_arn" {
  description = "Topic to subscribe to."
  value       = aws_sns_topic.alarms.arn
}
