//! The adapters: all IO, one folder a neighbour. An adapter tries once, under a timeout, and says how it ended; when, how often and
//! what then, the machine decides.

pub use perform::{Adapters, Parts};
pub use sources::Sources;

mod perform;

pub mod aws;
pub mod docker;
pub mod host;
pub mod http;
pub mod listen;
pub mod secret;
pub mod sources;
