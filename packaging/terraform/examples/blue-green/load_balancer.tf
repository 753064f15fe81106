resource "aws_security_group" "load_balancer" {
  name_prefix = "${var.name}-alb-"
  description = "Load balancer of ${var.name}"
  vpc_id      = aws_vpc.this.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "production" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "HTTP from anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_ingress_rule" "test" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "Requests to the colour that is not live"
  cidr_ipv4         = var.test_cidr
  ip_protocol       = "tcp"
  from_port         = 8080
  to_port           = 8080
}

resource "aws_vpc_security_group_egress_rule" "instances" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "Requests and health checks to the instances"
  cidr_ipv4         = aws_vpc.this.cidr_block
  ip_protocol       = "-1"
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "application"
  security_groups    = [aws_security_group.load_balancer.id]
  subnets            = aws_subnet.public[*].id

  # The rules exist as long as the load balancer does.
  depends_on = [
    aws_vpc_security_group_egress_rule.instances,
    aws_vpc_security_group_ingress_rule.production,
    aws_vpc_security_group_ingress_rule.test,
  ]
}

resource "aws_lb_target_group" "this" {
  for_each = local.colours

  name     = "${var.name}-${each.key}"
  vpc_id   = aws_vpc.this.id
  protocol = "HTTP"
  # Every instance registers a port of its own.
  port = var.port

  # The health check asks berth, not the app.
  health_check {
    port                = 9911
    path                = "/ready"
    matcher             = "200"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # A request in flight has this long when its instance leaves, and no port is used again before.
  deregistration_delay = 30
}

# For HTTPS: port 443, protocol HTTPS, and a certificate.
resource "aws_lb_listener" "production" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[var.live].arn
  }

  lifecycle {
    precondition {
      condition     = local.colours[var.live].size > 0
      error_message = "live is ${var.live}, which has no instances: its size is 0."
    }
  }

  # Switched only when the instances of both colours take requests: Terraform waits for them, and an apply whose boots fail switches nothing.
  depends_on = [module.app]
}

# Requests to the colour that is not live. The other one has a weight of 0: no requests, but health checks. So no target group is ever without
# a listener, and each colour can be switched to at any time.
resource "aws_lb_listener" "test" {
  load_balancer_arn = aws_lb.this.arn
  port              = 8080
  protocol          = "HTTP"

  default_action {
    type = "forward"
    forward {
      dynamic "target_group" {
        for_each = aws_lb_target_group.this
        content {
          arn    = target_group.value.arn
          weight = target_group.key == var.live ? 0 : 100
        }
      }
    }
  }
}
