//! See src/aws_errors.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| berth_fuzz::aws_errors(bytes));
