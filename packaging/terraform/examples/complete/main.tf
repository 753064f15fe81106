# One app and everything around it: network, load balancer, a topic for the alarms, and the app with a secret, a warm pool and tags.

provider "aws" {
  region = var.region

  default_tags {
    tags = { Service = var.name }
  }
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
  min_size      = 2
  max_size      = 6
  # Two more instances than are in service wait, stopped, with the image pulled; never more than six in all.
  warm_pool = { min_size = 2, max_group_prepared_capacity = 6 }

  vpc_id                          = aws_vpc.this.id
  subnet_ids                      = aws_subnet.public[*].id
  listener_arn                    = aws_lb_listener.http.arn
  load_balancer_security_group_id = aws_security_group.load_balancer.id

  alarm_topic_arns = [aws_sns_topic.alarms.arn]
  tags             = { Version = element(split(":", var.image), -1) }

  # Instances need a route to the AWS APIs while they boot and while they drain.
  depends_on = [aws_route_table_association.public]
}

# Add subscribers with `aws sns subscribe`.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}
