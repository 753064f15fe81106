//! What the compiler cannot see: that the documents, the unit file and the code say the same, and which crates the
//! layers depend on.

#![cfg(test)]

mod aws_commands;
mod cases;
mod commands;
mod dependencies;
mod exit_codes;
mod layers;
mod links;
mod needs;
mod one_lines;
mod paths;
mod questions;
mod ready;
mod regressions;
mod words;
