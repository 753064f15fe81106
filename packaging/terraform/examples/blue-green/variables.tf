variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-2"
}

variable "name" {
  description = "Name of the app, at most 26 characters."
  type        = string
  default     = "ap-api"
}

variable "live" {
  description = "Colour that the production listener sends requests to."
  type        = string
  default     = "blue"
  nullable    = false

  validation {
    condition     = contains(["blue", "green"], var.live)
    error_message = "Use blue or green."
  }
}

variable "blue" {
  description = "Image of the blue instances, and the least number of them; at 0 they drain and end."
  type        = object({ image = string, size = number })
  default     = { image = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d", size = 2 }
}

variable "green" {
  description = "The same of the green instances."
  type        = object({ image = string, size = number })
  default     = { image = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d", size = 0 }
}

variable "ami_id" {
  description = "AMI with berth and Docker, as packaging/packer builds it."
  type        = string
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
  description = "Other keys of berth's configuration, such as { \"secret.API_KEY\" = \"ssm:/prod/ap-api/key\" }."
  type        = map(string)
  default     = {}
}

variable "test_cidr" {
  description = "Addresses that may send requests to the test listener, as the internet sees them: 203.0.113.7/32."
  type        = string
}
