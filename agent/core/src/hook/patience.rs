//! For how long a group that answers nothing is asked again.
//!
//! An answer that it is too early is an answer: a load balancer may take an hour to let go of an instance, and the group says so
//! all along. An API that is away says nothing, and the hook's own timeout decides in the end.

use std::time::Duration;

use crate::clock::Uptime;

/// Without a limit until one is given.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    limit: Option<Duration>,
    ends: Option<Uptime>,
}

impl Patience {
    /// Ends after this long without an answer; an end that is nearer stays.
    pub(super) fn limit(&mut self, limit: Duration, now: Uptime) {
        let end = now + limit;
        self.limit = Some(limit);
        self.ends = Some(self.ends.map_or(end, |former| former.min(end)));
    }

    /// An agent before this one was patient already.
    pub(super) fn shorten(&mut self, shorter: impl Fn(Uptime) -> Uptime) {
        self.ends = self.ends.map(shorter);
    }

    /// The group answered.
    pub(super) fn answered(&mut self, now: Uptime) {
        self.ends = self.limit.map(|limit| now + limit);
    }

    /// When it ends, none without a limit.
    pub(super) fn ends(&self) -> Option<Uptime> {
        self.ends
    }

    /// Whether it is over.
    pub(super) fn is_over(&self, now: Uptime) -> bool {
        self.ends.is_some_and(|at| at <= now)
    }

    /// For people.
    pub(super) fn whole_seconds(&self) -> u64 {
        self.limit.unwrap_or_default().as_secs()
    }
}
