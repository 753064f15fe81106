//! The real Docker Engine as tests see it: raw JSON, and the cleaning up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::text::percent_encode;

/// The engine at `DOCKER_HOST` (`unix://…`), else at `/var/run/docker.sock`.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

impl Default for Engine {
    fn default() -> Self {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        let path = host.strip_prefix("unix://").expect("DOCKER_HOST names a unix socket");
        Self { socket: path.into() }
    }
}

/// Whether the engine under test can ask a registry which digest a tag has. Podman's API cannot.
pub fn resolves_tags() -> bool {
    std::env::var("BERTH_ENGINE").as_deref() != Ok("podman")
}

impl Engine {
    /// The engine with this socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// For the agent's `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// One call, e.g. `call("GET", "/containers/x/json", None)`.
    ///
    /// # Panics
    /// If no engine answers.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = client::request(method, path);
        if let Some(body) = body {
            request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            *request.body_mut() = Bytes::from(body.to_string());
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Bytes>) -> Answer {
        let asked = format!("{} {}", request.method(), request.uri());
        match client::over_unix(&self.socket, request).await {
            Ok(answer) => answer,
            Err(error) => panic!("the engine at {} does not answer {asked}: {error}", self.socket.display()),
        }
    }

    /// A container by name or id; none if there is none.
    pub async fn inspect(&self, container: &str) -> Option<Value> {
        let answer = self.call("GET", &format!("/containers/{container}/json"), None).await;
        (answer.status == 200).then(|| answer.json())
    }

    /// The containers with this label (`name=value`), running or not, as the engine lists them.
    pub async fn labelled(&self, label: &str) -> Vec<Value> {
        let filters = percent_encode(json!({ "label": [label] }).to_string().as_bytes());
        self.list(&format!("/containers/json?all=1&filters={filters}")).await
    }

    /// What a container wrote, stdout and stderr.
    pub async fn logs(&self, container: &str) -> String {
        let path = format!("/containers/{container}/logs?stdout=1&stderr=1");
        joined(&self.call("GET", &path, None).await.body)
    }

    /// Runs a command in a container: its exit code and what it wrote.
    pub async fn exec(&self, container: &str, command: &[&str]) -> (i64, String) {
        let wanted = json!({ "Cmd": command, "AttachStdout": true, "AttachStderr": true });
        let created = self.call("POST", &format!("/containers/{container}/exec"), Some(wanted)).await.json();
        let id = created["Id"].as_str().unwrap_or_else(|| panic!("no exec in {container}: {created}"));
        let start = json!({ "Detach": false, "Tty": false });
        let output = self.call("POST", &format!("/exec/{id}/start"), Some(start)).await;
        let done = self.call("GET", &format!("/exec/{id}/json"), None).await.json();
        (done["ExitCode"].as_i64().unwrap_or(-1), joined(&output.body))
    }

    /// Pulls an image, perhaps as a user with a password; the answer of the engine, one JSON object a line.
    pub async fn pull(&self, reference: &str, user: Option<(&str, &str)>) -> Answer {
        let image = percent_encode(reference.as_bytes());
        let mut request = client::request("POST", &format!("/images/create?fromImage={image}"));
        if let Some((username, password)) = user {
            let auth = json!({ "username": username, "password": password }).to_string();
            let auth = BASE64_URL_SAFE.encode(auth).parse().expect("base64 fits a header");
            request.headers_mut().insert("x-registry-auth", auth);
        }
        self.send(request).await
    }

    /// Pushes an image; the answer of the engine, one JSON object a line. `auth`: the header's value, which a push must have.
    pub async fn push(&self, repository: &str, tag: &str, auth: &str) -> Answer {
        let mut request = client::request("POST", &format!("/images/{repository}/push?tag={tag}"));
        request.headers_mut().insert("x-registry-auth", auth.parse().expect("base64 fits a header"));
        self.send(request).await
    }

    /// Removes the names that the registry `host` gave to images, and the images that have no other.
    pub async fn forget(&self, host: &str) {
        for image in self.images_of(host).await {
            for name in names(&image).filter(|name| name.starts_with(&format!("{host}/"))) {
                self.call("DELETE", &format!("/images/{name}?force=1"), None).await;
            }
        }
    }

    /// The images that have a name of the registry `host`.
    pub async fn images_of(&self, host: &str) -> Vec<Value> {
        let mut images = self.list("/images/json?digests=1").await;
        images.retain(|image| names(image).any(|name| name.starts_with(&format!("{host}/"))));
        images
    }

    /// An image by reference; none if the engine has it not.
    pub async fn image(&self, reference: &str) -> Option<Value> {
        let answer = self.call("GET", &format!("/images/{reference}/json"), None).await;
        (answer.status == 200).then(|| answer.json())
    }

    /// Removes a container, running or not, with its anonymous volumes.
    pub async fn remove(&self, container: &str) -> Answer {
        self.call("DELETE", &format!("/containers/{container}?force=1&v=1"), None).await
    }

    /// Removes what a world left: containers that carry one of the labels, bear the name or run an image of the registry
    /// `host`; the named volumes of these containers that have `mark` in their name; the images that came from `host`.
    pub(crate) async fn clean(&self, label: &str, mark: &str, host: &str) {
        // Without an engine nothing was left in it.
        if client::over_unix(&self.socket, client::request("GET", "/_ping")).await.is_err() {
            return;
        }
        let images = self.images_of(host).await;
        let ids: BTreeSet<&str> = images.iter().filter_map(|image| image["Id"].as_str()).collect();

        let labelled: BTreeSet<String> = self.labelled(label).await.iter().filter_map(id).collect();
        let mut volumes = BTreeSet::new();
        for container in self.list("/containers/json?all=1").await {
            let named = container["Names"].to_string().contains(mark);
            let of_image = container["ImageID"].as_str().is_some_and(|image| ids.contains(image));
            let Some(id) = id(&container) else { continue };
            if !(named || of_image || labelled.contains(&id)) {
                continue;
            }
            let mounts = container["Mounts"].as_array().into_iter().flatten();
            volumes.extend(mounts.filter_map(|mount| mount["Name"].as_str()).map(str::to_owned));
            self.remove(&id).await;
        }
        for volume in volumes.iter().filter(|name| name.contains(mark)) {
            self.call("DELETE", &format!("/volumes/{volume}?force=1"), None).await;
        }
        self.forget(host).await;
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        self.call("GET", path, None).await.json().as_array().cloned().unwrap_or_default()
    }
}

/// The tags and digests of an image, with their repositories.
fn names(image: &Value) -> impl Iterator<Item = &str> {
    ["RepoTags", "RepoDigests"]
        .iter()
        .flat_map(|key| image[*key].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
}

fn id(container: &Value) -> Option<String> {
    Some(container["Id"].as_str()?.to_owned())
}

/// The engine's multiplexed stream without its frames: each has 8 bytes before it, the last four its length.
fn joined(mut raw: &[u8]) -> String {
    let mut text = Vec::new();
    while let [_, _, _, _, a, b, c, d, rest @ ..] = raw {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (frame, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(frame);
        raw = rest;
    }
    String::from_utf8_lossy(&text).into_owned()
}
