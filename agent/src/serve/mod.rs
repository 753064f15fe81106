//! Serve: the app was healthy once, and is kept running.
//!
//! Ready while the app is healthy (invariant 3). An exit is followed by a restart with backoff; past `restart.limit`
//! within `restart.window` the instance is given up. The launch hook is completed with CONTINUE on the way in.

use crate::app::{App, News};
use crate::boot::Handover;
use crate::clock::Uptime;
use crate::desk::Desk;
use crate::effect::HookResult;
use crate::event::Event;
use crate::view::Status;

/// The app runs.
#[derive(Debug)]
pub struct Serve {
    app: App,
    /// What the boot left, without its app.
    pub past: Handover,
}

/// Where serving goes after an event.
#[derive(Debug)]
pub enum Next {
    /// On with it.
    Stay,
    /// The app cannot be kept running, and why.
    Fail(String),
}

impl Serve {
    /// Begins: the hook is completed now that the app is healthy.
    pub fn begin(app: App, mut past: Handover, desk: &mut Desk, now: Uptime) -> Self {
        past.hook.complete(HookResult::Continue, desk, now);
        Self { app, past }
    }

    /// Takes an event.
    pub fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> Next {
        self.past.hook.on(event, desk, now);
        match self.app.on(event, desk, now) {
            News::Nothing | News::Healthy => Next::Stay,
            News::Lost(reason) => Next::Fail(reason),
        }
    }

    /// When it wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        [self.app.wake(), self.past.hook.wake()].into_iter().flatten().min()
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// What `/ready` says.
    pub fn status(&self) -> Status {
        if self.app.is_healthy() { Status::Ok } else { Status::Unhealthy }
    }

    /// Hands over to the next phase.
    pub fn leave(mut self) -> Handover {
        self.past.app = Some(self.app);
        self.past
    }
}
