//! HTTP: one request, one attempt, under a timeout.
//!
//! Read `client` first, then what its connections are made with: `connect`, `proxy`, `trust`, `tls_provider`, `dns` · `error` why there is no
//! response · `one_shot` a request on a connection of its own, for the engine, the agent's socket and the app.

pub use client::{Http, close_after};
pub use error::{HttpError, ProxyError};
pub use proxy::{Route, VariableError, route_in};
pub use trust::TrustError;

mod client;
mod connect;
pub mod dns;
mod error;
pub mod one_shot;
mod proxy;
pub mod tls_provider;
mod trust;
