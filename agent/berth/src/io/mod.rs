//! The adapters: all IO, one folder for each system that berth talks to. An adapter makes one attempt under a timeout and reports how it ended. When,
//! how often and what comes after that, the machine decides.
//!
//! Each module uses only those above it: `host` the instance itself · `secret` the bytes of secrets · `http` the HTTP clients · `docker` the
//! engine · `capacity` what the host has left · `aws` the metadata and AWS's services · `config_sources` where the config is read · `releases` the documents of the last ones · `app` the app in its container · `listen` what
//! berth itself serves · `perform` each job, once.

/// Converts an adapter's error into what the machine sees of it: its class, and its chain of sources as one sentence.
macro_rules! job_error_from {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for berth_core::message::error::JobError {
            fn from(error: $error) -> Self {
                Self::from_error(error.class(), &error)
            }
        }
    )+};
}

pub use config_sources::ConfigSources;
pub use perform::{Adapters, Parts};

pub mod app;
pub mod aws;
pub mod capacity;
pub mod config_sources;
pub mod docker;
pub mod host;
pub mod http;
pub mod listen;
mod perform;
pub mod releases;
pub mod secret;
