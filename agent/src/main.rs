//! The order of the process, and its exit code.

fn main() {}
