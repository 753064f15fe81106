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
  default     = "/health"
}

variable "keys" {
  description = "Other keys of berth's configuration."
  type        = map(string)
  default = {
    "env.LOG_LEVEL"       = "info"
    "secret.API_KEY"      = "ssm:/prod/ap-api/key"
    "secret.DATABASE_URL" = "prod/db#url"
  }
}
