//! What can be seen of the app: by the phase that keeps it, and from outside.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;

use crate::clock::Uptime;
use crate::message::container::{ContainerId, RunningContainer};
use crate::message::output::AppOutput;
use crate::targets::HostPorts;
use crate::view::{ContainerView, ExitView, PortView, ReadyReason};

use super::{App, AppState, ExitWatch, Health, Probing, START_LIMIT};

impl App {
    /// Whether its container is being created again.
    pub fn is_creating(&self) -> bool {
        matches!(self.state, AppState::Creating(_))
    }

    /// Its config.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Whether it is on its way to run.
    pub fn is_starting(&self) -> bool {
        matches!(self.state, AppState::Starting { .. } | AppState::FetchingSecrets { .. } | AppState::Creating(_))
    }

    /// What its probes say of it.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        matches!(self.state, AppState::Up { .. })
    }

    /// How long it may take to become healthy, and when that is over, if it is not healthy.
    pub fn start_deadline(&self) -> Option<(Duration, Uptime)> {
        Some((self.start_limit, self.health.unhealthy_since()? + self.start_limit))
    }

    /// Why it is not healthy, or that it is.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The same, as `/ready` says it.
    pub fn ready_reason(&self) -> ReadyReason {
        self.ready
    }

    /// What it wrote last before it exited, or while it was not healthy.
    pub fn output(&self) -> Option<&AppOutput> {
        self.output.last()
    }

    /// Whether that is being read.
    pub fn is_reading_output(&self) -> bool {
        self.output.is_asked()
    }

    /// The host ports that berth chose for it.
    pub fn ports(&self) -> &HostPorts {
        &self.recipe.ports
    }

    /// Its container.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Restarts since the agent started.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Where it can be asked and counted, if it runs.
    pub fn running(&self) -> Option<&RunningContainer> {
        match &self.state {
            AppState::Up { running, .. } => Some(running),
            _ => None,
        }
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let state = match &self.state {
            AppState::Up { watch, probe, .. } => {
                let watch = if let ExitWatch::Lost(at) = watch { Some(*at) } else { None };
                let probe = match probe {
                    Probing::Next(at) | Probing::Unasked(at) => Some(*at),
                    Probing::Asked { until, .. } => Some(*until),
                    Probing::Over => None,
                };
                watch.into_iter().chain(probe).min()
            }
            AppState::Creating(recreation) => Some(recreation.wake()),
            AppState::Starting { since, .. } => Some(*since + START_LIMIT),
            AppState::BackingOff(until)
            | AppState::Pausing(until)
            | AppState::FetchingSecrets { until, .. }
            | AppState::Stopping { until, .. } => Some(*until),
            AppState::Halted => None,
        };
        state.into_iter().chain(self.output.wake()).min()
    }

    /// How it exited last.
    pub fn last_exit(&self) -> Option<ExitView> {
        self.last_exit
    }

    /// Its container, as it is shown.
    pub fn view(&self) -> ContainerView {
        let ports = match &self.state {
            AppState::Up { running, .. } => {
                let port = |(container_port, host_address): &(u16, _)| PortView {
                    container_port: *container_port,
                    host_address: *host_address,
                };
                running.published.iter().map(port).collect()
            }
            _ => Vec::new(),
        };
        ContainerView { id: self.id.0.clone(), name: self.config.container_name(), adopted: self.adopted, ports }
    }
}
