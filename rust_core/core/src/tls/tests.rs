//! The door against rustls' own client, in memory. OpenSSL's is in the tests of the binding.
//!
//! `python -m tests.unit.tls_helpers rust_core/core/src/tls/testdata` makes the files, which are good at [`NOW`].

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, ClientConfig, ClientConnection, NamedGroup, RootCertStore, version};

use super::*;
use crate::error::{Error, Result};
use crate::http::MAX_PART;

/// As in `tests/unit/pki_helpers.py`.
const NOW: u64 = 1_790_000_000_000;
const ELECTION: &str = "hill-2026";
const DAY: u64 = 86_400_000;
const MAX_BODY: usize = 1_024;
const REQUEST: &[u8] = b"POST /v1/statements HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("testdata/", $name)).as_slice()
    };
}

const FILES: Files<'static> = Files {
    certificate: testdata!("server.pem"),
    key: testdata!("server.key"),
    ca: testdata!("ca.pem"),
    crl: testdata!("crl.pem"),
};

type Shown = (&'static [u8], &'static [u8]);
const BOX: Shown = (testdata!("box.pem"), testdata!("box.key"));
const REVOKED: Shown = (testdata!("revoked.pem"), testdata!("revoked.key"));
const ELSEWHERE: Shown = (testdata!("elsewhere.pem"), testdata!("elsewhere.key"));
const STRANGER: Shown = (testdata!("stranger.pem"), testdata!("stranger.key"));

fn config(stale: StaleCrl, now: u64) -> Arc<Config> {
    Arc::new(Config::new(FILES, ELECTION, stale, now).unwrap())
}

/// The client's clock stands still.
#[derive(Debug)]
struct Then;

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(NOW)))
    }
}

struct Client {
    tls: ClientConnection,
    door: Connection,
}

impl Client {
    fn new(config: &Arc<Config>, shown: Option<Shown>) -> Self {
        Self::with(aws_lc_rs::default_provider(), config, shown)
    }

    fn with(provider: CryptoProvider, config: &Arc<Config>, shown: Option<Shown>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(FILES.ca).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(Then))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let client = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    CertificateDer::pem_slice_iter(certificate).collect::<std::result::Result<_, _>>().unwrap(),
                    PrivateKeyDer::from_pem_slice(key).unwrap(),
                )
                .unwrap(),
        };
        let mut tls = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        tls.set_buffer_limit(None);
        Self { tls, door: Connection::new(Arc::clone(config), MAX_BODY).unwrap() }
    }

    /// Everything the client has to send.
    fn sealed(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut sealed).unwrap();
        }
        sealed
    }

    fn hear(&mut self, mut out: &[u8]) -> std::result::Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !out.is_empty() && self.tls.read_tls(&mut out).unwrap() > 0 {
            self.tls.process_new_packets()?;
            let _ = self.tls.reader().read_to_end(&mut plain);
        }
        Ok(plain)
    }

    /// The state after the handshake, or the alert that ends it.
    fn handshake(&mut self) -> std::result::Result<State, rustls::Error> {
        loop {
            let sealed = self.sealed();
            let (state, out) = self.door.feed(&sealed).unwrap();
            self.hear(&out)?;
            if state != State::More || !(self.tls.is_handshaking() || self.tls.wants_write()) {
                return Ok(state);
            }
        }
    }

    fn send(&mut self, plain: &[u8]) -> State {
        self.tls.writer().write_all(plain).unwrap();
        let sealed = self.sealed();
        self.door.feed(&sealed).unwrap().0
    }
}

fn connected() -> Client {
    let mut client = Client::new(&config(StaleCrl::Keep, NOW), Some(BOX));
    assert_eq!(client.handshake().unwrap(), State::More);
    client
}

fn is_argument<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Argument(_)))
}

#[test]
fn a_box_is_known_by_its_certificate() {
    let mut client = connected();
    let peer = client.door.peer().unwrap().clone();
    assert_eq!((peer.role, peer.id), (Role::Box, 12));
    assert_eq!(client.door.shown(), Some(&peer));
    assert_eq!(&*peer.serial, (0x7f << 120 | 1_u128).to_be_bytes());
    assert_eq!(peer.not_after, NOW + 50 * DAY);
    assert_eq!(client.door.failure(), None);
    assert_eq!(client.send(REQUEST), State::Request);
    assert_eq!(client.door.request().unwrap().body.as_deref(), Some(&b"hello"[..]));
    let out = client.door.respond(b"HTTP/1.1 200 OK\r\n\r\n", b"ok", true);
    assert_eq!(client.hear(&out).unwrap(), b"HTTP/1.1 200 OK\r\n\r\nok");
    assert!(client.tls.process_new_packets().unwrap().peer_has_closed());
    assert_eq!(client.tls.tls13_tickets_received(), 0);
}

#[test]
fn every_group_that_is_offered_works() {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let cases = [
        (vec![X25519], NamedGroup::X25519),
        (vec![SECP256R1], NamedGroup::secp256r1),
        (vec![X25519MLKEM768], NamedGroup::X25519MLKEM768),
        (vec![X25519MLKEM768, X25519], NamedGroup::X25519MLKEM768),
        (vec![X25519, X25519MLKEM768], NamedGroup::X25519),
    ];
    for (kx_groups, chosen) in cases {
        let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
        let mut client = Client::with(provider, &config(StaleCrl::Keep, NOW), Some(BOX));
        assert_eq!(client.handshake(), Ok(State::More));
        assert_eq!(client.tls.negotiated_key_exchange_group().unwrap().name(), chosen);
        assert_eq!(
            client.tls.negotiated_cipher_suite().unwrap().suite(),
            rustls::CipherSuite::TLS13_AES_128_GCM_SHA256
        );
    }
}

#[test]
fn who_is_refused_hears_why() {
    let cases: [(Option<Shown>, StaleCrl, u64, Failure, AlertDescription); 7] = [
        (Some(REVOKED), StaleCrl::Keep, NOW, Failure::Revoked, AlertDescription::CertificateRevoked),
        (Some(STRANGER), StaleCrl::Keep, NOW, Failure::UnknownCa, AlertDescription::UnknownCA),
        (Some(ELSEWHERE), StaleCrl::Keep, NOW, Failure::Protocol, AlertDescription::AccessDenied),
        (None, StaleCrl::Keep, NOW, Failure::NoCertificate, AlertDescription::CertificateRequired),
        (Some(REVOKED), StaleCrl::Refuse, NOW, Failure::Revoked, AlertDescription::CertificateRevoked),
        (Some(BOX), StaleCrl::Refuse, NOW + 21 * DAY, Failure::Protocol, AlertDescription::CertificateUnknown),
        (Some(REVOKED), StaleCrl::Keep, NOW + 21 * DAY, Failure::Revoked, AlertDescription::CertificateRevoked),
    ];
    for (shown, stale, now, failure, alert) in cases {
        let mut client = Client::new(&config(stale, now), shown);
        assert_eq!(client.handshake(), Err(rustls::Error::AlertReceived(alert)));
        assert_eq!((client.door.failure(), client.door.peer()), (Some(failure), None));
        assert!(client.door.failure_detail().is_some());
        // Named, and not believed; of another election nobody is.
        let named = failure != Failure::NoCertificate && alert != AlertDescription::AccessDenied;
        assert_eq!(client.door.shown().is_some(), named, "{failure:?}");
        assert_eq!(client.door.feed(b"x").unwrap(), (State::Failed, Vec::new()));
        assert_eq!(client.door.eof().0, State::Failed);
        assert!(client.door.close().is_empty() && client.door.respond(b"x", b"", true).is_empty());
    }
    let mut client = Client::new(&config(StaleCrl::Keep, NOW + 21 * DAY), Some(BOX));
    assert_eq!(client.handshake(), Ok(State::More), "a stale list keeps the rest out, and them in");
}

#[test]
fn byte_by_byte_is_the_same() {
    let mut client = Client::new(&config(StaleCrl::Keep, NOW), Some(BOX));
    client.tls.writer().write_all(REQUEST).unwrap();
    let mut state = State::More;
    while state == State::More {
        let sealed = client.sealed();
        assert!(!sealed.is_empty());
        for byte in sealed {
            let (now, out) = client.door.feed(&[byte]).unwrap();
            client.hear(&out).unwrap();
            state = now;
        }
    }
    assert_eq!(state, State::Request);
    assert_eq!(client.door.request().unwrap().body.as_deref(), Some(&b"hello"[..]));
}

#[test]
fn what_is_behind_a_request_is_held_back() {
    let mut client = connected();
    for _ in 0..3 {
        client.tls.writer().write_all(REQUEST).unwrap();
    }
    let sealed = client.sealed();
    assert_eq!(client.door.feed(&sealed).unwrap().0, State::Request);
    for left in [2, 1, 0] {
        assert!(is_argument(&client.door.feed(b"")));
        assert!(client.door.request().is_ok());
        assert!(is_argument(&client.door.request()) && is_argument(&client.door.feed(b"x")));
        client.door.respond(b"HTTP/1.1 200 OK\r\n\r\n", b"", false);
        let expected = if left > 0 { State::Request } else { State::More };
        assert_eq!(client.door.feed(b"").unwrap().0, expected);
    }
}

#[test]
fn a_long_body_is_held_back_until_it_is_wanted() {
    let mut client = connected();
    let length = 3 * MAX_PART + 7;
    let head = format!("PUT /v1/attachments/a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(client.send(head.as_bytes()), State::Request);
    assert_eq!(client.door.request().unwrap().body, None);
    assert!(is_argument(&client.door.body()));
    assert!(client.door.accept_body().unwrap().is_empty());
    assert_eq!(client.door.feed(b"").unwrap(), (State::More, Vec::new()));
    client.tls.writer().write_all(&vec![b'x'; length]).unwrap();
    let sealed = client.sealed();
    let mut sizes = Vec::new();
    let (mut state, _) = client.door.feed(&sealed).unwrap();
    loop {
        assert_eq!(state, State::Body);
        assert!(is_argument(&client.door.feed(b"x")));
        let (part, last) = client.door.body().unwrap();
        sizes.push(part.len());
        if last {
            break;
        }
        (state, _) = client.door.feed(b"").unwrap();
    }
    assert_eq!(sizes, [MAX_PART, MAX_PART, MAX_PART, 7]);
}

#[test]
fn files_are_checked_when_they_are_read() {
    let refused = |files: Files<'_>, now: u64| match Config::new(files, ELECTION, StaleCrl::Keep, now) {
        Err(Error::Tls { fault, .. }) => fault.file(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Files { certificate: BOX.0, ..FILES }, NOW), "server.pem");
    assert_eq!(refused(Files { certificate: STRANGER.0, ..FILES }, NOW), "server.pem");
    assert_eq!(refused(FILES, NOW + 60 * DAY), "server.pem");
    assert_eq!(refused(FILES, NOW - DAY), "server.pem");
    assert_eq!(refused(Files { key: BOX.1, ..FILES }, NOW), "server.key");
    assert_eq!(refused(Files { key: FILES.certificate, ..FILES }, NOW), "server.key");
    assert_eq!(refused(Files { ca: FILES.crl, ..FILES }, NOW), "ca.pem");
    assert_eq!(refused(Files { ca: FILES.certificate, ..FILES }, NOW), "ca.pem");
    assert_eq!(refused(FILES, NOW + 1_000 * DAY), "ca.pem");
    assert_eq!(refused(Files { crl: FILES.ca, ..FILES }, NOW), "crl.pem");
    let config = config(StaleCrl::Keep, NOW);
    assert_eq!(config.certificate_not_after(), NOW + 50 * DAY);
    assert_eq!((config.ca_not_after(), config.crl_next_update()), (NOW + 170 * DAY, NOW + 20 * DAY));
    assert_eq!(config.crl_number(), [1]);
    assert_eq!(config.ca(), CertificateDer::from_pem_slice(FILES.ca).unwrap().as_ref());
    assert!(config.is_revoked(&(0xff << 120 | 2_u128).to_be_bytes()) && !config.is_revoked(&[2]));
}
