//! The protocol of releases (docs/decisions/0022) as a model: a small fleet, one board, one publisher, and every order of their steps.
//!
//! A step is what one party does without waiting for another: one read of S3, one write that is sent, one write that takes effect, one
//! decision. Between any two steps any time may pass, so an instance may be paused anywhere. A write may take effect although its answer is
//! lost, or long after its sender gave it up, crashed or was terminated. An agent may crash, an instance may lose its disk, be terminated,
//! or boot. Everything is bounded by [`Bounds`], so that the states can be counted.
//!
//! - [`world`]: the bounds, and the steps that exist in a state
//! - [`state`]: what there is
//! - [`storage`]: S3, which knows objects and nothing of the protocol
//! - [`instance`]: the steps of an instance
//! - [`life`]: how one begins, crashes and ends, and what it leaves
//! - [`board`]: what an instance decides from a board; `berth_core` decides what it can
//! - [`publisher`]: the steps of CI and of an operator
//! - [`symmetry`]: states that differ by who is who are one
//! - [`promises`]: what must hold in every state
//!
//! [`Flaw`] has what the protocol avoids. For each flaw the checker has to find the promise that it breaks.

pub mod board;
pub mod few;
pub mod instance;
pub mod life;
pub mod promises;
pub mod publisher;
pub mod state;
pub mod storage;
pub mod symmetry;
pub mod world;

pub use world::{Bounds, Flaw, Fleet, Step};
