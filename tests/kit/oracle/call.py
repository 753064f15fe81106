"""Calls services with boto3, once each, and says what boto3 made of the answers.

Standard input: JSON with `metadata` (the endpoint of the metadata service, which has the credentials and the region),
`endpoint` (of all services) and `calls`. Standard output: for each call its `output` or its `error`, with moments and
bytes marked as such.
"""
import datetime
import json
import os
import sys

import boto3
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import InstanceMetadataRegionFetcher

given = json.load(sys.stdin)
# Without it botocore would ask 169.254.169.254.
os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = given["metadata"]
config = {"ec2_metadata_service_endpoint": given["metadata"]}
region = InstanceMetadataRegionFetcher(num_attempts=1, config=config).retrieve_region()
session = boto3.Session(region_name=region)
clients = {}


def shown(value):
    if isinstance(value, datetime.datetime):
        return {"seconds": value.timestamp()}
    if isinstance(value, bytes):
        return {"bytes": list(value)}
    if hasattr(value, "read"):
        return {"bytes": list(value.read())}
    raise TypeError(f"{value!r} is none of the types of an answer")


def client_of(service, others):
    key = json.dumps([service, others])
    if key not in clients:
        settings = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 10}
        # What the service would refuse is sent, so that it can refuse it.
        settings["parameter_validation"] = False
        if others.pop("unsigned", False):
            settings["signature_version"] = UNSIGNED
        config = Config(**settings)
        clients[key] = session.client(service, endpoint_url=given["endpoint"], config=config, **others)
    return clients[key]


def call(service, operation, parameters, others):
    try:
        output = getattr(client_of(service, others), xform_name(operation))(**parameters)
        status = output.pop("ResponseMetadata")["HTTPStatusCode"]
        return {"status": status, "output": output}
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"status": status, "error": error.response["Error"], "class": type(error).__name__}
    except BotoCoreError as error:  # It made no answer of what it got.
        return {"class": type(error).__name__}


calls = [call(*one) for one in given["calls"]]
credentials = session.get_credentials()
instance = {
    "region": region,
    "found": credentials.method,
    "credentials": list(credentials.get_frozen_credentials())[:3],
    "expires": credentials._expiry_time,
}
json.dump({"instance": instance, "calls": calls}, sys.stdout, default=shown)
