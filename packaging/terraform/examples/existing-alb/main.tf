# One app behind an existing load balancer: the module needs its listener, its VPC and its security group.

provider "aws" {
  region = var.region
}

module "app" {
  source = "../.."

  name   = var.name
  image  = var.image
  port   = var.port
  health = var.health
  keys   = var.keys

  ami_id        = var.ami_id
  instance_type = "t3.small"
  min_size      = 1
  max_size      = 3

  vpc_id                          = var.vpc_id
  subnet_ids                      = var.subnet_ids
  listener_arn                    = var.listener_arn
  load_balancer_security_group_id = var.load_balancer_security_group_id

  # A priority of its own among the rules of a listener that other apps use too.
  priority     = 200
  host_headers = ["${var.name}.example.com"]

  tags = { Service = var.name }
}
