//! Any bytes as a statement.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tallygate_fuzz::assert_strict(bytes));
