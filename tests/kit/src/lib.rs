//! A world on loopback that tests run the shipped `berth` binary in: what AWS answers an instance, a registry, an app.
//!
//! Read `world.rs` first; every fake is a field of [`World`], writes to one [`Journal`] and obeys one script of
//! [`faults`]. The fakes share no code with the agent: they are the other side of the wire, written from the services'
//! documents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: whatever is not as it must be fails the test that uses it, with a message"
)]

pub mod world;

pub mod agent;
pub mod faults;
pub mod held;
pub mod journal;
pub mod systemd;

pub mod autoscaling;
pub mod aws;
pub mod ecr;
pub mod exchange;
pub mod group;
pub mod iam;
pub mod imds;
pub mod parameter_store;
pub mod s3;
pub mod secrets_manager;
pub mod target_group;
pub mod target_groups;

pub mod oracle;
pub mod schema;

pub mod docker_registry;
pub mod image;
pub mod registry;

pub mod client;
pub mod engine;
pub mod hostile;
pub mod own_engine;
pub mod proxy;
pub mod websocket;

pub mod certificate;
mod credentials;
mod form;
mod refusal;
mod server;
mod sigv4;
mod sts;
mod token_bucket;

pub mod clock;
pub mod needs;
pub mod network;
pub mod pages;
pub mod text;

pub use agent::Agent;
pub use engine::Engine;
pub use faults::Fault;
pub use held::Held;
pub use hostile::Hostile;
pub use image::Image;
pub use journal::Journal;
pub use needs::{Need, missing};
pub use own_engine::OwnEngine;
pub use systemd::Systemd;
pub use websocket::WebSocket;
pub use world::World;
