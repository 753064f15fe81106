"""The CloudFormation template deployed to moto: `deploy.py ENDPOINT STACK PARAMETERS`, JSON of what else is given, or `deploy.py ENDPOINT
STACK delete`. Prints the outputs as JSON.

moto has no alarms, warm pools and update policy in a template, keeps no lifecycle hooks of one, and leaves its target group when it is
deleted; cfn-lint knows all of them.
"""
import json
import sys
from pathlib import Path

import boto3

ENDPOINT, STACK, GIVEN = sys.argv[1:]
TEMPLATE = Path(__file__).resolve().parents[2] / "packaging/cloudformation/berth.yaml"
keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-2", "endpoint_url": ENDPOINT}
ec2, elb, stacks = (boto3.client(name, **keys) for name in ("ec2", "elbv2", "cloudformation"))


def surroundings():
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-2{zone}")["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="balancer", Description="balancer", VpcId=vpc)["GroupId"]
    (balancer,) = elb.create_load_balancer(Name="balancer", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"]
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    (listener,) = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[nothing]
    )["Listeners"]
    return {"Vpc": vpc, "Subnets": ",".join(subnets), "Listener": listener["ListenerArn"], "LoadBalancerGroup": group}


def outputs():
    (stack,) = stacks.describe_stacks(StackName=STACK)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


if GIVEN == "delete":
    stacks.delete_stack(StackName=STACK)
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    for target in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=target["TargetGroupArn"])
    for group in ec2.describe_security_groups(GroupNames=["balancer"])["SecurityGroups"]:
        ec2.delete_security_group(GroupId=group["GroupId"])
    print("{}")
else:
    given = surroundings() | {"Ami": "ami-12c6146b"} | json.loads(GIVEN)
    stacks.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in given.items()],
    )
    print(json.dumps(outputs()))
