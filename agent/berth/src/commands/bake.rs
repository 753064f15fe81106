//! `berth bake`: makes a host ready to be an AMI. It checks the host, pulls images by digest, and removes state that could
//! mislead the next boot (invariant 12).
//!
//! The builder is an EC2 instance with its own role, or a machine without metadata. So the metadata is used if it answers, and is
//! not required.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use berth_config::{Config, ConfigErrors, ImageRef, Layers, PinnedImage, RegistryAuth};
use berth_core::message::error::JobError;
use berth_core::message::event::PullProgress;
use berth_core::message::outcome::Outcome;

use crate::cli::{BakeArgs, Global};
use crate::commands::doctor::report::{DoctorReport, Finding};
use crate::commands::doctor::{host, services, within};
use crate::commands::humanize::bytes;
use crate::commands::paint::Paint;
use crate::commands::policy::{ArnScope, Policy};
use crate::io::aws::Aws;
use crate::io::aws::ecr::RegistryCredentials;
use crate::io::docker::{Engine, EngineError};
use crate::io::{config_sources, host::state_dir};

/// A pull that makes no progress for this long is given up.
const STALL: Duration = Duration::from_secs(60);

/// The whole command.
pub async fn main(global: &Global, args: &BakeArgs) -> ExitCode {
    let (layers, config, images) = match wanted(global, &args.images) {
        Ok(wanted) => wanted,
        Err(reason) => return super::failed(Outcome::Usage, &reason),
    };
    let (imds, aws) = match super::aws_anywhere().await {
        Ok(both) => both,
        Err(error) => return super::failed(Outcome::Usage, &super::chain(&error)),
    };
    if let Err(error) = config_sources::configure(&layers, &aws) {
        return super::failed(Outcome::Usage, &error.reason);
    }
    let identity = within(imds.identity()).await.and_then(Result::ok);
    if let Some(identity) = &identity {
        aws.locate(identity);
    }
    let scope = ArnScope { region: aws.region(), account: identity.as_ref().map(|identity| identity.account.clone()) };
    let docker_host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let engine = Engine::new(docker_host.as_deref());

    let mut checks = examine(global, &aws, &engine, docker_host.is_none()).await;
    let instance_id = identity.map(|identity| identity.instance_id);
    let report = DoctorReport::new(checks.clone());
    // Only a ready host pulls images. A running agent is an error, so its containers are not removed.
    if let (Ok(engine), true) = (&engine, report.ok) {
        checks.extend(clear(engine, instance_id.as_deref()).await);
        checks.extend(forget(&global.state_dir()));
        for image in images {
            super::note(&format!("pulling {image}"));
            let config = Config { registry_auth: auth(&config, &image), image, ..config.clone() };
            let policy = Policy::of(&layers, &config, &scope);
            checks.push(pull(&aws, engine, &config, &policy).await);
        }
    }
    let report = DoctorReport::new(checks);
    super::say(&report.to_text(
        "this host is ready to be an AMI",
        "this host is not ready to be an AMI",
        Paint::stdout(),
    ));
    if report.ok { Outcome::Done.into() } else { Outcome::BootFailed.into() }
}

/// The AMI's own config as far as it is written, and every image; or every error.
fn wanted(global: &Global, more: &[String]) -> Result<(Layers, Config, Vec<ImageRef>), String> {
    let layers = global.sources(Vec::new()).read_file().map_err(|error| error.reason)?;
    // The user-data of an instance adds keys later.
    let (config, errors): (Config, ConfigErrors) = layers.resolve_what_is_written(true);
    let mut reasons = Vec::new();
    if !errors.is_empty() {
        reasons.push(errors.to_string());
    }
    let mut images: Vec<ImageRef> = Vec::new();
    images.extend(Some(config.image.clone()).filter(|image| !image.repository.is_empty()));
    for text in more {
        match ImageRef::parse(text) {
            Ok(image) if !images.contains(&image) => images.push(image),
            Ok(_) => {}
            Err(reason) => reasons.push(format!("--image {text:?} {reason}")),
        }
    }
    if reasons.is_empty() { Ok((layers, config, images)) } else { Err(reasons.join("\n")) }
}

/// `registry_auth` is for the registry of the config's image; without an image it is for every registry.
fn auth(config: &Config, image: &ImageRef) -> RegistryAuth {
    let is_meant = config.image.repository.is_empty() || config.image.registry == image.registry;
    if is_meant { config.registry_auth.clone() } else { RegistryAuth::Auto }
}

async fn examine(global: &Global, aws: &Aws, engine: &Result<Engine, EngineError>, usual_engine: bool) -> Vec<Finding> {
    let run_dir = global.run_dir();
    let ((engine, about), (agent, running)) = tokio::join!(host::engine(engine), host::agent(&run_dir));
    let mut checks: Vec<Finding> = host::root().into_iter().chain([engine]).collect();
    checks.extend(about.map(|about| host::disk(&about.docker_root_dir)));
    if usual_engine {
        checks.extend(unit("docker.service", "systemctl enable docker"));
    }
    checks.extend(unit("berth.service", "install berth's package, then systemctl enable berth"));
    checks
        .extend(unit("berth-drain.service", "without it a shutdown cuts the drain off: systemctl unmask berth-drain"));
    checks.extend([host::roots(aws.http()), host::run_dir(&run_dir), state(&global.state_dir())]);
    checks.push(match running {
        Some(_) => Finding::fail("agent", agent.found, "stop it first: systemctl stop berth drains it"),
        None => agent,
    });
    checks
}

/// Whether the next boot starts this unit; no check without systemd.
fn unit(name: &str, advice: &str) -> Option<Finding> {
    let output = Command::new("systemctl").args(["is-enabled", name]).output().ok()?;
    let state = String::from_utf8_lossy(&output.stdout);
    Some(match (output.status.success(), state.trim()) {
        (true, state) => Finding::ok("unit", format!("{name} is {state}")),
        (false, "") => Finding::fail("unit", format!("{name} is not installed"), advice),
        (false, state) => Finding::fail("unit", format!("{name} is {state}"), advice),
    })
}

/// Persistent state that the AMI would contain. The record of the last life is harmless, and `forget` removes it.
fn state(state_dir: &Path) -> Finding {
    let others = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with(state_dir::FILE);
    let files = fs::read_dir(state_dir).into_iter().flatten().flatten().filter(others).count();
    match files {
        0 => Finding::ok("state", format!("nothing in {}", state_dir.display())),
        _ => Finding::fail(
            "state",
            format!("{files} files of an earlier life in {}", state_dir.display()),
            "remove them: an instance of this AMI must not find them",
        ),
    }
}

/// Removes the record of the builder's last life, which is not one of an instance of this AMI.
fn forget(state_dir: &Path) -> Option<Finding> {
    match state_dir::forget(state_dir) {
        Ok(true) => {
            Some(Finding::ok("state", format!("the record of an earlier life in {} is removed", state_dir.display())))
        }
        Ok(false) => None,
        Err(error) => Some(Finding::fail("state", super::chain(&error), "remove it by hand")),
    }
}

/// Removes the stopped containers of an agent that ran on the builder. A running container is an error.
async fn clear(engine: &Engine, instance_id: Option<&str>) -> Vec<Finding> {
    // Without metadata no agent has run here.
    let Some(instance_id) = instance_id else { return Vec::new() };
    let failed = |error: EngineError| {
        let error = JobError::from(error);
        Finding::fail("container", error.reason, "remove the containers of berth by hand")
    };
    let found = match engine.find_containers("", instance_id).await {
        Ok(found) => found,
        Err(error) => return vec![failed(error)],
    };
    let mut checks = Vec::new();
    for container in found {
        let name = container.name;
        checks.push(match container.running {
            Some(_) => Finding::fail(
                "container",
                format!("{name} runs, and no agent does"),
                format!("take this instance out of use first, then: docker rm -f {name}"),
            ),
            None => match engine.remove(&container.id).await {
                Ok(_) => Finding::ok("container", format!("{name} of an earlier life is removed")),
                Err(error) => failed(error),
            },
        });
    }
    checks
}

/// One image, by digest, as a boot pulls it.
async fn pull(aws: &Aws, engine: &Engine, config: &Config, policy: &Policy) -> Finding {
    let login = match services::log_in(aws, config, policy).await {
        Ok(login) => login,
        Err(check) => return check,
    };
    match pulled(&engine.with_platform(config.platform.as_ref()), &config.image, login.as_ref()).await {
        Ok((pinned, None)) => Finding::ok("image", format!("{pinned} is here already")),
        Ok((pinned, Some(size))) => Finding::ok("image", format!("{pinned}, {} pulled", bytes(size))),
        Err(error) => services::refused_image(&JobError::from(error), policy),
    }
}

async fn pulled(
    engine: &Engine,
    image: &ImageRef,
    login: Option<&RegistryCredentials>,
) -> Result<(PinnedImage, Option<u64>), EngineError> {
    let login = || login.map(RegistryCredentials::as_login);
    let pinned = engine.resolve_digest(image, login()).await?;
    if engine.inspect_image(&pinned).await?.is_some() {
        return Ok((pinned, None));
    }
    let mut last = PullProgress::default();
    engine.pull(&pinned, login(), STALL, |progress| last = progress).await?;
    Ok((pinned, Some(last.total)))
}
