//! Rotation: secrets that change while the app serves (`secrets_refresh`).
//!
//! The values are fetched again at an interval with jitter, so that a fleet that booted together does not restart together. A
//! value that cannot be fetched changes nothing.

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, OnChange, Refresh};

use crate::app::App;
use crate::clock::Uptime;
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;

/// For the services to answer; the adapter gives up before that.
const LIMIT: Duration = Duration::from_secs(120);

/// The looking for new values.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    config: Arc<Config>,
    refresh: Refresh,
    state: RotationState,
    /// A signal to the app that is on its way.
    signal: Option<Ticket>,
}

#[derive(Clone, Debug)]
enum RotationState {
    Next(Uptime),
    Asked { ticket: Ticket, until: Uptime },
}

impl Rotation {
    /// None if the config does not ask for it, or has no secrets.
    pub(super) fn begin(config: Arc<Config>, outbox: &mut Outbox, now: Uptime) -> Option<Self> {
        let refresh = config.secrets_refresh.clone().filter(|_| config.has_secrets())?;
        let state = RotationState::Next(now + outbox.some_of(refresh.every));
        Some(Self { config, refresh, state, signal: None })
    }

    /// Takes the answer to a check or to a signal, and does what is due; whether another container is to take the place of the app, if
    /// one can.
    pub(super) fn on(
        &mut self,
        input: &Input,
        app: &mut App,
        can_replace: bool,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> bool {
        if let Some(event) = input.answer_to(self.signal) {
            self.signal = None;
            // The next check fetches them again. Until then nothing needs them.
            if matches!(event, Event::Failed(..)) {
                outbox.emit(Job::WipeSecrets);
            }
            return false;
        }
        match self.state {
            RotationState::Asked { ticket, until } => match input.answer_to(ticket) {
                Some(Event::SecretsChecked { changed: true }) => {
                    self.plan(outbox, now);
                    if can_replace && self.refresh.on_change == OnChange::Restart {
                        return true;
                    }
                    self.apply(app, outbox, now);
                }
                Some(_) => self.plan(outbox, now),
                None if until <= now => {
                    outbox.cancel(ticket);
                    outbox.emit(Job::WipeSecrets);
                    self.plan(outbox, now);
                }
                None => {}
            },
            RotationState::Next(at) if at <= now && app.health().is_healthy() => {
                let ticket = outbox.emit(Job::CheckSecrets(self.config.clone()));
                self.state = RotationState::Asked { ticket, until: now + LIMIT };
            }
            // An unhealthy app is not restarted for its secrets, too.
            RotationState::Next(at) if at <= now => self.plan(outbox, now),
            RotationState::Next(_) => {}
        }
        false
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        match self.state {
            RotationState::Next(at) | RotationState::Asked { until: at, .. } => Some(at),
        }
    }

    pub(super) fn halt(&mut self, outbox: &mut Outbox) {
        if let RotationState::Asked { ticket, .. } = self.state {
            outbox.cancel(ticket);
        }
    }

    /// Gives up what is under way: its values would be those of a container that is about to be replaced.
    pub(super) fn pause(&mut self, outbox: &mut Outbox, now: Uptime) {
        if matches!(self.state, RotationState::Asked { .. }) {
            self.halt(outbox);
            self.plan(outbox, now);
        }
    }

    fn apply(&mut self, app: &mut App, outbox: &mut Outbox, now: Uptime) {
        match &self.refresh.on_change {
            OnChange::Restart => app.restart("restarted for rotated secrets", outbox, now),
            OnChange::Signal(signal) => {
                let (id, config) = (app.id().clone(), self.config.clone());
                self.signal = Some(outbox.emit(Job::SignalApp { id, signal: signal.clone(), config }));
            }
        }
    }

    fn plan(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.state = RotationState::Next(now + outbox.spread(self.refresh.every));
    }
}
