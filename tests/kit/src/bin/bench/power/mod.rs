//! From power-on to the app: a machine whose PID 1 is systemd boots in five ways in turn, cold and with the image present. cloud-init is on it in all of
//! them, as on AMIs, and runs in all but one; power-on is the start of PID 1.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use berth_kit::World;
use berth_kit::registry::Pushed;
use serde_json::json;

use crate::boots::filled;
use crate::table::{Table, Unit};
use crate::{BOUND, network, root, rounds};
use machine::{Machine, STEPS, make_image, monotonic};

mod machine;

const SUITES: [&str; 2] = ["bookworm", "trixie"];
/// Seconds after the bare engine, and the part of cloud-init with bash.
const AFTER_ENGINE: f64 = 0.060;
const BASH: f64 = 0.35;
/// The order that berth.service had before it started beside the network and the engine.
const AFTERWARDS: &str = "[Unit]\nWants=network-online.target\nAfter=network-online.target docker.service\n";
const COMPLETE: &str = "autoscaling CompleteLifecycleAction CONTINUE";
/// Where the app is published, on the machine's loopback as the bash does.
const PORT: u16 = 80;

/// What boots the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The Engine API, asked from outside as soon as it answers: nobody can be faster.
    Engine,
    /// berth.service as it is shipped.
    Berth,
    /// The same, ordered after the network and the engine.
    BerthAfterwards,
    /// As shipped, with cloud-init disabled: berth reads the user-data itself.
    BerthAlone,
    /// tests/bench/user-data.sh, run by cloud-init.
    Bash,
}

/// One boot; seconds from power-on.
#[derive(Clone, Copy, Debug)]
struct Boot {
    way: Way,
    cold: bool,
    /// docker.service was active.
    engine: f64,
    /// The app answered 200; with berth, `/ready` did; with the bash, its own request for `/health`.
    ready: f64,
    /// The launch hook was completed; for the engine, which completes none, the same.
    completed: f64,
}

const ALL: [Way; 5] = [Way::Engine, Way::Berth, Way::BerthAfterwards, Way::BerthAlone, Way::Bash];

/// Measures on both machines. They have a network of their own, which is that of a thread.
pub(crate) fn measure(berth: &Path) {
    SUITES.into_iter().for_each(make_image);
    let berth = berth.to_owned();
    let alone = move || {
        network::enter().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for suite in SUITES {
            runtime.block_on(of(suite, &berth));
        }
    };
    std::thread::spawn(alone).join().unwrap();
}

async fn of(suite: &str, berth: &Path) {
    let world = World::builder().on(network::FAKES).private_registry().start().await;
    world.secrets.put("prod/api", r#"{"PASSWORD":"not looked at"}"#);
    world.autoscaling.show_in_tags();
    let built = filled(2_000_000);
    let image = world.registry.push(&world.name, "v1", &built);
    let machine = Machine::built(suite, &world, berth).await;
    let (count, mut boots, mut picture) = (rounds(10), Vec::new(), String::new());
    for round in 0..count {
        let mut ways = ALL;
        ways.rotate_left(round % ALL.len());
        for way in ways {
            for cold in [true, false] {
                let fetched = || -> usize {
                    let layers = built.layers.iter();
                    layers.map(|layer| world.journal.count(&format!("registry GET blob {layer} 200"))).sum()
                };
                let before = fetched();
                let boot = boot(way, cold, &world, &image, &machine).await;
                let Boot { engine, ready, completed, .. } = boot;
                eprintln!(
                    "bench: {way:?}, cold: {cold}: engine {engine:.3} s, ready {ready:.3} s, completed {completed:.3} s"
                );
                boots.push(boot);
                assert_eq!(fetched() > before, cold, "cold is cold, and present is present");
                if (way, cold) == (Way::Berth, false) {
                    picture = machine.run("berth timeline");
                }
            }
        }
        eprintln!("bench: {} of {count} rounds on {suite}", round + 1);
    }
    let engine = machine.run("docker version --format '{{.Server.Version}}'");
    println!("### Debian {suite}, Docker Engine {}\n", engine.trim());
    table(&boots, count);
    println!("```text\n{}```\n", picture);
}

async fn boot(way: Way, cold: bool, world: &World, image: &Pushed, machine: &Machine) -> Boot {
    world.user_data(&format!(
        "berth image={} port=127.0.0.1:{PORT}:8080 health=/health secrets=prod/api registry_auth=ecr",
        image.by_tag()
    ));
    world.autoscaling.put("Pending", Some("InService"));
    world.autoscaling.enter_wait();
    let berth = match way {
        Way::Engine | Way::Bash => None,
        Way::Berth | Way::BerthAlone => Some(""),
        Way::BerthAfterwards => Some(AFTERWARDS),
    };
    let user_data = if way == Way::Bash { script(world, image) } else { "#cloud-config\n".to_owned() };
    machine.prepare(&format!("i-{:x}", fastrand::u64(..)), &user_data, berth, cold, way != Way::BerthAlone);
    nix::unistd::sync();

    let earlier = world.journal.count(COMPLETE);
    machine.switch_on();
    let (ready, completed) = match way {
        Way::Engine => {
            let ready = by_the_engine(world, image, machine, cold).await;
            (ready, ready)
        }
        _ => {
            let answers = berth.map(|_| machine.first_200(([127, 0, 0, 1], 9911).into(), "/ready"));
            world.journal.wait_for_count(COMPLETE, earlier + 1, BOUND).await;
            let completed = monotonic();
            match answers {
                Some(answers) => (until(answers).await, completed),
                None => (machine.step("hook"), completed),
            }
        }
    };
    let [on, engine] = machine.moments();
    Boot { way, cold, engine: engine - on, ready: ready - on, completed: completed - on }
}

/// What the thread found; the world goes on meanwhile.
async fn until(answers: JoinHandle<f64>) -> f64 {
    while !answers.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answers.join().unwrap()
}

/// As floor.rs, on the machine's engine: when the app answered. Nobody asks it before it is started: a packet that gets lost delays the next.
async fn by_the_engine(world: &World, image: &Pushed, machine: &Machine, cold: bool) -> f64 {
    let engine = machine.engine_is_up().await;
    if cold {
        let pulled = engine.pull(&image.by_tag(), Some(("AWS", &world.ecr.password()))).await;
        assert!(pulled.status == 200 && !pulled.text().contains("errorDetail"), "{}", pulled.text());
    }
    let wanted = json!({
        "Image": image.by_tag(), "ExposedPorts": {"8080/tcp": {}}, "Env": ["PASSWORD=not looked at"],
        "HostConfig": {"Init": true, "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": PORT.to_string()}]}},
    });
    let created = engine.call("POST", "/containers/create?name=bare", Some(wanted)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let started = engine.call("POST", "/containers/bare/start", None).await;
    assert_eq!(started.status, 204, "{}", started.text());
    let inspected = engine.inspect("bare").await.unwrap();
    let address = inspected["NetworkSettings"]["IPAddress"].as_str().unwrap();
    until(machine.first_200(format!("{address}:8080").parse().unwrap(), "/health")).await
}

/// The bash with what its template fills in.
fn script(world: &World, image: &Pushed) -> String {
    let bash = std::fs::read_to_string(root().join("tests/bench/user-data.sh")).unwrap();
    let filled = format!(
        "#!/bin/bash\nexport HOME=/root STEPS={STEPS} METADATA=http://169.254.169.254 AWS_ENDPOINT_URL={} IMAGE={} PORT={PORT} SECRET=prod/api GROUP={} HOOK=launch\n",
        world.aws.endpoint(),
        image.by_tag(),
        world.autoscaling.group()
    );
    filled + &bash
}

fn table(boots: &[Boot], count: usize) {
    let mut table = Table::new(&format!("{count} rounds, from power-on"));
    for (cold, title) in [(true, "cold"), (false, "image present")] {
        // In the order of the rounds, so that what is compared followed each other.
        let of = |way: Way, what: fn(&Boot) -> f64| -> Vec<f64> {
            boots.iter().filter(|boot| boot.way == way && boot.cold == cold).map(what).collect()
        };
        let pairs = |one: Vec<f64>, other: Vec<f64>, how: fn(f64, f64) -> f64| -> Vec<f64> {
            one.into_iter().zip(other).map(|(one, other)| how(one, other)).collect()
        };
        let mut row = |what: &str, unit: Unit, values: Vec<f64>, goal: Option<f64>| {
            table.row(&format!("{title}: {what}"), unit, &values, goal.filter(|_| !cold));
        };
        let engine: fn(&Boot) -> f64 = |boot| boot.engine;
        let ready: fn(&Boot) -> f64 = |boot| boot.ready;
        let completed: fn(&Boot) -> f64 = |boot| boot.completed;
        // When the engine is up is not berth's doing, and differs most from boot to boot.
        let since: fn(&Boot) -> f64 = |boot| boot.ready - boot.engine;
        for (way, name) in [
            (Way::Engine, "the engine alone"),
            (Way::Berth, "berth"),
            (Way::BerthAlone, "berth, cloud-init disabled"),
            (Way::BerthAfterwards, "berth in the order of before"),
        ] {
            row(&format!("{name}, docker.service active"), Unit::Seconds, of(way, engine), None);
            let answer = if way == Way::Engine { "first 200" } else { "`/ready` 200" };
            row(&format!("{name}, {answer}"), Unit::Seconds, of(way, ready), None);
        }
        row("berth, hook completed", Unit::Seconds, of(Way::Berth, completed), None);
        row("cloud-init and bash, first 200", Unit::Seconds, of(Way::Bash, ready), None);
        row("cloud-init and bash, hook completed", Unit::Seconds, of(Way::Bash, completed), None);
        for (way, name, goal) in [
            (Way::Berth, "**berth after the engine alone**", Some(AFTER_ENGINE * 1e3)),
            (Way::BerthAfterwards, "berth in the order of before after the engine alone", None),
        ] {
            let after = |what| pairs(of(way, what), of(Way::Engine, what), |one, other| (one - other) * 1e3);
            row(&format!("{name}, from power-on"), Unit::Milliseconds, after(ready), None);
            row(&format!("{name}, since docker.service is active"), Unit::Milliseconds, after(since), goal);
        }
        let part = |way: Way| pairs(of(way, completed), of(Way::Bash, completed), |one, other| one / other);
        row("**berth over cloud-init and bash**, hook and all", Unit::Times, part(Way::Berth), Some(BASH));
        row("the same in the order of before", Unit::Times, part(Way::BerthAfterwards), None);
        row("the same with cloud-init disabled", Unit::Times, part(Way::BerthAlone), None);
        row("the engine alone over cloud-init and bash", Unit::Times, part(Way::Engine), None);
    }
    table.print();
}
