//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): text that one or more keys have signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, LogFault, Result};
use crate::{Hash, MAX_INTEGER, verify};

/// The largest note in bytes: a checkpoint with sixteen cosignatures is a fifth of it.
pub const MAX_NOTE: usize = 16_384;
/// The most signature lines of a note: the log's own and fifteen witnesses'.
pub const MAX_SIGNATURES: usize = 16;
/// The longest origin in bytes; with the rest of a checkpoint it stays below what witnesses take.
pub const MAX_ORIGIN: usize = 200;

/// The signature type of a plain Ed25519 note key.
const ED25519: u8 = 0x01;
const KEY_ID: usize = 4;

/// Whether `text` may be a log's name: `[a-z0-9.-]+(/[a-z0-9.-]+)*`, at most [`MAX_ORIGIN`] bytes (docs/log.md).
pub fn is_origin(text: &str) -> bool {
    text.len() <= MAX_ORIGIN
        && text.split('/').all(|word| {
            !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        })
}

/// A verifier key: whose signature a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public_key: [u8; 32],
}

impl VerifierKey {
    /// A key under a name; the name of a log's key is its origin.
    ///
    /// # Errors
    /// `key.malformed` for a name that cannot stand in a note, or a key that may not be enrolled.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self> {
        if is_key_name(name) && verify::enrollable(&public_key) {
            Ok(Self { name: name.to_owned(), public_key })
        } else {
            malformed_key()
        }
    }

    /// Reads `<name>+<key id, 8 hex>+<base64(0x01 ‖ public key)>`.
    ///
    /// # Errors
    /// `key.malformed` where it is not of that form, or the key id is not the key's.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(key_id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return malformed_key();
        };
        let Some((ED25519, public_key)) = decode_base64(encoded)
            .as_deref()
            .and_then(|bytes| bytes.split_first())
            .and_then(|(kind, key)| Some((*kind, <[u8; 32]>::try_from(key).ok()?)))
        else {
            return malformed_key();
        };
        let key = Self::new(name, public_key)?;
        if hex::encode(key.id()) == key_id { Ok(key) } else { malformed_key() }
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The raw Ed25519 public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The first 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    fn id(&self) -> [u8; KEY_ID] {
        let hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.public_key)
            .finalize();
        let mut out = [0; KEY_ID];
        out.copy_from_slice(&hash[..KEY_ID]);
        out
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let typed = [&[ED25519], self.public_key.as_slice()].concat();
        write!(out, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(typed))
    }
}

/// Signs notes under one name.
pub struct Signer {
    key: SigningKey,
    public: VerifierKey,
}

impl Signer {
    /// A signer from the 32 byte seed of an Ed25519 key.
    ///
    /// # Errors
    /// `key.malformed` for a name that cannot stand in a note.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self> {
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, key.verifying_key().to_bytes())?;
        Ok(Self { key, public })
    }

    /// What readers need to check its notes.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The note of a log's head under this key's name.
    ///
    /// # Errors
    /// `checkpoint.malformed` where the name is no origin, or for a size above 2^53−1.
    pub fn sign_checkpoint(&self, size: u64, root: Hash) -> Result<String> {
        self.sign(&Checkpoint::new(&self.public.name, size, root)?.text())
    }

    /// The note: the text, a blank line, the signature line. The text ends in a line feed and has no blank line in it.
    ///
    /// # Errors
    /// `note.malformed` for another text.
    pub fn sign(&self, text: &str) -> Result<String> {
        if text.contains("\n\n") {
            return Err(malformed());
        }
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let encoded = STANDARD.encode([self.public.id().as_slice(), &signature].concat());
        let note = format!("{text}\n\u{2014} {} {encoded}\n", self.public.name);
        open(note.as_bytes(), &self.public)?;
        Ok(note)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed never reaches a log.
        out.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The text of a note that `key` has signed. Signature lines of others are read past.
///
/// # Errors
/// `note.malformed`, `note.unsigned` (no line of this key), `note.signature` (the line does not verify).
pub fn open<'a>(note: &'a [u8], key: &VerifierKey) -> Result<&'a str> {
    if note.len() > MAX_NOTE {
        return Err(malformed());
    }
    let note = std::str::from_utf8(note).map_err(|_| malformed())?;
    if note.chars().any(|character| matches!(character, '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}')) {
        return Err(malformed());
    }
    let text_end = note.rfind("\n\n").ok_or_else(malformed)? + 1;
    let text = &note[..text_end];
    let lines = note[text_end + 1..].strip_suffix('\n').ok_or_else(malformed)?;
    let mut seen: Vec<(&str, Vec<u8>)> = Vec::new();
    for line in lines.split('\n') {
        let (name, signature) = read_signature_line(line).ok_or_else(malformed)?;
        let twice = seen.iter().any(|(other, bytes)| *other == name && bytes[..KEY_ID] == signature[..KEY_ID]);
        if twice || seen.len() == MAX_SIGNATURES {
            return Err(malformed());
        }
        seen.push((name, signature));
    }
    let wanted = key.id();
    let Some((_, signature)) = seen.iter().find(|(name, bytes)| *name == key.name && bytes[..KEY_ID] == wanted) else {
        return Err(Error::log(LogFault::NoteUnsigned, "the note carries no signature by this key"));
    };
    match <&[u8; 64]>::try_from(&signature[KEY_ID..]) {
        Ok(signature) if verify::signature(&key.public_key, text.as_bytes(), signature) => Ok(text),
        _ => Err(Error::log(LogFault::NoteSignature, "the signature on the note does not verify")),
    }
}

/// The signed head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// A head that readers accept.
    ///
    /// # Errors
    /// `checkpoint.malformed` for an origin or a size that they do not.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self> {
        if is_origin(origin) && size <= MAX_INTEGER {
            Ok(Self { origin: origin.to_owned(), size, root })
        } else {
            Err(malformed_checkpoint())
        }
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the text of a note.
    ///
    /// # Errors
    /// `checkpoint.malformed` where it is not three lines: origin, size, root.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(malformed_checkpoint)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        (lines.next().is_none() && is_origin(origin)).then_some(())?;
        Some(Self { origin: origin.to_owned(), size: read_decimal(size)?, root: read_hash(root)? })
    }

    /// Opens the note of a log's head.
    ///
    /// # Errors
    /// Those of [`open`], then `checkpoint.malformed`, then `checkpoint.origin` where it is another log's.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self> {
        let checkpoint = Self::parse(open(note, key)?)?;
        if checkpoint.origin == key.name {
            Ok(checkpoint)
        } else {
            Err(Error::log(LogFault::CheckpointOrigin, "the checkpoint is of another log than the key's"))
        }
    }
}

/// `0|[1-9][0-9]*`, at most 2^53−1.
pub(crate) fn read_decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|value| plain && *value <= MAX_INTEGER)
}

/// The canonical base64 of 32 bytes.
pub(crate) fn read_hash(text: &str) -> Option<Hash> {
    decode_base64(text)?.try_into().ok()
}

/// The engine refuses missing padding and set trailing bits, so there is one encoding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn read_signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let signature = decode_base64(encoded)?;
    (is_key_name(name) && signature.len() > KEY_ID).then_some((name, signature))
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|character| character.is_whitespace() || character.is_control() || character == '+')
}

fn malformed() -> Error {
    Error::log(LogFault::NoteMalformed, "this is not a signed note")
}

fn malformed_checkpoint() -> Error {
    Error::log(LogFault::CheckpointMalformed, "this is not a checkpoint: origin, size, root")
}

fn malformed_key<T>() -> Result<T> {
    Err(Error::log(LogFault::KeyMalformed, "this is not a verifier key: <name>+<key id>+<base64 of 0x01 and the key>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "election.example/2027/log";

    fn signer() -> Signer {
        Signer::new(ORIGIN, &[1; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: ORIGIN.into(), size: 257, root: [7; 32] }
    }

    fn code<T>(result: Result<T>) -> &'static str {
        result.err().map_or("accepted", |error| error.code())
    }

    #[test]
    fn a_checkpoint_survives() {
        let note = signer().sign(&checkpoint().text()).unwrap();
        let key = VerifierKey::parse(&signer().verifier().to_string()).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &key).unwrap(), checkpoint());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let note = signer().sign(&checkpoint().text()).unwrap();
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Checkpoint::open(&bytes, signer().verifier()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn cosignatures_are_read_past_and_bounded() {
        let note = signer().sign(&checkpoint().text()).unwrap();
        let line = |name: u8| format!("\u{2014} witness{name} {}\n", STANDARD.encode([name; 76]));
        let with = |count: u8| note.clone() + &(0..count).map(line).collect::<String>();
        assert_eq!(code(open(with(15).as_bytes(), signer().verifier())), "accepted");
        assert_eq!(code(open(with(16).as_bytes(), signer().verifier())), "note.malformed");
        let twice = note.clone() + &line(1) + &line(1);
        assert_eq!(code(open(twice.as_bytes(), signer().verifier())), "note.malformed");
    }

    #[test]
    fn each_fault_has_its_code() {
        let note = signer().sign(&checkpoint().text()).unwrap();
        let other = Signer::new("other.example/log", &[2; 32]).unwrap();
        let renamed = Signer::new(ORIGIN, &[2; 32]).unwrap();
        assert_eq!(code(open(note.as_bytes(), other.verifier())), "note.unsigned");
        assert_eq!(code(open(note.as_bytes(), renamed.verifier())), "note.unsigned");
        let foreign = other.sign(&checkpoint().text()).unwrap();
        assert_eq!(code(Checkpoint::open(foreign.as_bytes(), other.verifier())), "checkpoint.origin");
        for text in ["a\n1\nAA==\n", "a\n01\n", "one line\n", "Upper/case\n1\n"] {
            let note = signer().sign(text).unwrap();
            assert_eq!(code(Checkpoint::open(note.as_bytes(), signer().verifier())), "checkpoint.malformed");
        }
        for note in ["", "\n", "\n\n", "text\n", "text\n\n", "text\n\n\u{2014} name\n", "text\n\n- name AAAAAAAA\n"] {
            assert_eq!(code(open(note.as_bytes(), signer().verifier())), "note.malformed", "{note:?}");
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let good = signer().verifier().to_string();
        for text in [
            "",
            "a",
            "a+b",
            "a+00000000+AAAA",
            &good.replace("election", "erection"),
            &good.to_uppercase(),
            &(good.clone() + " "),
        ] {
            assert_eq!(code(VerifierKey::parse(text)), "key.malformed", "{text}");
        }
        assert_eq!(code(VerifierKey::new("with space", *signer().verifier().public_key())), "key.malformed");
        assert_eq!(code(VerifierKey::new("small-order", [0; 32])), "key.malformed");
        let typed = STANDARD.encode([&[0x02], signer().verifier().public_key().as_slice()].concat());
        let other_type = format!("{ORIGIN}+{}+{typed}", hex::encode(signer().verifier().id()));
        assert_eq!(code(VerifierKey::parse(&other_type)), "key.malformed");
    }

    #[test]
    fn origins_are_lower_case_words_and_slashes() {
        for good in ["a", "a.b-c/2/d", &"a".repeat(200)] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", "A", "a b", "a_b", "a+b", "é", &"a".repeat(201)] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Checkpoint::open(&bytes, signer().verifier());
            let _ = VerifierKey::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
