//! Which credentials sign what the commands send: the SDKs' default chain, each of its links, their order, and what a link that gives nothing reads
//! like. The agent itself reads none of them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use berth_kit::agent::Launch;
use berth_kit::{World, client, oracle};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bake::bake_as;
use crate::commands::{err, out};
use crate::{BERTH, SOON};

const ROLE: &str = "arn:aws:iam::123456789012:role/builder";

/// A machine that is no instance: a registry of ECR's kind that may be reached, and no metadata.
async fn elsewhere() -> World {
    let world = World::builder().private_registry().imds_closed().start().await;
    world.ami_defaults("registry_auth = \"ecr\"");
    world
}

/// What somebody has in `~/.aws`.
fn home(world: &World, config: &str, credentials: &str) -> PathBuf {
    let home = world.state_dir().with_file_name("somebody");
    fs::create_dir_all(home.join(".aws")).unwrap();
    fs::write(home.join(".aws/config"), config).unwrap();
    fs::write(home.join(".aws/credentials"), credentials).unwrap();
    home
}

/// A profile in the credentials file.
fn profile(name: &str, [id, secret, token]: &[String; 3]) -> String {
    format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n")
}

/// Keys that no account has.
fn made_up(name: &str) -> [String; 3] {
    [format!("AKIA{name}"), "EXAMPLE".into(), "EXAMPLE".into()]
}

fn with<'w>(world: &'w World, home: &Path, variables: &[(&str, &str)]) -> Launch<'w> {
    let launcher = world.launcher(BERTH.as_ref()).env("HOME", home);
    variables.iter().fold(launcher, |launcher, (name, value)| launcher.env(name, value))
}

/// Logs in to the world's registry and pulls from it.
async fn bake(world: &World, home: &Path, variables: &[(&str, &str)]) -> Output {
    let image = world.app_image().by_tag();
    bake_as(world, with(world, home, variables), "enabled", &["--image", &image]).await
}

/// What `berth doctor` says of the credentials: `verdict: what was found`, and the advice.
async fn credentials(world: &World, home: &Path, variables: &[(&str, &str)]) -> (String, String) {
    let mut command = tokio::process::Command::from(with(world, home, variables).command());
    let ended = command.args(["doctor", "--json"]).kill_on_drop(true).output();
    let output = tokio::time::timeout(SOON, ended).await.expect("the command ends").unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", err(&output)));
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "credentials").unwrap();
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    (format!("{}: {}", text("verdict"), text("found")), text("advice"))
}

/// It worked: the registry's password came for a good signature.
#[track_caller]
fn pulled(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}{}", out(output), err(output));
    assert!(out(output).contains(" pulled\n"), "{}", out(output));
}

/// The access keys that the services of this world were called with.
fn signed_by(world: &World) -> BTreeSet<String> {
    let exchanges = world.aws.exchanges();
    let headers = exchanges.iter().filter_map(|exchange| exchange.request.headers().get(header::AUTHORIZATION));
    let key = |header: &HeaderValue| header.to_str().unwrap().split(['=', '/']).nth(1).unwrap().to_owned();
    headers.map(key).collect()
}

/// Somebody else's STS.
fn sts() -> SocketAddr {
    static MOTO: OnceLock<(Child, u16)> = OnceLock::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/adapters/serve_moto.py");
    let (_, port) = MOTO.get_or_init(|| oracle::serve(&script, &[]));
    SocketAddr::from(([127, 0, 0, 1], *port))
}

/// Whose key it is, as moto's STS says.
async fn owner(key: &str) -> String {
    let mut request = client::request("POST", "/").map(|_| "Action=GetCallerIdentity&Version=2011-06-15".into());
    let scope = format!("{key}/20260101/us-east-1/sts/aws4_request");
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    request.headers_mut().insert(header::AUTHORIZATION, signature.parse().unwrap());
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answer = client::over_tcp(sts(), request).await.unwrap().text();
    answer.split("<Arn>").nth(1).unwrap_or(&answer).split('<').next().unwrap().to_owned()
}

/// An HTTP server that answers every request in one way.
struct Endpoint {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (mut request, mut part) = (String::new(), [0; 4096]);
                while !is_whole(&request) {
                    let read = stream.read(&mut part).await.unwrap();
                    request += std::str::from_utf8(&part[..read]).unwrap();
                }
                let (status, body) = answer(&request);
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        Self { port, asked }
    }

    /// As a container's role: gives these keys to requests that have the token.
    async fn of_container([id, secret, token]: [String; 3]) -> Self {
        let keys = json!({
            "AccessKeyId": id, "SecretAccessKey": secret, "Token": token, "Expiration": "2099-01-01T00:00:00Z",
        });
        let granted =
            |request: &str| request.starts_with("GET /role ") && request.contains("authorization: A TOKEN\r\n");
        Self::start(move |request| match granted(request) {
            true => ("200 OK", keys.to_string()),
            false => ("403 Forbidden", json!({ "code": "Denied", "message": "wrong token" }).to_string()),
        })
        .await
    }

    fn at(&self, host: &str) -> String {
        format!("http://{host}:{}/role", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

#[tokio::test]
async fn a_profile_has_keys_and_a_region() {
    let world = elsewhere().await;
    let default = home(&world, "[default]\nregion = us-east-2\n", &profile("default", &world.keys()));
    pulled(&bake(&world, &default, &[]).await);

    let files = format!("{}{}", profile("default", &made_up("DEFAULT")), profile("ci", &world.keys()));
    let of_several = home(&world, "[profile ci]\nregion = us-east-2\n[default]\nregion = eu-west-1\n", &files);
    pulled(&bake(&world, &of_several, &[("AWS_PROFILE", "ci")]).await);
    // A variable wins over the profile, as everywhere.
    let elsewhere = bake(&world, &of_several, &[("AWS_PROFILE", "ci"), ("AWS_REGION", "ap-south-1")]).await;
    assert!(out(&elsewhere).contains("scoped to a valid region"), "{}", out(&elsewhere));
}

#[tokio::test]
async fn a_profile_assumes_a_role() {
    let world = elsewhere().await;
    let config = format!(
        "[profile ci]\nregion = us-east-2\nrole_arn = {ROLE}\nrole_session_name = from-a-profile\nsource_profile = somebody\n"
    );
    let home = home(&world, &config, &profile("somebody", &made_up("SOMEBODY")));
    let sts = format!("http://{}", sts());
    let variables = [("AWS_PROFILE", "ci"), ("AWS_ENDPOINT_URL_STS", sts.as_str())];
    // The world's services do not know moto's keys.
    bake(&world, &home, &variables).await;
    let keys = signed_by(&world);
    assert_eq!(keys.len(), 1, "{keys:?}");
    let owner = owner(keys.first().unwrap()).await;
    assert_eq!(owner, "arn:aws:sts::123456789012:assumed-role/builder/from-a-profile");
    let (found, _) = credentials(&world, &home, &variables).await;
    assert_eq!(found, "ok: from a profile");
}

#[tokio::test]
async fn a_web_identity_gets_a_role() {
    let world = elsewhere().await;
    let home = home(&world, "", "");
    fs::write(home.join("token"), "a.web.token").unwrap();
    let (sts, token) = (format!("http://{}", sts()), home.join("token"));
    let variables = [
        ("AWS_REGION", "us-east-2"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ROLE_SESSION_NAME", "from-ci"),
        ("AWS_ENDPOINT_URL_STS", &sts),
    ];
    bake(&world, &home, &variables).await;
    let keys = signed_by(&world);
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(owner(keys.first().unwrap()).await, "arn:aws:sts::123456789012:assumed-role/builder/from-ci");
}

#[tokio::test]
async fn a_container_has_a_role() {
    let world = elsewhere().await;
    let home = home(&world, "", "");
    let endpoint = Endpoint::of_container(world.keys()).await;
    // By name it is in AWS CloudShell.
    for host in ["127.0.0.1", "localhost"] {
        let variables = [
            ("AWS_REGION", "us-east-2"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint.at(host)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "A TOKEN"),
        ];
        pulled(&bake(&world, &home, &variables).await);
    }
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.at("127.0.0.1"))];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (found, advice) = credentials(&world, &home, &variables).await;
    assert_eq!(
        found,
        "fail: no credentials from the container's role: Non-success status from HTTP credential provider: StatusCode(403)"
    );
    assert_eq!(advice, "make `aws sts get-caller-identity` work first");
}

#[tokio::test]
async fn the_first_link_that_is_there_gives_the_credentials() {
    let world = elsewhere().await;
    world.imds.start_listening();
    let home = home(&world, "[default]\nregion = us-east-2\n", &profile("default", &made_up("PROFILE")));
    let empty = home.join("empty");
    fs::create_dir_all(&empty).unwrap();
    fs::write(home.join("token"), "a.web.token").unwrap();
    let container = Endpoint::of_container(made_up("CONTAINER")).await;
    let (sts, token, uri) = (format!("http://{}", sts()), home.join("token"), container.at("127.0.0.1"));
    let web_identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()), ("AWS_ROLE_ARN", ROLE)];
    let container_role =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "A TOKEN")];
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "EXAMPLE")];
    let others = [("AWS_REGION", "us-east-2"), ("AWS_ENDPOINT_URL_STS", sts.as_str())];
    let all: Vec<_> = others.into_iter().chain(container_role).chain(web_identity).chain(keys).collect();

    let mut signed = Vec::new();
    for (home, links) in [(&home, 8), (&home, 6), (&empty, 6), (&empty, 4), (&empty, 2)] {
        let before = signed_by(&world);
        bake(&world, home, &all[..links]).await;
        signed.extend(signed_by(&world).difference(&before).cloned());
    }
    let of_web_identity = owner(&signed[2]).await;
    assert!(of_web_identity.starts_with("arn:aws:sts::123456789012:assumed-role/builder/"), "{of_web_identity}");
    signed.remove(2);
    let [role, ..] = world.keys();
    assert_eq!(signed, ["AKIAENVIRONMENT", "AKIAPROFILE", "AKIACONTAINER", role.as_str()]);
}

/// What `credentials` finds with these files and variables.
async fn failing(world: &World, config: &str, credentials_file: &str, variables: &[(&str, &str)]) -> String {
    let home = home(world, config, credentials_file);
    let (found, _) = credentials(world, &home, variables).await;
    found.strip_prefix("fail: ").unwrap_or_else(|| panic!("{config:?}: {found}")).replace(home.to_str().unwrap(), "~")
}

#[tokio::test]
async fn a_profile_that_gives_nothing_is_named_with_the_reason() {
    let world = elsewhere().await;
    let ci = [("AWS_PROFILE", "ci")];
    let keys = "aws_secret_access_key = x\n[a]\naws_secret_access_key = x\naws_access_key_id = ";
    let role = "[profile ci]\nregion = us-east-2\nrole_arn = x\nsource_profile = a\n";
    let no_profile = "neither in the config file nor in the credentials file of the AWS CLI";
    for (config, credentials_file, sentence) in [
        ("", "", format!("no credentials: the profile \"ci\" is {no_profile}")),
        ("[default]\nregion = us-east-2", "", format!("no credentials: the profile \"ci\" is {no_profile}")),
        (role, "", format!("no credentials: the profile \"a\" is {no_profile}")),
        (
            "[profile ci]\nrole_arn = x\nsource_profile = a\n[profile a]\nrole_arn = x\nsource_profile = ci",
            "",
            "no credentials from a profile: profile formed an infinite loop. first we loaded [\"ci\", \"a\"], then attempted to \
             reload ci"
                .into(),
        ),
        (
            "[profile ci]\nrole_arn = x",
            "",
            "no credentials from a profile: invalid credential source in `ci`: profile must contain `source_profile` or \
             `credential_source` but neither were defined"
                .into(),
        ),
        (
            "",
            "[ci]\naws_access_key_id = AKIAHALF",
            "no credentials from a profile: invalid credential source in `ci`: profile missing aws_secret_access_key".into(),
        ),
        // A value that goes on in the next line. The SDK's signer would panic.
        (
            role,
            &format!("[ci]\n{keys}AKIA\n  EXAMPLE"),
            "the credentials from a profile contain a character that no request can carry: check the access key id and the session \
             token"
                .into(),
        ),
        (
            "",
            "[ci]\naws_secret_access_key = x\naws_access_key_id = AKIA\n  EXAMPLE",
            "the credentials from a profile contain a character that no request can carry: check the access key id and the session \
             token"
                .into(),
        ),
        (
            "[profile ci\n",
            "",
            "no credentials from a profile: could not parse profile file: error parsing ~/.aws/config on line 1: Profile \
             definition must end with ']'"
                .into(),
        ),
    ] {
        assert_eq!(failing(&world, config, credentials_file, &ci).await, sentence, "{config:?} {credentials_file:?}");
    }
    // Without a name there need not be any.
    let nothing = "no credentials: there are no keys in the environment, no profile, no web identity and no container's role, and the \
                   instance's role cannot be used: ";
    for config in ["", "[default]\nregion = us-east-2", "[profile ci]\nregion = us-east-2"] {
        let found = failing(&world, config, "", &[]).await;
        assert!(found.starts_with(nothing) && found.contains("cannot connect to"), "{found}");
    }
}

#[tokio::test]
async fn a_profile_that_only_the_aws_cli_can_use_says_how_to_export_its_credentials() {
    let world = elsewhere().await;
    let session = "sso_region = us-east-2\nsso_start_url = https://example.com/start\n";
    let account = "sso_account_id = 123456789012\nsso_role_name = builder\n";
    let source = "[profile ci]\nregion = us-east-2\nrole_arn = x\nsource_profile = a\n[profile a]\n";
    for (config, how) in [
        (format!("[profile ci]\nsso_session = s\n{account}[sso-session s]\n{session}"), "SSO"),
        (format!("[profile ci]\n{account}{session}"), "SSO"),
        (format!("{source}{account}{session}"), "SSO"),
        ("[profile ci]\ncredential_process = cat /etc/hostname".into(), "a credential_process"),
        ("[profile ci]\nlogin_session = arn:aws:iam::123456789012:user/somebody".into(), "aws login"),
    ] {
        assert_eq!(
            failing(&world, &config, "", &[("AWS_PROFILE", "ci")]).await,
            format!(
                "no credentials: the profile \"ci\" gets them by {how}, which berth does not support; export them first: eval \"$(aws \
                 configure export-credentials --profile ci --format env)\""
            ),
            "{config}"
        );
    }
}

#[tokio::test]
async fn what_sts_says_is_reported() {
    let world = elsewhere().await;
    let denied = "User: arn:aws:iam::123456789012:user/a is not authorized to perform: sts:AssumeRole on resource: x";
    let error = |code: &str, message: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        )
    };
    let (of_denied, of_expired) = (error("AccessDenied", denied), error("ExpiredTokenException", "It has expired"));
    let refusing = Endpoint::start(move |_| ("403 Forbidden", of_denied.clone())).await;
    let expired = Endpoint::start(move |_| ("400 Bad Request", of_expired.clone())).await;
    let page = Endpoint::start(|_| ("200 OK", "<html>Log in</html>".into())).await;
    let config = "[profile ci]\nregion = us-east-2\nrole_arn = x\nsource_profile = a\n";
    let keys = "[a]\naws_access_key_id = AKIA\naws_secret_access_key = x\n";
    for (url, sentence) in [
        (refusing.at("127.0.0.1"), format!("AccessDenied: {denied}")),
        (expired.at("127.0.0.1"), "ExpiredTokenException: It has expired".into()),
        ("http://127.0.0.1:1".into(), "cannot connect to http://127.0.0.1:1: Connection refused (os error 111)".into()),
        (page.at("127.0.0.1"), "the response is not one of STS".into()),
    ] {
        let variables = [("AWS_PROFILE", "ci"), ("AWS_ENDPOINT_URL_STS", url.as_str())];
        let found = failing(&world, config, keys, &variables).await;
        assert_eq!(found, format!("no credentials from a profile: {sentence}"));
    }
    let web_identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"), ("AWS_REGION", "us-east-2")];
    let found = failing(&world, "", "", &web_identity).await;
    assert_eq!(found, "no credentials from a web identity: AWS_ROLE_ARN environment variable must be set");
    let with_role = [web_identity[0], web_identity[1], ("AWS_ROLE_ARN", ROLE)];
    let found = failing(&world, "", "", &with_role).await;
    let sentence = "the file with the token cannot be read: No such file or directory (os error 2)";
    assert_eq!(found, format!("no credentials from a web identity: {sentence}"));
    let of_somebody = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://u:s3cr3t@192.0.2.1/role")];
    let found = failing(&world, "", "", &of_somebody).await;
    // It may have a password.
    let sentence = "invalid full URI for ECS provider (URI did not refer to an allowed IP address): AWS_CONTAINER_CREDENTIALS_FULL_URI";
    assert_eq!(found, format!("no credentials from the container's role: {sentence}"));
}

#[tokio::test]
async fn a_profile_takes_the_role_of_the_instance_for_its_source() {
    let world = elsewhere().await;
    world.imds.start_listening();
    let config = format!(
        "[profile ci]\nrole_arn = {ROLE}\nrole_session_name = of-the-instance\ncredential_source = Ec2InstanceMetadata\n"
    );
    let home = home(&world, &config, "");
    let sts = format!("http://{}", sts());
    let variables = [("AWS_PROFILE", "ci"), ("AWS_REGION", "us-east-2"), ("AWS_ENDPOINT_URL_STS", sts.as_str())];
    bake(&world, &home, &variables).await;
    let keys = signed_by(&world);
    let owner = owner(keys.first().unwrap()).await;
    assert_eq!(owner, "arn:aws:sts::123456789012:assumed-role/builder/of-the-instance");
}

#[tokio::test]
async fn credentials_that_expired_are_refused_by_the_service_and_reported() {
    let world = elsewhere().await;
    let home = home(&world, "[default]\nregion = us-east-2\n", &profile("default", &world.keys()));
    world.imds.expire_credentials();
    let output = bake(&world, &home, &[]).await;
    let printed = out(&output);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(printed.contains("FAIL  login") && printed.contains("ExpiredTokenException"), "{printed}");
}

#[tokio::test]
async fn the_agent_reads_its_environment_and_the_instance_s_role_alone() {
    let world = World::builder().private_registry().start().await;
    world.ami_defaults("registry_auth = \"ecr\"");
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health secrets=prod/api", image.by_tag()));
    let home = home(&world, "[default]\nregion = eu-west-1\n", &profile("default", &made_up("PROFILE")));
    fs::write(home.join("token"), "a.web.token").unwrap();
    let container = Endpoint::of_container(made_up("CONTAINER")).await;
    let token = home.join("token");
    let variables = [
        ("AWS_PROFILE", "default"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container.at("127.0.0.1")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "A TOKEN"),
    ];
    let agent = with(&world, &home, &variables).start().await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    let [role, ..] = world.keys();
    assert_eq!(signed_by(&world), BTreeSet::from([role]));
    assert_eq!(container.asked(), 0);

    // The control: a command of the same environment does.
    agent.kill9().await;
    bake(&world, &home, &variables).await;
    assert!(signed_by(&world).contains("AKIAPROFILE"), "{:?}", signed_by(&world));
}
