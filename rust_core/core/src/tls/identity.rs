//! Who a client certificate says its holder is (docs/keys.md, "Certificates").

use crate::MAX_INTEGER;
use crate::tls::der::{CLIENT_AUTH, Certificate, milliseconds};

/// What a certificate was issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A ballot box.
    Box,
    /// An identification terminal.
    Terminal,
    /// A commission's desk.
    Desk,
    /// A commission's computer that uploads for boxes without a line.
    Courier,
    /// A member of the commission.
    Commission,
}

impl Role {
    /// As in the certificate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Terminal => "terminal",
            Self::Desk => "desk",
            Self::Courier => "courier",
            Self::Commission => "commission",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Box, Self::Terminal, Self::Desk, Self::Courier, Self::Commission]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// The holder of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What the certificate was issued for.
    pub role: Role,
    /// The number of the device, courier or member.
    pub id: u64,
    /// The certificate's serial number, big-endian without leading zeros.
    pub serial: Box<[u8]>,
    /// The certificate's last moment, ms: the handshake has judged it, whoever stays connected outlives it.
    pub not_after: u64,
}

impl Peer {
    /// The holder, if the certificate has the one shape that enrolment gives: for clients and nothing else, its only
    /// alternative name `urn:tallygate:<election>:<role>:<id>`.
    pub(super) fn of(certificate: &Certificate<'_>, election: &str) -> Option<Self> {
        if !certificate.is_for(CLIENT_AUTH, true) {
            return None;
        }
        let mut words = certificate.only_uri()?.strip_prefix("urn:tallygate:")?.split(':');
        let (Some(named), Some(role), Some(id), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return None;
        };
        if named != election {
            return None;
        }
        Some(Self {
            role: Role::parse(role)?,
            id: number(id)?,
            serial: significant(certificate.serial).into(),
            not_after: milliseconds(certificate.not_after),
        })
    }
}

/// A serial number without leading zeros.
pub(super) fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}

/// From 1, in digits without a leading zero.
fn number(text: &str) -> Option<u64> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && *number <= MAX_INTEGER)
}
