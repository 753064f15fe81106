//! What goes wrong in a plan, as far as it may excuse a promise.

use std::time::Duration;

use berth_core::message::job::JobKind;

use super::plan::{ENGINE, GROUP, Plan, RELEASES, SERVICES, TARGETS};
use super::table::{BootFault, End};
use super::twist::{Fate, Twist};

/// Worked out once: the promises are looked at after every event.
#[derive(Debug)]
pub(crate) struct Excuses {
    /// The group cannot always be asked.
    pub(crate) aws: bool,
    /// Nor can the services that a boot needs.
    pub(crate) services: bool,
    pub(crate) engine: bool,
    /// A boot may fail for a fault of the table.
    pub(crate) boot: bool,
    pub(crate) app: bool,
    pub(crate) metadata: bool,
    /// For how long things are away, one after the other at the worst.
    pub(crate) away: Duration,
    pub(crate) spot: bool,
    /// The root volume is replaced more than once: a word that comes again is asked about after five minutes.
    pub(crate) again: bool,
    /// An answer is lost or late.
    pub(crate) late: bool,
    /// Clients stay for minutes.
    pub(crate) long: bool,
    /// The config names the group and its hooks, so their timeouts are not known.
    pub(crate) blind: bool,
}

impl Excuses {
    /// What went wrong is right again, and the life got on: from here on nothing excuses it but what the plan still wants of it.
    pub(crate) fn heal(&mut self) {
        let Self { spot, again, long, blind, .. } = *self;
        let away = Duration::ZERO;
        let (aws, services, engine, boot, app, metadata, late) = (false, false, false, false, false, false, false);
        *self = Self { aws, services, engine, boot, app, metadata, away, spot, again, late, long, blind };
    }

    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            // Without the metadata there are no credentials.
            aws: plan.troubles(&GROUP)
                || plan.has(|twist| {
                    matches!(twist, Twist::AwsAway { .. } | Twist::BootFault(BootFault::MetadataGone { .. }))
                }),
            services: plan.troubles(&SERVICES)
                || (plan.registers() && plan.troubles(&TARGETS))
                || (plan.follows() && plan.troubles(&RELEASES)),
            engine: plan.troubles(&ENGINE)
                || plan.has(|twist| matches!(twist, Twist::EngineAway { .. } | Twist::StopsIn(_)))
                || plan
                    .boot_faults()
                    .any(|fault| matches!(fault, BootFault::EngineLate(_) | BootFault::EngineRestarts { .. })),
            // What each takes, one after the other.
            boot: plan.boot_faults().any(|fault| !matches!(fault.end(plan), End::Served(_)))
                || plan.boot_faults().map(|fault| fault.end(plan).within()).sum::<Duration>() >= plan.limits().0
                // A port of before that is registered again waits for the end of its deregistration delay.
                || (plan.registers() && plan.shape.deregistration >= plan.limits().0),
            app: plan.has(|twist| {
                matches!(
                    twist,
                    Twist::Crash { .. }
                        | Twist::CrashLoop { .. }
                        | Twist::Removed { .. }
                        | Twist::Sick { .. }
                        | Twist::StopsIn(_)
                        | Twist::StartsIn(_)
                        | Twist::BootFault(BootFault::ExitsAtOnce | BootFault::NeverHealthy)
                )
            }),
            metadata: plan.troubles(&[JobKind::Identify, JobKind::ReadConfig, JobKind::WatchMetadata])
                || plan.has(|twist| matches!(twist, Twist::MetadataAway { .. } | Twist::StateOdd { .. }))
                || plan.boot_faults().any(|fault| matches!(fault, BootFault::MetadataGone { .. })),
            away: plan.twists.iter().map(Twist::lasts).sum(),
            spot: plan.has(|twist| matches!(twist, Twist::Spot(_))),
            again: plan.twists.iter().filter(|twist| matches!(twist, Twist::Replace { .. })).count() > 1,
            late: plan.has(|twist| matches!(twist, Twist::Fate(_, _, Fate::Hangs | Fate::Slow(_)))),
            long: plan.shape.websockets || plan.has(|twist| matches!(twist, Twist::LongConnection { .. })),
            blind: plan.says("lifecycle.group=web"),
        }
    }
}
