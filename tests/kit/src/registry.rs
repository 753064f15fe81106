//! The pull side of a Docker Registry (HTTP API v2): a real engine pulls from it over plain HTTP, since it is on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Frame;
use serde_json::json;
use tokio::runtime::Handle;

use crate::engine;
use crate::faults::{self, Fault, Faults};
use crate::iam::Iam;
use crate::image::{Built, MANIFEST, MANIFEST_LIST};
use crate::journal::Journal;
use crate::server::{Fake, Reply, Reserved, reply, streaming};

/// The media type of everything that is neither manifest nor blob.
const JSON: &str = "application/json; charset=utf-8";

/// A registry.
pub struct Registry {
    port: Reserved,
    contents: Mutex<Contents>,
    journal: Journal,
    faults: Faults,
    runtime: Handle,
}

#[derive(Default)]
struct Contents {
    /// Repository → tag or digest → manifest.
    manifests: BTreeMap<String, BTreeMap<String, Manifest>>,
    blobs: BTreeMap<String, Bytes>,
    denied: BTreeSet<String>,
    /// The `Authorization` header that is asked for.
    authorization: Option<String>,
    /// The role that is asked, as ECR does, and the prefix of the repositories' ARNs.
    role: Option<(Iam, String)>,
    bytes_per_second: Option<usize>,
}

#[derive(Clone)]
struct Manifest {
    kind: &'static str,
    digest: String,
    bytes: Bytes,
}

/// An image that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// `127.0.0.1:PORT/repository`
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// `sha256:…` of the manifest.
    pub digest: String,
}

impl Pushed {
    /// `127.0.0.1:PORT/repository:tag`
    pub fn by_tag(&self) -> String {
        let named = format!("{}:{}", self.repository, self.tag);
        if engine::resolves_tags() { named } else { format!("{named}@{}", self.digest) }
    }

    /// `127.0.0.1:PORT/repository@sha256:…`
    pub fn by_digest(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

impl Registry {
    pub(crate) fn open(address: Ipv4Addr, journal: Journal, faults: Faults, runtime: &Handle) -> Arc<Self> {
        let (port, runtime) = (Reserved::new((address, 0)), runtime.clone());
        let registry = Arc::new(Self { port, contents: Mutex::default(), journal, faults, runtime });
        registry.start_listening();
        registry
    }

    /// Answers again, after [`Registry::stop_listening`].
    pub fn start_listening(self: &Arc<Self>) {
        self.port.open(&self.runtime, Arc::clone(self));
    }

    /// Cuts every connection, and refuses new ones.
    pub fn stop_listening(&self) {
        self.port.close();
    }

    /// `127.0.0.1:PORT`, what an image reference begins with.
    pub fn host(&self) -> String {
        self.port.address.to_string()
    }

    /// Stores an image; a tag that is there moves.
    pub fn push(&self, repository: &str, tag: &str, image: &Built) -> Pushed {
        self.contents.lock().unwrap().blobs.extend(image.blobs.clone());
        let manifest = Manifest { kind: MANIFEST, digest: image.digest.clone(), bytes: image.manifest.clone() };
        self.name(repository, tag, &manifest)
    }

    /// Stores an image of several architectures, of which only its own is there: the digest is that of the list.
    pub fn push_list(&self, repository: &str, tag: &str, image: &Built) -> Pushed {
        self.push(repository, tag, image);
        let (digest, bytes) = image.list();
        self.name(repository, tag, &Manifest { kind: MANIFEST_LIST, digest, bytes })
    }

    /// Stores an image of several architectures: the digest is that of the list.
    pub fn push_all(&self, repository: &str, tag: &str, images: &[Built]) -> Pushed {
        for image in images {
            self.push(repository, tag, image);
        }
        let (digest, bytes) = Built::list_of(images);
        self.name(repository, tag, &Manifest { kind: MANIFEST_LIST, digest, bytes })
    }

    fn name(&self, repository: &str, tag: &str, manifest: &Manifest) -> Pushed {
        let mut contents = self.contents.lock().unwrap();
        let manifests = contents.manifests.entry(repository.to_owned()).or_default();
        for reference in [tag, &manifest.digest] {
            manifests.insert(reference.to_owned(), manifest.clone());
        }
        let repository = format!("{}/{repository}", self.host());
        Pushed { repository, tag: tag.into(), digest: manifest.digest.clone() }
    }

    /// Asks for this username and password after this.
    pub fn require(&self, username: &str, password: &str) {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")));
        self.contents.lock().unwrap().authorization = Some(basic);
    }

    /// Asks as ECR does whether the role may read a repository.
    pub(crate) fn ask(&self, iam: Iam, arn: String) {
        self.contents.lock().unwrap().role = Some((iam, arn));
    }

    /// After this only the password counts, as in a registry that is not ECR's.
    pub fn require_only_the_password(&self) {
        self.contents.lock().unwrap().role = None;
    }

    /// Denies a repository to everybody.
    pub fn deny(&self, repository: &str) {
        self.contents.lock().unwrap().denied.insert(repository.into());
    }

    /// Sends each blob no faster than this, so that the progress of a pull can be seen.
    pub fn bandwidth(&self, bytes_per_second: usize) {
        self.contents.lock().unwrap().bytes_per_second = Some(bytes_per_second);
    }

    fn get(&self, call: &Call, request: &Request<Bytes>, fault: Option<&Fault>) -> Reply {
        let contents = self.contents.lock().unwrap();
        if let Some(wanted) = &contents.authorization {
            let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            if given != Some(wanted) {
                let mut answer = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
                let challenge = HeaderValue::from_static("Basic realm=\"berth-kit\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                return answer;
            }
        }
        match call {
            Call::Ping => reply(StatusCode::OK, JSON, "{}"),
            Call::Manifest { repository, .. } | Call::Blob { repository, .. }
                if contents.denied.contains(repository) || !contents.allow(call.action(), repository) =>
            {
                error(StatusCode::FORBIDDEN, "DENIED", "requested access to the resource is denied")
            }
            Call::Manifest { repository, reference } => {
                let Some(manifests) = contents.manifests.get(repository) else {
                    return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
                };
                let Some(Manifest { kind, digest, bytes }) = manifests.get(reference) else {
                    return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown");
                };
                let mut bytes = bytes.clone();
                if fault == Some(&Fault::WrongDigest) {
                    bytes = [&bytes, b"\n".as_slice()].concat().into();
                }
                let mut answer = reply(StatusCode::OK, kind, bytes);
                answer.headers_mut().insert("docker-content-digest", HeaderValue::from_str(digest).expect("hex"));
                answer
            }
            Call::Blob { digest, .. } => {
                let Some(blob) = contents.blobs.get(digest) else {
                    return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
                };
                let mut bytes = blob.clone();
                if fault == Some(&Fault::WrongDigest) {
                    bytes = blob.iter().map(|byte| byte ^ 1).collect();
                }
                let mut answer = blob_from(bytes, request.headers(), contents.bytes_per_second);
                answer.headers_mut().insert("docker-content-digest", HeaderValue::from_str(digest).expect("hex"));
                answer
            }
            Call::Other => error(StatusCode::NOT_FOUND, "UNSUPPORTED", "the operation is unsupported"),
        }
    }
}

impl Fake for Registry {
    async fn answer(&self, request: Request<Bytes>) -> Reply {
        let call = Call::read(request.uri().path());
        let (operation, detail) = match &call {
            Call::Ping => ("ping", String::new()),
            Call::Manifest { repository, reference } => ("manifest", format!("{repository} {reference}")),
            Call::Blob { repository, digest } => ("blob", format!("{repository} {digest}")),
            Call::Other => ("other", request.uri().path().to_owned()),
        };
        let noted = self.journal.arrived("registry", format!("{} {operation}", request.method()), detail);
        let fault = self.faults.meet(&noted);
        let mut answer = match self.faults.before(fault.as_ref()).await {
            Some(answer) => answer,
            None => match fault {
                Some(Fault::Throttle) => error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "Rate exceeded"),
                Some(Fault::AccessDenied) => {
                    error(StatusCode::FORBIDDEN, "DENIED", "requested access to the resource is denied")
                }
                Some(Fault::ExpiredToken) => {
                    let message = "Your authorization token has expired. Reauthenticate and try again.";
                    error(StatusCode::FORBIDDEN, "DENIED", message)
                }
                _ if ![Method::GET, Method::HEAD].contains(request.method()) => {
                    error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the kit's registry is filled by its test")
                }
                _ => self.get(&call, &request, fault.as_ref()),
            },
        };
        let version = HeaderValue::from_static("registry/2.0");
        answer.headers_mut().insert("docker-distribution-api-version", version);
        noted.answered(answer.status().as_u16());
        faults::after(fault.as_ref(), answer).await
    }
}

impl Contents {
    fn allow(&self, action: &str, repository: &str) -> bool {
        self.role.as_ref().is_none_or(|(iam, arn)| iam.allows(action, &format!("{arn}{repository}")))
    }
}

/// What is asked for.
enum Call {
    Ping,
    Manifest { repository: String, reference: String },
    Blob { repository: String, digest: String },
    Other,
}

impl Call {
    /// The call of ECR's API that is behind it.
    fn action(&self) -> &'static str {
        match self {
            Self::Manifest { .. } => "ecr:BatchGetImage",
            Self::Blob { .. } => "ecr:GetDownloadUrlForLayer",
            Self::Ping | Self::Other => "ecr:",
        }
    }

    /// `/v2/`, `/v2/<repository>/manifests/<reference>` or `/v2/<repository>/blobs/<digest>`; a repository may have slashes.
    fn read(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/v2/") else { return Self::Other };
        if rest.is_empty() {
            return Self::Ping;
        }
        if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
            return Self::Manifest { repository: repository.into(), reference: reference.into() };
        }
        match rest.rsplit_once("/blobs/") {
            Some((repository, digest)) => Self::Blob { repository: repository.into(), digest: digest.into() },
            None => Self::Other,
        }
    }
}

/// A blob, from the byte that a resumed download asks for.
fn blob_from(blob: Bytes, headers: &HeaderMap, bytes_per_second: Option<usize>) -> Reply {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let start = range.and_then(|range| range.split('-').next()?.parse().ok()).filter(|start| *start < blob.len());
    let body = blob.slice(start.unwrap_or(0)..);
    let (status, length) = (if start.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }, body.len());
    let mut answer = match bytes_per_second {
        None => reply(status, "application/octet-stream", body),
        Some(rate) => {
            let mut answer = reply(status, "application/octet-stream", Bytes::new());
            *answer.body_mut() = streaming(trickle(body, rate));
            answer
        }
    };
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    answer.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(start) = start {
        let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
        answer.headers_mut().insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).expect("figures"));
    }
    answer
}

/// Twenty pieces a second.
fn trickle(
    body: Bytes,
    bytes_per_second: usize,
) -> impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> + Send + 'static {
    let piece = (bytes_per_second / 20).max(1);
    stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok(Frame::data(next)), rest))
    })
}

fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    reply(status, JSON, body.to_string())
}
