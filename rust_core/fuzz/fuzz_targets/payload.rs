//! Any bytes as the payload of a statement whose envelope is right: the first byte says of which kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::statement::{self, Kind};
use tallygate_core::{Error, Rule};
use tallygate_fuzz::SEED;

/// Bytes of a packet before its payload's head; a decision has two more, and the head up to three.
const ENVELOPE: usize = 61;

fuzz_target!(|bytes: &[u8]| {
    let Some((selector, payload)) = bytes.split_first() else { return };
    let kind = if selector % 2 == 0 { Kind::Packet } else { Kind::Decision };
    match statement::sign(kind, payload, &SEED) {
        Ok(statement) => tallygate_fuzz::assert_strict(&statement),
        Err(Error::Statement { rule: Rule::Size, .. }) => assert!(payload.len() > 16_000),
        // The envelope is right, so the fault is in the payload or right behind it. `envelope` would be decode's last
        // resort: a payload that its reader took and its writer writes otherwise.
        Err(Error::Statement { rule, offset }) => {
            assert_ne!(rule, Rule::Envelope);
            assert!((ENVELOPE..=ENVELOPE + 5 + payload.len()).contains(&offset), "{rule:?} at {offset}");
        }
        Err(other) => panic!("{other:?}"),
    }
});
