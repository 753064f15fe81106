//! The same image booted in three ways in turn, cold and with the image present; ratios are formed round by round, between
//! runs that follow each other.

use std::path::Path;

use berth_kit::image::{Built, DEMO_APP};
use berth_kit::{Image, World};

use crate::table::{Table, Unit, median};
use crate::ways::{Boot, Step, Way};
use crate::{picture, rounds};

/// What berth may cost beside the floor, and beside the bash.
const COLD: f64 = 1.10;
const PRESENT: f64 = 1.25;
const LARGE: f64 = 1.03;
const BASH: f64 = 0.25;
/// MiB, MB.
const MEMORY: f64 = 7.0;
const BINARY: f64 = 7.0;

/// One round: what each way did, cold and then with the image present.
struct Round {
    lives: Vec<(Way, [Boot; 2])>,
}

impl Round {
    async fn live(image: &Built, berth: &Path, ways: &[Way]) -> Self {
        let mut lives = Vec::new();
        for way in ways {
            lives.push((*way, live(*way, image, berth).await));
        }
        Self { lives }
    }

    fn of(&self, way: Way, present: usize) -> Option<&Boot> {
        self.lives.iter().find(|(of, _)| *of == way).map(|(_, boots)| &boots[present])
    }
}

/// Measures and prints both sizes, and draws the picture of the small one.
pub(crate) async fn measure(berth: &Path) {
    let _app = running_app().await;
    let small = filled(2_000_000);
    let lives = play(&small, berth, rounds(12), 1).await;
    println!("### An image of {}\n", size(&small));
    times(&lives, COLD, true);
    steps(&lives);
    costs(&lives, berth);
    calls(&lives);
    picture::draw(&middle(&lives));

    // Nothing of the small one is the same: what differs is where the bytes are.
    let large = in_layers(5, 100_000_000);
    let lives = play(&large, berth, rounds(12), 2).await;
    println!("### An image of {}, the bash in every second round\n", size(&large));
    times(&lives, LARGE, false);
    steps(&lives);
    costs(&lives, berth);
}

/// An app that runs all along. Without it the engine's bridge goes down with the container of the boot before, and the kernel,
/// which handles at most one such event a second (net/core/link_watch.c), can let the next container wait for its network for most
/// of a second: that happens to a boot soon after another, and never on an instance that boots once.
async fn running_app() -> World {
    let world = World::builder().private_registry().start().await;
    let pushed = world.registry.push(&world.name, "v1", &app().build());
    Way::Floor.boot(&world, &pushed, Path::new(""), true).await;
    world
}

async fn play(image: &Built, berth: &Path, rounds: usize, bash_every: usize) -> Vec<Round> {
    let mut lives = Vec::new();
    for round in 0..rounds {
        let mut ways = Way::ALL.to_vec();
        ways.truncate(if round % bash_every == 0 { 3 } else { 2 });
        // The first boots while the machine still cleans up after the round before: so each is first in its turn.
        let turn = round / bash_every % ways.len();
        ways.rotate_left(turn);
        lives.push(Round::live(image, berth, &ways).await);
        eprintln!("bench: {} of {rounds} rounds with {}", round + 1, size(image));
    }
    lives
}

/// An instance that has no byte of the image, and the same once more with the image there.
async fn live(way: Way, image: &Built, berth: &Path) -> [Boot; 2] {
    let world = World::builder().private_registry().start().await;
    world.secrets.put("prod/api", r#"{"PASSWORD":"not looked at"}"#);
    let pushed = world.registry.push(&world.name, "v1", image);
    let fetched = |layer: &String| world.journal.count(&format!("registry GET blob {layer} 200"));
    let once = || image.layers.iter().all(|layer| fetched(layer) == 1);

    // Nobody pays for what the one before has yet to write to the disk.
    nix::unistd::sync();
    let cold = way.boot(&world, &pushed, berth, true).await;
    assert!(once(), "cold is cold:\n{}", world.journal.text());
    world.engine.remove(&world.container()).await;
    world.autoscaling.put("Pending", Some("InService"));
    world.autoscaling.enter_wait();
    nix::unistd::sync();
    let present = way.boot(&world, &pushed, berth, false).await;
    assert!(once(), "present is present:\n{}", world.journal.text());
    [cold, present]
}

/// The demo app in a layer that no other image shares, so that no engine has it.
fn app() -> Image {
    let unlike = fastrand::u128(..).to_be_bytes();
    let files: [(&str, &[u8], u32); 2] = [("/app", DEMO_APP, 0o755), ("/unlike", &unlike, 0o644)];
    Image::scratch().layer(&files).entrypoint(&["/app"]).expose(8080)
}

/// The demo app and as much noise as makes this many bytes to transfer.
pub(crate) fn filled(bytes: usize) -> Built {
    let app = app();
    let rest = bytes - app.build().size();
    app.layer_of_random(rest).build()
}

/// The demo app on layers of noise, which no compression makes smaller.
fn in_layers(layers: usize, bytes: usize) -> Built {
    (0..layers).fold(app(), |image, _| image.layer_of_random(bytes)).build()
}

fn size(image: &Built) -> String {
    format!("{:.0} MB in {} layers", image.size() as f64 / 1e6, image.layers.len())
}

/// The times of every way, and berth's as parts of the others'.
fn times(rounds: &[Round], goal: f64, with_bash_goal: bool) {
    let mut table = Table::new(&format!("{} rounds", rounds.len()));
    for (present, title) in ["cold", "image present"].into_iter().enumerate() {
        let all = |way: Way, of: fn(&Boot) -> f64| -> Vec<f64> {
            rounds.iter().filter_map(|round| round.of(way, present)).map(of).collect()
        };
        let ratios = |other: Way, of: fn(&Boot) -> f64| -> Vec<f64> {
            let pair = |round: &Round| Some(of(round.of(Way::Berth, present)?) / of(round.of(other, present)?));
            rounds.iter().filter_map(pair).collect()
        };
        let ready: fn(&Boot) -> f64 = |boot| boot.ready;
        let completed: fn(&Boot) -> f64 = |boot| boot.completed;
        let (floor, bash) = if present == 0 { (goal, with_bash_goal.then_some(BASH)) } else { (PRESENT, None) };
        let does = if present == 0 { "pull, create, start" } else { "create, start" };
        let name = |what: &str| format!("{title}: {what}");
        table.row(
            &name(&format!("bare engine calls, {does}, first 200")),
            Unit::Seconds,
            &all(Way::Floor, ready),
            None,
        );
        table.row(&name("berth, exec to `/ready` 200"), Unit::Seconds, &all(Way::Berth, ready), None);
        table.row(&name("berth, exec to the hook's completion"), Unit::Seconds, &all(Way::Berth, completed), None);
        table.row(&name("bash, first line to the app's 200"), Unit::Seconds, &all(Way::Bash, ready), None);
        table.row(&name("bash, first line to the hook's completion"), Unit::Seconds, &all(Way::Bash, completed), None);
        table.row(&name("**berth over bare calls**"), Unit::Times, &ratios(Way::Floor, ready), Some(floor));
        table.row(&name("**berth over bash**, hook and all"), Unit::Times, &ratios(Way::Bash, completed), bash);
    }
    table.print();
}

/// Where berth's time goes beyond the floor's: the steps of each way, which may overlap, with their medians in milliseconds.
fn steps(rounds: &[Round]) {
    let names = |way: Way| {
        let boot = rounds.iter().find_map(|round| round.of(way, 0));
        boot.into_iter().flat_map(|boot| &boot.steps).map(|step| step.name.as_str())
    };
    let mut all: Vec<&str> = Vec::new();
    for name in names(Way::Berth).chain(names(Way::Floor)).chain(names(Way::Bash)) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    println!(
        "| step of a cold boot, median | bare calls | berth begins at | berth | bash |\n|---|---:|---:|---:|---:|"
    );
    for name in all {
        let middle = |way: Way, of: fn(&Step) -> f64| {
            let steps = rounds.iter().filter_map(|round| round.of(way, 0)?.steps.iter().find(|step| step.name == name));
            let values: Vec<f64> = steps.map(of).collect();
            if values.is_empty() { String::new() } else { format!("{:.1} ms", median(&values) * 1e3) }
        };
        let took: fn(&Step) -> f64 = |step| step.until - step.began;
        let [floor, berth, bash] = [Way::Floor, Way::Berth, Way::Bash].map(|way| middle(way, took));
        println!("| {name} | {floor} | {} | {berth} | {bash} |", middle(Way::Berth, |step| step.began));
    }
    println!();
}

/// What the agent itself takes while it boots.
fn costs(rounds: &[Round], berth: &Path) {
    let usage = |of: fn(&crate::process::Usage) -> f64| -> Vec<f64> {
        rounds.iter().filter_map(|round| round.of(Way::Berth, 0)?.usage.as_ref()).map(of).collect()
    };
    let mut table = Table::new("the agent in a cold boot");
    table.row("peak resident memory", Unit::Mebibytes, &usage(|usage| usage.peak), Some(MEMORY));
    table.row("page faults, minor", Unit::Count, &usage(|usage| usage.minor), None);
    table.row("page faults, major", Unit::Count, &usage(|usage| usage.major), None);
    table.row("time on a core", Unit::Milliseconds, &usage(|usage| usage.cpu * 1e3), None);
    let bytes = std::fs::metadata(berth).unwrap().len() as f64;
    table.row("the binary", Unit::Megabytes, &[bytes / 1e6], Some(BINARY));
    table.print();
}

/// Calls by service. At most one for each service of AWS that is used, and one that completes the hook.
fn calls(rounds: &[Round]) {
    let most = |way: Way, service: &str| -> usize {
        let boots = rounds.iter().filter_map(|round| round.of(way, 0));
        boots.filter_map(|boot| boot.calls.get(service)).max().copied().unwrap_or(0)
    };
    println!("| calls in a cold boot, the most of all rounds | berth | bash | goal for berth |");
    println!("|---|---:|---:|---|");
    for (service, goal) in [("secretsmanager", 1), ("ecr", 1), ("autoscaling", 2)] {
        let (berth, bash) = (most(Way::Berth, service), most(Way::Bash, service));
        let verdict = if berth <= goal { "✓" } else { "**missed**" };
        println!("| {service} | {berth} | {bash} | ≤ {goal} {verdict} |");
    }
    for (service, name) in [("imds", "metadata, on the instance"), ("registry", "registry, by the engine too")] {
        println!("| {name} | {} | {} | |", most(Way::Berth, service), most(Way::Bash, service));
    }
    println!();
}

/// Of every way, the slowest first, the cold boot that took the median time, or is next to it.
fn middle(rounds: &[Round]) -> Vec<(Way, &Boot)> {
    let pick = |way: Way| {
        let boots: Vec<&Boot> = rounds.iter().filter_map(|round| round.of(way, 0)).collect();
        let middle = median(&boots.iter().map(|boot| boot.completed).collect::<Vec<_>>());
        let off = |boot: &Boot| (boot.completed - middle).abs();
        let boot = boots.into_iter().min_by(|one, other| off(one).total_cmp(&off(other)))?;
        Some((way, boot))
    };
    Way::ALL.into_iter().rev().filter_map(pick).collect()
}
