//! The Docker Engine on its unix socket, from API 1.41 (Docker 20.10) on, in the words of API 1.44.
//!
//! Read first: `engine` the handle · `error` why a call failed, `refusal` what the engine's prose means · `about` the engine itself. Then what
//! becomes of an image: `login` · `image` · `pull` · `architecture` · `usage`. Then of a container: `create`, `seccomp` its body · `container` create to
//! remove · `running` what an inspection says · `network`, `ports` · `exec`, `exec_attached`, `exec_output` · `logs` · `connections`.
//!
//! Requests carry no API version, so the engine answers in its newest. Only fields that all versions have are read. The first call refuses an
//! engine with an older API.

pub use about::About;
pub use create::Mounted;
pub use engine::Engine;
pub use error::EngineError;
pub use login::Login;
pub use logs::{NoLogs, Tail};
pub use refusal::{FailedCall, final_prose, is_no_such_user, refused};

mod engine;
mod error;
mod refusal;

mod about;
mod architecture;
mod image;
mod login;
mod pull;
mod usage;

mod connections;
mod container;
mod create;
mod exec;
pub mod exec_attached;
pub mod exec_output;
mod logs;
mod network;
mod ports;
mod running;
mod seccomp;
