//! The instance metadata, and AWS's services by the SDK's clients.
//!
//! Read `imds`, `service` and `client` first. Then how a call gets there: `credentials`, `chain`, `role` which credentials · `endpoint` which URL ·
//! `exchange` over which HTTP · `error` why it failed. Then what is called: `autoscaling`, `membership` · `load_balancing` · `ecr` · `secrets`, which uses
//! `secrets_manager`, `parameter_store`, `secret_error` and `exec_limits` · `s3`, on which `board` is built, and `publisher` for who deploys · `sts` · `document`, what `config=` points to.

pub use client::{Aws, Reached};
pub use credentials::{Origin, Signer};
pub use credentials_error::CredentialsError;
pub use error::{AwsError, DENIED};
pub use service::{Operation, Service};

pub mod autoscaling;
pub mod board;
mod chain;
mod client;
mod credentials;
mod credentials_error;
pub mod document;
pub mod ecr;
mod endpoint;
mod error;
mod exchange;
mod exec_limits;
pub mod imds;
pub mod load_balancing;
pub mod membership;
pub mod parameter_store;
pub mod publisher;
mod role;
pub mod s3;
pub mod secret_error;
pub mod secrets;
pub mod secrets_manager;
mod service;
pub mod sts;
