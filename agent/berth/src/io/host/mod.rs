//! The instance itself, in no order: files (`small_file`, `state_dir`, `note`, `paths`, `memory_fs`), where the agent is seen (`log`, `console`,
//! `terminal`), its service manager (`systemd`, `signals`, `power_on`) and its network (`ip_routes`, `packet_filter`, `metadata_block`). `memory`: what is left.

pub mod console;
pub mod ip_routes;
pub mod log;
pub mod memory;
pub mod memory_fs;
pub mod metadata_block;
pub mod note;
pub mod packet_filter;
pub mod paths;
pub mod power_on;
pub mod signals;
pub mod small_file;
pub mod state_dir;
pub mod systemd;
pub mod terminal;
