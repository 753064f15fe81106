//! Warm: the instance is in the group's warm pool. The image is pulled, no secret is kept and nothing runs. The launch hook is completed,
//! so that the group may stop, hibernate or keep the instance. `InService` begins a boot, which finds its image.
//!
//! Only the launch hook has a deadline here. How long an instance stays in its pool is the group's decision: AWS sets no limit.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::group::HookResult;
use crate::message::input::Input;
use crate::outbox::Outbox;
use crate::phase::past::Past;

/// Between two wake-ups of its own. A pool may last for weeks, and the watcher's polls are what ends it.
const WAKE: Duration = Duration::from_secs(3600);

/// Waiting in the pool.
#[derive(Clone, Debug)]
pub struct Warm {
    /// What the boot left.
    pub past: Past,
    next: Uptime,
}

impl Warm {
    /// Begins: everything is prepared, so the launch hook is completed.
    pub fn begin(mut past: Past, outbox: &mut Outbox, now: Uptime) -> Self {
        past.hook.complete(HookResult::Continue, outbox, now);
        past.targets.leave(outbox, now);
        Self { past, next: now + WAKE }
    }

    /// Takes an input; why the instance cannot stay, if the launch hook can never be completed.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Option<String> {
        self.past.hook.on(input, outbox, now);
        self.past.targets.on(input, outbox, now);
        self.past.targets.advance(outbox, now);
        self.next = now + WAKE;
        self.past.hook.refusal().map(str::to_owned)
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let parts = [self.past.hook.wake(), self.past.targets.wake(), Some(self.next)];
        parts.into_iter().flatten().min()
    }
}
