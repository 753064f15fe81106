//! What the compiler cannot see: that the documents, the unit file and the code say the same.

// clippy asks for cfg(test) to see that this is a test, and may unwrap.
#[cfg(test)]
mod exit_codes;
