//! The text below the flags in `--help`: examples, exit codes, and what does not fit on the line of a flag.

pub(super) const ENVIRONMENT: &str = "\
Environment:
  BERTH_LOG           how much is logged: error, warn, info (default), debug or trace
  DOCKER_HOST         the Docker Engine's socket, unix://… (default unix:///var/run/docker.sock)
  RUNTIME_DIRECTORY, STATE_DIRECTORY
                      set by systemd; --run-dir and --state-dir take precedence
  AWS_REGION, AWS_ENDPOINT_URL, AWS_EC2_METADATA_SERVICE_ENDPOINT, …
                      as in the AWS SDKs
  NO_COLOR            no colour on a terminal

Exit codes: 0 done, 1 condition not met, 2 usage or config error, 3 boot failed, 4 the app cannot be kept
running, 5 drain cut short, 70 a bug.

berth help COMMAND shows a command's flags and examples.";

pub(super) const RUN: &str = "\
The whole config may be one line of the instance's user-data:
  berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 health=/health secrets=prod/api

Examples:
  berth run
  berth run boot.on_failure=hold env.LOG_LEVEL=debug
  BERTH_LOG=debug berth run --log-format text";

pub(super) const CHECK: &str = "\
FILE is layered as in `berth run`: over the file with AMI-wide defaults, if it exists (--config /dev/null leaves it out). What
`config=` points to is not read. Errors and warnings are on standard error; with --json they are in the JSON, each with a code, and
standard error stays empty. Warnings do not change the exit code.

Examples:
  berth check user-data.sh
  terraform output -raw user_data | berth check -
  berth check --config ami.toml user-data.sh
  berth check --json /etc/berth/berth.toml
  berth check --json user-data.sh | jq -r '.errors[].code'

Exit codes: 0 it would run; 2 it would not, with every error.";

pub(super) const TIMELINE: &str = "\
Each bar is a step. The steps of the boot share one time axis, those of the drain another. A boot gets faster only when a step on the
critical path gets shorter.

Examples:
  berth timeline
  berth timeline --svg >timeline.svg
  berth timeline --json | jq '.panels[].steps[] | select(.critical) | .name'";

pub(super) const WAIT: &str = "\
Examples:
  berth wait ready
  berth wait ready --timeout 5m && echo serving
  berth drain && berth wait drained --timeout 6m

Exit codes of ready: 0 ready, 1 not ready in time or draining, 3 the boot failed.
Exit codes of drained: 0 the agent has ended or no agent runs, 1 timed out, or the agent ended without reporting how; else the agent's
own: 5 the drain was cut short, by its deadline, a second SIGTERM, or an app that ended too early or could not be stopped.";

pub(super) const BAKE: &str = "\
Images are pulled by digest, with the login that a boot would use and the credentials that the AWS CLI would use. The layers
stay in the AMI, so that a boot pulls only what is new. Do not run `docker image prune` afterwards: these images have no tag.

Examples:
  berth bake
  berth bake --image 123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d --image debian:12.8-slim

Exit codes: 0 the host is ready; 2 the config or a reference is invalid; 3 the host is not ready, or an image could not be pulled.";

pub(super) const DOCTOR: &str = "\
Checks the metadata, the credentials, the config and its warnings, each AWS call that a boot makes, the registry, the engine, disk,
clock and ports. Secrets are fetched and not shown. For a call that AWS denies, the IAM statement that allows it is printed.

Exit codes: 0 the instance can boot, with warnings or without; 2 the config is invalid; 3 it could not boot.";

pub(super) const POLICY: &str = "\
Without FILE, on an instance: the policy for the config that `berth run` would read there, with what `config=` points to. Parts of an
ARN that are not known are *: --region and --account make the policy narrower. FILE is layered over the file with AMI-wide defaults,
if it exists (--config /dev/null leaves it out).

Examples:
  berth policy user-data.sh --region us-east-2 --account 123456789012 >policy.json
  terraform output -raw user_data | berth policy -";

pub(super) const DRAIN: &str = "\
/ready answers 503 at once; the app is stopped when its connections have ended. SIGTERM to the agent does the same.

Examples:
  berth drain --reason 'replacing the disk'
  berth drain --wait && shutdown now

Exit codes: 0 the agent drains (--wait: has drained), 1 no agent runs; with --wait the agent's own: 5 the drain was cut short,
by its deadline, a second SIGTERM, or an app that ended too early or could not be stopped.";

pub(super) const EXEC: &str = "\
Like `docker exec`, and the command also gets the secrets that the app has in its environment. No shell is started. Without -t a signal,
such as Ctrl-C, is forwarded to the command; a second one ends berth only. With -t Ctrl-C is sent as a key, and the command gets SIGHUP
when its terminal is closed.

Examples:
  berth exec -it -- bin/rails console
  berth exec -- ./manage.py migrate
  berth exec -i -- psql <dump.sql
  berth exec --user root -- env

Exit codes: the command's, 128 + N if signal N ended it; 127 no such program in the image, 126 it cannot be executed, 125 the engine
failed. Before the command is started: 1 no agent or no running container, 2 usage error.";

pub(super) const HANDOVER: &str = "\
The installed binary replaces the agent in the same process. The app keeps running, and its clients and the load balancer see no
interruption. The package runs this after an upgrade. `systemctl restart berth` would drain instead.

Example:
  berth handover && berth wait ready

Exit codes: 0 the next agent has the app, 1 no agent runs, it is draining, or the next one did not take over in 30 s.";

pub(super) const RELEASE: &str = "\
For deployments, from a laptop or CI: with the credentials and the region that the AWS CLI would use. The instances follow the
document at POINTER (`config=` and `follow` in their user-data), and write their verdicts and locks to the board (`release.board`).

Examples:
  berth release publish s3://prod-berth/api 123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d --wait --group ap-api
  berth release status s3://prod-berth/api
  berth release rollback s3://prod-berth/api

Exit codes: 0 done; 1 condition not met, or a call failed; 2 usage or config error.";

pub(super) const PUBLISH: &str = "\
A FILE is a document in any of the forms of user-data; what `berth check` refuses is not published. An IMAGE replaces the `image` of the
current document, and everything else stays as it is written. A tag is resolved to its digest by the Docker Engine of this machine;
without an engine give IMAGE@sha256:…. A comment with the time and the notes makes each document another release; JSON, MIME and gzip have
no place for it and are published as they are. Of two who publish at the same time one is refused.

Examples:
  berth release publish s3://prod-berth/api api.toml --notes 'larger pool'
  berth release publish s3://prod-berth/api nginx:1.27.3 --wait --instances 6 --timeout 20m
  sed s/debug/info/ api.toml | berth release publish s3://prod-berth/api -

Exit codes: 0 published, with --wait: and good on the instances; 1 somebody else published, a call failed, or with --wait: stopped,
halted, superseded, or not good in time; 2 the document or the usage is invalid.";

pub(super) const RELEASE_STATUS: &str = "\
Examples:
  berth release status s3://prod-berth/api
  berth release status s3://prod-berth/api --json | jq -r '.bad[].reason'

A mark without a verdict is of an instance that is at the release, or died in it. Marks and bad verdicts together stop the release, too.

Exit codes: 0 the release goes on, or is good; 1 it is stopped or halted, or a call failed.";

pub(super) const HALT: &str = "\
Instances that run the release keep it; `berth release rollback` takes it back.

Example:
  berth release halt s3://prod-berth/api --reason 'errors at checkout'

Exit codes: 0 halted, 1 there is no release, or a call failed.";

pub(super) const RESUME: &str = "\
The bad verdicts that the release has now no longer count; new ones do. An instance that began it, wrote no verdict and is taken for lost
gets a bad verdict, which does not count either.

Example:
  berth release resume s3://prod-berth/api

Exit codes: 0 it goes on; 1 it does not yet, there is no release, or a call failed.";

pub(super) const ROLLBACK: &str = "\
The document of the earlier release is published again as it was. Its waves do not count: every instance goes back as soon as it gets
a lock. With --wait an instance counts when it called the earlier release good and runs it again; --instances also waits for each one
that has left it, and does not know which of them were terminated since: --group does.

Examples:
  berth release rollback s3://prod-berth/api
  berth release rollback s3://prod-berth/api --to 3f2a9c0d1b7e4856
  berth release rollback s3://prod-berth/api --wait --group ap-api

Exit codes: 0 published, with --wait: and good on the instances; 1 there is no release to go back to, somebody else published, a call
failed, or with --wait: stopped, halted, superseded, or not good in time.";
