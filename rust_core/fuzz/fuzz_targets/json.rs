//! Any bytes as canonical JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::jcs;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = jcs::parse_canonical(bytes) {
        assert_eq!(jcs::write(&value).expect("what was read can be written"), bytes);
    }
});
