//! Any bytes as a note, as the text of a note, and as what follows a note's own signature line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::note::{self, Checkpoint};
use tallygate_fuzz::signer;

fuzz_target!(|bytes: &[u8]| {
    let signer = signer();
    let key = signer.verifier();
    if let Ok(text) = note::open(bytes, key) {
        // Whatever else stands in the note, the text is the one that was signed.
        let signed = signer.sign(text);
        assert!(signed.is_ok() || text.contains("\n\n"));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(signed) = signer.sign(text) {
        assert_eq!(note::open(signed.as_bytes(), key).expect("what was signed opens"), text);
        if let Ok(checkpoint) = Checkpoint::open(signed.as_bytes(), key) {
            assert_eq!(checkpoint.text(), text);
        }
    }
    let head = Checkpoint { origin: tallygate_fuzz::ORIGIN.into(), size: 7, root: [7; 32] };
    let cosigned = signer.sign(&head.text()).expect("a checkpoint can be signed") + text;
    if let Ok(opened) = Checkpoint::open(cosigned.as_bytes(), key) {
        assert_eq!(opened, head);
    }
});
