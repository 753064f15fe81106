//! The bash that berth replaces, tests/bench/user-data.sh, in an environment that names the fakes and nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use berth_kit::World;
use berth_kit::registry::Pushed;

use crate::ways::{Boot, Step};
use crate::{free_address, root};

pub(crate) async fn boot(world: &World, image: &Pushed) -> Boot {
    let home = tempfile::tempdir().unwrap();
    let steps = home.path().join("steps");
    let aws = std::env::var("AWS_CLI").expect("AWS_CLI names the directory of the aws command: tests/install-aws");
    let mut command = Command::new("bash");
    command.arg(root().join("tests/bench/user-data.sh")).env_clear().current_dir(home.path());
    command.env("PATH", format!("{aws}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    command.env("HOME", home.path()).env("DOCKER_HOST", world.engine.host()).env("STEPS", &steps);
    command.env("METADATA", world.imds.endpoint()).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.imds.endpoint());
    command.env("AWS_ENDPOINT_URL", world.aws.endpoint());
    command.env("IMAGE", image.by_tag()).env("PORT", free_address().port().to_string());
    command.env("SECRET", "prod/api").env("GROUP", world.autoscaling.group()).env("HOOK", "launch");
    let began = SystemTime::now();
    // The world lives on a thread of its own.
    let output = command.output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(world.autoscaling.state().as_deref(), Some("InService"), "the hook was completed");

    let epoch = began.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let text = fs::read_to_string(steps).unwrap();
    let moments: Vec<(f64, &str)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(at, name)| (at.parse::<f64>().unwrap() - epoch, name))
        .collect();
    let step = |pair: &[(f64, &str)]| Step { name: pair[0].1.into(), began: pair[0].0, until: pair[1].0 };
    let steps: Vec<Step> = moments.windows(2).map(step).collect();
    let until = |name: &str| steps.iter().find(|step| step.name == name).unwrap().until;
    Boot { ready: until("healthy"), completed: until("hook"), steps, calls: BTreeMap::new(), usage: None }
}
