//! The edge: all IO, one file a neighbour. An adapter tries once, under a timeout, and says how it ended; when, how often and
//! what then, the machine decides.

pub mod secret;

pub mod imds;

pub mod secrets;
pub mod secrets_manager;

pub mod parameter_store;

pub mod ecr;

pub mod autoscaling;

pub mod aws;

pub mod dns;
pub mod http;

pub mod deliver;
pub mod engine;
pub mod probe;
