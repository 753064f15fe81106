//! The example for releases in place: the user-data and the policies that it makes are those of the binary, and what is published stays.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::BERTH;
use crate::moto::Moto;
use crate::terraform::Terraform;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BUCKET: &str = "acme-releases";

fn berth(moto: &Moto, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(BERTH);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_REGION", "us-east-2");
    command.env("AWS_ACCESS_KEY_ID", "unused").env("AWS_SECRET_ACCESS_KEY", "unused");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What it prints.
#[track_caller]
fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The statements of a policy about the document and the board, whatever their form and order.
fn statements(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let list = |value: &Value| match value {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        one => BTreeSet::from([one.as_str().unwrap().to_owned()]),
    };
    let all = policy["Statement"].as_array().unwrap().iter();
    let ours = all.filter(|statement| {
        let sid = statement["Sid"].as_str().unwrap();
        sid == "BerthDocument" || sid.starts_with("BerthBoard")
    });
    ours.map(|statement| {
        let prefix = &statement["Condition"]["StringLike"]["s3:prefix"];
        let prefixes = if prefix.is_null() { BTreeSet::new() } else { list(prefix) };
        let (actions, resources) = (list(&statement["Action"]), list(&statement["Resource"]));
        format!("{} {} {actions:?} {resources:?} {prefixes:?}", statement["Sid"], statement["Effect"])
    })
    .collect()
}

#[test]
fn the_example_makes_what_the_binary_asks_for_and_keeps_what_is_published() {
    let moto = Moto::start();
    let Some(terraform) = Terraform::of(&moto, "examples/releases", &[]) else { return };
    let document = format!("berth image=nginx:1.27@{DIGEST} port=8080 release.board=s3://{BUCKET}/api/board");
    terraform.variables(&json!({ "name": "api", "bucket": BUCKET, "document": document }));
    terraform.apply();
    terraform.plans_no_change();
    let state: Value = serde_json::from_str(&fs::read_to_string(terraform.state()).unwrap()).unwrap();
    let output = |name: &str| state["values"]["outputs"][name]["value"].as_str().unwrap().to_owned();

    let user_data = output("user_data");
    let checked = berth(&moto, &["check", "-"], &user_data);
    printed(&checked);
    assert!(checked.stderr.is_empty(), "it is unwise: {}", String::from_utf8_lossy(&checked.stderr));
    let pointer = output("document");
    assert_eq!(pointer, format!("s3://{BUCKET}/api/document"));
    assert!(user_data.contains(&format!("config={pointer} follow=15s release.board=s3://{BUCKET}/api/board")));

    // Both policies are those that are printed for the document and the user-data together.
    let both = format!("{document} config={pointer} follow=15s");
    let resources = state["values"]["root_module"]["resources"].as_array().unwrap();
    for (name, more) in [("instance", None), ("publisher", Some("--publisher"))] {
        let address = format!("aws_iam_policy.{name}");
        let made = resources.iter().find(|one| one["address"] == address.as_str()).unwrap();
        let arguments = ["policy", "-", "--region", "us-east-2", "--account", "123456789012"];
        let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
        let expected = statements(&printed(&berth(&moto, &arguments, &both)));
        assert_eq!(statements(made["values"]["policy"].as_str().unwrap()), expected, "{name}");
        assert!(expected.len() > 4, "{expected:?}");
    }

    // The bucket takes what the commands write, and Terraform leaves it.
    let published = printed(&berth(&moto, &["release", "publish", &pointer, &format!("nginx:1.28@{DIGEST}")], ""));
    let status = printed(&berth(&moto, &["release", "status", &pointer], ""));
    let release = published.lines().next().unwrap().split([' ', ',']).find(|word| word.len() == 16).unwrap();
    assert!(status.contains(release) && status.contains("version   1.28, docker.io/library/nginx:1.28"), "{status}");
    terraform.plans_no_change();
    terraform.apply();
    assert!(printed(&berth(&moto, &["release", "status", &pointer], "")).contains(release));
}
