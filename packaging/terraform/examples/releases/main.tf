# What a fleet that releases in place needs beside its group: a bucket, the first document, and a policy each for the instances and for the
# publisher. docs/releases.md says how it is used. The group's health_check_type is "EC2" with a document that moves by `readiness`.

provider "aws" {
  region = var.region
}

locals {
  document = "${var.name}/document"
  board    = "${var.name}/board"
}

resource "aws_s3_bucket" "this" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# For people: an earlier document can be read again, whatever wrote over it.
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

# The first document. It has no copy on the board. What is published later stays.
resource "aws_s3_object" "document" {
  bucket  = aws_s3_bucket.this.id
  key     = local.document
  content = var.document

  lifecycle {
    ignore_changes = all
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# The statements that `berth policy` prints for the document and the board. The Auto Scaling group, the image, secrets and target groups need theirs
# too: `berth policy both.toml`.
data "aws_iam_policy_document" "instance" {
  statement {
    sid       = "BerthDocument"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.document}"]
  }

  statement {
    sid       = "BerthBoardRead"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.board}/*/document", "${aws_s3_bucket.this.arn}/${local.board}/locks/*"]
  }

  statement {
    sid       = "BerthBoardLocks"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.board}/locks/*"]
  }

  # Each instance writes under its own name only. $${ is a literal ${.
  statement {
    sid     = "BerthBoardOwn"
    actions = ["s3:PutObject"]
    resources = [
      for kind in ["ok", "bad", "begun"] : "${aws_s3_bucket.this.arn}/${local.board}/*/${kind}/$${aws:userid}"
    ]
  }

  statement {
    sid       = "BerthBoardMark"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.board}/*/begun/$${aws:userid}"]
  }

  statement {
    sid       = "BerthBoardList"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.board}/*"]
    }
  }
}

# The policy that `berth policy --publisher` prints.
data "aws_iam_policy_document" "publisher" {
  statement {
    sid       = "BerthDocument"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.document}"]
  }

  statement {
    sid       = "BerthBoardRead"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.board}/*"]
  }

  statement {
    sid     = "BerthBoardPublish"
    actions = ["s3:PutObject"]
    resources = [
      for name in ["*/document", "*/halt", "*/resume-*", "*/bad/*"] : "${aws_s3_bucket.this.arn}/${local.board}/${name}"
    ]
  }

  statement {
    sid       = "BerthBoardResume"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.board}/*/halt"]
  }

  statement {
    sid       = "BerthBoardList"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.board}/*"]
    }
  }
}

# Attach the first to the role of the instances, the second to what deploys.
resource "aws_iam_policy" "instance" {
  name   = "${var.name}-releases"
  policy = data.aws_iam_policy_document.instance.json
}

resource "aws_iam_policy" "publisher" {
  name   = "${var.name}-publisher"
  policy = data.aws_iam_policy_document.publisher.json
}
