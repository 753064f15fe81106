//! Traces: the machine with virtual time. Exact traces for the stories that people will ask about, properties over random
//! interleavings and faults for the promises that must always hold.

#![cfg(test)]

mod sim;

mod after;
mod awaited;
mod boot;
mod capacity;
mod cut_short;
mod documents;
mod drain;
mod ending;
mod endpoint;
mod fleets;
mod handover;
mod hook;
mod interruption;
mod killed;
mod lasting;
mod life;
mod load_balancer;
mod metadata_guard;
mod output;
mod pool;
mod power_on;
mod promises;
mod quotas;
mod reaction;
mod ready;
mod refused;
mod release_faults;
mod release_restart;
mod releases;
mod removed;

mod root_volume;
mod schema;
mod search;
mod secrets;
mod serve;
mod shown;
mod target_notes;
mod targets;
mod tickets;
mod timeline;
mod unanswered;
mod unclear;
mod unprobed;
