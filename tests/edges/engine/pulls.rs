//! Digests and pulls: from Debian's registry, and from one of our own that misbehaves.

use std::net::Ipv4Addr;
use std::time::Duration;

use berth::config::{ImageRef, PinnedImage};
use berth::edge::engine::{Engine, EngineError, Login};
use berth::edge::secret::Secret;
use berth::event::PullProgress;
use berth::fault::Class;
use berth_kit::docker_registry::{DockerRegistry, PASSWORD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::bench::{Bench, unique, within, words};

const STALL: Duration = Duration::from_secs(60);

fn nothing_known() -> String {
    format!("sha256:{}", "0".repeat(64))
}

async fn pull(
    engine: &Engine,
    image: &PinnedImage,
    login: Option<Login<'_>>,
) -> Result<Vec<PullProgress>, EngineError> {
    let mut told = Vec::new();
    within(engine.pull(image, login, STALL, |progress| told.push(progress))).await.map(|()| told)
}

#[tokio::test]
async fn a_tag_becomes_a_digest_and_the_digest_is_pulled() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["ENTRYPOINT [\"/bin/env\"]", "CMD [\"-i\"]", "HEALTHCHECK CMD true"]).await;
    let pinned = bench.engine.resolve_digest(&image, None).await.unwrap();
    assert!(pinned.digest.starts_with("sha256:") && pinned.digest.len() == 71, "{pinned}");
    assert!(bench.engine.inspect_image(&pinned).await.unwrap().is_some(), "it was pushed from here");
    bench.forget_image(&image, &pinned).await;
    assert_eq!(bench.engine.inspect_image(&pinned).await.unwrap(), None);

    let told = pull(&bench.engine, &pinned, None).await.unwrap();
    let last = told.last().expect("there was progress");
    assert_eq!((last.layers_done, last.layers), (1, 1), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "only changes are told");
    let facts = bench.engine.inspect_image(&pinned).await.unwrap().expect("it is here");
    assert_eq!(facts.entrypoint, words(&["/bin/env"]));
    assert_eq!(facts.command, words(&["-i"]));
    assert_eq!(facts.healthcheck, Some(words(&["/bin/sh", "-c", "true"])));
    assert_eq!(pull(&bench.engine, &pinned, None).await.unwrap().last().map_or(0, |last| last.bytes), 0);
}

#[tokio::test]
async fn another_repository_s_image_is_not_this_one() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["CMD [\"env\"]"]).await;
    let pinned = bench.engine.resolve_digest(&image, None).await.unwrap();
    let other = PinnedImage { repository: format!("{}-other", pinned.repository), ..pinned };
    assert_eq!(bench.engine.inspect_image(&other).await.unwrap(), None);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_permanent() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["CMD [\"env\"]"]).await;
    for image in [
        ImageRef { tag: Some("v2".to_owned()), ..image.clone() },
        ImageRef { repository: unique("berth-edges-nothing"), ..image.clone() },
    ] {
        let error = bench.engine.resolve_digest(&image, None).await.unwrap_err();
        assert_eq!(error.class(), Class::Broken, "{error}");
    }
    let missing = PinnedImage { repository: image.name(), digest: nothing_known() };
    let error = pull(&bench.engine, &missing, None).await.unwrap_err();
    assert_eq!(error.class(), Class::Broken, "{error}");
}

#[tokio::test]
async fn a_digest_that_is_written_is_not_asked_for() {
    let nowhere = ImageRef {
        registry: "127.0.0.1:1".to_owned(),
        repository: "x".to_owned(),
        tag: Some("v1".to_owned()),
        digest: Some(nothing_known()),
    };
    let pinned = Engine::new(None).unwrap().resolve_digest(&nowhere, None).await.unwrap();
    assert_eq!(pinned.digest, nothing_known());
}

#[tokio::test]
async fn a_registry_that_is_away_is_transient() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let engine = Engine::new(None).unwrap();
    let away = ImageRef {
        registry: format!("127.0.0.1:{free}"),
        repository: "x".to_owned(),
        tag: Some("v1".to_owned()),
        digest: None,
    };
    let error = engine.resolve_digest(&away, None).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    let error = pull(&engine, &away.at(nothing_known()), None).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
}

#[tokio::test]
async fn a_registry_s_password_is_asked_for_and_reaches_it_unharmed() {
    let mut bench = Bench::with(DockerRegistry::with_password().await);
    let image = bench.busybox(&["CMD [\"env\"]"]).await;
    let (right, wrong) = (Secret::new(PASSWORD), Secret::new("wrong-password"));
    let right = Some(Login { username: "berth", password: &right });
    let wrong = Some(Login { username: "berth", password: &wrong });

    let pinned = bench.engine.resolve_digest(&image, right).await.unwrap();
    bench.forget_image(&image, &pinned).await;
    for login in [None, wrong] {
        let error = bench.engine.resolve_digest(&image, login).await.unwrap_err();
        assert_eq!(error.class(), Class::Denied, "{error}");
        let error = pull(&bench.engine, &pinned, login).await.unwrap_err();
        assert_eq!(error.class(), Class::Denied, "{error}");
        assert!(!error.to_string().contains("wrong-password"));
    }
    pull(&bench.engine, &pinned, right).await.unwrap();
    assert!(bench.engine.inspect_image(&pinned).await.unwrap().is_some());
}

#[tokio::test]
async fn a_registry_with_tls_is_a_registry() {
    let mut bench = Bench::with(DockerRegistry::with_tls().await);
    let image = bench.busybox(&["CMD [\"env\"]"]).await;
    let pinned = bench.engine.resolve_digest(&image, None).await.unwrap();
    bench.forget_image(&image, &pinned).await;
    pull(&bench.engine, &pinned, None).await.unwrap();
    assert!(bench.engine.inspect_image(&pinned).await.unwrap().is_some());
}

/// What the misbehaving registry does once it was asked for the manifest.
#[derive(Clone, Copy)]
enum Manners {
    /// Nothing, on any connection.
    Mute,
    /// Gives a manifest, and a part of the layer.
    HangsInTheLayer,
    /// Gives a manifest that has another digest.
    WrongManifest,
}

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}}"#;

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A registry of one image; its image.
async fn misbehaving(manners: Manners) -> PinnedImage {
    let config = sha256(CONFIG);
    let layer = format!("sha256:{}", "2".repeat(64));
    // The engine keeps every manifest that it once got, so each is one of its own.
    let repository = unique("berth-edges-odd");
    let manifest = format!(
        r#"{{"schemaVersion":2,"annotations":{{"for":"{repository}"}},"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{config}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":1000000,"digest":"{layer}"}}]}}"#,
        CONFIG.len()
    );
    let digest = sha256(&manifest);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (manifest, config) = (manifest.clone(), config.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                    seen.extend(chunk.iter().take(read));
                    if !seen.starts_with(b"GET ") && !seen.starts_with(b"HEAD ") {
                        // The engine tries TLS first.
                        if !matches!(manners, Manners::Mute) {
                            return;
                        }
                        continue;
                    }
                    if !seen.ends_with(b"\r\n\r\n") || matches!(manners, Manners::Mute) {
                        continue;
                    }
                    let request = String::from_utf8_lossy(&seen).into_owned();
                    seen.clear();
                    let head = request.starts_with("HEAD ");
                    let (kind, length, body) = if request.contains("/manifests/") {
                        let tail = if matches!(manners, Manners::WrongManifest) { " " } else { "" };
                        let body = format!("{manifest}{tail}");
                        ("application/vnd.docker.distribution.manifest.v2+json", body.len(), body)
                    } else if request.contains(&config) {
                        ("application/octet-stream", CONFIG.len(), CONFIG.to_owned())
                    } else if request.contains("/blobs/") {
                        ("application/octet-stream", 1_000_000, "x".repeat(1000))
                    } else {
                        ("application/json", 2, "{}".to_owned())
                    };
                    let body = if head { String::new() } else { body };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    PinnedImage { repository: format!("127.0.0.1:{port}/{repository}"), digest }
}

#[tokio::test]
async fn a_pull_that_stands_still_is_cut() {
    let engine = Engine::new(None).unwrap();
    for (manners, bytes) in [(Manners::Mute, false), (Manners::HangsInTheLayer, true)] {
        let image = misbehaving(manners).await;
        let mut last = PullProgress::default();
        let pull = engine.pull(&image, None, Duration::from_secs(2), |progress| last = progress);
        let error = within(pull).await.unwrap_err();
        assert!(matches!(error, EngineError::Stalled { .. }), "{error}");
        assert_eq!(error.class(), Class::Transient);
        assert!(error.to_string().starts_with("no progress for 2 s"), "{error}");
        assert_eq!(last.layers == 1, bytes, "{last:?}");
    }
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_not_taken() {
    let engine = Engine::new(None).unwrap();
    let image = misbehaving(Manners::WrongManifest).await;
    let error = pull(&engine, &image, None).await.unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    assert_eq!(engine.inspect_image(&image).await.unwrap(), None);
}
