//! Any text as a verifier key and as a log's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::note::{Signer, VerifierKey, is_origin};
use tallygate_core::verify;
use tallygate_fuzz::SEED;

fuzz_target!(|text: &str| {
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
        assert!(verify::enrollable(key.public_key()));
    }
    // Whatever can be a name makes a key that reads back, and signs notes that open.
    match Signer::new(text, &SEED) {
        Ok(signer) => {
            let key = VerifierKey::parse(&signer.verifier().to_string()).expect("a key reads back");
            assert_eq!(&key, signer.verifier());
            signer.sign("text\n").expect("a key's name can stand in a note");
        }
        Err(_) => assert!(!is_origin(text)),
    }
});
