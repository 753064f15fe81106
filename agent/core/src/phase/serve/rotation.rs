//! Rotation: secrets that change while the app serves (`secrets_refresh`).
//!
//! The values are looked for at an interval that is spread, so that a fleet that booted together does not restart together. A
//! value that cannot be fetched changes nothing.

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, OnChange, Refresh};

use crate::app::App;
use crate::clock::Uptime;
use crate::message::event::Event;
use crate::message::job::{Job, JobKind, Ticket};
use crate::outbox::Outbox;

/// For the services to answer; the adapter gives up before that.
const LIMIT: Duration = Duration::from_secs(120);

/// The looking for new values.
#[derive(Debug)]
pub(super) struct Rotation {
    config: Arc<Config>,
    refresh: Refresh,
    state: State,
}

#[derive(Debug)]
enum State {
    Next(Uptime),
    Asked { ticket: Ticket, until: Uptime },
}

impl Rotation {
    /// None if the config does not ask for it, or has no secrets.
    pub(super) fn begin(config: Arc<Config>, outbox: &mut Outbox, now: Uptime) -> Option<Self> {
        let refresh = config.secrets_refresh.clone().filter(|_| config.has_secrets())?;
        let state = State::Next(now + outbox.some_of(refresh.every));
        Some(Self { config, refresh, state })
    }

    pub(super) fn on(&mut self, event: &Event, app: &mut App, outbox: &mut Outbox, now: Uptime) {
        match (event, &self.state) {
            (Event::SecretsChecked { changed }, State::Asked { .. }) => {
                if *changed {
                    self.apply(app, outbox, now);
                }
                self.plan(outbox, now);
            }
            (Event::Failed(JobKind::CheckSecrets, _), State::Asked { .. }) => self.plan(outbox, now),
            // The next look fetches them again; until then nobody needs them.
            (Event::Failed(JobKind::SignalApp, _), _) => {
                outbox.emit(Job::WipeSecrets);
            }
            (_, State::Next(at)) if *at <= now && app.health().is_healthy() => {
                let ticket = outbox.emit(Job::CheckSecrets(self.config.clone()));
                self.state = State::Asked { ticket, until: now + LIMIT };
            }
            // An app that is not well has other worries.
            (_, State::Next(at)) if *at <= now => self.plan(outbox, now),
            (_, State::Asked { ticket, until }) if *until <= now => {
                outbox.cancel(*ticket);
                outbox.emit(Job::WipeSecrets);
                self.plan(outbox, now);
            }
            _ => {} // its time has not come
        }
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        match self.state {
            State::Next(at) | State::Asked { until: at, .. } => Some(at),
        }
    }

    pub(super) fn halt(&mut self, outbox: &mut Outbox) {
        if let State::Asked { ticket, .. } = self.state {
            outbox.cancel(ticket);
        }
    }

    fn apply(&self, app: &mut App, outbox: &mut Outbox, now: Uptime) {
        match &self.refresh.on_change {
            OnChange::Restart => app.restart("restarted for rotated secrets", outbox, now),
            OnChange::Signal(signal) => {
                let (id, config) = (app.id().clone(), self.config.clone());
                outbox.emit(Job::SignalApp { id, signal: signal.clone(), config });
            }
        }
    }

    fn plan(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.state = State::Next(now + outbox.spread(self.refresh.every));
    }
}
