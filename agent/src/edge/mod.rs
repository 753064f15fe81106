//! The edge: all IO, one file a neighbour. An adapter tries once, under a timeout, and answers with one event or one error.

pub mod console;
pub mod endpoint;
pub mod http_server;
pub mod signals;
pub mod socket;
pub mod socket_client;
pub mod systemd;
