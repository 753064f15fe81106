//! When an instance that began a release and has written no verdict counts as lost.

use std::time::Duration;

use berth_config::{Config, TrafficMove};

use super::LEASE;

/// So old is a mark without a verdict when its instance is taken for lost, by the clock of S3: a lease, the longest move and the bake. No
/// agent takes longer that still runs; one that was started again bakes again, and is mostly done by then.
pub fn lost_after(config: &Config) -> Duration {
    let start = config.stop_timeout.saturating_add(config.probe.start_limit(None));
    let longest_move = match config.traffic_move() {
        TrafficMove::Targets => config.target_timeout,
        TrafficMove::Restart => start,
        // `auto` is always one of the others.
        TrafficMove::Readiness | TrafficMove::Auto => {
            config.drain.settle.saturating_add(config.drain.timeout).saturating_add(start)
        }
    };
    LEASE.saturating_add(longest_move).saturating_add(config.release.bake)
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::*;

    #[test]
    fn an_instance_is_lost_when_a_lease_the_move_and_the_bake_are_over() {
        let after = |words: &str| {
            let mut layers = Layers::new();
            layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
            let (config, errors) = layers.resolve_what_is_written(true);
            assert!(errors.is_empty(), "{errors}");
            lost_after(&config).as_secs()
        };
        let web = "target_groups=arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067 port=0:80";
        assert_eq!(after(&format!("{web} target.timeout=4m release.bake=10s")), 60 + 240 + 10);
        let times = "stop_timeout=7s probe.start_timeout=5m release.bake=10s";
        assert_eq!(after(&format!("release.move=restart {times}")), 60 + 7 + 300 + 10);
        let drain = "drain.settle=20s drain.timeout=15m";
        assert_eq!(after(&format!("release.move=readiness {drain} {times}")), 60 + 20 + 900 + 7 + 300 + 10);
        assert_eq!(after(&format!("{drain} {times}")), 60 + 20 + 900 + 7 + 300 + 10, "`auto`");
    }
}
