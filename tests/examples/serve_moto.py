"""moto on a free port, which it prints; ends when its standard input does, so that it cannot outlive the tests.

Beside the one of tests/adapters: this one has what Terraform reads back and moto forgets, and starts instance refreshes.
"""
import logging
import sys
import uuid

from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudformation import parsing
from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.utils import parse_user_data
from moto.server import ThreadedMotoServer


def group_of(response):
    (group,) = response.autoscaling_backend.describe_auto_scaling_groups([response._get_param("AutoScalingGroupName")])
    return group


def keeps_the_warmup(operation):
    """moto ignores DefaultInstanceWarmup, so every plan would want to set it again."""

    def kept(self):
        answer = operation(self)
        warmup = self._get_int_param("DefaultInstanceWarmup")
        if warmup is not None:
            group_of(self).default_instance_warmup = warmup
        return answer

    return kept


for name in ("create_auto_scaling_group", "update_auto_scaling_group"):
    setattr(AutoScalingResponse, name, keeps_the_warmup(getattr(AutoScalingResponse, name)))


def start_instance_refresh(self):
    """It never ends here: a refresh is a promise about instances, and there are none."""
    group = group_of(self)
    started = {
        "InstanceRefreshId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Status": "Pending",
        "Preferences": self._get_params().get("Preferences", {}),
    }
    group.refreshes = getattr(group, "refreshes", []) + [started]
    return ActionResult({"InstanceRefreshId": started["InstanceRefreshId"]})


def describe_instance_refreshes(self):
    return ActionResult({"InstanceRefreshes": list(reversed(getattr(group_of(self), "refreshes", [])))})


AutoScalingResponse.start_instance_refresh = start_instance_refresh
AutoScalingResponse.describe_instance_refreshes = describe_instance_refreshes

# moto keeps the description of a rule for a range of addresses only.
SecurityGroupRule.description = property(
    lambda rule: rule.ip_range.get("Description") or rule.source_group.get("Description")
)


def keeps_its_own_tags_to_itself(create):
    """moto puts the tags of a launch template into what it launches."""

    def kept(self, name, description, data, tag_spec):
        specifications = [one for one in data.get("TagSpecifications", []) if one["ResourceType"] != "launch-template"]
        return create(self, name, description, {**data, "TagSpecifications": specifications}, tag_spec)

    return kept


EC2Backend.create_launch_template = keeps_its_own_tags_to_itself(EC2Backend.create_launch_template)

create_version = LaunchTemplate.create_version


def with_its_user_data(self, data, description):
    """moto launches nothing from a later version of a launch template: it takes the user-data for one that is not encoded."""
    return create_version(self, data | {name: parse_user_data(str(data[name])) for name in data if name == "UserData"}, description)


LaunchTemplate.create_version = with_its_user_data
# moto shows the tags that a launch template was created with.
LaunchTemplate.tags = property(lambda template: template.get_tags(), lambda template, created_with: None)

clean_json = parsing.clean_json


def without_no_value(written, resources):
    """moto leaves a hole in a list where AWS::NoValue is."""
    cleaned = clean_json(written, resources)
    return [one for one in cleaned if one is not None] if isinstance(cleaned, list) else cleaned


parsing.clean_json = without_no_value

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
