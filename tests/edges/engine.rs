//! The engine's adapter against a real Docker Engine and Debian's own registry.

mod bench;

mod connections;
mod containers;
mod keys;
mod probes;
mod pulls;
mod rotation;
mod secrets;
