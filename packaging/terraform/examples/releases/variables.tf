variable "region" {
  description = "The region of the instances; the bucket is in it too."
  type        = string
  default     = "us-east-2"
}

variable "bucket" {
  description = "Name of the bucket for documents and boards."
  type        = string
}

variable "name" {
  description = "Name of the app: the document is NAME/document, the board NAME/board."
  type        = string
}

variable "document" {
  description = "The first document: a config in any form of the user-data, without `config`. Later ones are published, and not by Terraform."
  type        = string
}

variable "follow" {
  description = "How often an instance looks for another document."
  type        = string
  default     = "15s"
}
