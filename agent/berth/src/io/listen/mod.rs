//! What berth serves: the readiness endpoint and the local socket.
//!
//! Read `http_server` first, which both use, with `proxy_protocol` before it · `endpoint` the readiness endpoint, `readiness` where it listens while the
//! agent runs, `handover` to the next agent · `socket` the local socket, `socket_client` the commands' side of it.

pub mod endpoint;
pub mod handover;
pub mod http_server;
mod proxy_protocol;
pub mod readiness;
pub mod socket;
pub mod socket_client;
