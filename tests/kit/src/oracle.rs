//! botocore as somebody else's word on what AWS takes and what it answers: the models of the services judge every call that a
//! world's agent made, and boto3 calls the fakes as the agent does. The scripts are in `tests/kit/oracle`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use crate::World;
use crate::exchange::Exchange;
use crate::sigv4::Authorization;

/// One call, compared with its model.
#[derive(Debug)]
pub struct Verdict {
    /// `autoscaling CompleteLifecycleAction`
    pub operation: String,
    /// What the model does not allow; nothing if all is as it must be.
    pub differences: Vec<String>,
}

/// Judges every call that the services of this world got, and every answer they gave.
pub fn judge(world: &World) -> Vec<Verdict> {
    // What asks whether an endpoint can be reached is no call.
    let is_call = |exchange: &Exchange| {
        let request = &exchange.request;
        request.method() != Method::GET || request.headers().contains_key("authorization")
    };
    judge_all(world, &world.aws.exchanges().into_iter().filter(is_call).collect::<Vec<_>>())
}

/// The operations that this world's services were asked for, each once.
///
/// # Panics
/// If a request or an answer is not as botocore's model of the service has it.
#[track_caller]
pub fn agree(world: &World) -> BTreeSet<String> {
    let verdicts = judge(world);
    let differing: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(!verdicts.is_empty(), "no service was asked for anything");
    verdicts.into_iter().map(|verdict| verdict.operation).collect()
}

/// Judges exchanges of which a test changed something.
pub fn judge_all(world: &World, exchanges: &[Exchange]) -> Vec<Verdict> {
    let given: Vec<Value> = exchanges.iter().map(|exchange| written(world, exchange)).collect();
    let verdicts = run(&script("judge.py"), &json!(given));
    let read = |verdict: &Value| Verdict {
        operation: verdict["operation"].as_str().unwrap().to_owned(),
        differences: texts(&verdict["differences"]),
    };
    verdicts.as_array().unwrap().iter().map(read).collect()
}

/// Lets boto3 make these calls, `[service, operation, parameters, {}]` each, with the role's credentials, which it finds in the
/// world's metadata. The last part of a call may hold `unsigned`, another `region_name` or other credentials, as `Session.client` takes them.
pub fn call(world: &World, calls: &[Value]) -> Value {
    call_at(&world.aws.endpoint(), world, calls)
}

/// The same at another endpoint, of an AWS that takes any credentials.
pub fn call_at(endpoint: &str, world: &World, calls: &[Value]) -> Value {
    let metadata = world.imds.endpoint();
    run(&script("call.py"), &json!({ "metadata": metadata, "endpoint": endpoint, "calls": calls }))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(name)
}

/// Runs a script that has botocore at hand: JSON in, JSON out.
///
/// # Panics
/// If it fails.
pub fn run(script: &Path, input: &Value) -> Value {
    let mut child = Command::new(python())
        .arg(script)
        // No setting and no credentials of this machine count.
        .env_clear()
        .envs([("HOME", "/nonexistent"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the python of tests/install-moto");
    let written = child.stdin.take().unwrap().write_all(input.to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(written.is_ok() && output.status.success(), "{}: {stderr}", script.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Starts a script that serves until its input ends, and prints its port.
pub fn serve(script: &Path, arguments: &[&Path]) -> (Child, u16) {
    let mut child = Command::new(python())
        .arg(script)
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "unused")
        .env("AWS_SECRET_ACCESS_KEY", "unused")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the python of tests/install-moto");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("the server did not start"))
}

/// The interpreter that has botocore, installed at the first use.
pub fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let installed = Command::new(tests.join("install-moto")).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "tests/install-moto failed");
        String::from_utf8(installed.stdout).unwrap().trim().into()
    });
    &PYTHON
}

fn written(world: &World, exchange: &Exchange) -> Value {
    let Exchange { request, answer } = exchange;
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    json!({
        "method": request.method().as_str(), "url": format!("http://{host}{}", request.uri()),
        "headers": headers(request.headers()), "body": BASE64_STANDARD.encode(request.body()),
        "credentials": credentials(world, request.headers()),
        "answer": answer.as_ref().map(|answer| json!({
            "status": answer.status().as_u16(), "headers": headers(answer.headers()),
            "body": BASE64_STANDARD.encode(answer.body()),
        })),
    })
}

/// Those that the caller named, if the metadata service handed them out.
fn credentials(world: &World, headers: &HeaderMap) -> Vec<String> {
    let named = headers.get("authorization").and_then(|header| Authorization::parse(header.to_str().ok()?));
    let known = named.and_then(|named| world.aws.credentials.find(&named.access_key));
    known.map(|one| vec![one.access_key, one.secret_key, one.token]).unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value).into())).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
