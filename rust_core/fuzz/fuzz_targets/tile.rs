//! Any bytes as a tile and as an entry bundle of any width: the first two bytes say which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::tiles;

fuzz_target!(|bytes: &[u8]| {
    let Some((width, content)) = bytes.split_first_chunk::<2>() else { return };
    let width = u64::from(u16::from_be_bytes(*width)) % 260;
    if let Ok(statements) = tiles::decode_bundle(content, width) {
        assert_eq!(statements.len() as u64, width);
        assert_eq!(tiles::encode_bundle(&statements).expect("what was read can be written"), content);
    }
    if let Ok(hashes) = tiles::decode_tile(content, width) {
        assert_eq!(hashes.len() as u64, width);
        assert_eq!(hashes.concat(), content);
    }
});
