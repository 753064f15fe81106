//! What goes wrong in a plan, as far as it may excuse a promise.

use std::time::Duration;

use berth::effect::Job;

use super::plan::{ENGINE, GROUP, Plan, SERVICES};
use super::twist::{Fate, Twist};

/// Worked out once: the promises are looked at after every event.
#[derive(Debug)]
pub(crate) struct Excuses {
    /// The group cannot always be asked.
    pub(crate) aws: bool,
    /// Nor can the services that a boot needs.
    pub(crate) services: bool,
    pub(crate) engine: bool,
    pub(crate) app: bool,
    pub(crate) metadata: bool,
    /// For how long things are away, one after the other at the worst.
    pub(crate) away: Duration,
    pub(crate) spot: bool,
    /// An answer is lost or late.
    pub(crate) late: bool,
    /// Clients stay for minutes.
    pub(crate) long: bool,
    /// The config names the group and its hooks, so their timeouts are not known.
    pub(crate) blind: bool,
}

impl Excuses {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            aws: plan.troubles(&GROUP) || plan.has(|twist| matches!(twist, Twist::AwsAway { .. })),
            services: plan.troubles(&SERVICES),
            engine: plan.troubles(&ENGINE)
                || plan.has(|twist| matches!(twist, Twist::EngineAway { .. } | Twist::StopsIn(_))),
            app: plan.has(|twist| {
                matches!(
                    twist,
                    Twist::Crash { .. }
                        | Twist::CrashLoop { .. }
                        | Twist::Sick { .. }
                        | Twist::StopsIn(_)
                        | Twist::StartsIn(_)
                )
            }),
            metadata: plan.troubles(&[Job::Identify, Job::ReadConfig, Job::WatchMetadata])
                || plan.has(|twist| matches!(twist, Twist::MetadataAway { .. } | Twist::StateOdd { .. })),
            away: plan.twists.iter().map(Twist::lasts).sum(),
            spot: plan.has(|twist| matches!(twist, Twist::Spot(_))),
            late: plan.has(|twist| matches!(twist, Twist::Fate(_, _, Fate::Hangs | Fate::Slow(_)))),
            long: plan.shape.websockets || plan.has(|twist| matches!(twist, Twist::LongConnection { .. })),
            blind: plan.says("lifecycle.group=web"),
        }
    }
}
