# What examples/existing-alb wants to exist, in one configuration with it.

variable "name" { type = string }
variable "ami_id" { type = string }
variable "image" { type = string }
variable "port" { type = number }
variable "health" { type = string }
variable "keys" { type = map(string) }

provider "aws" {
  region = "us-east-2"
}

module "example" {
  source = "../examples/existing-alb"

  name   = var.name
  ami_id = var.ami_id
  image  = var.image
  port   = var.port
  health = var.health
  keys   = var.keys

  vpc_id                          = aws_vpc.this.id
  subnet_ids                      = aws_subnet.this[*].id
  listener_arn                    = aws_lb_listener.this.arn
  load_balancer_security_group_id = aws_security_group.this.id
}

resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "this" {
  count = 2

  vpc_id            = aws_vpc.this.id
  cidr_block        = "10.0.${count.index}.0/24"
  availability_zone = ["us-east-2a", "us-east-2b"][count.index]
}

resource "aws_security_group" "this" {
  name   = "balancer"
  vpc_id = aws_vpc.this.id
}

resource "aws_lb" "this" {
  name            = "balancer"
  subnets         = aws_subnet.this[*].id
  security_groups = [aws_security_group.this.id]
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80

  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}
