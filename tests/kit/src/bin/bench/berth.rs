//! berth's boot: from the exec of the shipped binary to `/ready` 200 and to the completed launch hook.
//!
//! While it boots it is asked nothing, since that would cost it time. The call that completes the hook, which it makes as
//! soon as it is ready, says when to ask `/ready`; so that time is a little too late, never too early.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use berth_kit::World;
use berth_kit::registry::Pushed;

use crate::process::Usage;
use crate::ways::{Boot, Step};
use crate::{BOUND, answers, free_address};

const COMPLETE: &str = "autoscaling CompleteLifecycleAction CONTINUE";

pub(crate) async fn boot(world: &World, image: &Pushed, berth: &Path) -> Boot {
    world.user_data(&format!(
        "berth image={} port={}:8080 health=/health secrets=prod/api registry_auth=ecr",
        image.by_tag(),
        free_address()
    ));
    world.autoscaling.show_in_tags();
    let (listen, earlier) = (free_address(), world.journal.count(COMPLETE));
    let launch = world.launcher(berth).listen(listen).env("BERTH_LOG", "info");
    let began = Instant::now();
    let agent = launch.start().await;
    world.journal.wait_for_count(COMPLETE, earlier + 1, BOUND).await;
    let ready = (answers(listen, "/ready", 200).await - began).as_secs_f64();
    world.autoscaling.wait_for_state("InService", BOUND).await;
    let completed = began.elapsed().as_secs_f64();
    let usage = Some(Usage::of(agent.pid()));
    let status = agent.status().await;
    let steps = status["steps"].as_array().into_iter().flatten().filter_map(|step| {
        let began = step["began_seconds"].as_f64()?;
        // What has no end yet is the hook, whose answer is on its way.
        let until = step["took_seconds"].as_f64().map_or(completed, |took| began + took);
        Some(Step { name: step["name"].as_str()?.into(), began, until })
    });
    let mut steps: Vec<Step> = steps.collect();
    // Two names for one time: the image is at hand when its pull is over.
    if steps.iter().any(|step| step.name == "pull") {
        steps.retain(|step| step.name != "image");
    }
    agent.kill9().await;
    // The next instance's directories are empty.
    for directory in [world.run_dir(), world.state_dir()] {
        fs::remove_dir_all(directory).unwrap();
    }
    Boot { ready, completed, steps, calls: BTreeMap::new(), usage }
}
