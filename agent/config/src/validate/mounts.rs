//! Paths of mounts in the container, and the paths that berth needs for the secrets.

use crate::config::Config;
use crate::config::policy::SecretsAs;
use crate::value::path::{below, clean};

/// Where the shim and its file are mounted, with `secrets_as=env`.
const SHIM: &str = "/.berth";
/// Where the files are mounted, with `secrets_as=files`.
const FILES: &str = "/run/secrets";

/// Every mount in the container: the key, the path, and whether nothing can be created below it.
fn mount_points(config: &Config) -> impl Iterator<Item = (&'static str, String, bool)> {
    let volumes = config.volumes.iter().map(|volume| ("volumes", clean(&volume.target), volume.read_only));
    let tmpfs = config.tmpfs.keys().map(|path| ("tmpfs", clean(path), false));
    let devices = config.devices.iter().map(|device| ("devices", clean(&device.container), false));
    volumes.chain(tmpfs).chain(devices)
}

/// The key of a mount with the same path as another one.
pub(crate) fn duplicate(config: &Config) -> Option<&'static str> {
    let mut mount_points: Vec<_> =
        mount_points(config).filter(|(key, ..)| *key != "devices").map(|(key, path, _)| (path, key)).collect();
    mount_points.sort();
    let pair = mount_points.windows(2).find(|pair| matches!(pair, [one, other] if one.0 == other.0))?;
    let is_volume = pair.iter().any(|(_, key)| *key == "volumes");
    Some(if is_volume { "volumes" } else { "tmpfs" })
}

/// The key of a mount that conflicts with the delivery of the secrets, and why.
pub(crate) fn blocks_secrets(config: &Config) -> Option<(&'static str, &'static str)> {
    if !config.has_secrets() {
        return None;
    }
    let (own, reason) = match config.secrets_as {
        SecretsAs::Env => {
            (SHIM, "is mounted at or below `/.berth`, where berth delivers the secrets: use another path")
        }
        SecretsAs::Files => (
            FILES,
            "is mounted at or below `/run/secrets`, or hides it: berth delivers the secrets there; use another path",
        ),
    };
    let hits = |path: &str| {
        // In most images `/var/run` is a link to `/run`.
        let path = path.strip_prefix("/var").filter(|rest| below(rest, "/run")).unwrap_or(path);
        below(path, own)
    };
    // A tmpfs or a writable volume at `/run` is mounted first, and the secrets inside it; nothing can be mounted inside a read-only one.
    let closes = |path: &str, closed: bool| closed && below(own, path);
    let hides = |path: &str| config.secrets_as == SecretsAs::Files && path == "/var/run";
    mount_points(config)
        .find(|(_, path, closed)| hits(path) || closes(path, *closed) || hides(path))
        .map(|(key, ..)| (key, reason))
}

#[cfg(test)]
mod tests {
    use crate::parse::layers::Layers;

    fn errors(words: &str) -> String {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        layers.resolve().map_or_else(|errors| errors.to_string(), |_| "none".into())
    }

    #[test]
    fn a_mount_where_berth_delivers_secrets_is_refused() {
        for words in [
            "volumes=/tmp:/.berth",
            "volumes=/tmp:/.berth:ro",
            "volumes=/.berth",
            "volumes=data:/.berth/",
            "volumes=/tmp://.berth",
            "volumes=/tmp:/srv/../.berth",
            "volumes=/tmp:/.berth/berth",
            "volumes=/tmp:/.berth/secrets",
            "tmpfs=/.berth",
            "tmpfs=/.berth/secrets",
            "tmpfs=/.berth/secrets:size=1m",
            "devices=/dev/null:/.berth/secrets/env",
        ] {
            for secrets in ["secrets=a", "secret.A=a secrets_as=env"] {
                let reported = errors(&format!("{words} {secrets}"));
                assert!(
                    reported.contains("at or below `/.berth`") && reported.starts_with("user-data line 1 column 17: "),
                    "{words}: {reported}"
                );
            }
            assert_eq!(errors(&format!("{words} secrets=a secrets_as=files")), "none", "{words}");
        }
        for words in [
            "tmpfs=/run/secrets",
            "tmpfs=/run/secrets/",
            "volumes=/tmp:/run/secrets/x",
            "volumes=/tmp:/run:ro",
            "tmpfs=/var/run/secrets",
            "tmpfs=/var/run",
            "volumes=/tmp:/run/./secrets",
        ] {
            let reported = errors(&format!("{words} secrets=a secrets_as=files"));
            assert!(reported.contains("at or below `/run/secrets`"), "{words}: {reported}");
            assert_eq!(errors(&format!("{words} secrets=a")), "none", "{words}");
        }
    }

    #[test]
    fn a_mount_beside_or_around_it_is_allowed() {
        for words in [
            "secrets=a tmpfs=/.berths volumes=/tmp:/run/secrets",
            "secrets=a secrets_as=files tmpfs=/run,/tmp",
            "secrets=a secrets_as=files volumes=data:/run",
            "secrets=a secrets_as=files volumes=/tmp:/run/secrets2",
            "tmpfs=/.berth",
            "tmpfs=/run/secrets secrets_as=files",
        ] {
            assert_eq!(errors(words), "none", "{words}");
        }
    }
}
