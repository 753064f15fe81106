//! The edge: all IO, one file a neighbour. An adapter tries once, under a timeout; who asks decides whether to ask again.

pub mod imds;

pub mod secrets;

pub mod secrets_manager;

pub mod parameter_store;

pub mod ecr;

pub mod autoscaling;

pub mod aws;

pub mod http;

pub mod dns;

pub mod secret;
