"""Compares documents with a JSON Schema: {"schema": …, "documents": […]} in, a list of differences out."""

import json
import sys

from jsonschema import Draft202012Validator


def strict(schema):
    """The same schema, and no field beyond those that it has."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


given = json.load(sys.stdin)
Draft202012Validator.check_schema(given["schema"])
validator = Draft202012Validator(strict(given["schema"]))
differences = []
for at, document in enumerate(given["documents"]):
    for error in validator.iter_errors(document):
        differences.append(f"document {at}, {error.json_path}: {error.message[:300]}")
json.dump(differences[:50], sys.stdout)
