//! Any bytes as one item of the restricted CBOR, and as a payload given without its grammar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::Error;
use tallygate_core::cbor::Item;
use tallygate_core::statement::{self, Kind};

fuzz_target!(|bytes: &[u8]| {
    match Item::decode(bytes) {
        Ok(item) => {
            assert_eq!(item.encode(), bytes);
            for kind in [Kind::Packet, Kind::Decision] {
                if let Ok(payload) = statement::encode_payload(kind, &item) {
                    assert_eq!(payload, bytes);
                }
            }
        }
        Err(Error::Statement { offset, .. }) => assert!(offset <= bytes.len()),
        Err(other) => panic!("{other:?}"),
    }
});
