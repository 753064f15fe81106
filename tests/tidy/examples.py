"""The examples of packaging/ fit berth: `examples.py BERTH`, the binary. Prints every fault and ends with 1 if there is one.

The CloudFormation template is deployed to moto, so the user-data is what an instance would get; Terraform's module is read with
python-hcl2 and filled in from its example. Both are held against what the binary itself believes of that user-data, and against
each other: they say that they are the same.
"""
import base64
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import boto3
import hcl2
import yaml
from moto import mock_aws

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
TEMPLATE = PACKAGING / "cloudformation/berth.yaml"
REGION, ACCOUNT = "us-east-2", "123456789012"
BERTH = sys.argv[1]
faults = []


def expect(true, what):
    if not true:
        faults.append(what)


def berth(*arguments, given=""):
    done = subprocess.run([BERTH, *arguments], input=given, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def seconds(text):
    """A duration as berth shows it: 90s, 10m."""
    return sum(int(n) * {"s": 1, "m": 60, "h": 3600}[unit] for n, unit in re.findall(r"(\d+)([smh])", text))


def statements(document):
    """What a policy allows, in an order of its own; the group is the one that the config does not name."""
    lists = lambda value: value if isinstance(value, list) else [value]
    shape = lambda one: (sorted(lists(one["Action"])), sorted(lists(one["Resource"])))
    group = re.compile(r"(autoScalingGroupName)/[^*]+")
    return sorted((actions, [group.sub(r"\1/*", arn) for arn in arns]) for actions, arns in map(shape, document))


class Template(yaml.SafeLoader):
    """Knows !Ref and its like, and leaves them alone."""


Template.add_multi_constructor("!", lambda loader, tag, node: tag)


def cloudformation():
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION=REGION)
    # moto knows neither alarms nor warm pools in a template; cfn-lint does.
    warnings.filterwarnings("ignore", message="Tried to parse")
    with mock_aws():
        ec2, elb, stacks = (boto3.client(name) for name in ("ec2", "elbv2", "cloudformation"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        group = ec2.create_security_group(GroupName="lb", Description="lb", VpcId=vpc)["GroupId"]
        balancer = elb.create_load_balancer(Name="lb", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
        nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        listener = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[nothing]
        )["Listeners"][0]["ListenerArn"]
        given = {
            "Ami": "ami-12c6146b",
            "Vpc": vpc,
            "Subnets": ",".join(subnets),
            "Listener": listener,
            "LoadBalancerGroup": group,
        }
        stacks.create_stack(
            StackName="ap-api",
            TemplateBody=TEMPLATE.read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        )
        versions = ec2.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"]
        launch = versions[0]["LaunchTemplateData"]
        target = next(t for t in elb.describe_target_groups()["TargetGroups"] if t["VpcId"] == vpc)
        rules = ec2.describe_security_groups(GroupIds=launch["SecurityGroupIds"])["SecurityGroups"][0]["IpPermissions"]
        iam = boto3.client("iam")
        role = iam.list_roles()["Roles"][0]["RoleName"]
        policy = iam.get_role_policy(RoleName=role, PolicyName="berth")["PolicyDocument"]

    # What moto does not keep is read from the template.
    written = yaml.load(TEMPLATE.read_text(), Template)["Resources"]
    properties = written["Group"]["Properties"]
    refresh = written["Group"]["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
    attributes = {one["Key"]: one["Value"] for one in written["TargetGroup"]["Properties"]["TargetGroupAttributes"]}
    options = launch["MetadataOptions"]
    return {
        "user_data": base64.b64decode(launch["UserData"]).decode(),
        "tokens": options["HttpTokens"],
        "hops": options["HttpPutResponseHopLimit"],
        "app_port": target["Port"],
        "ready_port": int(target["HealthCheckPort"]),
        "ready_path": target["HealthCheckPath"],
        "ready_is": target["Matcher"]["HttpCode"],
        "interval": target["HealthCheckIntervalSeconds"],
        "timeout": target["HealthCheckTimeoutSeconds"],
        "healthy": target["HealthyThresholdCount"],
        "unhealthy": target["UnhealthyThresholdCount"],
        "deregistration": int(attributes["deregistration_delay.timeout_seconds"]),
        "open_ports": sorted(rule["FromPort"] for rule in rules),
        "hooks": {
            hook["LifecycleTransition"]: (hook["LifecycleHookName"], hook["HeartbeatTimeout"], hook["DefaultResult"])
            for hook in properties["LifecycleHookSpecificationList"]
        },
        "check": (properties["HealthCheckType"], properties["HealthCheckGracePeriod"]),
        "warmup": properties["DefaultInstanceWarmup"],
        "refresh": (refresh["MinHealthyPercentage"], refresh["MaxHealthyPercentage"], refresh["SkipMatching"]),
        "policy": statements(policy["Statement"]),
    }


def plain(value):
    """python-hcl2 keeps the quotes of texts and of names, and what is not there for us."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value[1:-1].replace("\\n", "\n") if isinstance(value, str) and value[:1] == '"' == value[-1:] else value


def terraform():
    blocks = {}
    for file in sorted((PACKAGING / "terraform").glob("*.tf")):
        for kind, found in plain(hcl2.loads(file.read_text())).items():
            blocks.setdefault(kind, []).extend(found)
    resources = {kind: body["this"] for block in blocks["resource"] for kind, body in block.items() if "this" in body}
    values = {name: value for block in blocks["locals"] for name, value in block.items()}

    given = {name: body.get("default") for block in blocks["variable"] for name, body in block.items()}
    example = plain(hcl2.loads((PACKAGING / "terraform/example/main.tf").read_text()))["module"][0]["ap_api"]
    unknown = set(example) - set(given) - {"source"}
    expect(not unknown, f"terraform: the example gives {unknown}, which the module does not take")
    required = {name for block in blocks["variable"] for name, body in block.items() if "default" not in body}
    missing = required - set(example)
    expect(not missing, f"terraform: the example does not give {missing}")
    given.update(example)

    # The two texts that are made with functions, made here in the same way.
    values["secrets"] = f" secrets={','.join(given['secrets'])}" if given["secrets"] else ""
    values["keys"] = "".join(f" {key}='{value}'" for key, value in sorted(given["keys"].items()))

    def fill(text):
        while isinstance(text, str) and (hole := re.search(r"\$\{(local|var)\.(\w+)}", text)):
            text = text.replace(hole[0], str({"local": values, "var": given}[hole[1]][hole[2]]))
        return text

    values.update(arn="arn:aws", account=ACCOUNT, region=REGION)
    registry = re.search(re.search(r'regex\("(.*?)", var.image\)', values["ecr"])[1], given["image"])
    arns = [f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret}-??????" for secret in given["secrets"]]
    allowed = []
    document = next(block["aws_iam_policy_document"]["this"] for block in blocks["data"] if "aws_iam_policy_document" in block)
    for one in document["statement"] + [dynamic["statement"] for dynamic in document["dynamic"]]:
        condition = one.get("for_each", "")
        if "length(var.secrets) < 2" in condition and len(arns) < 2:
            continue
        one = one.get("content", [one])[0]
        holes = lambda text: re.sub(r"\$\{statement.value\[(\d)]}", lambda hole: registry[int(hole[1]) + 1], fill(text))
        found = arns if one["resources"] == "${statement.value}" else [holes(text) for text in one["resources"]]
        allowed.append({"Action": one["actions"], "Resource": found})

    group, target = resources["aws_autoscaling_group"], resources["aws_lb_target_group"]
    options, check = resources["aws_launch_template"]["metadata_options"][0], target["health_check"][0]
    refresh = group["instance_refresh"][0]["preferences"][0]
    expect(refresh["auto_rollback"] is True, "terraform: a refresh that fails does not go back")
    opened = resources["aws_vpc_security_group_ingress_rule"]["for_each"]
    opened = re.search(r"\[(var\.port), (local\.readiness_port)]", opened)
    return {
        "user_data": fill(values["user_data"]),
        "tokens": options["http_tokens"],
        "hops": options["http_put_response_hop_limit"],
        "app_port": int(fill(target["port"])),
        "ready_port": int(fill(check["port"])),
        "ready_path": check["path"],
        "ready_is": check["matcher"],
        "interval": check["interval"],
        "timeout": check["timeout"],
        "healthy": check["healthy_threshold"],
        "unhealthy": check["unhealthy_threshold"],
        "deregistration": target["deregistration_delay"],
        "open_ports": sorted(int(fill("${%s}" % name)) for name in opened.groups()),
        "hooks": {
            hook["lifecycle_transition"]: (hook["name"], hook["heartbeat_timeout"], hook["default_result"])
            for hook in group["initial_lifecycle_hook"]
        },
        "check": (group["health_check_type"], group["health_check_grace_period"]),
        "warmup": group["default_instance_warmup"],
        "refresh": (refresh["min_healthy_percentage"], refresh["max_healthy_percentage"], refresh["skip_matching"]),
        "policy": statements(allowed),
    }


def fits(name, is_):
    """One example against what the binary believes of its user-data."""
    code, told, why = berth("check", "--json", "-", given=is_["user_data"])
    if code != 0:
        faults.append(f"{name}: berth check ends with {code}: {why}")
        return
    told = json.loads(told)
    key = lambda name: seconds(told["keys"][name]["value"])
    settle, connections, stop = key("drain.settle"), key("drain.timeout"), key("stop_timeout")
    listen = int(told["listen"].rsplit(":", 1)[1])

    expect(told["notes"] == [], f"{name}: berth check notes {told['notes']}")
    expect(is_["user_data"].startswith("#cloud-config\n#berth "), f"{name}: cloud-init would warn about the user-data")
    expect((is_["tokens"], is_["hops"]) == ("required", 1), f"{name}: the metadata is open for more than berth")
    expect(f"{is_['app_port']} -> " in told["ports"][0], f"{name}: the target's port is not the app's")
    expect(is_["ready_port"] == listen, f"{name}: the load balancer asks port {is_['ready_port']}, berth has {listen}")
    expect((is_["ready_path"], is_["ready_is"]) == ("/ready", "200"), f"{name}: the load balancer does not ask /ready")
    expect(is_["open_ports"] == sorted([is_["app_port"], listen]), f"{name}: the security group opens {is_['open_ports']}")
    noticed = is_["interval"] * is_["unhealthy"] + is_["timeout"]
    expect(noticed < settle, f"{name}: the load balancer notices a 503 after {noticed} s, drain.settle is {settle} s")
    expect(
        is_["deregistration"] <= settle + connections,
        f"{name}: a request may take {is_['deregistration']} s, berth stops the app after {settle + connections} s",
    )
    launch, terminate = (is_["hooks"].get(f"autoscaling:EC2_INSTANCE_{word}") for word in ("LAUNCHING", "TERMINATING"))
    expect(launch and launch[2] == "ABANDON", f"{name}: the launch hook is {launch}")
    expect(launch and launch[1] >= key("boot.timeout"), f"{name}: the launch hook ends before boot.timeout")
    expect(terminate and terminate[2] == "CONTINUE", f"{name}: the termination hook is {terminate}")
    # What the engine gets beyond stop_timeout is 15 s, the calls after that half a minute at the most.
    budget = settle + connections + stop + 15 + 30
    expect(terminate and terminate[1] >= budget, f"{name}: the termination hook ends before a drain of {budget} s")
    expect(is_["check"][0] == "ELB", f"{name}: the group does not heed the load balancer")
    expect(is_["refresh"][0] == 100 < is_["refresh"][1], f"{name}: a refresh takes the old instance before the new one")

    code, allowed, _ = berth("policy", "-", "--region", REGION, "--account", ACCOUNT, given=is_["user_data"])
    expect(code == 0, f"{name}: berth policy ends with {code}")
    allowed = statements(json.loads(allowed)["Statement"]) if code == 0 else None
    expect(is_["policy"] == allowed, f"{name}: allows {is_['policy']}\nberth policy prints {allowed}")


def main():
    examples = {"cloudformation": cloudformation(), "terraform": terraform()}
    for name, example in examples.items():
        fits(name, example)
    one, other = examples.values()
    words = lambda text: sorted(re.sub(r"'", "", text).split())
    one["user_data"], other["user_data"] = words(one["user_data"]), words(other["user_data"])
    for what in one:
        expect(one[what] == other[what], f"{what}: CloudFormation has {one[what]}, Terraform {other[what]}")
    print("\n".join(faults))
    return 1 if faults else 0


sys.exit(main())
