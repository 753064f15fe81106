//! A target lifecycle state that says too little by itself: how often the group is asked about it.

use berth_core::message::error::ErrorClass;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;

use crate::sim::{Sim, secs, target};

/// An app without a probe and metadata that are polled once an hour, so that nothing else wakes the machine. The word is there at first.
fn unclear() -> Sim {
    Sim::new("image=r.test/a:1 lifecycle.poll=1h").sees(secs(0), target(TargetState::Other("Unheard".to_owned())))
}

/// The time between two questions to the group, in seconds.
fn gaps(life: &Sim) -> Vec<f64> {
    let at = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    let asked = life.trace().lines().filter(|line| line.contains("> DescribeInstance")).filter_map(at);
    let asked: Vec<f64> = asked.collect();
    asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn the_group_is_asked_four_times_however_rarely_the_metadata_are_polled() {
    let life = unclear().run(secs(600));
    let gaps = gaps(&life);
    assert!(gaps.len() == 3 && gaps.iter().all(|gap| (8.0..=10.1).contains(gap)), "{gaps:?}:\n{}", life.trace());
}

#[test]
fn a_question_that_was_throttled_is_asked_again_at_a_random_time_and_one_that_failed_after_a_while() {
    let first = |class| gaps(&unclear().fails(JobKind::DescribeInstance, 1, class, "no").run(secs(600)))[0];
    let (throttled, failed) = (first(ErrorClass::Throttled), first(ErrorClass::Transient));
    assert!(throttled < 3.1, "within 3 s: {throttled}");
    assert!((8.0..=10.1).contains(&failed), "{failed}");
}
