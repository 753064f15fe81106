//! What follows from a validated config.

mod derived;
