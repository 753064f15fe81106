//! The config of berth: from bytes to a validated [`Config`], or every error at once, each with its location.
//!
//! ```text
//!   /etc/berth/berth.toml ─┐
//!   config= pointer        ├─▶ Layers (keys, values, locations) ─▶ resolve ─▶ Config, or ConfigErrors
//!   user-data              │
//!   command line           ┘
//! ```
//! Each folder uses only those above it:
//!
//! | folder | what |
//! |---|---|
//! | `value` | one value as written, and the types that values are parsed into |
//! | `config` | the validated config, its fingerprint, the way to AWS |
//! | `keys` | the table of keys: names, documentation, defaults; words of other programs; suggestions |
//! | `error` | errors and warnings with their codes and locations |
//! | `detect` | finds a config in user-data: the one line, TOML, JSON, MIME, gzip, and near misses |
//! | `parse` | documents and lines into keys; the layers and their priority |
//! | `validate` | the layers into a config, cross-checks and warnings |
//!
//! Nothing here does IO: the adapters and `berth check` add bytes to [`Layers`]. An error shows the key and the location and never the
//! value, because a line may contain by mistake what should be a secret.

pub use config::Config;
pub use config::network::Network;
pub use config::policy::{
    Board, BootPolicy, CutDrain, DrainConfig, ImdsAccess, Lifecycle, OnChange, OnFailure, OnNotice, Placement, Probe,
    Refresh, RegistryAuth, ReleasePolicy, Restart, SecretsAs, TrafficMove, Wave,
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
pub use value::target_group::TargetGroup;
pub use value::template::{Piece, SecretValue, Template};
pub use value::word;

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
