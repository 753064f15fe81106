//! The app in its container: whether it is healthy (`probe`), and what it wrote last (`output`).

pub mod output;
pub mod probe;
