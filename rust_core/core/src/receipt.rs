//! Receipts (C2SP tlog-proof): a statement's place in the log, provable without asking anybody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Hash;
use crate::error::{Error, LogFault, Result};
use crate::merkle::{leaf_hash, verify_inclusion};
use crate::note::{Checkpoint, VerifierKey, read_decimal, read_hash};

/// The largest receipt in bytes: the note and a path of 63 hashes fit.
pub const MAX_RECEIPT: usize = 32_768;

/// The longest audit path: a log of 2^63 entries.
const MAX_PATH: usize = 63;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// The receipt's bytes for entry `index` under the checkpoint that `note` signs; `path` is leaf's sibling first.
///
/// # Errors
/// `receipt.malformed` where a reader would refuse the form.
pub fn format(index: u64, path: &[Hash], note: &str) -> Result<String> {
    let hashes: String = path.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    let receipt = format!("{FIRST_LINE}\nindex {index}\n{hashes}\n{note}");
    Receipt::parse(receipt.as_bytes())?;
    Ok(receipt)
}

/// A receipt taken apart; nothing in it is proved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The entry's index in the log.
    pub index: u64,
    /// The audit path, leaf's sibling first.
    pub path: Vec<Hash>,
    /// The checkpoint's note, verbatim.
    pub note: &'a [u8],
}

impl<'a> Receipt<'a> {
    /// Takes a receipt apart.
    ///
    /// # Errors
    /// `receipt.malformed` where it is not of the form; the note inside is judged by [`verify`].
    pub fn parse(receipt: &'a [u8]) -> Result<Self> {
        Self::read(receipt)
            .ok_or_else(|| Error::log(LogFault::ReceiptMalformed, "this is not a receipt (c2sp.org/tlog-proof@v1)"))
    }

    fn read(receipt: &'a [u8]) -> Option<Self> {
        let mut rest = Some(receipt).filter(|receipt| receipt.len() <= MAX_RECEIPT)?;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            Some(line)
        };
        (line()? == FIRST_LINE).then_some(())?;
        let index = read_decimal(line()?.strip_prefix("index ")?)?;
        let mut path = Vec::new();
        loop {
            match line()? {
                "" => break,
                _ if path.len() == MAX_PATH => return None,
                hash => path.push(read_hash(hash)?),
            }
        }
        Some(Self { index, path, note: rest })
    }
}

/// Proves that the log of `key` holds `statement`; returns its index and the checkpoint that covers it.
///
/// # Errors
/// `receipt.malformed`; those of the checkpoint inside (`note.*`, `checkpoint.*`); `receipt.proof` where it proves another
/// statement, another place, or nothing.
pub fn verify(receipt: &[u8], statement: &[u8], key: &VerifierKey) -> Result<(u64, Checkpoint)> {
    let receipt = Receipt::parse(receipt)?;
    let checkpoint = Checkpoint::open(receipt.note, key)?;
    verify_inclusion(&leaf_hash(statement), receipt.index, checkpoint.size, &receipt.path, &checkpoint.root).map_err(
        |_| Error::log(LogFault::ReceiptProof, "the receipt does not prove that this statement is in the log"),
    )?;
    Ok((receipt.index, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_INTEGER;
    use crate::merkle::Tree;
    use crate::note::Signer;

    fn entry(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    fn issue(size: u64, index: u64) -> (Signer, String) {
        let signer = Signer::new("log.example/a", &[1; 32]).unwrap();
        let mut tree = Tree::default();
        (0..size).for_each(|index| tree.append(leaf_hash(&entry(index))));
        let head = Checkpoint { origin: "log.example/a".into(), size, root: tree.root(size).unwrap() };
        let note = signer.sign(&head.text()).unwrap();
        let receipt = format(index, &tree.inclusion(index, size).unwrap(), &note).unwrap();
        (signer, receipt)
    }

    #[test]
    fn a_receipt_proves_its_statement_and_no_other() {
        for size in [1, 2, 5, 256, 257] {
            for index in [0, size / 2, size - 1] {
                let (signer, receipt) = issue(size, index);
                let (found, head) = verify(receipt.as_bytes(), &entry(index), signer.verifier()).unwrap();
                assert_eq!((found, head.size), (index, size));
                let refused = verify(receipt.as_bytes(), b"another", signer.verifier()).unwrap_err();
                assert_eq!(refused.code(), "receipt.proof");
            }
        }
    }

    #[test]
    fn what_no_reader_accepts_is_not_written() {
        assert!(format(MAX_INTEGER + 1, &[], "note").is_err());
        assert!(format(0, &[[0; 32]; MAX_PATH + 1], "note").is_err());
        assert!(format(MAX_INTEGER, &[[0; 32]; MAX_PATH], "note").is_ok());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (signer, receipt) = issue(5, 2);
        for bit in 0..receipt.len() * 8 {
            let mut bytes = receipt.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes, &entry(2), signer.verifier()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let (signer, receipt) = issue(5, 2);
        let long_path = "AAAA".repeat(10) + "AAA=\n";
        for (from, to) in [
            ("index 2", "index 02"),
            ("index 2", "index -2"),
            ("index 2", "Index 2"),
            ("index 2", "index 9007199254740992"),
            ("@v1", "@v2"),
            ("index 2\n", "extra AAAA\nindex 2\n"),
            ("index 2\n", &("index 2\n".to_owned() + &long_path.repeat(61))),
        ] {
            let changed = receipt.replacen(from, to, 1);
            assert_ne!(changed, receipt);
            let refused = verify(changed.as_bytes(), &entry(2), signer.verifier()).unwrap_err();
            assert_eq!(refused.code(), "receipt.malformed", "{to}");
        }
        assert_eq!(verify(b"", b"", signer.verifier()).unwrap_err().code(), "receipt.malformed");
        assert_eq!(
            verify(&vec![b'\n'; MAX_RECEIPT + 1], b"", signer.verifier()).unwrap_err().code(),
            "receipt.malformed"
        );
    }
}
