# One app with the module. What is in <> is yours.

provider "aws" {
  region = "us-east-2"
}

module "ap_api" {
  source = "../"

  name    = "ap-api"
  ami     = "<ami of packaging/packer>"
  image   = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d"
  port    = 8080
  health  = "/health"
  secrets = ["prod/api"]
  keys    = { "env.LOG_LEVEL" = "info" }

  instance_type = "t3.small"
  subnets       = ["<subnet>", "<subnet>"]
  listener      = "<arn of a listener>"
}

output "user_data" {
  value = module.ap_api.user_data
}
