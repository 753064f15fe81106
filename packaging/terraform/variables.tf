# What runs.

variable "name" {
  type        = string
  description = "Name of the group and of everything around it."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "At most 24 of a-z, 0-9 and -: a target group's name has 32."
  }
}

variable "ami" {
  type        = string
  description = "An AMI with berth and Docker, as packaging/packer makes it."
}

variable "image" {
  type        = string
  description = "The app, with a tag or, better, a digest. A new value is a new version of the launch template, and that is a rollout."
}

variable "port" {
  type        = number
  description = "The app's port, in the container and on the instance."
}

variable "health" {
  type        = string
  default     = "/health"
  description = "How berth asks the app; see `health` in docs/configuration.md. The load balancer asks berth."
}

variable "secrets" {
  type        = list(string)
  default     = []
  description = "Secrets of Secrets Manager, by name or ARN, whose JSON keys become the app's environment."
}

variable "keys" {
  type        = map(string)
  default     = {}
  description = "Any other keys of docs/configuration.md, as { \"env.LOG_LEVEL\" = \"info\" }."

  validation {
    condition     = !anytrue([for value in values(var.keys) : strcontains(value, "'") || strcontains(value, "\n")])
    error_message = "No single quotes and no line breaks: all of it is one line, in which these quote a value."
  }
}

# Where.

variable "subnets" {
  type = list(string)
}

variable "listener" {
  type        = string
  description = "ARN of a listener of an Application Load Balancer."
}

variable "priority" {
  type        = number
  default     = 100
  description = "Of the listener's rule."
}

variable "paths" {
  type    = list(string)
  default = ["/*"]
}

# How many.

variable "instance_type" {
  type = string
}

variable "min_size" {
  type    = number
  default = 2
}

variable "max_size" {
  type    = number
  default = 6
}

variable "warm_pool" {
  type        = number
  default     = null
  description = "Instances that wait, stopped, with the image pulled; null is no pool."
}

variable "alarm_topics" {
  type        = list(string)
  default     = []
  description = "SNS topics that hear of the alarms."
}
