//! An image in the registry and in the engine, before anything is pulled.

use std::time::Duration;

use berth_config::{ImageRef, PinnedImage, Platform};
use berth_core::message::container::{HealthCheck, ImageFacts};
use bollard::errors::Error as Bollard;
use bollard::models::{HealthConfig, ImageInspect, OciPlatform};

use super::architecture::runs_here;
use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::login::{Login, log_in};
use super::refusal;

/// For the registry to return the digest of a tag; the engine asks it, over TLS and sometimes through a token service.
const REGISTRY: Duration = Duration::from_secs(30);

/// What the engine gives a HEALTHCHECK without `--timeout` (Dockerfile reference, HEALTHCHECK).
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// The digest of the tag in its registry. The engine asks, with its own client and its own CA certificates. For a reference with a digest no
    /// request is made.
    pub async fn resolve_digest(&self, image: &ImageRef, login: Option<Login<'_>>) -> Result<PinnedImage, EngineError> {
        match image.pinned() {
            Some(pinned) => Ok(pinned),
            None => self.look_up(image, login).await,
        }
    }

    /// The same, but the registry is asked in any case: whether it has the image.
    pub async fn look_up(&self, image: &ImageRef, login: Option<Login<'_>>) -> Result<PinnedImage, EngineError> {
        let fail = |error| refusal::of(format!("resolve {image}"), error, refusal::registry);
        let docker = log_in(self.within(REGISTRY).map_err(fail)?, &image.name(), login)?;
        let answer = match docker.inspect_registry_image(&image.to_string(), None).await {
            Err(error) if refusal::is_no_such_path(&error) => return Err(EngineError::NoTags(image.to_string())),
            answer => answer.map_err(fail)?,
        };
        self.is_one_of(image, &answer.platforms)?;
        answer.descriptor.digest.and_then(|digest| image.with_digest(&digest)).ok_or_else(|| EngineError::Refused {
            doing: format!("resolve {image}"),
            message: "the registry returned no sha256 digest".to_owned(),
            class: berth_core::message::error::ErrorClass::Broken,
        })
    }

    /// The image's own facts; none if the engine does not have it, or has it for another platform than the requested one.
    pub async fn inspect_image(&self, image: &PinnedImage) -> Result<Option<ImageFacts>, EngineError> {
        match (self.find_local(image).await?, &self.platform) {
            (LocalImage::None, _) | (LocalImage::OtherPlatform(_), Some(_)) => Ok(None),
            (LocalImage::Matching(facts), _) => Ok(Some(facts)),
            (LocalImage::OtherPlatform(built_for), None) => {
                Err(EngineError::OtherMachine { image: image.to_string(), built_for })
            }
        }
    }

    /// After a pull: checks that the image is built for the requested platform. A reference to a single image pulls that one, whatever its platform
    /// is.
    pub(super) async fn check_platform(&self, image: &PinnedImage) -> Result<(), EngineError> {
        let Some(platform) = self.platform.as_ref().map(ToString::to_string) else { return Ok(()) };
        match self.find_local(image).await? {
            LocalImage::OtherPlatform(built_for) => {
                Err(EngineError::OtherPlatform { image: image.to_string(), platform, built_for })
            }
            // A containerd image store that is asked for a platform does not show a single image of another one.
            LocalImage::None => {
                let fail = |error| refusal::of(format!("inspect {image}"), error, refusal::plain);
                match self.within(SHORT).map_err(fail)?.inspect_image(&image.to_string()).await {
                    Ok(found) if is_it(&found, image) => {
                        let built_for = found.architecture.unwrap_or_default();
                        Err(EngineError::OtherPlatform { image: image.to_string(), platform, built_for })
                    }
                    _ => Ok(()),
                }
            }
            LocalImage::Matching(_) => Ok(()),
        }
    }

    async fn find_local(&self, image: &PinnedImage) -> Result<LocalImage, EngineError> {
        let fail = |error| refusal::of(format!("inspect {image}"), error, refusal::plain);
        let inspected = match &self.platform {
            None => self.within(SHORT).map_err(fail)?.inspect_image(&image.to_string()).await,
            Some(platform) => self.inspect_for(image, platform).await,
        };
        let is_wanted = |built_for: &str, variant: &str| match &self.platform {
            Some(platform) => platform.is_of(built_for, variant),
            None => runs_here(built_for),
        };
        match inspected {
            Ok(found) if is_it(&found, image) => match found.architecture.as_deref() {
                Some(built_for) if !is_wanted(built_for, found.variant.as_deref().unwrap_or_default()) => {
                    Ok(LocalImage::OtherPlatform(built_for.to_owned()))
                }
                _ => Ok(LocalImage::Matching(facts(found))),
            },
            Ok(_) => Ok(LocalImage::None),
            Err(error) if refusal::is_not_found(&error) => Ok(LocalImage::None),
            Err(error) => Err(fail(error)),
        }
    }

    /// The image of a platform. An engine may keep several under one digest (API 1.49), and bollard cannot name the platform.
    async fn inspect_for(&self, image: &PinnedImage, platform: &Platform) -> Result<ImageInspect, Bollard> {
        let mut wanted = serde_json::Map::new();
        wanted.insert("os".to_owned(), "linux".into());
        wanted.insert("architecture".to_owned(), platform.architecture().into());
        if let Some(variant) = platform.variant() {
            wanted.insert("variant".to_owned(), variant.into());
        }
        let wanted = serde_json::Value::Object(wanted).to_string();
        // The only characters of such an object that a query cannot hold.
        let wanted = wanted.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let path = format!("/images/{image}/json?platform={wanted}");
        let failed = |source| Bollard::IOError { err: std::io::Error::new(std::io::ErrorKind::NotConnected, source) };
        match tokio::time::timeout(SHORT, self.get(&path)).await {
            Err(_) => Err(Bollard::RequestTimeoutError),
            Ok(Err(source)) => Err(failed(source)),
            Ok(Ok((status, body))) if status.is_success() => serde_json::from_slice(&body).map_err(Into::into),
            Ok(Ok((status, body))) => Err(refusal::response(status, &body)),
        }
    }

    /// Checks that the registry has the image for the requested platform. A registry that names no platform is trusted.
    fn is_one_of(&self, image: &ImageRef, has: &[OciPlatform]) -> Result<(), EngineError> {
        let Some(platform) = self.platform.as_ref().filter(|_| !has.is_empty()) else { return Ok(()) };
        let text = |of: &Option<String>| of.clone().unwrap_or_default();
        if has.iter().any(|one| platform.is_of(&text(&one.architecture), &text(&one.variant))) {
            return Ok(());
        }
        let name = |one: &OciPlatform| {
            let parts = [text(&one.os), text(&one.architecture), text(&one.variant)];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
        };
        // An attestation is listed beside the images with an unknown platform.
        let mut built_for: Vec<String> = has.iter().map(name).filter(|name| !name.starts_with("unknown")).collect();
        built_for.truncate(10);
        let (platform, built_for) = (platform.to_string(), built_for.join(", "));
        Err(EngineError::OtherPlatform { image: image.to_string(), platform, built_for })
    }
}

/// The image that the engine has under a digest.
enum LocalImage {
    None,
    /// One for another platform, and for which.
    OtherPlatform(String),
    Matching(ImageFacts),
}

/// Whether the engine has this image by this digest. Names are compared in the engine's short form.
fn is_it(found: &ImageInspect, image: &PinnedImage) -> bool {
    let wanted = format!("{}@{}", familiar(&image.repository), image.digest);
    found.repo_digests.iter().flatten().any(|known| familiar(known) == wanted)
}

/// The name in the engine's short form: without the host of Docker Hub, and without `library/` there.
fn familiar(name: &str) -> &str {
    match name.strip_prefix("docker.io/") {
        Some(path) => path.strip_prefix("library/").unwrap_or(path),
        None => name,
    }
}

fn facts(image: ImageInspect) -> ImageFacts {
    let config = image.config.unwrap_or_default();
    ImageFacts {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        healthcheck: config.healthcheck.and_then(|health| healthcheck(health, config.shell)),
    }
}

/// HEALTHCHECK as the engine itself would run it; none for `NONE` and for a form that is not known.
pub(super) fn healthcheck(health: HealthConfig, shell: Option<Vec<String>>) -> Option<HealthCheck> {
    // Nanoseconds, and zero for what is not set (API, HealthConfig).
    let duration = |nanoseconds: Option<i64>| {
        nanoseconds.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).map(Duration::from_nanos)
    };
    let (timeout, start_period) = (duration(health.timeout), duration(health.start_period));
    let mut words = health.test?.into_iter();
    let command: Vec<String> = match words.next()?.as_str() {
        "CMD" => words.collect(),
        "CMD-SHELL" => {
            let shell = shell.filter(|shell| !shell.is_empty());
            shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]).into_iter().chain(words).collect()
        }
        _ => return None,
    };
    (!command.is_empty()).then(|| HealthCheck {
        command,
        timeout: timeout.unwrap_or(ENGINE_TIMEOUT),
        start_period: start_period.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn known_as(name: &str) -> ImageInspect {
        ImageInspect { repo_digests: Some(vec![format!("{name}@{DIGEST}")]), ..Default::default() }
    }

    #[test]
    fn an_image_is_the_one_only_by_repository_and_digest() {
        let image = |repository: &str| PinnedImage { repository: repository.to_owned(), digest: DIGEST.to_owned() };
        assert!(is_it(&known_as("host:5000/team/api"), &image("host:5000/team/api")));
        assert!(is_it(&known_as("nginx"), &image("docker.io/library/nginx")));
        assert!(is_it(&known_as("team/api"), &image("docker.io/team/api")));
        assert!(!is_it(&known_as("host:5000/team/other"), &image("host:5000/team/api")));
        assert!(!is_it(&ImageInspect::default(), &image("nginx")));
        let other = PinnedImage { digest: DIGEST.replace('e', "f"), ..image("host/api") };
        assert!(!is_it(&known_as("host/api"), &other));
    }

    #[test]
    fn a_healthcheck_is_what_the_engine_would_run() {
        let test = |words: &[&str], shell: Option<&[&str]>| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let health = HealthConfig { test: Some(owned(words)), ..Default::default() };
            healthcheck(health, shell.map(owned)).map(|own| own.command.join("|"))
        };
        assert_eq!(test(&["CMD", "curl", "-f", "http://localhost/"], None).unwrap(), "curl|-f|http://localhost/");
        assert_eq!(test(&["CMD-SHELL", "pg_isready || exit 1"], None).unwrap(), "/bin/sh|-c|pg_isready || exit 1");
        assert_eq!(test(&["CMD-SHELL", "true"], Some(&["/bin/bash", "-ec"])).unwrap(), "/bin/bash|-ec|true");
        assert_eq!(test(&["NONE"], None), None);
        assert_eq!(test(&[], None), None);
        assert_eq!(test(&["CMD"], None), None);
    }

    #[test]
    fn a_healthcheck_has_its_own_timeout_and_start_period() {
        let second = 1_000_000_000;
        let of = |timeout, start_period| {
            let test = Some(vec!["CMD".to_owned(), "/probe".to_owned()]);
            let own = healthcheck(HealthConfig { test, timeout, start_period, ..Default::default() }, None).unwrap();
            (own.timeout.as_millis(), own.start_period.as_millis())
        };
        assert_eq!(of(Some(45 * second), Some(60 * second)), (45_000, 60_000));
        assert_eq!(of(Some(second / 2), None), (500, 0));
        assert_eq!(of(Some(0), Some(0)), (30_000, 0), "zero means that it is not set");
        assert_eq!(of(None, Some(-1)), (30_000, 0));
    }
}
