//! What the compiler cannot see: that the documents, the unit file and the code say the same.

mod exit_codes;
