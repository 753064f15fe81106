//! Everything that leaves the process: one file a neighbour. An adapter makes one attempt under a timeout and says how it
//! ended; when, how often and what then, the machine decides.

pub mod secret;

pub mod deliver;
pub mod engine;
pub mod probe;
