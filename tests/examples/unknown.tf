# Every value, and every list and map as a whole, comes from something that is not there yet. Of `target_groups` only the length is known.

provider "aws" {
  region = "us-east-2"
}

resource "terraform_data" "later" {
  input = {
    name     = "ap-api"
    image    = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d"
    port     = 8080
    health   = "/health"
    secrets  = tolist(["prod/api"])
    keys     = tomap({ "secret.KEY" = "ssm:/prod/key" })
    ami_id   = "ami-12c6146b"
    type     = "t3.small"
    vpc      = "vpc-0123456789abcdef0"
    subnets  = tolist(["subnet-0123456789abcdef0"])
    listener = "arn:aws:elasticloadbalancing:us-east-2:123456789012:listener/app/lb/0123456789abcdef/fedcba9876543210"
    group    = "sg-0123456789abcdef0"
    target   = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/blue/73e2d6bc24d8a067"
    topics   = tolist(["arn:aws:sns:us-east-2:123456789012:alarms"])
    paths    = tolist(["/*"])
    hosts    = tolist(["example.com"])
    tags     = tomap({ Team = "api" })
    policy   = "{}"
    hops     = 2
  }
}

module "app" {
  source = "../"

  name             = terraform_data.later.output.name
  image            = terraform_data.later.output.image
  port             = terraform_data.later.output.port
  instance_port    = terraform_data.later.output.port
  health           = terraform_data.later.output.health
  secrets          = terraform_data.later.output.secrets
  keys             = terraform_data.later.output.keys
  priority         = terraform_data.later.output.port
  path_patterns    = terraform_data.later.output.paths
  host_headers     = terraform_data.later.output.hosts
  min_size         = terraform_data.later.output.hops
  max_size         = terraform_data.later.output.hops
  alarm_topic_arns = terraform_data.later.output.topics
  kms_key_arns     = terraform_data.later.output.topics
  policy_json      = terraform_data.later.output.policy
  tags             = terraform_data.later.output.tags

  ami_id             = terraform_data.later.output.ami_id
  instance_type      = terraform_data.later.output.type
  metadata_hop_limit = terraform_data.later.output.hops

  vpc_id                          = terraform_data.later.output.vpc
  subnet_ids                      = terraform_data.later.output.subnets
  listener_arn                    = terraform_data.later.output.listener
  load_balancer_security_group_id = terraform_data.later.output.group
}

module "registers" {
  source = "../"

  name          = terraform_data.later.output.name
  image         = terraform_data.later.output.image
  port          = terraform_data.later.output.port
  instance_port = terraform_data.later.output.port
  target_groups = [terraform_data.later.output.target]

  ami_id        = terraform_data.later.output.ami_id
  instance_type = terraform_data.later.output.type

  vpc_id                          = terraform_data.later.output.vpc
  subnet_ids                      = terraform_data.later.output.subnets
  listener_arn                    = terraform_data.later.output.listener
  load_balancer_security_group_id = terraform_data.later.output.group
}
