//! The host: the engine and its disk, the certificates, the ports, a running agent. `berth bake` uses most of these checks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use berth_config::{Config, Port, Protocol};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::release::DISK_FLOOR;
use berth_core::view::PhaseName;
use berth_core::view::published::StatusReport;
use nix::sys::statvfs::statvfs;

use super::report::Finding;
use crate::commands::humanize::{bytes, span};
use crate::io::docker::{About, Engine, EngineError};
use crate::io::host::metadata_block::try_filter;
use crate::io::host::paths::Paths;
use crate::io::http::{Http, Route, route_in};
use crate::io::listen::endpoint::Endpoint;
use crate::io::listen::socket_client::{self, ClientError};
use crate::io::secret::deliver::may_hold_secrets;

/// Bytes. Less is an error: hardly any image fits.
const TOO_LITTLE: u64 = DISK_FLOOR;
/// Bytes. Less is a warning.
const LITTLE: u64 = 2_000_000_000;

/// A warning unless the user is root, as the agent is.
pub fn root() -> Option<Finding> {
    let advice = "run it as root, as the agent runs: for another user some checks fail";
    (!nix::unistd::geteuid().is_root()).then(|| Finding::warn("user", "this is not root", advice))
}

/// A warning if a shutdown would not drain: the unit that drains is masked. Nothing without systemd.
pub fn drain_unit() -> Option<Finding> {
    let output = Command::new("systemctl").args(["is-enabled", "berth-drain.service"]).output().ok()?;
    let advice = "at a shutdown the engine stops before the drain is over: systemctl unmask berth-drain";
    String::from_utf8_lossy(&output.stdout)
        .starts_with("masked")
        .then(|| Finding::warn("unit", "berth-drain.service is masked", advice))
}

/// The root certificates for AWS services.
pub fn roots(http: &Http) -> Finding {
    match (http.trusted(), http.bundle()) {
        (Ok(count), None) => Finding::ok("trust", format!("{count} root certificates")),
        (Ok(count), Some((file, from))) => {
            let what = if count == 1 { "root certificate" } else { "root certificates" };
            Finding::ok("trust", format!("{count} {what} of {} ({from}), and not the host's", file.display()))
        }
        (Err(error), _) => {
            Finding::fail("trust", crate::commands::chain(&error), "without them no AWS service can be called")
        }
    }
}

/// Whether berth and the engine use the same proxy. Each has its own setting, and the engine pulls the image.
pub fn proxies(about: &About, http: &Http, registry: &str) -> Option<Finding> {
    let url = format!("https://{registry}");
    let of_engine = |name: &str| {
        let value = match name {
            "HTTP_PROXY" => &about.http_proxy,
            "HTTPS_PROXY" => &about.https_proxy,
            "NO_PROXY" => &about.no_proxy,
            _ => return None,
        };
        Some(value.clone())
    };
    // The engine accepts kinds of proxies that berth does not.
    let of_engine = route_in(&of_engine, &url);
    match (http.route(&url), of_engine) {
        (Route::Proxied { proxy, from }, Ok(Route::Direct)) => Some(Finding::warn(
            "proxy",
            format!(
                "berth has the proxy {proxy} ({from}), and the engine, which pulls the image from {registry}, has none"
            ),
            "if the registry is not reached directly, set HTTPS_PROXY in /etc/systemd/system/docker.service.d/http-proxy.conf, then systemctl \
             daemon-reload and systemctl restart docker",
        )),
        (Route::Direct, Ok(Route::Proxied { proxy, .. })) => Some(Finding::warn(
            "proxy",
            format!("the engine has the proxy {proxy}, and berth, which calls AWS, has none"),
            "if AWS is not reached directly, set `https_proxy` in the config, or HTTPS_PROXY in a drop-in of berth.service",
        )),
        _ => None,
    }
}

/// The engine, and its `/info`.
pub async fn engine(engine: &Result<Engine, EngineError>) -> (Finding, Option<About>) {
    let failed = |error: &EngineError| {
        let job_error = JobError::from_error(error.class(), error);
        let advice = match job_error.class {
            _ if matches!(error, EngineError::TooOld { .. }) => "install Docker Engine 20.10 or later",
            ErrorClass::Denied => "run it as root, or as a user with access to the engine's socket",
            ErrorClass::Misconfigured => "set DOCKER_HOST to a unix socket, or leave it out",
            _ => "install the Docker Engine and start it: systemctl enable --now docker",
        };
        (Finding::fail("engine", job_error.reason, advice), None)
    };
    match engine {
        Err(error) => failed(error),
        Ok(engine) => match engine.about().await {
            Err(error) => failed(&error),
            Ok(about) if about.is_podman => {
                let found = format!("Podman {}, storage driver {}", about.server_version, about.driver);
                let advice = "berth is made for Docker Engine; docs/support.md says what does not work with Podman";
                (Finding::warn("engine", found, advice), Some(about))
            }
            Ok(about) => {
                let found = format!("Docker Engine {}, storage driver {}", about.server_version, about.driver);
                (Finding::ok("engine", found), Some(about))
            }
        },
    }
}

/// The free space for images.
pub fn disk(root: &Path) -> Finding {
    match statvfs(root) {
        Ok(about) => free_space(root, about.blocks_available().saturating_mul(about.fragment_size())),
        Err(error) => Finding::warn(
            "disk",
            format!("cannot read the free space of {}: {}", root.display(), error.desc()),
            "check that the engine's disk has space for the image",
        ),
    }
}

/// The paths of `after`, which the start waits for.
pub async fn paths(config: &Config) -> Option<Finding> {
    if config.after.is_empty() {
        return None;
    }
    Some(match Paths::default().look(&config.after).await {
        Ok(()) => Finding::ok("paths", config.after.join(", ")),
        Err(error) => {
            let advice = "a boot waits for it until boot.timeout: mount it, or correct `after`; `systemctl list-units --type mount --all` shows \
                          mounts that failed";
            Finding::fail("paths", error.to_string(), advice)
        }
    })
}

fn free_space(root: &Path, free: u64) -> Finding {
    let found = format!("{} free in {}", bytes(free), root.display());
    let advice =
        "give the instance a larger volume, or remove unused images; the size of an image is not known before its pull";
    match free {
        LITTLE.. => Finding::ok("disk", found),
        TOO_LITTLE.. => Finding::warn("disk", found, advice),
        _ => Finding::fail("disk", found, advice),
    }
}

/// The running agent, if there is one. Without one the check passes.
pub async fn agent(run_dir: &Path) -> (Finding, Option<StatusReport>) {
    match socket_client::status(run_dir).await {
        Ok(report) => {
            let view = &report.published.view;
            let found =
                format!("runs, {} for {}", view.phase.word(), span(report.now_seconds - view.phase_since_seconds));
            let check = match view.phase {
                PhaseName::Hold | PhaseName::Failing => Finding::warn(
                    "agent",
                    format!("{found}: {}", view.reason.lines().next().unwrap_or_default()),
                    "this boot failed; `berth status` shows all of it. When the cause is fixed, `berth handover` tries the boot again",
                ),
                _ => Finding::ok("agent", found),
            };
            (check, Some(report))
        }
        Err(ClientError::NotRunning(_)) => (Finding::ok("agent", "none runs yet"), None),
        Err(error) => (Finding::warn("agent", crate::commands::chain(&error), "run it as root"), None),
    }
}

/// The packet filter, which `imds=block` needs.
pub async fn filter() -> Finding {
    match try_filter().await {
        Ok(()) => Finding::ok("imds", "the packet filter can keep the container from the metadata"),
        Err(error) => {
            Finding::fail("imds", crate::commands::chain(&error), "run it as root, and install iptables or nftables")
        }
    }
}

/// The directory for secrets.
pub fn run_dir(run_dir: &Path) -> Finding {
    match may_hold_secrets(run_dir) {
        Ok(()) => Finding::ok("run-dir", format!("{} is kept in memory", run_dir.display())),
        Err(error) => Finding::fail("run-dir", crate::commands::chain(&error), "use a directory below /run"),
    }
}

/// The readiness endpoint's address.
pub fn listen(config: &Config, agent: Option<&StatusReport>) -> Finding {
    let address = config.listen;
    let held = agent.and_then(|agent| agent.published.listen).filter(|held| held.port() == address.port());
    match (held, Endpoint::bind(address)) {
        (Some(_), _) => Finding::ok("listen", format!("{address}, held by the running agent")),
        (None, Ok(_)) => Finding::ok("listen", format!("{address} is free")),
        (None, Err(error)) => Finding::fail(
            "listen",
            crate::commands::chain(&error),
            format!("stop the process that holds it (ss -lntp sport = :{}), or set `listen`", address.port()),
        ),
    }
}

/// The host ports of the app: free, or held by its own container.
pub fn ports(config: &Config, held: &[SocketAddr]) -> Vec<Finding> {
    let fixed = config.ports.iter().filter(|port| port.host != 0);
    fixed
        .map(|port| match held.iter().any(|address| address.port() == port.host) {
            true => Finding::ok("port", format!("{port}, held by the app's own container")),
            false => free(port),
        })
        .collect()
}

fn free(port: &Port) -> Finding {
    let address = SocketAddr::new(port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port.host);
    let bound = match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    };
    let (number, flag) = (port.host, if port.protocol == Protocol::Tcp { "t" } else { "u" });
    match bound {
        Ok(()) => Finding::ok("port", format!("{port} is free")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Finding::warn("port", format!("{port}: only root may see whether it is free"), "run it as root")
        }
        Err(error) => Finding::fail(
            "port",
            format!("{port}: {error}"),
            format!("stop the process that holds it (ss -ln{flag}p sport = :{number}), or choose another"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::super::report::Verdict;
    use super::*;
    use crate::io::http::dns::Resolver;

    #[test]
    fn little_free_space_is_a_warning_and_too_little_an_error() {
        let verdict = |free| free_space(Path::new("/var/lib/docker"), free).verdict;
        assert_eq!([verdict(0), verdict(TOO_LITTLE)], [Verdict::Fail, Verdict::Warn]);
        assert_eq!([verdict(LITTLE - 1), verdict(LITTLE)], [Verdict::Warn, Verdict::Ok]);
        assert_eq!(free_space(Path::new("/x"), 3_000_000_000).found, "3.00 GB free in /x");
        assert_eq!(disk(Path::new("/nowhere/at/all")).verdict, Verdict::Warn);
    }

    #[test]
    fn a_proxy_that_only_berth_or_only_the_engine_has_is_a_warning() {
        const PROXY: &str = "http://user:hunter2@proxy:3128";
        let found = |engine: &str, except: &str, berth: &[(&str, &str)], registry: &str| {
            let about = serde_json::json!({ "HttpsProxy": engine, "NoProxy": except });
            let env = |name: &str| berth.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let http = Http::from_env(&env, Resolver::default()).unwrap();
            let check = proxies(&serde_json::from_value(about).unwrap(), &http, registry)?;
            assert!(check.verdict == Verdict::Warn && !format!("{check:?}").contains("hunter2"), "{check:?}");
            Some(check.found)
        };
        let own = ("HTTPS_PROXY", PROXY);
        assert_eq!(
            found("", "", &[own], "docker.io").unwrap(),
            "berth has the proxy http://proxy:3128 (HTTPS_PROXY), and the engine, which pulls the image from docker.io, has none"
        );
        // As the engine shows a proxy that has a password.
        assert_eq!(
            found("http://xxxxx:xxxxx@proxy:3128", "", &[], "docker.io").unwrap(),
            "the engine has the proxy http://proxy:3128, and berth, which calls AWS, has none"
        );
        assert_eq!(found(PROXY, "", &[own], "docker.io"), None);
        assert_eq!(found("", "", &[], "docker.io"), None);
        // The registry is excluded on purpose.
        assert_eq!(found(PROXY, "docker.io", &[own], "docker.io"), None);
        assert_eq!(found("", "", &[own], "127.0.0.1:5000"), None);
        assert_eq!(found("socks5://proxy:1080", "", &[], "docker.io"), None);
    }

    #[test]
    fn a_port_is_free_taken_or_our_own() {
        let [tcp, udp] = [(); 2].map(|()| berth_kit::world::own_address());
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let mut layers = Layers::new();
        let line = format!("berth image=x:1 ports={tcp}:80,{taken}:81,{udp}:53/udp,0:82");
        layers.add_user_data(line.as_bytes());
        let config = layers.resolve().unwrap();
        let verdicts = |held: &[SocketAddr]| ports(&config, held).iter().map(|check| check.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[]), [Verdict::Ok, Verdict::Fail, Verdict::Ok]);
        assert_eq!(verdicts(&[taken]), [Verdict::Ok, Verdict::Ok, Verdict::Ok]);
        drop(holder);
    }
}
