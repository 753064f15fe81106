//! What berth answers: the readiness endpoint and the local socket.

pub mod door;
pub mod endpoint;
pub mod handover;
pub mod http_server;
mod proxy_protocol;
pub mod socket;
pub mod socket_client;
