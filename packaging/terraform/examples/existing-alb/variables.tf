variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-2"
}

variable "name" {
  description = "Name of the app."
  type        = string
  default     = "ap-api"
}

variable "ami_id" {
  description = "AMI with berth and Docker, as packaging/packer builds it."
  type        = string
}

variable "image" {
  description = "Image of the app."
  type        = string
  default     = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d"
}

variable "port" {
  description = "Port of the app in its container."
  type        = number
  default     = 8080
}

variable "health" {
  description = "How berth checks the app."
  type        = string
  default     = "cmd:pg_isready -U app"
}

variable "keys" {
  description = "Other keys of berth's configuration."
  type        = map(string)
  default     = { "secret.API_KEY" = "ssm:/prod/ap-api/key" }
}

variable "vpc_id" {
  description = "VPC of the load balancer."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets for the instances."
  type        = list(string)
}

variable "listener_arn" {
  description = "Listener of the load balancer."
  type        = string
}

variable "load_balancer_security_group_id" {
  description = "Security group of the load balancer."
  type        = string
}
