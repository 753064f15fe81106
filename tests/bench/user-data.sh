#!/bin/bash
# User-data without berth: `make bench` compares berth's boot with the boot of this script.
#
# It is a usual script, and nothing in it is slow on purpose: it does not look up what a template can fill in, makes no call
# twice, and probes the app five times a second where `sleep 1` or `sleep 5` is usual. It leaves out berth's other
# work: retries, heartbeats, ABANDON after a failure, secrets that no `docker inspect` shows, the drain.
#
# The template fills in IMAGE, PORT, SECRET, GROUP and HOOK. METADATA has no default: on a cloud machine the usual
# address answers, and this script must not ask it.
set -euo pipefail
: "${METADATA:?}" "${IMAGE:?}" "${PORT:?}" "${SECRET:?}" "${GROUP:?}" "${HOOK:?}"

# The start time of each step, for the picture.
step() { [ -z "${STEPS:-}" ] || echo "$EPOCHREALTIME $1" >>"$STEPS"; }

step metadata
token=$(curl -fsS -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" "$METADATA/latest/api/token")
metadata() { curl -fsS -H "X-aws-ec2-metadata-token: $token" "$METADATA/latest/meta-data/$1"; }
instance=$(metadata instance-id)
AWS_DEFAULT_REGION=$(metadata placement/region)
export AWS_DEFAULT_REGION

step secrets
umask 077
environment=$(mktemp -p /dev/shm)
trap 'rm -f "$environment"' EXIT
aws secretsmanager get-secret-value --secret-id "$SECRET" --query SecretString --output text |
    jq -r 'to_entries[] | "\(.key)=\(.value)"' >"$environment"

step login
aws ecr get-login-password | docker login --username AWS --password-stdin "${IMAGE%%/*}"

step pull
docker pull --quiet "$IMAGE"

step run
app=${IMAGE##*/}
docker run --detach --name "berth-${app%%:*}" --env-file "$environment" --publish "127.0.0.1:$PORT:8080" "$IMAGE"

step healthy
until curl -fsS -o /dev/null "http://127.0.0.1:$PORT/health"; do sleep 0.2; done

step hook
aws autoscaling complete-lifecycle-action --lifecycle-action-result CONTINUE \
    --auto-scaling-group-name "$GROUP" --lifecycle-hook-name "$HOOK" --instance-id "$instance"
step end
