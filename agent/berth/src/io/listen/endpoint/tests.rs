//! The readiness endpoint, asked over loopback.

use std::collections::BTreeSet;

use berth_core::view::published::StatusReport;
use berth_core::view::{
    ContainerView, DrainCause, DrainStage, DrainView, FailureView, HookView, LifecycleView, PhaseView, PortView,
    ProbeView, ReadyReason, StepView, View,
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

mod address;

/// Far longer than anything here takes, and shorter than anybody's patience.
const BOUND: Duration = Duration::from_secs(20);

fn published(status: Status) -> Published {
    let view = View {
        status,
        phase: PhaseName::Serve,
        ready_reason: ReadyReason::Healthy,
        reason: "GET http://10.0.0.7:8080/health answers 200".into(),
        image: Some("registry.example/ap-api:v7".into()),
        version: Some("v7".into()),
        ..View::default()
    };
    Published { view, agent_version: "0.1.0".into(), ..Published::default() }
}

fn start(limits: Limits) -> (RunningEndpoint, watch::Sender<Arc<Published>>) {
    let (sender, receiver) = watch::channel(Arc::new(published(Status::Starting)));
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert_ne!(endpoint.local_addr().port(), 0);
    (endpoint.serve_within(limits, receiver), sender)
}

/// Says `request` and hears everything until the connection ends.
async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    hear(&mut stream).await
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset is an end too.
    let _ = timeout(BOUND, stream.read_to_end(&mut heard)).await.expect("the connection ends");
    String::from_utf8(heard).unwrap()
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    talk(address, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn ready_turns_200_with_the_status_and_back() {
    let (serving, sender) = start(LIMITS);
    let before = ask(serving.local_addr(), "GET", "/ready").await;
    assert!(before.starts_with("HTTP/1.1 503 "), "{before}");
    sender.send_replace(Arc::new(published(Status::Ok)));
    let ready = ask(serving.local_addr(), "GET", "/ready?from=lb").await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    assert!(ready.to_lowercase().contains("cache-control: no-store\r\n"), "{ready}");
    let body: serde_json::Value = serde_json::from_str(ready.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"status": "ok", "version": "v7", "phase": "serve", "reason": "the app is healthy"})
    );
    for status in [Status::Unhealthy, Status::Draining, Status::Standby, Status::Warm, Status::Failed] {
        sender.send_replace(Arc::new(published(status)));
        assert!(ask(serving.local_addr(), "GET", "/ready").await.starts_with("HTTP/1.1 503 "), "{status:?}");
    }
}

#[tokio::test]
async fn the_other_pages_answer_whatever_the_status() {
    let (serving, _sender) = start(LIMITS);
    let address = serving.local_addr();
    assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    assert!(ask(address, "GET", "/version").await.contains("\"tag\":\"v7\""));
    assert!(ask(address, "GET", "/metrics").await.contains("\nberth_ready 0\n"));
    assert!(ask(address, "GET", "/v1/status").await.starts_with("HTTP/1.1 404 "));
}

/// A view in which every text that may come from elsewhere is the path of its field.
fn full_of_canaries() -> Published {
    let everything = Published {
        view: View {
            phase: PhaseName::Serve,
            status: Status::Unhealthy,
            phases: vec![PhaseView::default()],
            instance_id: Some(String::new()),
            availability_zone: Some(String::new()),
            name: Some(String::new()),
            image: Some(String::new()),
            version: Some(String::new()),
            digest: Some(String::new()),
            steps: vec![StepView { took_seconds: Some(1.0), error: Some(String::new()), ..StepView::default() }],
            container: Some(ContainerView {
                id: String::new(),
                name: String::new(),
                adopted: true,
                ports: vec![PortView { container_port: 1, host_address: "127.0.0.1:1".parse().unwrap() }],
            }),
            probes: vec![ProbeView { at_seconds: 1.0, took_seconds: 1.0, error: Some(String::new()), kind: None }],
            lifecycle: LifecycleView {
                group: Some(String::new()),
                target_state: Some(String::new()),
                hooks: vec![HookView {
                    name: Some(String::new()),
                    instance_state: Some(String::new()),
                    reason: Some(String::new()),
                    ..HookView::default()
                }],
                ..LifecycleView::default()
            },
            drain: Some(DrainView {
                cause: DrainCause::Requested,
                cause_detail: Some(String::new()),
                stage: DrainStage::Settling,
                began_seconds: 1.0,
                cut_seconds: None,
                cut_short: false,
            }),
            failure: Some(FailureView {
                reason: ReadyReason::Starting,
                error_class: None,
                exit_code: 3,
                message: String::new(),
            }),
            ..View::default()
        },
        ..Published::default()
    };
    let mut json = serde_json::to_value(everything).unwrap();
    fill(&mut json, "CANARY");
    json["schema_version"] = 1.into();
    json["now_seconds"] = 0.into();
    StatusReport::from_json(json.to_string().as_bytes()).unwrap().published
}

/// Words of closed lists stay what they are: one that is not of its list could not be read again.
fn fill(json: &mut serde_json::Value, path: &str) {
    match json {
        serde_json::Value::String(text) if text.is_empty() => *text = path.to_owned(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| fill(item, path)),
        serde_json::Value::Object(fields) => {
            fields.iter_mut().for_each(|(key, value)| fill(value, &format!("{path} {key}")));
        }
        _ => {}
    }
}

#[test]
fn of_all_texts_only_the_image_its_version_and_names_of_berth_s_own_are_shown() {
    let published = full_of_canaries();
    let all = serde_json::to_string(&published).unwrap().matches("CANARY").count();
    assert!(all >= 20, "{all} canaries");
    let shown = |path: &str| {
        let answer = answer(&Request::get(path).body(()).unwrap(), &published);
        let body = answer.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let found: BTreeSet<String> =
            text.split('"').filter(|part| part.starts_with("CANARY")).map(|part| part.replace("CANARY ", "")).collect();
        assert_eq!(text.matches("CANARY").count(), text.split('"').filter(|part| part.starts_with("CANARY")).count());
        found.into_iter().collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown("/ready"), "version");
    assert_eq!(shown("/live"), "");
    assert_eq!(shown("/version"), "agent_version, digest, image, instance_id, started_at, version");
    // A name of the app is the image's unless the config has another.
    assert_eq!(shown("/metrics"), "agent_version, name, version");
    assert_eq!(shown("/v1/status"), "");
}

#[tokio::test]
async fn head_is_get_without_the_body_and_nothing_else_is_taken() {
    let (serving, _sender) = start(LIMITS);
    let head = ask(serving.local_addr(), "HEAD", "/ready").await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
    let post = ask(serving.local_addr(), "POST", "/ready").await;
    assert!(post.starts_with("HTTP/1.1 405 ") && post.to_lowercase().contains("allow: get, head"), "{post}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let (serving, _sender) = start(LIMITS);
    let answer =
        talk(serving.local_addr(), "GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nx").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (serving, _sender) = start(LIMITS);
    let answers = talk(
        serving.local_addr(),
        "GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    let codes: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(codes, ["200", "503", "404"]);
}

#[tokio::test]
async fn a_client_with_many_requests_is_asked_to_close() {
    let (serving, _sender) = start(LIMITS);
    let answers = talk(serving.local_addr(), &"GET /live HTTP/1.1\r\nHost: x\r\n\r\n".repeat(300)).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 100);
    assert_eq!(answers.to_lowercase().matches("connection: close\r\n").count(), 1);
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_cut() {
    let (serving, _sender) = start(Limits { head: Duration::from_millis(50), ..LIMITS });
    let answer = talk(serving.local_addr(), "GET /ready HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_in_front_of_a_request_is_skipped_and_an_endless_one_is_cut() {
    let (serving, _sender) = start(Limits { head: Duration::from_millis(500), ..LIMITS });
    let address = serving.local_addr();
    let request = "GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for header in ["PROXY TCP4 192.0.2.1 192.0.2.2 4000 9911\r\n", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let answer = talk(address, &format!("{header}{request}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{header:?} got {answer:?}");
    }
    // Begun and never finished: in the line, in the signature, in what is thrown away, and before anything else came.
    for endless in ["PROXY TCP4 192.0.2.1", "\r\n\r\n\0", "\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\0abc", ""] {
        assert_eq!(talk(address, endless).await, "", "{endless:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (serving, _sender) = start(LIMITS);
    let long = "a".repeat(100_000);
    let mut stream = TcpStream::connect(serving.local_addr()).await.unwrap();
    // The other side may hang up before it has everything.
    let _ = stream.write_all(format!("GET /live HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let (serving, _sender) = start(LIMITS);
    for garbage in
        ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /live HTTP/9.9\r\n\r\n"]
    {
        let answer = talk(serving.local_addr(), garbage).await;
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{garbage:?} got {answer}");
    }
    assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_hoards_connections_pushes_out_itself() {
    let (serving, _sender) = start(LIMITS);
    let address = serving.local_addr();
    // The load balancer comes first, from another address, and is the oldest of all.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut balancer = socket.connect(address).await.unwrap();
    let mut hoard = Vec::new();
    for _ in 0..300 {
        hoard.push(TcpStream::connect(address).await.unwrap());
    }
    // The oldest of the hoard are the ones that are cut.
    assert_eq!(hear(&mut hoard[0]).await, "");
    assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    balancer.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(hear(&mut balancer).await.starts_with("HTTP/1.1 503 "));
    assert!(hoard[299].try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_connection_is_asked_to_close_before_it_is_cut() {
    let hour = Duration::from_secs(3600);
    let (serving, _sender) = start(Limits { life: Some(Duration::from_millis(500)), head: hour, ..LIMITS });
    let mut stream = TcpStream::connect(serving.local_addr()).await.unwrap();
    let mut answer = String::new();
    let mut answers = 0;
    while !answer.contains("connection: close") {
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut heard = vec![0; 1024];
        let length = timeout(BOUND, stream.read(&mut heard)).await.unwrap().unwrap();
        answer = String::from_utf8_lossy(&heard[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 200 "), "{answer}");
        answers += 1;
    }
    assert!(answers > 1, "a young connection is kept");
    assert_eq!(hear(&mut stream).await, "");

    let endless = talk(serving.local_addr(), "GET /live HTTP/1.1\r\nX-Slow: ").await;
    assert_eq!(endless, "");
}
