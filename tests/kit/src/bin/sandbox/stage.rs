//! What the demo and the prompt begin with: a world with secrets and an image that takes some seconds to pull, and the
//! words for a second terminal.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_kit::agent::Launch;
use berth_kit::engine::Engine;
use berth_kit::image::DEMO_APP;
use berth_kit::registry::Pushed;
use berth_kit::world::ZONE;
use berth_kit::{Fault, Image, World, client};
use serde_json::json;

use crate::screen::Screen;

/// The layers of the image beside the app's own, in bytes. Layers are pulled side by side, so the largest decides how long
/// it takes.
const LAYERS: [usize; 2] = [16_000_000, 10_000_000];
/// Of each layer.
const BYTES_PER_SECOND: usize = 2_400_000;
/// The secret that is there from the start.
pub(crate) const SECRET: &str = "prod/api";
/// Its keys.
pub(crate) const KEYS: [&str; 2] = ["DB_PASSWORD", "API_TOKEN"];

/// A world that is ready for a launch.
pub(crate) struct Stage {
    /// The world.
    pub(crate) world: World,
    /// The image.
    pub(crate) image: Pushed,
    /// The user-data as it is.
    pub(crate) user_data: String,
    /// The values of [`KEYS`], unlike in any other world.
    pub(crate) values: [String; 2],
    /// Where the app answers once it runs.
    pub(crate) app: SocketAddr,
    /// The binary that is launched.
    pub(crate) berth: PathBuf,
}

impl Stage {
    /// Looks for what is needed, and lets a world begin.
    pub(crate) async fn set(screen: &Screen) -> Result<Self, String> {
        let berth = berth()?;
        an_engine_answers().await?;
        screen.line("Setting up a world on loopback: metadata, AWS, a registry. No account is used, nothing leaves this machine.");
        let world = World::start().await;
        let values = KEYS.map(|_| format!("{:032x}", fastrand::u128(..)));
        let [password, token] = &values;
        let [first, second] = KEYS;
        world.secrets.put(SECRET, &json!({ first: password, second: token }).to_string());
        let app = Image::scratch().file("/app", DEMO_APP, 0o755).entrypoint(&["/app"]).expose(8080);
        let built = LAYERS.into_iter().fold(app, Image::layer_of_random).build();
        let image = world.registry.push(&world.name, "v1", &built);
        world.registry.bandwidth(BYTES_PER_SECOND);
        let app = free_address().map_err(|error| format!("no free port on loopback: {error}"))?;
        let user_data = format!("berth image={} port={app}:8080 health=/health secrets={SECRET}", image.by_tag());
        world.user_data(&user_data);

        screen.line(&format!("  instance    {} in {ZONE}", world.instance_id));
        let state = world.autoscaling.state().unwrap_or_default();
        screen.line(&format!("  group       {}, {state}: its launch hook waits", world.autoscaling.group()));
        screen.line(&format!("  secret      {SECRET} with the keys {}", KEYS.join(" and ")));
        let (size, rate) = (built.size() as f64 / 1e6, BYTES_PER_SECOND as f64 / 1e6);
        screen.line(&format!("  image       {}, {size:.1} MB at {rate:.1} MB/s a layer", image.by_tag()));
        screen.line(&format!("  user-data   {user_data}"));
        Ok(Self { world, image, user_data, values, app, berth })
    }

    /// A launch whose log has what a person wants to read.
    pub(crate) fn launcher(&self) -> Launch<'_> {
        // A metadata service that takes a moment leaves time to be there when the first events come.
        self.world.fault("imds PUT token", Fault::Delay(Duration::from_millis(250)));
        self.world.launcher(&self.berth).env("BERTH_LOG", "info")
    }

    /// What a second terminal may type while the agent runs.
    pub(crate) fn second_terminal(&self, endpoint: SocketAddr) -> String {
        let docker = match std::env::var("DOCKER_HOST") {
            Ok(host) if host != DEFAULT_ENGINE => format!("docker -H {host}"),
            _ => "docker".into(),
        };
        format!(
            "In a second terminal, meanwhile:\n    {} --run-dir {} status\n    curl -i http://{endpoint}/ready\n    \
             curl http://{}/          the app, once it runs\n    {docker} inspect {}",
            self.berth.display(),
            self.world.run_dir().display(),
            self.app,
            self.world.container()
        )
    }
}

const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";

/// `BERTH_BIN`, else the binary beside this one.
fn berth() -> Result<PathBuf, String> {
    let path = match std::env::var_os("BERTH_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let own =
                std::env::current_exe().map_err(|error| format!("cannot find the sandbox's own path: {error}"))?;
            own.parent().unwrap_or(Path::new("/")).join("berth")
        }
    };
    // The agent is started in another directory.
    path.canonicalize().ok().filter(|path| path.is_file()).ok_or_else(|| {
        let path = path.display();
        format!("no berth at {path}: run `make demo` or `make sandbox`, which build it, or name one in BERTH_BIN")
    })
}

async fn an_engine_answers() -> Result<(), String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_ENGINE.into());
    if !host.starts_with("unix://") {
        return Err(format!("DOCKER_HOST is {host}: the sandbox needs an engine on this machine, unix://…"));
    }
    let socket = Engine::default().host();
    let ping = client::over_unix(Path::new(socket.trim_start_matches("unix://")), client::request("GET", "/_ping"));
    let why = match tokio::time::timeout(Duration::from_secs(10), ping).await {
        Ok(Ok(answer)) if answer.status == 200 => return Ok(()),
        Ok(Ok(answer)) => format!("status {}", answer.status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer within 10 s".into(),
    };
    Err(format!("no Docker Engine answers at {host} ({why}): `make demo` and `make sandbox` start one"))
}

/// Somebody else could take it before the engine does; then the boot says so.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
