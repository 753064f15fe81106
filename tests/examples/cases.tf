# The module for each case of policies.rs.

provider "aws" {
  region = "us-east-2"
}

module "case" {
  source   = "../"
  for_each = jsondecode(file("${path.module}/cases.json"))

  name    = "ap-api"
  image   = each.value.image
  port    = 8080
  secrets = each.value.secrets
  keys    = each.value.keys

  target_groups = each.value.target_groups

  ami_id        = "ami-12c6146b"
  instance_type = "t3.small"

  vpc_id                          = "vpc-0123456789abcdef0"
  subnet_ids                      = ["subnet-0123456789abcdef0"]
  listener_arn                    = "arn:aws:elasticloadbalancing:us-east-2:123456789012:listener/app/lb/0123456789abcdef/fedcba9876543210"
  load_balancer_security_group_id = "sg-0123456789abcdef0"
}
