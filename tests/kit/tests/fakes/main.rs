//! The fakes as a client meets them: over HTTP, one world a test.

mod aws;
mod faults;
mod imds;
mod registry;
