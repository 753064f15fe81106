//! The engine's adapter against a real Docker Engine, which pulls from Debian's own registry and from the kit's.

pub(crate) use bench::engine;

mod bench;
mod stock;
mod test_network;

mod answers;
mod connections;
mod containers;
mod isolation;
mod keys;
mod metadata_block;
mod networks;
mod output;
mod packet_filters;
mod platforms;
mod ports;
mod probes;
mod pulls;
mod restarted;
mod rotation;
mod secrets;
mod tls_probes;
mod usage;
mod versions;
