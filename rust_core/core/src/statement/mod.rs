//! A statement: one `COSE_Sign1` message of the frozen profile (RFC 9052, section 4.2; docs/packet.md).
//!
//! `decode` accepts exactly one encoding of every statement. Who signed it is asked in `verify`.

mod decision;
mod packet;

pub use decision::{Action, Decision, Reason, Source};
pub use packet::{Attachment, Count, Figure, MAX_ATTACHMENT, MAX_ATTACHMENTS, Packet, Report, Zero};

use std::ops::Range;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::Hash;
use crate::cbor::{Item, Reader, Writer, refuse};
use crate::error::{Result, Rule};

/// The most bytes a statement may have: sixteen attachments and a ballot of hundreds of choices fit; a million of them stay small.
pub const MAX_STATEMENT: usize = 16_384;

const PACKET_FRAME: &[u8] = b"\xd2\x84\x58\x38\xa3\x01\x27\x03\x78\x28application/vnd.tallygate.packet.v1+cbor\x04\x48";
const DECISION_FRAME: &[u8] =
    b"\xd2\x84\x58\x3a\xa3\x01\x27\x03\x78\x2aapplication/vnd.tallygate.decision.v1+cbor\x04\x48";
const KID: usize = 8;
const SIGNATURE: usize = 64;
/// `Sig_structure` up to the protected header: array(4), "Signature1".
const SIGNED_PREFIX: &[u8] = b"\x84\x6aSignature1";
/// The tag and the outer array stand before the protected header.
const PROTECTED: usize = 2;

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A device's report.
    Packet(Packet),
    /// The commission's decision.
    Decision(Decision),
}

impl Body {
    /// Which of the two kinds of statement this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Packet(_) => Kind::Packet,
            Self::Decision(_) => Kind::Decision,
        }
    }

    /// The payload's one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Packet(packet) => packet.write(&mut writer),
            Self::Decision(decision) => decision.write(&mut writer),
        }
        writer.into_bytes()
    }

    /// SHA-256 of the payload: what the `previous` of the next decision names.
    pub fn payload_hash(&self) -> Hash {
        Sha256::digest(self.encode()).into()
    }
}

/// The two kinds of statements; the protected header's type says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A device's report.
    Packet,
    /// The commission's decision.
    Decision,
}

impl Kind {
    fn frame(self) -> &'static [u8] {
        match self {
            Self::Packet => PACKET_FRAME,
            Self::Decision => DECISION_FRAME,
        }
    }
}

/// What stands around the payload; the statement's own bytes stay with the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first 8 bytes of SHA-256 of the signer's public key, as the statement claims.
    pub kid: [u8; KID],
    /// The Ed25519 signature.
    pub signature: [u8; SIGNATURE],
    protected_end: usize,
    payload: Range<usize>,
}

impl Frame {
    /// Where the payload stands in the statement's bytes.
    pub fn payload(&self) -> Range<usize> {
        self.payload.clone()
    }

    /// The bytes that the signer signed (RFC 9052, `Sig_structure` with empty `external_aad`), made from the statement's own bytes.
    pub fn signed_bytes(&self, statement: &[u8]) -> Vec<u8> {
        let protected = &statement[PROTECTED..self.protected_end];
        // Behind the protected header stands the empty map, then the payload with its head: the head serves again.
        let payload = &statement[self.protected_end + 1..self.payload.end];
        [SIGNED_PREFIX, protected, b"\x40", payload].concat()
    }
}

/// A decoded statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What stands around the payload.
    pub frame: Frame,
    /// What it says.
    pub body: Body,
}

/// The statement's id: SHA-256 of its bytes.
pub fn id(statement: &[u8]) -> Hash {
    Sha256::digest(statement).into()
}

/// The key id of a public key: the first 8 bytes of its SHA-256.
pub fn kid(public_key: &[u8; 32]) -> [u8; KID] {
    let hash: Hash = Sha256::digest(public_key).into();
    let mut out = [0; KID];
    out.copy_from_slice(&hash[..KID]);
    out
}

/// Decodes the one accepted encoding of a statement; the signature is not checked.
///
/// # Errors
/// `statement.malformed` with the broken rule and its byte offset: size, then the envelope, then the payload.
pub fn decode(statement: &[u8]) -> Result<Statement> {
    if statement.len() > MAX_STATEMENT {
        return refuse(Rule::Size, MAX_STATEMENT);
    }
    let kind = frame(statement)?;
    let kid_at = kind.frame().len();
    let protected_end = kid_at + KID;
    let mut envelope = Reader::new(statement, protected_end + 1, statement.len());
    let payload = envelope.byte_range()?;
    let signature = read_signature(statement, payload.end)?;
    let mut kid = [0; KID];
    kid.copy_from_slice(&statement[kid_at..protected_end]);

    let body = read_body(kind, &mut Reader::new(statement, payload.start, payload.end))?;
    let decoded = Statement { frame: Frame { kid, signature, protected_end, payload }, body };
    // The grammar leaves no second encoding; should it ever, one of the two readers of it is wrong and nobody may count this.
    if decoded.body.encode() != statement[decoded.frame.payload()] {
        return refuse(Rule::Envelope, decoded.frame.payload.start);
    }
    Ok(decoded)
}

/// Encodes a payload given without its grammar.
///
/// # Errors
/// `statement.malformed` where a statement with this payload would be refused; offsets count in that statement.
pub fn encode_payload(kind: Kind, content: &Item) -> Result<Vec<u8>> {
    let payload = content.encode();
    decode(&assemble(kind, [0; KID], &payload))?;
    Ok(payload)
}

/// Signs a payload with the key of `seed` and frames it as a statement.
///
/// # Errors
/// `statement.malformed`: the payload is not one of `kind` (offsets count in the statement), or the statement becomes too large.
pub fn sign(kind: Kind, payload: &[u8], seed: &[u8; 32]) -> Result<Vec<u8>> {
    let key = SigningKey::from_bytes(seed);
    let mut statement = assemble(kind, kid(&key.verifying_key().to_bytes()), payload);
    let signed = decode(&statement)?.frame.signed_bytes(&statement);
    let place = statement.len() - SIGNATURE;
    statement[place..].copy_from_slice(&key.sign(&signed).to_bytes());
    Ok(statement)
}

/// A statement whose signature is still to be put in: zeros stand for it.
fn assemble(kind: Kind, kid: [u8; KID], payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(kind.frame());
    writer.raw(&kid);
    writer.raw(b"\xa0");
    writer.bytes(payload);
    writer.bytes(&[0; SIGNATURE]);
    writer.into_bytes()
}

fn read_body(kind: Kind, reader: &mut Reader<'_>) -> Result<Body> {
    let body = match kind {
        Kind::Packet => Body::Packet(Packet::read(reader)?),
        Kind::Decision => Body::Decision(Decision::read(reader)?),
    };
    reader.finish()?;
    Ok(body)
}

/// Compares everything before the payload with the two frames there are.
fn frame(statement: &[u8]) -> Result<Kind> {
    let (packet, decision) = (common(statement, PACKET_FRAME), common(statement, DECISION_FRAME));
    let (kind, fits) = if packet >= decision { (Kind::Packet, packet) } else { (Kind::Decision, decision) };
    if fits == kind.frame().len() + KID + 1 {
        Ok(kind)
    } else if fits == statement.len() {
        refuse(Rule::Truncated, fits)
    } else {
        refuse(Rule::Envelope, fits)
    }
}

/// How many of the first bytes fit `frame`, eight bytes of any key id, and the empty map.
fn common(statement: &[u8], frame: &[u8]) -> usize {
    if !statement.starts_with(frame) {
        return statement.iter().zip(frame).take_while(|(left, right)| left == right).count();
    }
    let map_at = frame.len() + KID;
    match statement.get(map_at) {
        Some(0xa0) => map_at + 1,
        Some(_) => map_at,
        None => statement.len(),
    }
}

fn read_signature(statement: &[u8], at: usize) -> Result<[u8; SIGNATURE]> {
    for (offset, wanted) in [(at, 0x58), (at + 1, 0x40)] {
        match statement.get(offset) {
            Some(byte) if *byte == wanted => {}
            Some(_) => return refuse(Rule::Envelope, offset),
            None => return refuse(Rule::Truncated, offset),
        }
    }
    let content = &statement[at + 2..];
    if content.len() > SIGNATURE {
        return refuse(Rule::Trailing, at + 2 + SIGNATURE);
    }
    content.try_into().or_else(|_| refuse(Rule::Truncated, at))
}

#[cfg(test)]
mod tests;
