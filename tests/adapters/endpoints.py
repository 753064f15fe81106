"""The endpoints of botocore's rule sets: for each set of parameters the URL, or why there is none."""
import json
import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

loader = botocore.session.get_session().get_component("data_loader")
partitions = loader.load_data("partitions")
providers = {}


def answer(service, **parameters):
    if service not in providers:
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        providers[service] = EndpointProvider(rules, partitions)
    try:
        return {"url": providers[service].resolve_endpoint(**parameters).url}
    except EndpointProviderError as error:
        return {"error": str(error)}


json.dump([answer(**question) for question in json.load(sys.stdin)], sys.stdout)
