# An AMI of Amazon Linux 2023 with Docker, berth, and images pulled before the first boot.
#
#   packer init .
#   packer build -var region=us-east-2 -var package=berth.x86_64.rpm \
#     -var 'images=["123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d"]' .
#
# Put nothing about one app into an AMI: the launch template's one line says what runs. Amazon Linux 2023 has the SSM agent, so
# Session Manager opens a shell on its instances; the minimal AMIs, which the filter below excludes, lack it.

variable "region" {
  type        = string
  description = "Region of the build and of the AMI."
}

variable "package" {
  type        = string
  description = "The rpm of berth for the architecture below."
}

variable "images" {
  type        = list(string)
  default     = []
  description = "Images to pull into the AMI: an app's image, or the base image that its versions share. A boot then pulls only what is new."
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  description = "x86_64 or arm64."

  validation {
    condition     = var.architecture == "x86_64" || var.architecture == "arm64"
    error_message = "Use x86_64 or arm64."
  }
}

variable "instance_type" {
  type        = string
  default     = ""
  description = "Instance type of the build; empty is t3.small or t4g.small, by the architecture."
}

variable "ami_prefix" {
  type        = string
  default     = "berth"
  description = "Prefix of the AMI's name."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags for the AMI, its snapshot, and the instance and volume of the build."
}

locals {
  stamp       = formatdate("YYYYMMDD-hhmmss", timestamp())
  bake_images = join(" ", [for image in var.images : "--image '${image}'"])
  fits        = var.architecture == "arm64" ? "t4g.small" : "t3.small"
  name        = "${var.ami_prefix}-${var.architecture}"
}

source "amazon-ebs" "al2023" {
  region        = var.region
  instance_type = var.instance_type == "" ? local.fits : var.instance_type
  ssh_username  = "ec2-user"

  ami_name        = "${local.name}-${local.stamp}"
  ami_description = "Amazon Linux 2023 with Docker and berth"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "al2023-ami-2023.*"
      architecture        = var.architecture
      virtualization-type = "hvm"
      root-device-type    = "ebs"
    }
  }

  # Instances of this AMI speak IMDSv2 only, with any launch template. This also makes their hop limit 2, unless the launch template says
  # otherwise. berth needs 1. WITH 1, AN APP ON DOCKER'S BRIDGE GETS NO CREDENTIALS OF THE INSTANCE'S ROLE, EVEN WITH imds=allow.
  imds_support = "v2.0"

  # The same for the instance that builds it.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # The permissions of `berth bake` to pull from ECR, only during the build. Without images they are not used.
  temporary_iam_instance_profile_policy_document {
    Version = "2012-10-17"
    Statement {
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = ["*"]
    }
    Statement {
      Effect = "Allow"
      Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      # "*" works in every partition, and lasts only during the build.
      Resource = ["*"]
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = 16
    volume_type           = "gp3"
    throughput            = 125
    iops                  = 3000
    encrypted             = true
    delete_on_termination = true
  }

  tags            = merge({ Name = local.name, SourceAMI = "{{ .SourceAMI }}" }, var.tags)
  snapshot_tags   = merge({ Name = local.name }, var.tags)
  run_tags        = merge({ Name = "${local.name} build" }, var.tags)
  run_volume_tags = merge({ Name = "${local.name} build" }, var.tags)
}

build {
  sources = ["source.amazon-ebs.al2023"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/berth.rpm"
  }

  provisioner "shell" {
    inline = [
      "set -eu",
      "sudo dnf install -y docker /tmp/berth.rpm",
      # Enabled and not started: nothing should boot on the build machine.
      "sudo systemctl enable docker.service berth.service",
      # The engine is needed to pull.
      "sudo systemctl start docker.service",
      # Checks the host, pulls the images, and leaves no state that could mislead the first boot.
      "sudo berth bake ${local.bake_images}",
      "rm -f /tmp/berth.rpm",
    ]
  }
}
