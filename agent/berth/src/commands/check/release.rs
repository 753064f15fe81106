//! How a change of the document is released in place, and what is lost in it.

use berth_config::{Config, Layers, TrafficMove, duration_text};
use serde_json::{Value, json};

/// As a line of text; none without `follow`.
pub(super) fn line(layers: &Layers, config: &Config) -> Option<String> {
    let every = duration_text(config.follow?);
    let (word, lost) = traffic(config);
    // A move that is not written follows from the keys of the document, too, which is not read here.
    let is_open = config.release.traffic == TrafficMove::Auto;
    let unless = layers.pointer_name().filter(|_| is_open).map(|pointer| format!(" unless {pointer} says otherwise"));
    let lost = lost.unwrap_or("nothing is lost");
    Some(format!("looks every {every}, moves by {word}{}: {lost}", unless.unwrap_or_default()))
}

/// The same for scripts; null without `follow`.
pub(super) fn json(config: &Config) -> Value {
    let release = |follow| {
        let (word, lost) = traffic(config);
        json!({ "follow": duration_text(follow), "move": word, "lost": lost })
    };
    config.follow.map_or(Value::Null, release)
}

/// How the traffic moves, and what is lost.
fn traffic(config: &Config) -> (&'static str, Option<&'static str>) {
    match config.traffic_move() {
        TrafficMove::Targets => ("targets", None),
        TrafficMove::Restart => {
            ("restart", Some("the app is away from the stop of the old container until the new one is healthy"))
        }
        // `auto` is always one of the others.
        TrafficMove::Readiness | TrafficMove::Auto => (
            "readiness",
            Some(
                "the instance is out of the load balancer from 503 until the new container is healthy, and takes a lock",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";

    fn check(words: &str) -> (Option<String>, Value) {
        let mut layers = Layers::new();
        let words = words.replace("WEB", WEB);
        layers.add_user_data(format!("berth image=x:1 config=s3://prod-berth/api {words}").as_bytes());
        let (config, errors) = layers.resolve_what_is_written(true);
        assert!(errors.is_empty(), "{errors}");
        (line(&layers, &config), json(&config))
    }

    #[test]
    fn what_moves_the_traffic_and_what_is_lost_is_said() {
        let restart = "the app is away from the stop of the old container until the new one is healthy";
        let readiness =
            "the instance is out of the load balancer from 503 until the new container is healthy, and takes a lock";
        for (words, text, json) in [
            (
                "release.move=restart",
                format!("looks every 15s, moves by restart: {restart}"),
                json!({ "follow": "15s", "move": "restart", "lost": restart }),
            ),
            (
                "release.move=readiness",
                format!("looks every 15s, moves by readiness: {readiness}"),
                json!({ "follow": "15s", "move": "readiness", "lost": readiness }),
            ),
            (
                "release.move=targets target_groups=WEB port=0:80",
                "looks every 15s, moves by targets: nothing is lost".to_owned(),
                json!({ "follow": "15s", "move": "targets", "lost": null }),
            ),
            (
                "target_groups=WEB port=0:80",
                "looks every 15s, moves by targets unless s3://prod-berth/api says otherwise: nothing is lost"
                    .to_owned(),
                json!({ "follow": "15s", "move": "targets", "lost": null }),
            ),
            (
                "",
                format!("looks every 15s, moves by readiness unless s3://prod-berth/api says otherwise: {readiness}"),
                json!({ "follow": "15s", "move": "readiness", "lost": readiness }),
            ),
        ] {
            assert_eq!(check(&format!("follow=15s {words}")), (Some(text), json), "{words}");
        }
        assert_eq!(check("release.move=restart"), (None, Value::Null));
    }
}
