//! What the agent's memory holds of secrets after they are delivered: its whole writable memory is read, as root can.
//! docs/security.md has the numbers. The search is shown to find what is there.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use berth_kit::{Agent, Fault, Image, World};

use crate::steps::until;
use crate::{BERTH, SOON};

/// By then everything is wiped that is not kept for good. A connection that is not used is kept for 10 s, with its buffers, and one search of the
/// memory takes a second and more.
const WIPED: Duration = SOON;

/// A value that is nowhere else. JSON has to escape it, an environment and a file do not.
fn value(name: &str) -> String {
    format!("{name}-\"quoted\"-{:032x}", fastrand::u128(..))
}

/// Every part of the agent's memory that can be written; what cannot be written is the binary.
fn memory(agent: &Agent) -> Vec<Vec<u8>> {
    let process = format!("/proc/{}", agent.pid());
    let memory = File::open(format!("{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("{process}/maps")).unwrap();
    let part = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        // A part may be given back between the two.
        (rest.starts_with("rw") && memory.read_exact_at(&mut bytes, from).is_ok()).then_some(bytes)
    };
    maps.lines().filter_map(part).collect()
}

/// How often these bytes are in there.
fn occurrences(memory: &[Vec<u8>], bytes: &[u8]) -> usize {
    let in_part = |part: &[u8]| {
        let (mut rest, mut count) = (part, 0);
        while let Some(at) = rest.iter().position(|byte| *byte == bytes[0]) {
            count += usize::from(rest[at..].starts_with(bytes));
            rest = &rest[at + 1..];
        }
        count
    };
    memory.iter().map(|part| in_part(part)).sum()
}

/// The value as it is, in JSON, in JSON in JSON, and in base64 wherever in a text it begins: what is the same in several forms is
/// looked for once.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let json = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
    let once = json(value);
    let mut forms = vec![value.to_owned(), json(&once), once.clone()];
    for text in [value, &once] {
        for before in 0..3 {
            let bytes = [&[0; 2][..before], text.as_bytes()].concat();
            // Characters that hold bits of nothing else.
            let whole = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
            forms.extend(
                [&BASE64_STANDARD, &BASE64_URL_SAFE].map(|base64| base64.encode(&bytes)[whole.clone()].to_owned()),
            );
        }
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// How often each value is in the agent's memory, in any form.
fn found(agent: &Agent, values: &[String]) -> Vec<usize> {
    let memory = memory(agent);
    values.iter().map(|value| forms(value).iter().map(|form| occurrences(&memory, form)).sum()).collect()
}

/// Waits until the memory holds each of the values at most so often.
async fn wiped(agent: &Agent, what: &str, values: &[String], at_most: usize) {
    let mut last = Vec::new();
    let wait = async {
        loop {
            last = found(agent, values);
            if last.iter().all(|count| *count <= at_most) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let wiped = tokio::time::timeout(WIPED, wait).await.is_ok();
    assert!(wiped, "{what}: {last:?} times in memory for {WIPED:?}, allowed are {at_most}\n{}", agent.log_text());
}

/// Gives the world new secrets: two in one object, a binary one, a parameter.
fn put_secrets(world: &World) -> Vec<String> {
    let values = ["one", "two", "binary", "parameter"].map(value);
    world.secrets.put("prod/api", &serde_json::json!({ "ONE": values[0], "TWO": values[1] }).to_string());
    world.secrets.put_binary("prod/key", values[2].as_bytes());
    world.parameters.put_secure("/prod/three", &values[3]);
    values.into()
}

/// The config that asks for them.
fn line(image: &str, words: &str) -> String {
    format!(
        "berth image={image} port=0:8080 health=/health registry_auth=ecr secrets=prod/api secret.KEY=prod/key \
         secret.THREE=ssm:/prod/three secret.URL='x://app:${{prod/key}}@db/${{ssm:/prod/three}}' {words}"
    )
}

/// The registry's password, and what ECR's token holds.
fn login(world: &World) -> Vec<String> {
    let password = world.ecr.password();
    vec![format!("AWS:{password}"), password]
}

/// Whether all of these values are on the tmpfs for the app.
fn delivered(world: &World, values: &[String]) -> bool {
    let container = world.run_dir().join("secrets").join(world.container());
    // One of its files is no directory: the parts of what was put together.
    let directories =
        std::fs::read_dir(container).unwrap().filter_map(|how| std::fs::read_dir(how.unwrap().path()).ok()).flatten();
    // A file may be replaced meanwhile.
    let files: String = directories.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect();
    values.iter().all(|value| files.contains(value.as_str()))
}

/// A life with two rotations and a crash. `words`: the config that says how the secrets get to the app.
async fn nothing_is_left(words: &str) {
    let world = World::builder().private_registry().start().await;
    let mut values = put_secrets(&world);
    let image = world.push("v1", &Image::demo_app());
    world.user_data(&line(&image.by_tag(), words));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    world.journal.in_order(&["ecr GetAuthorizationToken 200", "registry GET blob 200"]);
    // The same search finds what is there.
    assert!(
        found(&agent, std::slice::from_ref(&image.digest))[0] > 0,
        "the digest of the image that runs is not found"
    );
    let (login, role) = (login(&world), world.credential_values());
    wiped(&agent, "the secrets after the boot", &values, 0).await;
    wiped(&agent, "the registry's login", &login, 0).await;
    wiped(&agent, "the role's key and token", &role, 1).await;

    for _ in 1..=2 {
        let rotated = put_secrets(&world);
        until("the new values are delivered", async || delivered(&world, &rotated)).await;
        values.extend(rotated);
        wiped(&agent, "the secrets after a rotation, and those before it", &values, 0).await;
    }
    wiped(&agent, "the role's key and token", &role, 1).await;

    agent.kill9().await;
    let agent = world.relaunch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(agent.status().await["container"]["adopted"], true);
    wiped(&agent, "the secrets that an adopted app did not need", &values, 0).await;
    wiped(&agent, "the registry's login", &login, 0).await;
    wiped(&agent, "the role's key and token", &role, 1).await;
}

#[tokio::test]
async fn an_environment_that_was_delivered_is_nowhere_in_the_memory_of_the_agent() {
    nothing_is_left("secrets_refresh=2s").await;
}

#[tokio::test]
async fn files_that_were_delivered_are_nowhere_in_the_memory_of_the_agent() {
    nothing_is_left("secrets_as=files secrets_refresh=2s,signal:WINCH").await;
}

#[tokio::test]
async fn a_failed_boot_that_is_held_keeps_no_secret_in_memory() {
    let world = World::builder().private_registry().start().await;
    let values = put_secrets(&world);
    let image = world.push("v1", &Image::demo_app());
    world.fault("registry GET manifest", Fault::Status(503)).always();
    world.user_data(&line(&image.by_tag(), "boot.on_failure=hold boot.timeout=10s"));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    assert!(agent.log_text().contains("SecretsFetched") && agent.log_text().contains("RegistryLoggedIn"));
    wiped(&agent, "the secrets", &values, 0).await;
    wiped(&agent, "the registry's login", &login(&world), 0).await;
}
