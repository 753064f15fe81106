//! The edge: all IO, one file a neighbour. An adapter tries once, under a timeout, and says how it ended; when, how often and
//! what then, the machine decides.

pub use perform::{Edge, Parts};
pub use sources::Sources;

mod perform;

pub mod handover;
pub mod signals;
pub mod systemd;

pub mod door;
pub mod endpoint;
pub mod http_server;
mod proxy_protocol;
pub mod socket;
pub mod socket_client;

pub mod imds;
pub mod ip_routes;
pub mod sources;

mod exec_limits;
pub mod secret;
pub mod secret_error;
pub mod secrets;
pub mod secrets_manager;

pub mod parameter_store;

pub mod ecr;

pub mod autoscaling;
pub mod membership;

pub mod aws;

pub mod dns;
pub mod http;
pub mod tls_provider;

pub mod deliver;
pub mod engine;
pub mod probe;

pub mod app_output;
pub mod note;
pub mod paths;
pub mod redact;
pub mod small_file;
pub mod state_dir;

pub mod metadata_block;
pub mod packet_filter;

pub mod console;
pub mod log;
pub mod terminal;
