//! What goes wrong in a life, or is wanted of the instance.

use std::time::Duration;

use berth_core::message::error::ErrorClass;
use berth_core::message::job::JobKind;

use super::documents::Published;
use super::engine::Flaw;
use super::plan::{ENGINE, GROUP, OTHERS, RELEASES, SERVICES, TARGETS};
use super::table::BootFault;
use crate::sim::{ms, secs};

/// What decides the instance's life, and may be refused.
const REFUSALS: [JobKind; 2] = [JobKind::FindGroup, JobKind::CompleteHook];

/// One thing that goes wrong, or is wanted of the instance. Moments count from power-on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// The nth attempt at a job ends so.
    Fate(JobKind, u32, Fate),
    /// The job is refused for good.
    Denied(JobKind),
    /// A fault of the table.
    BootFault(BootFault),
    EngineAway {
        at: Duration,
        lasts: Duration,
        kills: bool,
    },
    AwsAway {
        at: Duration,
        lasts: Duration,
    },
    MetadataAway {
        at: Duration,
        lasts: Duration,
    },
    /// The metadata reports a wrong target lifecycle state for a while.
    StateOdd {
        at: Duration,
        lasts: Duration,
        how: Odd,
    },
    Crash {
        at: Duration,
        oom: bool,
    },
    CrashLoop {
        at: Duration,
        lasts: Duration,
    },
    /// Every container is removed, and the image if `image` says so.
    Removed {
        at: Duration,
        image: bool,
    },
    Sick {
        at: Duration,
        lasts: Duration,
    },
    /// The app takes that long to become healthy.
    StartsIn(Duration),
    /// The app takes that long to stop.
    StopsIn(Duration),
    /// The agent gets a SIGKILL.
    Kill(Duration),
    /// The same when it has taken so many events in its lives: before the orders of the last left it, or after.
    KillAt {
        event: u32,
        ordered: bool,
    },
    /// The config is another one from here on.
    Changed(Duration),
    /// SIGTERM: the first as `systemctl stop`, a later one by hand.
    Term(Duration),
    /// `berth drain`
    Asked(Duration),
    /// `berth handover`
    Handover(Duration),
    /// The group terminates the instance.
    Terminate(Duration),
    /// The group takes the instance back into its pool, and later again into service.
    Return(Duration),
    /// The group replaces the instance's root volume; whether the metadata's word says so.
    Replace {
        at: Duration,
        known: bool,
    },
    Standby {
        at: Duration,
        lasts: Duration,
    },
    Detach(Duration),
    Spot(Duration),
    Rebalance(Duration),
    Maintenance(Duration),
    /// A secret gets another value.
    Rotation(Duration),
    /// A client holds a connection that long.
    LongConnection {
        at: Duration,
        lasts: Duration,
    },
    /// A container of another config, or of a dead one, is there from the start.
    Stray {
        running: bool,
        takes_the_name: bool,
    },
    /// The image is here already.
    Baked,
    /// The document changes.
    Publish {
        at: Duration,
        what: Published,
    },
    /// An operator halts every release.
    Halted {
        at: Duration,
        lasts: Duration,
    },
    /// Other instances have every lock, also one that this instance held.
    LocksBusy {
        at: Duration,
        lasts: Duration,
    },
}

/// What the metadata reports instead of the target lifecycle state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    /// 404
    Absent,
    /// An empty word.
    Empty,
    /// An unknown word.
    Strange,
    /// 404 every other second.
    Flapping,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Well,
    Fails(ErrorClass),
    /// It takes effect, and the answer is lost.
    Lost,
    /// It neither takes effect nor is it ever answered.
    Hangs,
    Slow(Duration),
}

impl Twist {
    pub(crate) fn any(rng: &mut fastrand::Rng, end: Duration) -> Self {
        // Most of what matters happens on the way in and on the way out.
        let at = match rng.u8(..3) {
            0 => ms(rng.u64(..15_000)),
            1 => end + ms(rng.u64(..45_000)),
            _ => ms(rng.u64(..u64::try_from(end.as_millis()).unwrap_or(u64::MAX))),
        };
        let lasts = ms([500, 5_000, 40_000, 150_000][rng.usize(..4)] + rng.u64(..500));
        match rng.u8(..52) {
            0..=7 => {
                let jobs: Vec<JobKind> = [&ENGINE[..], &GROUP, &SERVICES, &OTHERS, &TARGETS].concat();
                Self::Fate(jobs[rng.usize(..jobs.len())], rng.u32(..4), Fate::any(rng))
            }
            8 => Self::Denied([&GROUP[..], &SERVICES, &TARGETS].concat()[rng.usize(..13)]),
            9 | 10 => Self::EngineAway { at, lasts, kills: rng.bool() },
            11 => Self::AwsAway { at, lasts },
            12 => Self::MetadataAway { at, lasts },
            13 => Self::StateOdd {
                at,
                lasts,
                how: [Odd::Absent, Odd::Empty, Odd::Strange, Odd::Flapping][rng.usize(..4)],
            },
            14 => Self::Crash { at, oom: rng.bool() },
            15 => Self::CrashLoop { at, lasts },
            16 => Self::Sick { at, lasts },
            17 => Self::StopsIn(secs(rng.u64(..15))),
            18..=20 => Self::Kill(at),
            21 => Self::Term(at),
            22 => Self::Asked(at),
            23 => Self::Terminate(at),
            24 => Self::Return(at),
            25 => [Self::Standby { at, lasts }, Self::Detach(at)][rng.usize(..2)].clone(),
            26 => Self::Spot(at),
            27 => Self::Rebalance(at),
            28 => Self::LongConnection { at, lasts },
            29 => Self::Maintenance(at),
            30 => Self::Rotation(at),
            32 => Self::Handover(at),
            34..=42 => Self::BootFault(BootFault::any(rng)),
            43..=46 => {
                let most = [30, 100, 400][rng.usize(..3)];
                Self::KillAt { event: rng.u32(1..most), ordered: rng.bool() }
            }
            47 => Self::Changed(at),
            48 => Self::Replace { at, known: rng.bool() },
            49 => Self::AwsAway { at, lasts: secs(20_000) },
            50 => Self::Denied(REFUSALS[rng.usize(..2)]),
            51 => Self::Removed { at, image: rng.bool() },
            31 => Self::StartsIn(secs([rng.u64(8..40), rng.u64(40..580)][rng.usize(..2)])),
            _ => [Self::Stray { running: rng.bool(), takes_the_name: rng.bool() }, Self::Baked][rng.usize(..2)].clone(),
        }
    }

    /// What disturbs a release that is published before that moment.
    pub(crate) fn in_a_release(rng: &mut fastrand::Rng, before: Duration) -> Self {
        let at = ms(rng.u64(..u64::try_from(before.as_millis()).unwrap_or(u64::MAX) + 40_000));
        let lasts = ms([500, 5_000, 40_000, 150_000][rng.usize(..4)] + rng.u64(..500));
        match rng.u8(..12) {
            0 | 1 => Self::Kill(at),
            2 => Self::KillAt { event: rng.u32(20..300), ordered: rng.bool() },
            3..=5 => Self::Fate(RELEASES[rng.usize(..RELEASES.len())], rng.u32(..6), Fate::any(rng)),
            6 => Self::Fate(ENGINE[rng.usize(..ENGINE.len())], rng.u32(..6), Fate::any(rng)),
            7 => Self::Halted { at, lasts },
            8 => Self::LocksBusy { at, lasts },
            9 => Self::Crash { at, oom: rng.bool() },
            10 => Self::Terminate(at),
            _ => Self::Denied(RELEASES[rng.usize(..RELEASES.len())]),
        }
    }

    /// When it happens, if it is an event of its own.
    pub(crate) fn at(&self) -> Option<Duration> {
        match self {
            Self::Kill(at)
            | Self::Term(at)
            | Self::Asked(at)
            | Self::Handover(at)
            | Self::Terminate(at)
            | Self::Return(at)
            | Self::Detach(at)
            | Self::Spot(at)
            | Self::Rebalance(at)
            | Self::Maintenance(at)
            | Self::Rotation(at)
            | Self::Changed(at)
            | Self::Standby { at, .. }
            | Self::Publish { at, .. }
            | Self::Replace { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// From when to when it lasts, if it is something that is away.
    pub(crate) fn span(&self) -> Option<(Duration, Duration)> {
        match self {
            Self::EngineAway { at, lasts, .. }
            | Self::AwsAway { at, lasts }
            | Self::MetadataAway { at, lasts }
            | Self::StateOdd { at, lasts, .. } => Some((*at, *at + *lasts)),
            _ => None,
        }
    }

    /// For how long something is away by it.
    pub(crate) fn lasts(&self) -> Duration {
        match self {
            Self::EngineAway { lasts, .. }
            | Self::AwsAway { lasts, .. }
            | Self::MetadataAway { lasts, .. }
            | Self::StateOdd { lasts, .. }
            | Self::Fate(_, _, Fate::Slow(lasts)) => *lasts,
            Self::BootFault(fault) => fault.lasts(),
            _ => Duration::ZERO,
        }
    }

    /// The same, simpler: its length halved, its moment on a whole second.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let (mut shorter, mut rounder) = (self.clone(), self.clone());
        if let Some(lasts) = shorter.length() {
            *lasts = secs(lasts.as_secs() / 2);
        }
        if let Some(at) = rounder.moment() {
            *at = secs(at.as_secs());
        }
        [shorter, rounder].into_iter().filter(|one| one != self).collect()
    }

    pub(crate) fn length(&mut self) -> Option<&mut Duration> {
        match self {
            Self::EngineAway { lasts, .. }
            | Self::AwsAway { lasts, .. }
            | Self::MetadataAway { lasts, .. }
            | Self::StateOdd { lasts, .. }
            | Self::CrashLoop { lasts, .. }
            | Self::Sick { lasts, .. }
            | Self::Standby { lasts, .. }
            | Self::Halted { lasts, .. }
            | Self::LocksBusy { lasts, .. }
            | Self::LongConnection { lasts, .. }
            | Self::StartsIn(lasts)
            | Self::StopsIn(lasts)
            | Self::Fate(_, _, Fate::Slow(lasts)) => Some(lasts),
            Self::BootFault(fault) => fault.length(),
            _ => None,
        }
    }

    pub(crate) fn moment(&mut self) -> Option<&mut Duration> {
        match self {
            Self::EngineAway { at, .. }
            | Self::AwsAway { at, .. }
            | Self::MetadataAway { at, .. }
            | Self::StateOdd { at, .. }
            | Self::Crash { at, .. }
            | Self::CrashLoop { at, .. }
            | Self::Removed { at, .. }
            | Self::Sick { at, .. }
            | Self::Standby { at, .. }
            | Self::Replace { at, .. }
            | Self::Publish { at, .. }
            | Self::Halted { at, .. }
            | Self::LocksBusy { at, .. }
            | Self::LongConnection { at, .. }
            | Self::Kill(at)
            | Self::Term(at)
            | Self::Asked(at)
            | Self::Handover(at)
            | Self::Terminate(at)
            | Self::Return(at)
            | Self::Detach(at)
            | Self::Spot(at)
            | Self::Rebalance(at)
            | Self::Maintenance(at)
            | Self::Changed(at)
            | Self::Rotation(at) => Some(at),
            _ => None,
        }
    }
}

impl Published {
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..10) {
            0..=3 => Self::Good,
            4 => Self::Bad(Flaw::Exits(ms(rng.u64(..9_000)))),
            5 => Self::Bad(Flaw::NeverHealthy),
            6 | 7 => Self::Bad(Flaw::Sickens(ms(rng.u64(..60_000)))),
            8 => Self::Invalid,
            _ => Self::Back,
        }
    }
}

impl Fate {
    fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..10) {
            0 | 1 => Self::Fails(ErrorClass::Transient),
            2 => Self::Fails(ErrorClass::Throttled),
            3 => Self::Fails([ErrorClass::Denied, ErrorClass::Broken, ErrorClass::Misconfigured][rng.usize(..3)]),
            4 | 5 => Self::Lost,
            6 | 7 => Self::Hangs,
            _ => Self::Slow(ms(rng.u64(500..20_000))),
        }
    }
}
