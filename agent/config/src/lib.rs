//! The config as validated: every value parsed, every cross-check done. Built from what was written, layer by layer.
//!
//! ```text
//!   /etc/berth/berth.toml ─┐
//!   config= pointer        ├─▶ Written (keys, values, places) ─▶ resolve ─▶ Config, or every error at once
//!   user-data              │
//!   command line           ┘
//! ```
//! Nothing here does IO; whoever holds the bytes (the adapters, `berth check`) adds them to [`Layers`]. No value is ever printed by a
//! error, only its key and place: a line may hold by mistake what should have been a secret.

pub use config::Config;
pub use config::network::Network;
pub use config::policy::{
    BootPolicy, CutDrain, Drain, ImdsAccess, Lifecycle, OnChange, OnFailure, OnNotice, Probe, Refresh, RegistryAuth,
    Restart, SecretsAs,
};
pub use detect::foreign::Foreign;
pub use detect::near_miss::COMMANDS;
pub use error::code::{Code, code_tables};
pub use error::{ConfigError, ConfigErrors, Location, Position};
pub use keys::key_docs::{KeyDoc, KeySection, key_sections, key_tables};
pub use parse::layers::{Layer, Layers};
pub use validate::shown::Row;
pub use value::arn::Arn;
pub use value::container::{Device, Gpus, Ulimit, Volume};
pub use value::health::ProbeMethod;
pub use value::platform::Platform;
pub use value::pointer::Pointer;
pub use value::port::{Port, Protocol};
pub use value::printable;
pub use value::probe_http::{HttpProbe, Statuses};
pub use value::proxy::ProxyUrl;
pub use value::reference::{ImageRef, PinnedImage};
pub use value::scalar::{duration, duration_text};
pub use value::secret_ref::SecretRef;
pub use value::template::{Piece, SecretValue, Template};

mod config;
mod detect;
mod error;
mod keys;
mod parse;
mod validate;
mod value;

#[cfg(test)]
mod forms;
#[cfg(test)]
mod hostile;
