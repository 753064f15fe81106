//! The readiness endpoint over the agent's life: bound before the boot begins, moved once the config is known.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use crate::edge::endpoint::{BindError, Endpoint, Serving};
use crate::published::Published;

/// The endpoint, if its address could be had.
#[derive(Debug)]
pub struct Door {
    serving: Option<Serving>,
    published: watch::Receiver<Arc<Published>>,
}

impl Door {
    /// Opens at the address that is known so far. The config may name another, so an address that cannot be had is no
    /// failure yet: the config's own is asked for in time, and that one counts.
    pub fn open(address: SocketAddr, published: watch::Receiver<Arc<Published>>) -> Self {
        let serving = match Endpoint::bind(address) {
            Ok(endpoint) => Some(endpoint.serve(published.clone())),
            Err(error) => {
                warn!(error = %error, "the readiness endpoint is not bound yet");
                None
            }
        };
        Self { serving, published }
    }

    /// Moves to the address that the config names.
    pub async fn move_to(&mut self, address: SocketAddr) -> Result<(), BindError> {
        match &mut self.serving {
            Some(serving) => serving.move_to(address).await.map(drop),
            None => {
                self.serving = Some(Endpoint::bind(address)?.serve(self.published.clone()));
                Ok(())
            }
        }
    }

    /// Where it answers.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(Serving::local_addr)
    }
}
