//! The phases of a life, and what one passes to the next.

pub mod boot;
pub mod drain;
pub mod failing;
pub mod hold;
pub mod past;
pub mod release;
pub mod serve;
pub mod warm;
