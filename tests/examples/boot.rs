//! An instance of what an example made: its user-data, its role's policy, its hooks; everything else is the kit's.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use berth_kit::World;
use berth_kit::group::{Hook, Transition};
use berth_kit::text::sha256_hex;
use serde_json::{Value, json};

use crate::{BERTH, SOON};

/// A text with everything in it that a shell or Terraform could trip over.
pub(crate) const AWKWARD: &str = r#"it's "quoted", with \ and $HOME, `date` and a # or two"#;
/// A health command with spaces.
pub(crate) const HEALTH: &str = "cmd:/app probe";

/// An instance that waits to be launched: the group's own hooks, secrets that the examples name, a private registry.
pub(crate) async fn instance() -> World {
    let hook = |name: &str, transition, seconds, result: &str| Hook {
        name: name.into(),
        transition,
        heartbeat_timeout: Duration::from_secs(seconds),
        default_result: result.into(),
    };
    let hooks = vec![
        hook("berth-launch", Transition::Launching, 600, "ABANDON"),
        hook("berth-terminate", Transition::Terminating, 420, "CONTINUE"),
    ];
    let world = World::builder().hooks(hooks).private_registry().start().await;
    // Nothing of it is in the examples: a drain that ends soon.
    world.ami_defaults("stop_timeout = '2s'\ndrain = { settle = '100ms', idle = '100ms', timeout = '5s' }");
    world.parameters.put_secure("/prod/ap-api/key", "from the parameter store");
    world.secrets.put("prod/db", r#"{"url":"postgres://app@db/app"}"#);
    world.secrets.put("prod/api", r#"{"TOKEN":"from secrets manager"}"#);
    world
}

/// The keys that the tests give beside what an example says itself.
pub(crate) fn keys() -> Value {
    json!({
        "env.AWKWARD": AWKWARD,
        "registry_auth": "ecr",
        "secret.API_KEY": "ssm:/prod/ap-api/key",
        "secret.DATABASE_URL": "prod/db#url",
    })
}

/// A port that nobody had a moment ago, on any address.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// Boots, serves, and drains when the group terminates it; nothing is denied, and the app has its secrets.
pub(crate) async fn boots_and_drains(world: &World, group: &Value, environment: &[(&str, &str)]) {
    world.user_data(group["user_data"].as_str().unwrap());
    let policies = group["policies"].as_object().unwrap().values();
    let statements: Vec<Value> = policies.flat_map(|policy| policy["Statement"].as_array().unwrap().clone()).collect();
    world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": statements }));

    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    for (name, value) in environment {
        let sum = agent.app(&format!("/env/{name}")).await.text();
        assert_eq!(sum, sha256_hex(value.as_bytes()), "{name}: {}", agent.log_text());
    }

    world.autoscaling.terminate();
    world.journal.wait_for_count("autoscaling CompleteLifecycleAction", 2, SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    let results: Vec<_> = world.autoscaling.completions().into_iter().map(|one| one.result).collect();
    assert_eq!(results, ["CONTINUE", "CONTINUE"]);
    assert_eq!(world.iam.denied(), BTreeSet::new(), "{}", world.journal.text());
    let needed = world.iam.needed();
    assert!(needed.contains("ssm:GetParameters") && needed.contains("ecr:BatchGetImage"), "{needed:?}");
}
