//! TLS of the box port, sans I/O: bytes in, bytes and requests out (RFC 8446; docs/box-port.md).
//!
//! TLS 1.3 and nothing older, no tickets, no resumption, no early data; every client shows a certificate of the election CA.
//! [`Config`] is checked when it is made and then never changes; a [`Connection`] is one client's, and speaks HTTP through
//! [`crate::http`].

mod config;
mod connection;
mod der;
mod identity;
mod verifier;

pub use config::{Config, Files};
pub use connection::{Connection, Failure, HANDSHAKE_LIMIT, State};
pub use identity::{Peer, Role};
pub use verifier::StaleCrl;

#[cfg(test)]
mod tests;
