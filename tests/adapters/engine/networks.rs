//! Networks that are no bridge of the host, from a scripted engine: this kernel may have none of their drivers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use berth::io::docker::Engine;
use berth_core::message::container::ContainerId;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;

/// The networks of the one container: name, id and driver. `own` is what it was created with.
struct Scripted {
    own: &'static str,
    attached: Mutex<Vec<(&'static str, &'static str, &'static str)>>,
}

impl Scripted {
    fn answer(&self, method: &str, path: &str) -> Option<Value> {
        let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let mut attached = self.attached.lock().unwrap();
        match (method, path.as_slice()) {
            ("GET", ["containers", "c0ffee", "json"]) => {
                let networks: serde_json::Map<_, _> =
                    attached.iter().map(|(name, ..)| ((*name).to_owned(), json!({}))).collect();
                Some(json!({ "HostConfig": { "NetworkMode": self.own }, "NetworkSettings": { "Networks": networks } }))
            }
            ("GET", ["networks", name]) => {
                let (name, id, driver) = attached.iter().find(|network| network.0 == *name)?;
                Some(json!({ "Name": name, "Id": id, "Driver": driver }))
            }
            ("POST", ["networks", name, "disconnect"]) => {
                attached.retain(|network| network.0 != *name);
                Some(json!({}))
            }
            _ => None,
        }
    }
}

async fn engine_with(scripted: Arc<Scripted>) -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let scripted = Arc::clone(&scripted);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = scripted.answer(request.method().as_str(), request.uri().path());
                let status = if answer.is_some() { 200 } else { 404 };
                let body = answer.unwrap_or_else(|| json!({ "message": "no such thing" })).to_string();
                let answer = Response::builder().status(status).header("content-type", "application/json");
                async move { Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap()) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let engine = Engine::new(Some(&format!("unix://{}", socket.display()))).unwrap();
    (directory, engine)
}

#[tokio::test]
async fn a_container_leaves_the_networks_where_no_rule_can_hold_but_never_its_own() {
    let id = ContainerId("c0ffee".to_owned());
    let bridge = ("web", "aa", "bridge");
    let (other, another) = (("vlan", "bb", "macvlan"), ("swarm", "cc", "overlay"));
    for (own, attached, left) in [
        ("web", vec![bridge], vec![]),
        ("web", vec![bridge, other, another], vec!["swarm", "vlan"]),
        ("web", vec![bridge, ("none", "dd", "null"), other], vec!["vlan"]),
        // The config wants it there: it is reported, not changed.
        ("vlan", vec![other, another], vec!["swarm"]),
        ("bb", vec![other, bridge], vec![]),
    ] {
        let scripted = Arc::new(Scripted { own, attached: Mutex::new(attached.clone()) });
        let (_directory, engine) = engine_with(Arc::clone(&scripted)).await;
        let found = engine.leave_other_networks(&id).await.unwrap();
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), left, "{own} {attached:?}");
        let stays: Vec<_> = attached.iter().filter(|network| !left.contains(&network.0)).copied().collect();
        assert_eq!(*scripted.attached.lock().unwrap(), stays);
        let bridges = engine.bridges(&id).await;
        assert_eq!(bridges.is_ok(), !stays.contains(&other), "{bridges:?}");
    }
}
