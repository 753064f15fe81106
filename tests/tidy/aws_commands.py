"""The `aws` commands of the documentation: `aws_commands.py BERTH AWS`, the binary and the AWS CLI's. Prints every error and ends with 1 if there is one.

The quick start is run whole, in one shell, against moto, and must leave nothing behind. Every other command of every page is given to
the CLI, which checks it against AWS's own models before it sends it to moto: what moto then says is no matter, since what the command
is about is not there.
"""
import base64
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

# AWS's managed policies; read when moto is imported.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

import boto3
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
QUICK_START = ROOT / "docs/quick-start.md"
BERTH, AWS = map(os.path.abspath, sys.argv[1:3])
# Not in moto: the CLI checks these commands and nothing more happens.
NOT_IN_MOTO = {"autoscaling start-instance-refresh", "autoscaling describe-instance-refreshes"}
errors = []


def expect(true, what):
    if not true:
        errors.append(what)


# What stands in for `aws`: the real one, and the builder that switches itself off.
WRAPPER = """#!/bin/bash
[ "$1 $2 $3" != "ec2 wait instance-stopped" ] || {aws} ec2 stop-instances --instance-ids "${{@: -1}}" >/dev/null
{aws} "$@" 2>err.$$; code=$?
if [ $code != 0 ] && grep -qE 'has not been implemented|NotImplemented|Internal Server Error|\\(404\\)' err.$$; then
    echo "$1 $2" >>not-in-moto; exit 0
fi
cat err.$$ >&2; exit $code
"""


def environment(endpoint, home):
    keep = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return keep | {
        "PATH": f"{home}:{os.environ['PATH']}", "HOME": str(home), "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-2", "AWS_PAGER": "",
    }


def quick_start(endpoint):
    blocks = re.findall(r"^```sh\n(.*?)^```$", QUICK_START.read_text(), re.M | re.S)
    expect(len(blocks) == 11, f"the quick start has {len(blocks)} blocks of commands, not 11")
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        (home / "dist").mkdir()
        (home / "dist/berth-0.1.0-1.x86_64.rpm").write_text("a package")
        (home / "berth").symlink_to(BERTH)
        (home / "aws").write_text(WRAPPER.format(aws=shlex.quote(AWS)))
        (home / "aws").chmod(0o755)
        env = environment(endpoint, home)
        client = lambda service: boto3.client(
            service, region_name="us-east-2", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x")
        # A copy of what the template has before the page removes it.
        last = len(blocks) - 1
        look = "\naws ec2 describe-launch-template-versions --launch-template-id $TEMPLATE >template.json\n"
        script = "set -euo pipefail\n" + "".join(
            (look if at == last else "") + f"echo '== block {at + 1}' >&2\n" + block for at, block in enumerate(blocks))
        done = subprocess.run(["bash", "-c", script], cwd=home, env=env, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            return expect(False, f"the quick start ends with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        missing = set((home / "not-in-moto").read_text().splitlines()) if (home / "not-in-moto").exists() else set()
        expect(missing == NOT_IN_MOTO, f"moto lacks {missing}, expected {NOT_IN_MOTO}")
        syntax = subprocess.run(["bash", "-n", "builder.sh"], cwd=home, capture_output=True, text=True)
        expect(syntax.returncode == 0, f"builder.sh: {syntax.stderr}")
        versions = json.loads((home / "template.json").read_text())["LaunchTemplateVersions"]
        for version in versions:
            user_data = base64.b64decode(version["LaunchTemplateData"]["UserData"])
            checked = subprocess.run([BERTH, "check", "-"], input=user_data, capture_output=True)
            expect(checked.returncode == 0, f"user-data of version {version['VersionNumber']}: {checked.stderr.decode()}")
        expect(len(versions) == 2, f"{len(versions)} versions of the launch template, not 2")
        states = [i["State"]["Name"] for r in client("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
        left = {
            "instances": [state for state in states if state != "terminated"],
            "groups": client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"],
            "templates": client("ec2").describe_launch_templates()["LaunchTemplates"],
            "images": client("ec2").describe_images(Owners=["self"])["Images"],
            "security groups": [g for g in client("ec2").describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"],
            "load balancers": client("elbv2").describe_load_balancers()["LoadBalancers"],
            "target groups": client("elbv2").describe_target_groups()["TargetGroups"],
            "buckets": client("s3").list_buckets()["Buckets"],
            "secrets": client("secretsmanager").list_secrets()["SecretList"],
            "roles": client("iam").list_roles(PathPrefix="/")["Roles"],
            "profiles": client("iam").list_instance_profiles()["InstanceProfiles"],
        }
        for what, rest in left.items():
            rest = [one for one in rest if not (isinstance(one, dict) and one.get("RoleName", "").startswith("AWSServiceRole"))]
            expect(not rest, f"the quick start leaves {what}: {rest}")


def commands(page):
    """The `aws` commands in the code of a page, each with its line."""
    fenced, text, start = False, None, 0
    for at, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced, text = not fenced, None
            continue
        code = line.strip() if fenced or line.startswith("    ") else ""
        if text is not None:
            text += " " + code
        elif re.match(r"(\$ )?aws ", code):
            text, start = code.removeprefix("$ "), at
        if text is not None:
            if text.endswith("\\"):
                text = text[:-1]
            else:
                yield start, text
                text = None


def others(endpoint):
    count = 0
    with tempfile.TemporaryDirectory() as home:
        for name in ("user-data.txt", "secret.json"):
            (Path(home) / name).write_text("berth image=x:1\n")
        for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packaging/**/*.md")]):
            for line, command in commands(page) if page != QUICK_START else ():
                # Interactive, or about one's own machine.
                if command.startswith("aws ssm start-session"):
                    continue
                count += 1
                script = re.sub(r"^aws ", shlex.quote(AWS) + " ", command.replace("…", ""))
                done = subprocess.run(["bash", "-c", script], cwd=home, env=environment(endpoint, Path(home)),
                                      capture_output=True, text=True, timeout=60)
                wrong = re.search(r"usage:|Unknown options|Parameter validation failed|Error parsing|Invalid choice|unbound", done.stderr)
                where = f"{page.relative_to(ROOT)}:{line}"
                expect(not wrong, f"{where}: {command}\n{done.stderr.strip()[-800:]}")
    expect(count >= 5, f"only {count} commands found in the other pages")


logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
try:
    address = "http://%s:%d" % server.get_host_and_port()
    quick_start(address)
    others(address)
finally:
    server.stop()
print("\n".join(errors))
sys.exit(1 if errors else 0)
