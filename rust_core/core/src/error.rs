//! Every way in which bytes can be refused, with its stable code and its place.
//!
//! One enum for the whole core, so that the binding needs one conversion and a caller one match.

use thiserror::Error as ThisError;

/// The result of everything in this crate that can refuse.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The bytes are not the one accepted encoding of a statement.
    #[error("{}", rule.sentence())]
    Statement {
        /// The broken rule.
        rule: Rule,
        /// Byte offset, from the start of the statement, of the item that breaks it.
        offset: usize,
    },
    /// A well-formed statement whose signer is not known here.
    #[error("{0}")]
    UnknownSigner(&'static str),
    /// A signature that does not verify under the signer's key.
    #[error("the signature does not verify under the signer's key; send the bytes exactly as they were signed")]
    Signature,
    /// A key, note, checkpoint, receipt, proof, tile or bundle.
    #[error("{detail}")]
    Log {
        /// What kind of fault it is; it decides the code.
        fault: LogFault,
        /// A sentence for people.
        detail: &'static str,
    },
    /// A manifest: the JSON file that names the tables.
    #[error("{detail}")]
    Manifest {
        /// What kind of fault it is; it decides the code.
        fault: ManifestFault,
        /// The manifest's file name.
        file: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// A table beside a manifest.
    #[error("{detail}")]
    Table {
        /// What kind of fault it is; it decides the code.
        fault: TableFault,
        /// The table's file name.
        file: String,
        /// Line from 1 (the header), where one is to blame.
        line: Option<u64>,
        /// Column name, where one is to blame.
        column: Option<&'static str>,
        /// A sentence for people.
        detail: String,
    },
    /// Certificate, key, CA or CRL of the box port.
    #[error("{detail}")]
    Tls {
        /// Which of the four is to blame; it decides the code.
        fault: TlsFault,
        /// A sentence for people.
        detail: String,
    },
    /// A request on the box port that HTTP itself refuses.
    #[error("{detail}")]
    Request {
        /// What kind of fault it is; it decides the code.
        fault: RequestFault,
        /// Byte offset from the start of the request, where one is to blame.
        offset: Option<usize>,
        /// A sentence for people.
        detail: &'static str,
    },
    /// A value that canonical JSON of this project cannot hold.
    #[error("{0}")]
    Json(&'static str),
    /// A fault of this program, never of the input.
    #[error("the gateway failed on this statement; send the same bytes again later")]
    Fault,
    /// The caller asked for something outside what is there (an index past the end, say).
    #[error("{0}")]
    Argument(&'static str),
}

impl Error {
    /// The stable, dotted code; scripts and other implementations may rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Statement { .. } => "statement.malformed",
            Self::UnknownSigner(_) => "statement.unknown_device",
            Self::Signature => "statement.signature",
            Self::Log { fault, .. } => fault.code(),
            Self::Manifest { fault, .. } => fault.code(),
            Self::Table { fault, .. } => fault.code(),
            Self::Tls { fault, .. } => fault.code(),
            Self::Request { fault, .. } => fault.code(),
            Self::Json(_) => "json.malformed",
            Self::Fault => "server.fault",
            Self::Argument(_) => "argument.range",
        }
    }

    pub(crate) fn log(fault: LogFault, detail: &'static str) -> Self {
        Self::Log { fault, detail }
    }
}

/// The rules of the statement format (docs/packet.md). The word is published with the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// More bytes than a statement may have.
    Size,
    /// The frozen `COSE_Sign1` frame differs.
    Envelope,
    /// The input ends inside an item.
    Truncated,
    /// Bytes after the last item.
    Trailing,
    /// Another CBOR major type than the grammar wants.
    Type,
    /// Reserved or indefinite additional information.
    Head,
    /// A head longer than it needs to be.
    Shortest,
    /// An integer outside what its field allows.
    Range,
    /// An array or byte string of another length than its field allows.
    Length,
    /// Text that is empty, too long, not UTF-8, or holds control characters.
    Text,
    /// Contests or codes not strictly ascending.
    Order,
    /// The link to the previous statement is there, or absent, when it must not be.
    Previous,
    /// A report number that does not exist.
    Report,
    /// An action number that does not exist.
    Action,
    /// An origin that witnesses would not accept as a log's name.
    Origin,
}

impl Rule {
    /// The published word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Envelope => "envelope",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::Type => "type",
            Self::Head => "head",
            Self::Shortest => "shortest",
            Self::Range => "range",
            Self::Length => "length",
            Self::Text => "text",
            Self::Order => "order",
            Self::Previous => "previous",
            Self::Report => "report",
            Self::Action => "action",
            Self::Origin => "origin",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Size => "a statement has at most 16,384 bytes",
            Self::Envelope => "the frame is not the COSE_Sign1 profile of docs/packet.md",
            Self::Truncated => "the bytes end in the middle of an item",
            Self::Trailing => "there are bytes after the last item",
            Self::Type => "another kind of value belongs here",
            Self::Head => "reserved and indefinite lengths are not allowed",
            Self::Shortest => "the length or number is not written in its shortest form",
            Self::Range => "the number is outside what this field allows",
            Self::Length => "the number of elements or bytes is not what this field allows",
            Self::Text => "text must be 1 to 2,000 bytes of UTF-8 without control characters",
            Self::Order => "contests and codes must ascend strictly",
            Self::Previous => "`previous` must be empty exactly in the first statement of a signer",
            Self::Report => "there is no report with this number",
            Self::Action => "there is no action with this number",
            Self::Origin => {
                "the origin must be lower-case words of letters, digits, dots and dashes, joined by slashes"
            }
        }
    }
}

/// Faults of keys, notes, proofs and tiles (docs/log.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFault {
    /// A verifier key that is not one.
    KeyMalformed,
    /// Bytes that are not a signed note.
    NoteMalformed,
    /// A note without a signature by the key asked for.
    NoteUnsigned,
    /// A note whose signature by that key does not verify.
    NoteSignature,
    /// A note's text that is not a checkpoint of ours.
    CheckpointMalformed,
    /// A checkpoint of another log.
    CheckpointOrigin,
    /// Bytes that are not a receipt.
    ReceiptMalformed,
    /// A receipt that does not prove this statement.
    ReceiptProof,
    /// A proof with an impossible length or size.
    ProofMalformed,
    /// A proof that leads elsewhere.
    ProofMismatch,
    /// A tile of the wrong size.
    TileMalformed,
    /// An entry bundle that does not hold what its width says.
    BundleMalformed,
}

impl LogFault {
    fn code(self) -> &'static str {
        match self {
            Self::KeyMalformed => "key.malformed",
            Self::NoteMalformed => "note.malformed",
            Self::NoteUnsigned => "note.unsigned",
            Self::NoteSignature => "note.signature",
            Self::CheckpointMalformed => "checkpoint.malformed",
            Self::CheckpointOrigin => "checkpoint.origin",
            Self::ReceiptMalformed => "receipt.malformed",
            Self::ReceiptProof => "receipt.proof",
            Self::ProofMalformed => "proof.malformed",
            Self::ProofMismatch => "proof.mismatch",
            Self::TileMalformed => "tile.malformed",
            Self::BundleMalformed => "bundle.malformed",
        }
    }
}

/// Faults of manifests (docs/election-folder.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestFault {
    /// There is no such file, or it cannot be read.
    Missing,
    /// Not canonical JSON, or fields other than the format's.
    Malformed,
    /// A roster or information that belongs to another definition.
    Definition,
}

impl ManifestFault {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => "manifest.missing",
            Self::Malformed => "manifest.malformed",
            Self::Definition => "manifest.definition",
        }
    }
}

/// Faults of built tables (docs/election-folder.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableFault {
    /// There is no such file, or it cannot be read.
    Missing,
    /// Its bytes are not those that the manifest names.
    Changed,
    /// A cell, line or order that the format does not allow.
    Malformed,
    /// A number that names nothing.
    Reference,
}

impl TableFault {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => "table.missing",
            Self::Changed => "table.changed",
            Self::Malformed => "table.malformed",
            Self::Reference => "table.reference",
        }
    }
}

/// Files of the box port's TLS (docs/keys.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// The server's certificate and its chain.
    Certificate,
    /// The server's private key.
    Key,
    /// The election CA.
    Ca,
    /// The revocation list.
    Crl,
}

impl TlsFault {
    /// The name that the file has in a night folder.
    pub fn file(self) -> &'static str {
        match self {
            Self::Certificate => "server.pem",
            Self::Key => "server.key",
            Self::Ca => "ca.pem",
            Self::Crl => "crl.pem",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Certificate => "tls.certificate",
            Self::Key => "tls.key",
            Self::Ca => "tls.ca",
            Self::Crl => "tls.crl",
        }
    }
}

/// Faults of a request as HTTP (docs/box-port.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestFault {
    /// Not HTTP/1.1 as strictly as the box port reads it.
    Malformed,
    /// A body whose length is not said beforehand.
    LengthRequired,
    /// A head beyond its bounds.
    TooLarge,
    /// A method that is never answered here.
    Method,
}

impl RequestFault {
    fn code(self) -> &'static str {
        match self {
            Self::Malformed => "request.malformed",
            Self::LengthRequired => "request.length_required",
            Self::TooLarge => "request.too_large",
            Self::Method => "request.method",
        }
    }
}
