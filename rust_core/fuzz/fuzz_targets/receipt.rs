//! Any bytes as a receipt; what parses is written the same way again, and proves its entry or is refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallygate_core::merkle::Tree;
use tallygate_core::note::Signer;
use tallygate_core::receipt::{self, Receipt};
use tallygate_fuzz::{signer, tree};

const SIZE: u64 = 600;

static LOG: LazyLock<(Signer, Tree, String)> = LazyLock::new(|| {
    let (signer, tree) = (signer(), tree(SIZE));
    let root = tree.root(SIZE).expect("the tree is that large");
    let note = signer.sign_checkpoint(SIZE, root).expect("it is a checkpoint");
    (signer, tree, note)
});

fuzz_target!(|bytes: &[u8]| {
    let (signer, tree, note) = &*LOG;
    let Ok(parsed) = Receipt::parse(bytes) else {
        assert!(receipt::verify(bytes, b"", signer.verifier()).is_err());
        return;
    };
    if let Ok(inner) = std::str::from_utf8(parsed.note) {
        let again = receipt::format(parsed.index, &parsed.path, inner).expect("it was one");
        assert_eq!(again.as_bytes(), bytes);
    }
    let entry = parsed.index.to_be_bytes();
    let _ = receipt::verify(bytes, &entry, signer.verifier());
    // The same path under a checkpoint of ours is accepted exactly if it is the entry's.
    let ours = receipt::format(parsed.index, &parsed.path, note).expect("only the note is another");
    let right = tree.inclusion(parsed.index, SIZE).is_ok_and(|path| path == parsed.path);
    assert_eq!(receipt::verify(ours.as_bytes(), &entry, signer.verifier()).is_ok(), right);
});
