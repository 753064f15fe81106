//! Drain: on the way out. The app is told to stop, waited for, and the agent leaves.
//!
//! A second signal means now: the container is killed without waiting.

use std::time::Duration;

use crate::boot::Handover;
use crate::clock::Uptime;
use crate::desk::Desk;
use crate::effect::{ContainerId, Effect, Job, Ticket};
use crate::event::Event;
use crate::exit::Outcome;
use crate::view::DeadlineView;

/// What the engine gets beyond `stop_timeout` to kill the app and to answer.
const MARGIN: Duration = Duration::from_secs(15);

/// On the way out.
#[derive(Debug)]
pub struct Drain {
    /// What came before, for people.
    pub past: Handover,
    reason: String,
    stopping: Option<(ContainerId, Ticket)>,
    deadline: Uptime,
    hurried: bool,
}

/// Where a drain goes after an event.
#[derive(Debug)]
pub enum Next {
    /// On with it.
    Stay,
    /// Over.
    Gone(Outcome),
}

impl Drain {
    /// Begins. Without a container there is nothing to wait for.
    pub fn begin(reason: String, mut past: Handover, desk: &mut Desk, now: Uptime) -> Self {
        let timeout = past.config.as_ref().map(|config| config.stop_timeout).unwrap_or_default();
        let id = match &mut past.app {
            Some(app) => {
                app.halt(desk);
                Some(app.id().clone())
            }
            None => past.created.clone(),
        };
        let stopping = id.map(|id| {
            let ticket = desk.order(Effect::StopContainer { id: id.clone(), timeout });
            (id, ticket)
        });
        Self { past, reason, stopping, deadline: now + timeout + MARGIN, hurried: false }
    }

    /// Whether there is nothing to stop.
    pub fn is_over(&self) -> bool {
        self.stopping.is_none()
    }

    /// Takes an event.
    pub fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> Next {
        match event {
            Event::ContainerStopped => {
                return Next::Gone(if self.hurried { Outcome::DrainCut } else { Outcome::Done });
            }
            Event::Failed(Job::StopContainer, _) => return Next::Gone(Outcome::DrainCut),
            Event::Signalled(_) if !self.hurried => self.hurry(desk, now),
            _ => {} // nothing else can hold a drain up
        }
        if self.deadline <= now { Next::Gone(Outcome::DrainCut) } else { Next::Stay }
    }

    /// When it wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        Some(self.deadline)
    }

    /// Why the drain began.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Until when the stop is waited for.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        vec![DeadlineView { name: "stop_timeout".to_owned(), at: self.deadline.0.as_secs_f64() }]
    }

    fn hurry(&mut self, desk: &mut Desk, now: Uptime) {
        self.hurried = true;
        if let Some((id, ticket)) = &mut self.stopping {
            desk.order(Effect::Cancel(*ticket));
            *ticket = desk.order(Effect::StopContainer { id: id.clone(), timeout: Duration::ZERO });
            self.deadline = now + MARGIN;
        }
    }
}
