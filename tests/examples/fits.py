"""A group as AWS has it, held against what berth itself makes of its user-data.

    fits.py BERTH ENDPOINT GROUP terraform STATE       after an apply; STATE is what `terraform show -json` prints
    fits.py BERTH ENDPOINT GROUP cloudformation FILE   after a deployment of the template
    fits.py BERTH ENDPOINT GROUP gone                  after it was removed again

Prints what a test needs to boot an instance from it, as JSON. Every error is printed on standard error, and the exit code is then 1.
"""
import base64
import json
import re
import subprocess
import sys

import boto3
import yaml

BERTH, ENDPOINT, GROUP, KIND = sys.argv[1:5]
REGION, ACCOUNT = "us-east-2", "123456789012"
errors = []


def client(service):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=REGION, **keys)


ec2, elb, iam, autoscaling, cloudwatch = map(client, ("ec2", "elbv2", "iam", "autoscaling", "cloudwatch"))


def expect(true, what):
    if not true:
        errors.append(what)


def berth(*arguments, given=""):
    done = subprocess.run([BERTH, *arguments], input=given, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def seconds(text):
    """A duration as berth shows it: 90s, 10m."""
    return sum(int(n) * {"s": 1, "m": 60, "h": 3600}[unit] for n, unit in re.findall(r"(\d+)([smh])", text))


def listed(value):
    return value if isinstance(value, list) else [value]


def allowed(*documents):
    """Pairs of action and resource; the group is the one that the config does not name."""
    group = re.compile(r"(autoScalingGroupName)/[^*]+")
    return {
        (action, group.sub(r"\1/*", resource))
        for document in documents
        for one in document["Statement"]
        for action in listed(one["Action"])
        for resource in listed(one["Resource"])
    }


class Template(yaml.SafeLoader):
    """Knows !Ref and its like, and leaves them alone."""


Template.add_multi_constructor("!", lambda loader, tag, node: tag)


def written_by_terraform(state):
    """What AWS is asked for at a refresh only: from the state."""
    modules = [json.loads(state)["values"]["root_module"]]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        for resource in module.get("resources", []):
            if resource["type"] == "aws_autoscaling_group" and resource["values"]["name"] == GROUP:
                refresh = resource["values"]["instance_refresh"][0]["preferences"][0]
                expect(len(refresh["alarm_specification"][0]["alarms"]) == 2, "no alarms stop a refresh")
                expect(refresh["auto_rollback"] is True, "a refresh that fails is not rolled back")
                return [refresh["min_healthy_percentage"], refresh["max_healthy_percentage"], refresh["skip_matching"]]
    return None


def hooks_and_refresh():
    if KIND == "terraform":
        with open(sys.argv[5]) as state:
            refresh = written_by_terraform(state.read())
        hooks = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=GROUP)["LifecycleHooks"]
    else:
        # moto's CloudFormation keeps neither the hooks of a template nor its update policy, and makes no alarms.
        with open(sys.argv[5]) as template:
            resources = yaml.load(template, Template)["Resources"]
        group = resources["Group"]
        alarms = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
        expect(alarms and all("AlarmActions" in alarm for alarm in alarms), "an alarm does nothing")
        preferences = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
        refresh = [preferences[key] for key in ("MinHealthyPercentage", "MaxHealthyPercentage", "SkipMatching")]
        hooks = group["Properties"]["LifecycleHookSpecificationList"]
    shape = lambda hook: (hook["LifecycleHookName"], hook["HeartbeatTimeout"], hook["DefaultResult"])
    return {hook["LifecycleTransition"].rsplit("_", 1)[1]: shape(hook) for hook in hooks}, refresh


def forwards(actions):
    """The names of the target groups that get requests, each with its weight."""
    found = {}
    for action in actions:
        alone = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}] if "TargetGroupArn" in action else []
        for one in action.get("ForwardConfig", {}).get("TargetGroups", alone):
            found[one["TargetGroupArn"].split("/")[1]] = one["Weight"]
    return found


def fits():
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    hooks, refresh = hooks_and_refresh()
    chosen = group["LaunchTemplate"]
    (version,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=chosen["LaunchTemplateId"], Versions=[chosen["Version"]]
    )["LaunchTemplateVersions"]
    launch = version["LaunchTemplateData"]
    user_data = base64.b64decode(launch["UserData"]).decode()
    code, shown, why = berth("check", "--json", "-", given=user_data)
    if code != 0:
        errors.append(f"berth check ends with {code}: {why}")
        return {}
    shown = json.loads(shown)
    key = lambda name: seconds(shown["keys"][name]["value"])
    settle, connections, stop = key("drain.settle"), key("drain.timeout"), key("stop_timeout")
    listen = int(shown["listen"].rsplit(":", 1)[1])
    expect(user_data.startswith("#cloud-config\n#berth "), "cloud-init would warn about the user-data")

    # Attached to the group, or registered with by the instances, each on a port of its own.
    registers = [] if group["TargetGroupARNs"] else [shown["keys"]["target_groups"]["value"]]
    (target,) = elb.describe_target_groups(TargetGroupArns=group["TargetGroupARNs"] + registers)["TargetGroups"]
    first, last = (20000, 29999) if registers else (target["Port"], target["Port"])
    attributes = elb.describe_target_group_attributes(TargetGroupArn=target["TargetGroupArn"])["Attributes"]
    deregistration = int({one["Key"]: one["Value"] for one in attributes}["deregistration_delay.timeout_seconds"])
    expect(f"{0 if registers else first} -> " in shown["ports"][0], f"the load balancer does not reach {shown['ports'][0]}")
    asked = (int(target["HealthCheckPort"]), target["HealthCheckPath"], target["Matcher"]["HttpCode"])
    expect(asked == (listen, "/ready", "200"), f"the load balancer does not ask berth: {asked}")
    noticed = target["HealthCheckIntervalSeconds"] * target["UnhealthyThresholdCount"] + target["HealthCheckTimeoutSeconds"]
    expect(noticed < settle, f"the load balancer notices a 503 after {noticed} s, drain.settle is {settle} s")
    expect(deregistration <= settle + connections, f"a request may take {deregistration} s, the app stops sooner")

    # moto does not note the load balancer of a target group that a rule is changed to.
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    used = [
        rule
        for listener in listeners
        for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        for action in rule["Actions"]
        if target["TargetGroupArn"] in json.dumps(action)
    ]
    expect(used if registers else len(used) == 1, f"{len(used)} listener rules lead to the target group")
    (security,) = ec2.describe_security_groups(GroupIds=launch["SecurityGroupIds"])["SecurityGroups"]
    opened = sorted(
        (rule["FromPort"], rule["ToPort"], pair["GroupId"]) for rule in security["IpPermissions"] for pair in rule["UserIdGroupPairs"]
    )
    (source,) = balancer["SecurityGroups"]
    expect(opened == sorted([(first, last, source), (listen, listen, source)]), f"the security group opens {opened}")
    expect(not any(rule["IpRanges"] for rule in security["IpPermissions"]), "the instances are open to an address range")

    options = launch["MetadataOptions"]
    expect((options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1), f"metadata options: {options}")
    expect(group["HealthCheckType"] == "EC2", "the load balancer replaces an instance before restart.* acts")
    expect(refresh == [100, 110, True], f"a refresh has {refresh}: it takes the old instance before the new one")
    launching, terminating = hooks.get("LAUNCHING"), hooks.get("TERMINATING")
    expect(launching and launching[2] == "ABANDON", f"the launch hook is {launching}")
    expect(launching and int(launching[1]) >= key("boot.timeout"), "the launch hook ends before boot.timeout")
    expect(terminating and terminating[2] == "CONTINUE", f"the termination hook is {terminating}")
    # What the engine gets beyond stop_timeout is 15 s, the calls after that half a minute at the most.
    budget = settle + connections + stop + 15 + 30
    expect(terminating and int(terminating[1]) >= budget, f"the termination hook ends before a drain of {budget} s")

    # An ARN, or in a group that moto's CloudFormation made, a name.
    named = launch["IamInstanceProfile"]
    profile = iam.get_instance_profile(InstanceProfileName=named.get("Name") or named["Arn"].rsplit("/", 1)[1])
    (role,) = profile["InstanceProfile"]["Roles"]
    names = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    policies = {
        name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"] for name in names
    }
    expect("session-manager" in policies, f"nobody gets a shell on an instance: the role has {sorted(policies)}")
    code, printed, why = berth("policy", "-", "--region", REGION, "--account", ACCOUNT, given=user_data)
    expect(code == 0, f"berth policy ends with {code}: {why}")
    has, needs = allowed(policies["berth"]), allowed(json.loads(printed)) if code == 0 else set()
    expect(has == needs, f"the role may not {sorted(needs - has)}, and may {sorted(has - needs)}, which berth policy does not print")

    found = cloudwatch.describe_alarms(AlarmNamePrefix=GROUP)["MetricAlarms"]
    alarms = {one["AlarmName"]: one.get("AlarmActions", []) for one in found}
    return {
        "user_data": user_data,
        "policies": policies,
        "port": target["Port"],
        "target_group": target["TargetGroupArn"],
        "forwards": {str(listener["Port"]): forwards(listener["DefaultActions"]) for listener in listeners},
        "sizes": [len(group["Instances"]), group["MinSize"], group["MaxSize"]],
        "alarms": alarms,
        "refreshes": len(autoscaling.describe_instance_refreshes(AutoScalingGroupName=GROUP)["InstanceRefreshes"]),
        "tags": {one["Key"]: one["Value"] for one in group["Tags"] if one["PropagateAtLaunch"]},
    }


def gone():
    left = {
        "groups": [one["AutoScalingGroupName"] for one in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]],
        "launch templates": [one["LaunchTemplateName"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
        "target groups": [one["TargetGroupName"] for one in elb.describe_target_groups()["TargetGroups"]],
        "load balancers": [one["LoadBalancerName"] for one in elb.describe_load_balancers()["LoadBalancers"]],
        "security groups": [
            one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"
        ],
        "roles": [one["RoleName"] for one in iam.list_roles()["Roles"]],
        "instance profiles": [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]],
        "alarms": [one["AlarmName"] for one in cloudwatch.describe_alarms()["MetricAlarms"]],
        "instances": [
            instance["InstanceId"]
            for reservation in ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] not in ("terminated", "shutting-down")
        ],
    }
    for what, names in left.items():
        expect(not names, f"{what} left: {names}")


print(json.dumps((gone() if KIND == "gone" else fits()) or {}))
if errors:
    sys.exit("\n".join(errors))
