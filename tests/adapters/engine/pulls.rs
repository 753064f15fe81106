//! Digests and pulls, from every registry; and a registry that misbehaves, which is the kit's.

use std::net::Ipv4Addr;
use std::time::Duration;

use berth::io::docker::{EngineError, Login};
use berth::io::secret::Secret;
use berth_config::{ImageRef, PinnedImage};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::PullProgress;
use berth_kit::docker_registry::USERNAME;
use berth_kit::image::Flaw;
use berth_kit::{Fault, Image, World};

use super::bench::{engine, unique, within, words};
use super::stock::{Debian, Kit, Stock, on_every_registry};

const STALL: Duration = Duration::from_secs(60);

fn nothing_known() -> String {
    format!("sha256:{}", "0".repeat(64))
}

pub(super) async fn pull(image: &PinnedImage, login: Option<Login<'_>>) -> Result<Vec<PullProgress>, EngineError> {
    let mut reports = Vec::new();
    within(engine().pull(image, login, STALL, |progress| reports.push(progress))).await.map(|()| reports)
}

/// An image like no other.
fn noise() -> Image {
    Image::scratch().layer_of_random(200_000).entrypoint(&["/app"])
}

on_every_registry!(
    a_tag_becomes_a_digest_and_the_digest_is_pulled,
    a_layer_that_is_here_is_not_fetched_again,
    an_image_that_is_not_there_is_permanent,
);

async fn a_tag_becomes_a_digest_and_the_digest_is_pulled(mut stock: impl Stock) {
    let built = noise().cmd(&["-i"]).healthcheck(&["/app", "probe"]).build();
    let image = stock.put("v1", &built).await;
    let pinned = engine().resolve_digest(&image, stock.login()).await.unwrap();
    assert_eq!(pinned, image.at(built.digest.clone()));
    assert_eq!(engine().inspect_image(&pinned).await.unwrap(), None);

    let reports = pull(&pinned, stock.login()).await.unwrap();
    let last = reports.last().expect("there was progress");
    assert_eq!((last.layers_done, last.layers), (1, 1), "{reports:?}");
    assert!(reports.windows(2).all(|pair| pair[0] != pair[1]), "only changes are reported");
    let facts = engine().inspect_image(&pinned).await.unwrap().expect("it is here");
    assert_eq!((facts.entrypoint, facts.command), (words(&["/app"]), words(&["-i"])));
    assert_eq!(facts.healthcheck.map(|own| own.command), Some(words(&["/app", "probe"])));
    let other = PinnedImage { repository: format!("{}-other", pinned.repository), ..pinned.clone() };
    assert_eq!(engine().inspect_image(&other).await.unwrap(), None, "another repository's image is not this one");
    assert_eq!(pull(&pinned, stock.login()).await.unwrap().last().map_or(0, |last| last.bytes), 0);
}

async fn a_layer_that_is_here_is_not_fetched_again(mut stock: impl Stock) {
    let (old, new) = (noise(), Image::layer_of_random);
    let new = new(old.clone(), 50_000).build();
    let first = stock.put("v1", &old.build()).await.at(old.build().digest);
    // Of a small layer the engine may report no bytes, only that it is there; of a layer that it has it reports none.
    let reports = pull(&first, stock.login()).await.unwrap();
    assert_eq!(reports.first().map(|progress| (progress.layers_done, progress.layers)), Some((0, 1)), "{reports:?}");
    let second = stock.put("v2", &new).await.at(new.digest);
    let reports = pull(&second, stock.login()).await.unwrap();
    let under_way = |progress: &PullProgress| progress.layers - progress.layers_done;
    assert!(reports.iter().all(|progress| under_way(progress) <= 1), "the old layer was never under way: {reports:?}");
    assert!(reports.iter().all(|progress| progress.bytes < 200_000), "{reports:?}");
    let last = reports.last().expect("there was progress");
    // The containerd image store does not count what is here.
    assert!(last.layers_done == last.layers && (1..=2).contains(&last.layers), "{reports:?}");
}

async fn an_image_that_is_not_there_is_permanent(mut stock: impl Stock) {
    let image = stock.put("v1", &noise().build()).await;
    for image in [
        ImageRef { tag: Some("v2".to_owned()), ..image.clone() },
        ImageRef { repository: unique("berth-adapters-nothing"), ..image.clone() },
    ] {
        let error = engine().resolve_digest(&image, stock.login()).await.unwrap_err();
        // Of a registry that may be insecure, as all on loopback, the containerd image store then asks for plain HTTP as well,
        // and shows that answer.
        let is_plain_http = ["connection reset by peer", "HTTP request to an HTTPS server"]
            .iter()
            .any(|words| error.to_string().contains(words));
        assert!(error.class() == ErrorClass::Broken || is_plain_http, "{error}");
    }
    let error = pull(&image.at(nothing_known()), stock.login()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
}

async fn a_password_is_asked_for_and_arrives_unharmed(mut stock: impl Stock) {
    let image = stock.put("v1", &noise().build()).await;
    let wrong = Secret::new("wrong-password");
    let wrong = Some(Login { username: USERNAME, password: &wrong });
    let pinned = engine().resolve_digest(&image, stock.login()).await.unwrap();
    for login in [None, wrong] {
        let error = engine().resolve_digest(&image, login).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Denied, "{error}");
        let error = pull(&pinned, login).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Denied, "{error}");
        assert!(!error.to_string().contains("wrong-password"));
    }
    pull(&pinned, stock.login()).await.unwrap();
    assert!(engine().inspect_image(&pinned).await.unwrap().is_some());
}

#[tokio::test]
async fn docker_registry_s_password_is_asked_for_and_arrives_unharmed() {
    a_password_is_asked_for_and_arrives_unharmed(Debian::with_password().await).await;
}

#[tokio::test]
async fn the_kit_s_password_is_asked_for_and_arrives_unharmed() {
    a_password_is_asked_for_and_arrives_unharmed(Kit::with_password().await).await;
}

#[tokio::test]
async fn a_digest_that_is_written_is_not_asked_for() {
    let nowhere = ImageRef {
        registry: "127.0.0.1:1".to_owned(),
        repository: "x".to_owned(),
        tag: Some("v1".to_owned()),
        digest: Some(nothing_known()),
    };
    assert_eq!(engine().resolve_digest(&nowhere, None).await.unwrap().digest, nothing_known());
}

#[tokio::test]
async fn a_registry_that_is_away_is_transient() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let away = ImageRef {
        registry: format!("127.0.0.1:{free}"),
        repository: "x".to_owned(),
        tag: Some("v1".to_owned()),
        digest: None,
    };
    let error = engine().resolve_digest(&away, None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    let error = pull(&away.at(nothing_known()), None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
}

/// A world with an image that its registry does not give away so easily.
async fn world_with(pattern: &str, fault: Fault) -> (World, PinnedImage) {
    let mut kit = Kit::open().await;
    let built = noise().build();
    let image = kit.put("v1", &built).await.at(built.digest.clone());
    kit.world.fault(&pattern.replace("LAYER", &built.layers[0]), fault).always();
    (kit.world, image)
}

#[tokio::test]
async fn a_pull_that_stands_still_is_cut() {
    let stands_still = async |pattern: &str, fault: Fault, layers: usize| {
        let (_world, image) = world_with(pattern, fault).await;
        let mut last = PullProgress::default();
        let engine = engine();
        let pull = engine.pull(&image, None, Duration::from_secs(2), |progress| last = progress);
        let error = within(pull).await.unwrap_err();
        assert!(matches!(error, EngineError::Stalled { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(error.to_string().starts_with("no progress for 2 s"), "{error}");
        assert_eq!(last.layers, layers, "{last:?}");
    };
    tokio::join!(stands_still("registry", Fault::Hang, 0), stands_still("registry GET blob LAYER", Fault::Stall, 1));
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_not_taken() {
    let (_world, image) = world_with("registry GET manifest", Fault::WrongDigest).await;
    let error = pull(&image, None).await.unwrap_err();
    // The containerd image store compares the length first.
    assert!(["digest", "failed size validation"].iter().any(|words| error.to_string().contains(words)), "{error}");
    assert_eq!(engine().inspect_image(&image).await.unwrap(), None);
}

#[tokio::test]
async fn an_image_whose_bytes_are_wrong_is_final_and_says_what_to_do() {
    // What Docker's own image store says, the containerd image store, and Podman; nothing where it takes the image as it is.
    let unpack = ["invalid tar header", "does not match config's DiffID"];
    let layers =
        ["layers from manifest don't match image configuration", "wrong diff id", "does not match config's DiffID"];
    let count =
        ["layers from manifest don't match image configuration", "number of layers and diffIDs don't match", ""];
    let again = ["build and push it again"].as_slice();
    let no_image = ["it must be a container image", "build and push it again"].as_slice();
    let zstd = ["Docker Engine 23.0 or later"].as_slice();
    let kind = ["helm", "unsupported docker v2s2 media type", "unsupported media type", "mismatched image rootfs"];
    let mut wrong = Vec::new();
    for (flaw, says, advice) in [
        (Flaw::Zstd, ["invalid tar header", "zstd", ""].as_slice(), zstd),
        (Flaw::NotATar, &unpack, &["Docker Engine 23.0 or later", "build and push it again"]),
        (Flaw::DiffId, &layers, again),
        (Flaw::LayerCount, &count, again),
        (Flaw::Config, &["invalid character"], again),
        (Flaw::Artifact, &kind, no_image),
        (Flaw::LayerType, &kind, no_image),
        (Flaw::Layers, &["max depth exceeded", ""], &["at most 125"]),
    ] {
        let mut kit = Kit::open().await;
        let built = noise().with(flaw).build();
        let image = kit.put("v1", &built).await.at(built.digest);
        let has_any = |text: &str, words: &[&str]| words.iter().any(|words| !words.is_empty() && text.contains(words));
        let is_right = match pull(&image, None).await {
            Ok(_) if says.contains(&"") => continue,
            Ok(_) => Err("it was pulled".to_owned()),
            Err(error) if error.class() == ErrorClass::Broken && has_any(&error.to_string(), says) => {
                Some(()).filter(|()| has_any(&error.to_string(), advice)).ok_or(error.to_string())
            }
            Err(error) => Err(format!("{:?}: {error}", error.class())),
        };
        wrong.extend(is_right.err().map(|text| format!("{flaw:?}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_layer_that_ends_early_is_tried_again() {
    let mut kit = Kit::open().await;
    let built = noise().with(Flaw::CutGzip).build();
    let error = pull(&kit.put("v1", &built).await.at(built.digest), None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
}

#[tokio::test]
async fn a_page_instead_of_the_registry_s_answer_passes() {
    for page in [200, 302, 400, 403, 404, 407, 511] {
        // Of a blob the engine itself tries a status of 500 and more again, for minutes.
        let blob = (page < 500).then_some("registry GET blob LAYER");
        for pattern in blob.into_iter().chain(["registry GET manifest"]) {
            let (_world, image) = world_with(pattern, Fault::ErrorPage(page)).await;
            let error = pull(&image, None).await.unwrap_err();
            // The containerd image store reports the status without the page: the registry itself may have refused.
            let is_reported_so = matches!(page, 403 | 404) && !error.to_string().contains('<');
            assert!(error.class() == ErrorClass::Transient || is_reported_so, "{page} {pattern}: {error}");
        }
        let (_world, image) = world_with("registry", Fault::ErrorPage(page)).await;
        let (registry, repository) = image.repository.split_once('/').unwrap();
        let tag = ImageRef {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: Some("v1".to_owned()),
            digest: None,
        };
        let error = engine().resolve_digest(&tag, None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient, "{page}: {error}");
    }
}
