//! Rotation: secrets that change while the app serves (`secrets_refresh`).
//!
//! The values are looked for at an interval that is spread, so that a fleet that booted together does not restart together. A
//! value that cannot be fetched changes nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::Uptime;
use crate::config::{Config, OnChange, Refresh};
use crate::desk::Desk;
use crate::effect::{Effect, Job, Ticket};
use crate::event::Event;

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
    pub(super) fn begin(config: Arc<Config>, desk: &mut Desk, now: Uptime) -> Option<Self> {
        let refresh = config.secrets_refresh.clone().filter(|_| config.has_secrets())?;
        let state = State::Next(now + desk.some_of(refresh.every));
        Some(Self { config, refresh, state })
    }

    pub(super) fn on(&mut self, event: &Event, app: &mut App, desk: &mut Desk, now: Uptime) {
        match (event, &self.state) {
            (Event::SecretsChecked { changed }, State::Asked { .. }) => {
                if *changed {
                    self.apply(app, desk, now);
                }
                self.plan(desk, now);
            }
            (Event::Failed(Job::CheckSecrets, _), State::Asked { .. }) => self.plan(desk, now),
            // The next look fetches them again; until then nobody needs them.
            (Event::Failed(Job::SignalApp, _), _) => {
                desk.order(Effect::WipeSecrets);
            }
            (_, State::Next(at)) if *at <= now && app.pulse().is_healthy() => {
                let ticket = desk.order(Effect::CheckSecrets(self.config.clone()));
                self.state = State::Asked { ticket, until: now + LIMIT };
            }
            // An app that is not well has other worries.
            (_, State::Next(at)) if *at <= now => self.plan(desk, now),
            (_, State::Asked { ticket, until }) if *until <= now => {
                desk.order(Effect::Cancel(*ticket));
                desk.order(Effect::WipeSecrets);
                self.plan(desk, now);
            }
            _ => {} // its time has not come
        }
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        match self.state {
            State::Next(at) | State::Asked { until: at, .. } => Some(at),
        }
    }

    pub(super) fn halt(&mut self, desk: &mut Desk) {
        if let State::Asked { ticket, .. } = self.state {
            desk.order(Effect::Cancel(ticket));
        }
    }

    fn apply(&self, app: &mut App, desk: &mut Desk, now: Uptime) {
        match &self.refresh.on_change {
            OnChange::Restart => app.restart("restarted for rotated secrets", desk, now),
            OnChange::Signal(signal) => {
                let (id, config) = (app.id().clone(), self.config.clone());
                desk.order(Effect::SignalApp { id, signal: signal.clone(), config });
            }
        }
    }

    fn plan(&mut self, desk: &mut Desk, now: Uptime) {
        self.state = State::Next(now + desk.spread(self.refresh.every));
    }
}
