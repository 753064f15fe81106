//! docs/schema is what the types say: `UPDATE_EXPECT=1 cargo test -p berth-core --test traces schema` writes it. That what is shown is
//! what docs/schema says is held by tests/screens/schema.rs and tests/scenarios/socket.rs, with a validator that is not ours.

use berth_core::message::job::JobKind;
use berth_core::message::output::{BYTES, LINES};
use berth_core::view::feed::FeedLine;
use berth_core::view::last_life::LastLife;
use berth_core::view::published::StatusReport;
use berth_core::view::timeline::Timeline;
use expect_test::expect_file;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::json;

/// The schema of what is written, not of what is read: a field that is always written is required.
fn made<T: JsonSchema>(title: &str) -> String {
    let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[test]
fn the_schemas_in_the_docs_are_made_from_the_types() {
    expect_file!["../../docs/schema/status.json"]
        .assert_eq(&made::<StatusReport>("GET /v1/status, and berth status --json of a running agent"));
    expect_file!["../../docs/schema/last-life.json"].assert_eq(&made::<LastLife>(
        "berth status --json when no agent runs, and last-life.json in the state directory",
    ));
    expect_file!["../../docs/schema/events.json"].assert_eq(&made::<FeedLine>("One line of GET /v1/events"));
    expect_file!["../../docs/schema/timeline.json"].assert_eq(&made::<Timeline>("berth timeline --json"));
}

#[test]
fn the_word_of_a_job_is_the_same_in_json_and_in_metrics() {
    for job in JobKind::ALL {
        assert_eq!(json!(job), job.word());
    }
}

#[test]
fn the_page_says_how_much_of_the_app_s_output_is_kept() {
    let page = include_str!("../../docs/socket.md");
    assert!(page.contains(&format!("at most {LINES} lines and {} KB", BYTES / 1024)));
}
