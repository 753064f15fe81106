//! The instance itself: files, the packet filter, systemd, signals, the console.

pub mod console;
pub mod ip_routes;
pub mod log;
pub mod metadata_block;
pub mod note;
pub mod packet_filter;
pub mod paths;
pub mod signals;
pub mod small_file;
pub mod state_dir;
pub mod systemd;
pub mod terminal;
