//! Traces: the machine with virtual time. Exact traces for the stories that people will ask about, properties over random
//! interleavings and faults for the promises that must always hold.

#![cfg(test)]

mod sim;

mod boot;
mod drain;
mod ending;
mod handover;
mod hook;
mod lasting;
mod life;
mod pool;
mod promises;
mod quotas;
mod reaction;
mod removed;
mod serve;
mod unprobed;
