//! The readiness endpoint over the agent's life: bound before the boot begins, moved once the config is known, and from
//! then on kept by systemd, so that it outlives the agent.

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use berth_core::view::published::Published;
use tokio::sync::watch;
use tracing::warn;

use crate::io::host::systemd;
use crate::io::listen::endpoint::{BindError, Endpoint, Serving};

/// The endpoint, if its address could be had.
#[derive(Debug)]
pub struct Door {
    serving: Option<Serving>,
    published: watch::Receiver<Arc<Published>>,
}

impl Door {
    /// Goes on at the door of the agent before this one. The address is the config's, unless that changed.
    pub fn inherit(listener: TcpListener, published: watch::Receiver<Arc<Published>>) -> Self {
        let otherwise = "the listener of the agent before this one is of no use";
        Self::serve(Endpoint::inherit(listener), otherwise, published)
    }

    /// Opens at the address that is known so far. The config may name another, so an address that cannot be had is no
    /// failure yet: the config's own is asked for in time, and that one counts.
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
            // Before the move: while systemd holds the old address, the new one may not be had.
            systemd::forget_listener();
        }
        match &mut self.serving {
            Some(serving) => drop(serving.move_to(address).await?),
            None => self.serving = Some(Endpoint::bind(address)?.serve(self.published.clone())),
        }
        if let Some(listener) = self.serving.as_ref().and_then(Serving::listener) {
            systemd::keep_listener(listener);
        }
        Ok(())
    }

    /// Closes for good without leaving the address; the listener is for the next agent.
    pub async fn leave(&mut self) -> Option<Arc<tokio::net::TcpListener>> {
        self.serving.take()?.retire().await
    }

    /// Where it answers.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(Serving::local_addr)
    }
}
