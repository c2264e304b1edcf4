//! What the fuzz targets share: one signer, one log, one small election, and what must hold of every statement.
//!
//! Each target but one feeds one decoder of `tallygate-core` arbitrary bytes. Besides not panicking it asserts what makes a
//! decoder strict: whatever it accepts is the one encoding of what it read. The other feeds logs to the tally.
#![forbid(unsafe_code)]

mod cells;
mod door;
mod folder;
mod night;
mod tables;

pub use cells::mutate;
pub use door::{Client, MAX_BODY, connection};
pub use folder::{FILES, Folder, Loaded, original};
pub use night::{Names, Night, Step, UNUSABLE};
pub use tables::rewrite;

use tallygate_core::merkle::{Tree, leaf_hash};
use tallygate_core::note::Signer;
use tallygate_core::statement::{self, MAX_STATEMENT};
use tallygate_core::{Error, Rule, verify};

/// The seed of every key here, the same in `seeds.py`.
pub const SEED: [u8; 32] = [1; 32];

/// The log's name, the same in `seeds.py`.
pub const ORIGIN: &str = "election.example/2027/log";

/// The log's signer.
pub fn signer() -> Signer {
    Signer::new(ORIGIN, &SEED).expect("the origin is one")
}

/// A log's tree over entries that are their own index, as eight bytes.
pub fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    (0..size).for_each(|index| tree.append(leaf_hash(&index.to_be_bytes())));
    tree
}

/// Asserts what must hold of every byte string that is asked to be a statement.
pub fn assert_strict(bytes: &[u8]) {
    let decoded = match statement::decode(bytes) {
        Ok(decoded) => decoded,
        Err(Error::Statement { rule, offset }) => {
            assert!(offset <= bytes.len());
            assert_eq!(rule == Rule::Size, bytes.len() > MAX_STATEMENT);
            return;
        }
        Err(other) => panic!("decoding can only refuse the form, not say {other:?}"),
    };
    let payload = &bytes[decoded.frame.payload()];
    assert_eq!(decoded.body.encode(), payload);
    assert!(decoded.frame.signed_bytes(bytes).ends_with(payload));

    // Whatever was read can be signed, and comes back the same but for signer and signature.
    let signed = statement::sign(decoded.body.kind(), payload, &SEED).expect("what was decoded can be signed");
    assert_eq!(signed.len(), bytes.len());
    let again = statement::decode(&signed).expect("what was signed can be decoded");
    assert_eq!((&again.body, again.frame.payload()), (&decoded.body, decoded.frame.payload()));
    let key = verify::public_key(&SEED);
    assert_eq!(again.frame.kid, statement::kid(&key));
    assert!(verify::signature(&key, &again.frame.signed_bytes(&signed), &again.frame.signature));
}
