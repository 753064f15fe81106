"""The endpoints of botocore's rule sets for every combination that it is given."""
import json
import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider

loader = botocore.session.get_session().get_component("data_loader")
partitions = loader.load_data("partitions")
answers = []
for service, region, fips, dual_stack in json.load(sys.stdin):
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, partitions)
    answers.append(provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack).url)
json.dump(answers, sys.stdout)
