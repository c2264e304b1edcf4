//! The core of Tallygate in pure Rust: exact bytes in and out, no I/O but the loading of manifests, no Python.
//!
//! `cbor` and `statement` decode what devices and the commission sign, `verify` checks who signed it, `merkle`,
//! `tiles`, `note` and `receipt` are the public log, `jcs` and `definition` say what an election is, `authority` what its
//! commission has decided, `tally` what counts. `tls` and `http` are the box port's connections.
#![forbid(unsafe_code)]

pub mod authority;
pub mod cbor;
mod cores;
pub mod definition;
pub mod error;
pub mod http;
pub mod jcs;
pub mod merkle;
pub mod note;
pub mod receipt;
pub mod statement;
pub mod tally;
pub mod tiles;
pub mod tls;
pub mod verify;

pub use error::{Error, Result, Rule};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The largest integer that every JSON reader holds exactly; nothing in Tallygate is larger (RFC 8259, section 6).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
