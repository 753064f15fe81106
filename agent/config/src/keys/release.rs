//! The keys for releases in place: what an instance follows, how traffic moves, and how a fleet stops a bad release.

use std::time::Duration;

use crate::config::policy::{Board, Wave};
use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, at_least, choice, none, put, same};
use crate::value::scalar::{count, duration};
use crate::value::{Reason, Reasons, Value, s3};

/// The slots of a fleet (docs/decisions/0022).
const SLOTS: u32 = 2048;

/// More locks than this are more than the fleets that wait for one.
const MOST_PARALLEL: u32 = 100;

const BY_ITSELF: &str = "an instance whose new container fails goes back to the old one by itself, and `release.failures` \
                         says how many of them stop the release";
const REPLACES: &str = "`follow=` and `release.*` release a new version on the instances that run; the Auto Scaling group \
                        replaces instances, with an instance refresh";
const SLOWEST: &str = "the time from the start of the container until it must be healthy";
const AT_ONCE: &str = "a number of instances that release at once; `release.waves=` takes percentages of the fleet";
const PARTS: &str =
    "`PERCENT%@DURATION`: which part of the fleet may begin, and how long after the release was published";

/// The keys of releases.
pub(super) static SECTION: Section = Section {
    title: "Releases in place",
    intro: "With `follow`, an instance that serves looks for changes of the document that `config=` points to, and releases each of them \
                without being replaced: the new container is started, must be healthy, and takes the traffic of the old one. `listen`, \
                `lifecycle.*`, `boot.*` and `follow` cannot change in place: a document that changes them needs new instances.",
    keys: &[&[
        Key {
            name: "follow",
            about: "how often to look at what `config=` points to, and release a change in place, at least 1s; or `off`. An object of S3 \
                 is asked only whether it has changed",
            default: By("off"),
            examples: &["15s"],
            resolve: |c, v, _| put(&mut c.follow, follow(v)),
        },
        Key {
            name: "release.move",
            about: "how traffic goes to the new container: `targets`: it is registered with the `target_groups`, and the old one leaves \
                 them once the load balancer calls it healthy; nothing is lost · `readiness`: `/ready` is 503 until load balancers have \
                 let go, then the new container takes the ports of the old one; the instance is out of the load balancer until then · \
                 `restart`: the old container is stopped and the new one started; the app is away in between · `auto`: `targets` with \
                 `target_groups`, else `readiness`",
            default: By("auto"),
            examples: &["restart"],
            resolve: |c, v, _| put(&mut c.release.traffic, choice(v)),
        },
        Key {
            name: "release.healthy_for",
            about: "how long the new container must have been healthy before traffic moves to it; one that fails before that is removed, \
                 and traffic stays where it is",
            default: By("10s"),
            examples: &["1m"],
            resolve: |c, v, _| put(&mut c.release.healthy_for, at_least(0, v)),
        },
        Key {
            name: "release.bake",
            about: "how long the old container is kept after traffic has moved; if the new one fails in this time, traffic goes back",
            default: By("30s"),
            examples: &["5m"],
            resolve: |c, v, _| put(&mut c.release.bake, at_least(0, v)),
        },
        Key {
            name: "release.board",
            about: "`s3://BUCKET/PREFIX`, the prefix may be empty: where instances write whether a release is good or bad, and take locks: \
                 a bad release stops itself, and not all instances go at once. `follow` needs it, or `target_groups`, or \
                 `release.move=restart`",
            default: Words("none"),
            examples: &["s3://prod-berth/boards/api"],
            resolve: |c, v, _| put(&mut c.release.board, v.one().and_then(board).map(Some)),
        },
        Key {
            name: "release.waves",
            about: "list of `PERCENT%@DURATION`: this part of the fleet may begin so long after the release was published. Percentages \
                 rise to `100%`, durations do not fall. Each instance is in another wave with every release; a rollback waits for none",
            default: By("100%@0s"),
            examples: &["5%@0s,50%@5m,100%@15m"],
            resolve: |c, v, _| put(&mut c.release.waves, waves(v)),
        },
        Key {
            name: "release.max_parallel",
            about: "how many instances release at once, 1 to 100, by locks on the `release.board`",
            default: By("1"),
            examples: &["3"],
            resolve: |c, v, _| put(&mut c.release.max_parallel, v.one().and_then(max_parallel)),
        },
        Key {
            name: "release.failures",
            about: "how many instances must call a release bad on the `release.board` until no other one begins it",
            default: By("1"),
            examples: &["2"],
            resolve: |c, v, _| put(&mut c.release.failures, v.one().and_then(|text| count(1, text))),
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of Compose, ECS services, instance refreshes, CodeDeploy, Nomad, Kamal, Podman and Watchtower.
static FOREIGN: &[ForeignWord] = &[
    same(
        "auto_update io.containers.autoupdate poll_interval watchtower_poll_interval",
        "follow",
        "how often what `config=` points to is read; it names the image of the next version",
    ),
    same(
        "deploy.update_config.order update_config.order",
        "release.move",
        "`targets` and `readiness` start the new container first, `restart` stops the old one first",
    ),
    same(
        "instanceWarmup readiness_delay min_healthy_time update.min_healthy_time",
        "release.healthy_for",
        "with a unit, `10s`",
    ),
    same(
        "deploy.update_config.monitor update_config.monitor bakeTime bakeTimeInMinutes \
         deploymentConfiguration.bakeTimeInMinutes",
        "release.bake",
        "with a unit, `10m`",
    ),
    same(
        "deploy.update_config.parallelism update_config.parallelism deploy.rollback_config.parallelism max_parallel update.max_parallel \
         boot.limit",
        "release.max_parallel",
        "instances that release at once; it needs `release.board`",
    ),
    same(
        "minimumHealthyPercent maximumPercent deploymentConfiguration.minimumHealthyPercent \
         deploymentConfiguration.maximumPercent minHealthyPercentage maxHealthyPercentage minimumHealthyHosts",
        "release.max_parallel",
        AT_ONCE,
    ),
    same(
        "deploy.update_config.delay update_config.delay deploy.rollback_config.delay checkpointPercentages checkpointDelay \
         canary update.canary update.stagger stagger boot.wait canaryConfiguration canaryPercent canaryBakeTimeInMinutes \
         linearConfiguration stepPercent stepBakeTimeInMinutes deploymentConfiguration.canaryConfiguration \
         deploymentConfiguration.linearConfiguration",
        "release.waves",
        PARTS,
    ),
    same(
        "deploymentCircuitBreaker deploymentConfiguration.deploymentCircuitBreaker deploy.update_config.max_failure_ratio \
         update_config.max_failure_ratio deploy.rollback_config.max_failure_ratio",
        "release.failures",
        "a number of instances; each goes back to its old container by itself",
    ),
    same(
        "healthy_deadline update.healthy_deadline progress_deadline update.progress_deadline deploy_timeout",
        "probe.start_timeout",
        SLOWEST,
    ),
    none(
        "deploy.update_config.failure_action update_config.failure_action auto_revert update.auto_revert autoRollback \
         auto_rollback_configuration auto_promote update.auto_promote deploymentConfiguration.alarms alarmSpecification",
        BY_ITSELF,
    ),
    none(
        "deploy.update_config deploy.rollback_config update_config rollback_config deploymentConfiguration \
         deploymentController deploymentStyle instanceRefresh refreshPreferences",
        REPLACES,
    ),
];

/// `15s`, `off`.
fn follow(value: &Value) -> Result<Option<Duration>, Reason> {
    match value.one()? {
        "off" => Ok(None),
        _ => at_least(1000, value).map(Some),
    }
}

/// A prefix begins and ends without a slash: keys are `PREFIX/RELEASE/…`.
fn board(text: &str) -> Result<Board, Reason> {
    let (bucket, prefix) = s3::place(text).map_err(|reason| reason.replace("BUCKET/KEY", "BUCKET/PREFIX"))?;
    if prefix.starts_with('/') || prefix.contains("//") {
        return Err("has two slashes together: write `s3://BUCKET/PREFIX`".into());
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    // What berth appends is at most 128 bytes long.
    if prefix.len() > 896 {
        return Err("has a prefix longer than 896 bytes, which leaves too little for the keys below it".into());
    }
    Ok(Board { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn waves(value: &Value) -> Result<Vec<Wave>, Reasons> {
    let written: Vec<(u16, Duration)> = value.each(wave)?;
    let mut reasons: Vec<Reason> = Vec::new();
    for (n, (before, after)) in (2..).zip(written.iter().zip(written.iter().skip(1))) {
        if after.0 <= before.0 {
            reasons.push(
                format!(
                    "entry {n} has no larger part of the fleet than the one before: each includes the earlier ones"
                )
                .into(),
            );
        }
        if after.1 < before.1 {
            reasons.push(
                format!("entry {n} begins before the one before it: all durations count from the publication").into(),
            );
        }
    }
    match written.last() {
        Some((100, _)) => {}
        Some(_) => reasons.push("does not end with `100%`: the rest of the fleet would never begin".into()),
        None => reasons.push("is empty: write `100%@0s` for the whole fleet at once".into()),
    }
    if reasons.is_empty() {
        Ok(written.into_iter().map(|(percent, after)| Wave { slots: slots(percent), after }).collect())
    } else {
        Err(Reasons(reasons))
    }
}

/// `5%@10m`
fn wave(text: &str) -> Result<(u16, Duration), Reason> {
    const EXPECTED: &str = "is not `PERCENT%@DURATION`, as in `5%@0s` or `100%@15m`";
    let (percent, after) = text.split_once('@').ok_or(EXPECTED)?;
    let percent = percent.strip_suffix('%').ok_or(EXPECTED)?;
    let number = percent.bytes().all(|byte| byte.is_ascii_digit()).then(|| percent.parse::<u16>().ok()).flatten();
    let number = number.ok_or(EXPECTED)?;
    if !(1..=100).contains(&number) {
        return Err("has a percentage that is not from 1 to 100".into());
    }
    let after = duration(after).map_err(|reason| format!("has a part after `@` that {reason}"))?;
    Ok((number, after))
}

/// Rounded up: the smallest part is not empty.
fn slots(percent: u16) -> u16 {
    let slots = (u32::from(percent) * SLOTS).div_ceil(100);
    u16::try_from(slots).unwrap_or(u16::MAX)
}

fn max_parallel(text: &str) -> Result<u32, Reason> {
    match count(1, text)? {
        number if number > MOST_PARALLEL => Err("is more than 100".into()),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::policy::TrafficMove;
    use crate::parse::layers::Layers;

    fn resolved(words: &str) -> Result<Config, String> {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        layers.resolve().map_err(|errors| errors.to_string())
    }

    #[track_caller]
    fn refused(words: &str, reason: &str) {
        let (key, _) = words.split_once('=').unwrap();
        assert_eq!(resolved(words), Err(format!("user-data line 1 column 17: `{key}`: {reason}")), "{words}");
    }

    #[test]
    fn every_key_of_a_release_is_resolved() {
        let config = resolved(
            "follow=15s config=s3://prod-berth/api release.move=readiness release.healthy_for=0s release.bake=0s \
             release.board=s3://prod-berth/boards/api/ release.waves=5%@0s,50%@5m,100%@15m release.max_parallel=100 release.failures=2",
        )
        .unwrap();
        let release = &config.release;
        assert_eq!(config.follow, Some(Duration::from_secs(15)));
        assert_eq!(release.traffic, TrafficMove::Readiness);
        assert_eq!((release.healthy_for, release.bake), (Duration::ZERO, Duration::ZERO));
        assert_eq!((release.max_parallel, release.failures), (100, 2));
        let wave = |slots, minutes: u64| Wave { slots, after: Duration::from_secs(minutes * 60) };
        assert_eq!(release.waves, [wave(103, 0), wave(1024, 5), wave(2048, 15)]);
        assert_eq!(release.board, Some(Board { bucket: "prod-berth".into(), prefix: "boards/api".into() }));
    }

    #[test]
    fn without_a_word_nothing_is_followed() {
        let config = resolved("").unwrap();
        assert_eq!((config.follow, config.release.traffic), (None, TrafficMove::Auto));
        assert_eq!(config.release.waves, [Wave { slots: 2048, after: Duration::ZERO }]);
        assert_eq!((config.release.max_parallel, config.release.failures, &config.release.board), (1, 1, &None));
        assert_eq!((config.release.healthy_for.as_secs(), config.release.bake.as_secs()), (10, 30));
        assert_eq!(resolved("follow=off"), Ok(config));
    }

    #[test]
    fn a_board_is_a_bucket_with_or_without_a_prefix() {
        for (text, prefix) in [
            ("s3://prod-berth", ""),
            ("s3://prod-berth/", ""),
            ("s3://prod-berth/a/b", "a/b"),
            ("s3://prod-berth/a/", "a"),
        ] {
            assert_eq!(board(text), Ok(Board { bucket: "prod-berth".into(), prefix: prefix.into() }), "{text}");
        }
        refused("release.board=prod-berth/api", "is not `s3://BUCKET/PREFIX`");
        refused("release.board=s3:prod-berth/api", "is written `s3://BUCKET/PREFIX`, with two slashes");
        refused("release.board=arn:aws:s3:::prod-berth", "is the ARN of an object: write `s3://BUCKET/PREFIX`");
        for text in ["s3://prod-berth//", "s3://prod-berth//a", "s3://prod-berth/a//", "s3://prod-berth/a//b"] {
            refused(&format!("release.board={text}"), "has two slashes together: write `s3://BUCKET/PREFIX`");
        }
        assert!(board(&format!("s3://prod-berth/{}", "p".repeat(896))).is_ok());
        let reason = "has a prefix longer than 896 bytes, which leaves too little for the keys below it";
        assert_eq!(board(&format!("s3://prod-berth/{}", "p".repeat(897))), Err(reason.into()));
    }

    #[test]
    fn waves_rise_to_the_whole_fleet() {
        let expected = "is not `PERCENT%@DURATION`, as in `5%@0s` or `100%@15m`";
        for text in ["100", "100%", "100@0s", "%@0s", "1.5%@0s", "+5%@0s", "all@0s", "-1%@0s", "99999%@0s"] {
            refused(&format!("release.waves={text}"), expected);
        }
        refused("release.waves=5%@0s,100%", &format!("entry 2 {expected}"));
        for text in ["0%@0s", "101%@0s"] {
            refused(&format!("release.waves={text}"), "has a percentage that is not from 1 to 100");
        }
        refused("release.waves=100%@5", "has a part after `@` that needs a unit: `ms`, `s`, `m` or `h`");
        refused("release.waves=5%@0s,50%@1m", "does not end with `100%`: the rest of the fleet would never begin");
        refused("release.waves=", "is empty: write `100%@0s` for the whole fleet at once");
        for text in ["50%@0s,50%@1m,100%@2m", "50%@0s,5%@1m,100%@2m"] {
            let reason = "entry 2 has no larger part of the fleet than the one before: each includes the earlier ones";
            refused(&format!("release.waves={text}"), reason);
        }
        let reason = "entry 3 begins before the one before it: all durations count from the publication";
        refused("release.waves=5%@0s,50%@10m,100%@5m", reason);
        assert_eq!(waves(&Value::Text("5%@1m,100%@1m".into())).map(|waves| waves.len()), Ok(2));
    }

    #[test]
    fn no_part_of_a_fleet_is_empty_and_the_whole_is_all_slots() {
        assert_eq!([1, 5, 50, 99, 100].map(slots), [21, 103, 1024, 2028, 2048]);
    }

    #[test]
    fn a_number_or_a_duration_that_no_release_can_have_is_refused() {
        refused("follow=500ms", "is shorter than `1s`");
        refused("follow=15", "needs a unit: `ms`, `s`, `m` or `h`");
        refused("follow=never", "is not a duration like `500ms`, `5s`, `10m` or `1h30m`");
        refused("release.move=rolling", "is not one of `auto`, `targets`, `readiness`, `restart`");
        refused("release.max_parallel=0", "is less than 1");
        refused("release.max_parallel=101", "is more than 100");
        refused("release.failures=0", "is less than 1");
    }
}
