//! The readiness endpoint while the agent runs: bound before the boot begins, moved when the config is known, and after that kept by systemd, so that it
//! outlives the agent.

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use berth_core::view::published::Published;
use tokio::sync::watch;
use tracing::warn;

use crate::io::host::systemd;
use crate::io::listen::endpoint::{BindError, Endpoint, RunningEndpoint};

/// The endpoint, if its address could be bound.
#[derive(Debug)]
pub struct ReadinessEndpoint {
    serving: Option<RunningEndpoint>,
    published: watch::Receiver<Arc<Published>>,
}

impl ReadinessEndpoint {
    /// Continues with the listener of the previous agent. The address is the config's, unless that changed.
    pub fn inherit(listener: TcpListener, published: watch::Receiver<Arc<Published>>) -> Self {
        let otherwise = "cannot use the listener of the previous agent";
        Self::serve(Endpoint::inherit(listener), otherwise, published)
    }

    /// Binds the address that is known so far. The config may name another, so an address that cannot be bound is not an error yet: the address of the
    /// config is bound later, and that one counts.
    pub fn open(address: SocketAddr, published: watch::Receiver<Arc<Published>>) -> Self {
        Self::serve(Endpoint::bind(address), "the readiness endpoint is not bound yet", published)
    }

    fn serve<E: Display>(
        endpoint: Result<Endpoint, E>,
        otherwise: &str,
        published: watch::Receiver<Arc<Published>>,
    ) -> Self {
        let serving = endpoint.map(|endpoint| endpoint.serve(published.clone()));
        let serving = serving.inspect_err(|error| warn!(%error, "{otherwise}")).ok();
        Self { serving, published }
    }

    /// Moves to the address that the config names.
    pub async fn move_to(&mut self, address: SocketAddr) -> Result<(), BindError> {
        if !self.serving.as_ref().is_some_and(|serving| serving.is_at(address)) {
            // Before the move: while systemd holds the old listener, the new address may be in use.
            systemd::forget_listener();
        }
        match &mut self.serving {
            Some(serving) => drop(serving.move_to(address).await?),
            None => self.serving = Some(Endpoint::bind(address)?.serve(self.published.clone())),
        }
        if let Some(listener) = self.serving.as_ref().and_then(RunningEndpoint::listener) {
            systemd::keep_listener(listener);
        }
        Ok(())
    }

    /// Stops serving without closing the listener, which is for the next agent.
    pub async fn leave(&mut self) -> Option<Arc<tokio::net::TcpListener>> {
        self.serving.take()?.retire().await
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(RunningEndpoint::local_addr)
    }
}
