//! Warm: in the group's warm pool, everything prepared and nothing running. The image is here, no secret is; the launch hook is
//! completed, so that the group may stop, hibernate or keep the instance; no traffic. `InService` begins a boot, which finds
//! its image.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::group::HookResult;
use crate::message::input::Input;
use crate::outbox::Outbox;
use crate::phase::past::Past;

/// Between two looks at a pool that may last for weeks: the watcher's own wake-ups are what matters.
const LOOK: Duration = Duration::from_secs(3600);

/// Waiting in the pool.
#[derive(Clone, Debug)]
pub struct Warm {
    /// What came before, for people.
    pub past: Past,
    next: Uptime,
}

impl Warm {
    /// Begins: what was prepared is told to the group.
    pub fn begin(mut past: Past, outbox: &mut Outbox, now: Uptime) -> Self {
        past.hook.complete(HookResult::Continue, outbox, now);
        Self { past, next: now + LOOK }
    }

    /// Takes an input; why the instance cannot stay, if the launch hook can never be completed.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Option<String> {
        self.past.hook.on(input, outbox, now);
        self.next = now + LOOK;
        self.past.hook.refusal().map(str::to_owned)
    }

    /// When it wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        self.past.hook.wake().into_iter().chain([self.next]).min()
    }
}
