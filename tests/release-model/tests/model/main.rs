//! The model, explored.

#![cfg(test)]
#![allow(clippy::print_stdout, reason = "what is explored, and each way to a broken promise, goes to a person")]

mod controls;
mod holds;
mod progress;
mod scenarios;
