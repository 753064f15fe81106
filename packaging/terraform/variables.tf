# The app.

variable "name" {
  description = "Name of the Auto Scaling group, and prefix of the names of its other resources."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "Use 1 to 32 of a-z, 0-9 and -. Begin with a letter, and do not end with -."
  }
}

variable "image" {
  description = "Image of the app, with a tag or, better, a digest. A new value is a new version of the launch template and starts an instance refresh."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s'\"\\\\]+[:@][^\\s'\"\\\\]+$", var.image))
    error_message = "Give the image a tag or a digest, without spaces or quotes."
  }
}

variable "port" {
  description = "Port that the app listens on, in the container. A new value starts an instance refresh and replaces nothing else."
  type        = number
  nullable    = false

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "Use a whole number from 1 to 65535."
  }
}

variable "health" {
  description = "How berth checks the app: `/path`, `tcp`, `cmd:COMMAND`, … as `health` in docs/configuration.md. Keep it shallow: a check that fails when a database fails restarts, and then replaces, every instance. The load balancer's health check asks berth, not the app."
  type        = string
  default     = "/health"
  nullable    = false

  validation {
    condition     = !can(regex("[\\x00-\\x1f\\x7f]", var.health))
    error_message = "Write it on one line, without control characters."
  }
}

variable "secrets" {
  description = "Secrets in Secrets Manager, by name or ARN, whose JSON keys become environment variables of the app."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "keys" {
  description = "Any other keys of docs/configuration.md, as they are written in the one line: `{ \"env.LOG_LEVEL\" = \"info\", \"secret.KEY\" = \"ssm:/prod/key\" }`. Separate the entries of a list by commas. The module quotes the values, and gives the role the permissions for the secrets, `config`, `registry_auth` and `log_driver=awslogs` in them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.keys), ["image", "port", "health", "secrets", "target_groups"])) == 0
    error_message = "image, port, health, secrets and target_groups are variables of their own."
  }

  validation {
    condition     = alltrue([for key in keys(var.keys) : can(regex("^[A-Za-z0-9_.-]+$", key))])
    error_message = "A key has letters, digits, _, . and - only."
  }

  validation {
    condition     = !anytrue([for value in values(var.keys) : can(regex("[\\x00-\\x08\\x0a-\\x1f\\x7f]", value))])
    error_message = "Values cannot hold line breaks or other control characters: the config is one line. Put such a value into a secret."
  }
}

# AMI, network and load balancer.

variable "ami_id" {
  description = "AMI with berth and Docker, as packaging/packer builds it."
  type        = string
  nullable    = false
}

variable "instance_type" {
  description = "Instance type; its architecture must be the AMI's."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the load balancer and of the subnets."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets for the instances. They need a route to ECR, to the AWS APIs, and to what the app calls."
  type        = list(string)
  nullable    = false
}

variable "listener_arn" {
  description = "ARN of a listener of an Application Load Balancer; the module adds a rule to it. With `target_groups` it adds none, and the listener says only which load balancer the alarms watch."
  type        = string
  nullable    = false
}

variable "target_groups" {
  description = "ARNs of target groups that the instances register themselves with, as `target_groups` in docs/configuration.md, instead of a target group and a listener rule of the module's own. Read docs/target-groups.md first. The alarms watch the first of them. `priority`, `path_patterns`, `host_headers`, `unhealthy_threshold` and `deregistration_delay` then have no effect."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "load_balancer_security_group_id" {
  description = "A security group of the load balancer. The app and the readiness endpoint are reachable only from it."
  type        = string
  nullable    = false
}

variable "priority" {
  description = "Priority of the listener rule."
  type        = number
  default     = 100
  nullable    = false
}

variable "path_patterns" {
  description = "Paths that the listener rule sends to the app."
  type        = list(string)
  default     = ["/*"]
  nullable    = false
}

variable "host_headers" {
  description = "Host names that the listener rule sends to the app; empty is all of them."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "instance_port" {
  description = "Port on the instance that the load balancer sends requests to. It may differ from the app's port. 0 with `target_groups`: berth chooses one from 20000 to 29999, another one for each release. **With the module's own target group a new value replaces it, and no instance serves until the instance refresh has replaced the instances.**"
  type        = number
  default     = 8080
  nullable    = false

  validation {
    condition     = var.instance_port >= 0 && var.instance_port <= 65535 && floor(var.instance_port) == var.instance_port
    error_message = "Use a whole number from 0 to 65535."
  }
}

# Sizes.

variable "min_size" {
  description = "Least number of instances in service."
  type        = number
  default     = 2
  nullable    = false
}

variable "max_size" {
  description = "Greatest number of instances. An instance refresh needs one more than are in service."
  type        = number
  default     = 6
  nullable    = false
}

variable "warm_pool" {
  description = "Warm pool, or null for none. Its instances have pulled the image and wait in `pool_state`. There are `max_group_prepared_capacity` minus desired capacity of them (`max_size` minus desired capacity if null), and never fewer than `min_size`, which is a minimum and not a size."
  type = object({
    min_size                    = optional(number, 0)
    max_group_prepared_capacity = optional(number)
    pool_state                  = optional(string, "Stopped")
    reuse_on_scale_in           = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.warm_pool == null ? true : contains(["Stopped", "Running", "Hibernated"], var.warm_pool.pool_state)
    error_message = "pool_state is Stopped, Running or Hibernated."
  }
}

# Health checks and replacement.

variable "health_check_type" {
  description = "When the group replaces an instance. `EC2`: when the instance fails, or when berth marks it unhealthy, past `restart.limit` restarts of the app. `ELB`: also when the load balancer's check has failed `unhealthy_threshold` times; read [Health checks](#health-checks) first."
  type        = string
  default     = "EC2"
  nullable    = false

  validation {
    condition     = contains(["EC2", "ELB"], var.health_check_type)
    error_message = "Use EC2 or ELB."
  }
}

variable "unhealthy_threshold" {
  description = "Failed checks, 5 s apart, after which the load balancer sends an instance no more requests. `drain.settle` must be longer than they take."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.unhealthy_threshold >= 2 && var.unhealthy_threshold <= 10
    error_message = "The load balancer accepts 2 to 10."
  }
}

variable "deregistration_delay" {
  description = "Seconds that requests in flight have when their instance is deregistered. At most `drain.settle` + `drain.timeout`, after which berth stops the app."
  type        = number
  default     = 120
  nullable    = false
}

variable "instance_refresh" {
  description = "Settings of an instance refresh. `standby_instances` and `scale_in_protected_instances` are `Wait`, `Ignore` or, to replace them, `Terminate` and `Refresh`; with `Wait` one such instance delays the refresh for an hour and then fails it."
  type = object({
    min_healthy_percentage       = optional(number, 100)
    max_healthy_percentage       = optional(number, 110)
    skip_matching                = optional(bool, true)
    auto_rollback                = optional(bool, true)
    standby_instances            = optional(string, "Ignore")
    scale_in_protected_instances = optional(string, "Ignore")
  })
  default  = {}
  nullable = false
}

variable "alarm_topic_arns" {
  description = "SNS topics that the alarms notify. Without one the alarms still roll an instance refresh back, but nothing reports boots that fail."
  type        = list(string)
  default     = []
  nullable    = false
}

# Permissions.

variable "metadata_hop_limit" {
  description = "Hop limit of the instance metadata service. **With 1, a container on Docker's bridge gets no credentials of the instance's role, even with `imds=allow`.** An app that calls AWS with the instance's role needs 2. Null is 2 if `keys` says `imds = \"allow\"`, else 1."
  type        = number
  default     = null

  validation {
    condition     = var.metadata_hop_limit == null ? true : var.metadata_hop_limit >= 1 && var.metadata_hop_limit <= 64
    error_message = "EC2 accepts 1 to 64."
  }
}

variable "session_manager" {
  description = "Whether the role allows Session Manager, the only way to a shell on an instance. The module allows the part of AmazonSSMManagedInstanceCore that sessions need; the whole policy would also let the app read every parameter of the account."
  type        = bool
  default     = true
  nullable    = false
}

variable "policy_json" {
  description = "IAM policy for berth, as `berth policy` prints it, instead of the one that the module derives from its variables. Needed when the document that `config` points to names further secrets."
  type        = string
  default     = null
}

variable "kms_key_arns" {
  description = "Customer managed KMS keys that the secrets and parameters are encrypted with."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags for all resources, including the instances and their volumes."
  type        = map(string)
  default     = {}
  nullable    = false
}
