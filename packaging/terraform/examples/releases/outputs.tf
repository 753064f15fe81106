output "user_data" {
  description = "The user-data of the launch template."
  value = join("\n", [
    "#cloud-config",
    "#berth config=s3://${aws_s3_bucket.this.id}/${local.document} follow=${var.follow} release.board=s3://${aws_s3_bucket.this.id}/${local.board}",
    "",
  ])
}

output "document" {
  description = "What is followed, for `berth release`."
  value       = "s3://${aws_s3_object.document.bucket}/${aws_s3_object.document.key}"
}

output "instance_policy" {
  description = "ARN of the policy for the role of the instances."
  value       = aws_iam_policy.instance.arn
}

output "publisher_policy" {
  description = "ARN of the policy for whatever publishes."
  value       = aws_iam_policy.publisher.arn
}
