//! A box port and a box in memory, with the certificates of the core's own tests.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, version};
use tallygate_core::tls::{Config, Connection, Files, StaleCrl, State};

/// When the certificates are good, ms.
const NOW: u64 = 1_790_000_000_000;
/// The bytes of a body that is not long.
pub const MAX_BODY: usize = 300;

macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("../../core/src/tls/testdata/", $name)).as_slice()
    };
}

static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let files = Files {
        certificate: testdata!("server.pem"),
        key: testdata!("server.key"),
        ca: testdata!("ca.pem"),
        crl: testdata!("crl.pem"),
    };
    Arc::new(Config::new(files, "hill-2026", StaleCrl::Keep, NOW).expect("the core's test data are good"))
});

static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let certificate = |pem| CertificateDer::from_pem_slice(pem).expect("the core's test data are good");
    let key = PrivateKeyDer::from_pem_slice(testdata!("box.key")).expect("the core's test data are good");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(testdata!("ca.pem"))).expect("the CA is one");
    let config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(Then))
        .with_protocol_versions(&[&version::TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(testdata!("box.pem"))], key)
        .expect("key and certificate belong together");
    Arc::new(config)
});

/// The client's clock stands still.
#[derive(Debug)]
struct Then;

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(NOW)))
    }
}

/// A connection that nobody has sent anything on.
pub fn connection() -> Connection {
    Connection::new(Arc::clone(&CONFIG), MAX_BODY).expect("a connection can be made")
}

/// A box that has finished its handshake.
pub struct Client {
    tls: ClientConnection,
    /// The gateway's side.
    pub door: Connection,
}

impl Client {
    /// Connects.
    pub fn new() -> Self {
        let name = "localhost".try_into().expect("a name");
        let mut tls = ClientConnection::new(Arc::clone(&CLIENT), name).expect("a client can be made");
        tls.set_buffer_limit(None);
        let mut client = Self { tls, door: connection() };
        while client.tls.is_handshaking() || client.tls.wants_write() {
            let sealed = client.sealed();
            let (state, out) = client.door.feed(&sealed).expect("a handshake is fed in its order");
            assert_eq!(state, State::More);
            client.hear(&out);
        }
        client
    }

    /// These bytes of HTTP as they go over the line.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plain).expect("there is no limit");
        self.sealed()
    }

    /// What the box reads; it must be able to.
    pub fn hear(&mut self, mut out: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !out.is_empty() && self.tls.read_tls(&mut out).expect("memory can be read") > 0 {
            self.tls.process_new_packets().expect("the gateway speaks TLS");
            // Whether it ends in order is the caller's business.
            let _ = self.tls.reader().read_to_end(&mut plain);
        }
        plain
    }

    fn sealed(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut sealed).expect("memory can be written");
        }
        sealed
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
