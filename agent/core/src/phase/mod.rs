//! The phases of a life, beside each other, and what one leaves to the next.

pub mod boot;
pub mod drain;
pub mod failing;
pub mod hold;
pub mod past;
pub mod serve;
pub mod warm;
