# One app in two colours behind one load balancer: the production listener sends requests to one of them, the test listener to the
# other. docs/target-groups.md walks through switching and the way back.

provider "aws" {
  region = var.region

  default_tags {
    tags = { Service = var.name }
  }
}

locals {
  colours = { blue = var.blue, green = var.green }
  idle    = var.live == "blue" ? "green" : "blue"
}

module "app" {
  source   = "../.."
  for_each = local.colours

  name   = "${var.name}-${each.key}"
  image  = each.value.image
  port   = var.port
  health = var.health
  keys   = var.keys

  # The instances register themselves, each on a port that berth chooses: `port=0:8080`.
  instance_port = 0
  target_groups = [aws_lb_target_group.this[each.key].arn]

  ami_id        = var.ami_id
  instance_type = "t3.small"
  min_size      = each.value.size
  # Twice as many for scaling and an instance refresh; none when the size is 0.
  max_size = 2 * each.value.size

  vpc_id                          = aws_vpc.this.id
  subnet_ids                      = aws_subnet.public[*].id
  listener_arn                    = aws_lb_listener.test.arn
  load_balancer_security_group_id = aws_security_group.load_balancer.id

  alarm_topic_arns = [aws_sns_topic.alarms.arn]
  tags             = { Colour = each.key, Version = element(split(":", each.value.image), -1) }

  # Instances need a route to the AWS APIs while they boot and while they drain.
  depends_on = [aws_route_table_association.public]
}

# Add subscribers with `aws sns subscribe`.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}
