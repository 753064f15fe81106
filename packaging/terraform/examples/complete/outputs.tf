output "url" {
  description = "URL of the app."
  value       = "http://${aws_lb.this.dns_name}/"
}

output "user_data" {
  description = "User-data of the instances."
  value       = module.app.user_data
}

output "alarm_topic_arn" {
  description = "Topic of the alarms."
  value       = aws_sns_topic.alarms.arn
}
