//! Certificate, key, CA and revocation list of a box port, checked once, so that no handshake has to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, SignatureScheme, version};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::error::{Error, Result, TlsFault};
use crate::tls::der::{Certificate, List, SERVER_AUTH, milliseconds};
use crate::tls::identity::significant;
use crate::tls::verifier::{Revoked, StaleCrl, Verifier};

/// The signatures of certificates, revocation lists and handshakes: Ed25519 and P-256, nothing else (docs/keys.md).
static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::aws_lc_rs::ED25519, webpki::aws_lc_rs::ECDSA_P256_SHA256],
    mapping: &[
        (SignatureScheme::ED25519, &[webpki::aws_lc_rs::ED25519]),
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::aws_lc_rs::ECDSA_P256_SHA256]),
    ],
};

const NOT_FOR_A_SERVER: &str = "this certificate is not for a server: make one with `tallygate pki server`";

/// The four files of a night folder's `pki`, each in PEM.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The server's certificate and those behind it (`server.pem`).
    pub certificate: &'a [u8],
    /// Its private key, PKCS #8 (`server.key`).
    pub key: &'a [u8],
    /// The election CA, alone (`ca.pem`).
    pub ca: &'a [u8],
    /// The revocation list (`crl.pem`).
    pub crl: &'a [u8],
}

/// What every connection of a box port shares. A reload makes a new one.
#[derive(Debug)]
pub struct Config {
    pub(super) server: Arc<ServerConfig>,
    pub(super) election: Arc<str>,
    revoked: Arc<Revoked>,
    ca: CertificateDer<'static>,
    certificate_not_after: UnixTime,
    ca_not_after: UnixTime,
}

impl Config {
    /// Reads and checks the files of the election `election`.
    ///
    /// `now`, in ms, says how far this machine's clock is off: dates are judged by that clock and the difference, here and in
    /// every handshake.
    ///
    /// # Errors
    /// `tls.certificate`, `tls.key`, `tls.ca`, `tls.crl`.
    pub fn new(files: Files<'_>, election: &str, stale: StaleCrl, now: u64) -> Result<Self> {
        let clock = Clock::at(now);
        let ca = one_certificate(files.ca, TlsFault::Ca)?;
        let ca_not_after = not_after(&ca, TlsFault::Ca)?;
        if ca_not_after < clock.now() {
            return Err(fault(TlsFault::Ca, "the election CA has expired: make a new one with `tallygate pki ca`"));
        }
        let mut roots = RootCertStore::empty();
        roots
            .add(ca.clone())
            .map_err(|error| fault(TlsFault::Ca, format!("this certificate cannot be a CA's: {error}")))?;

        let chain = certificates(files.certificate, TlsFault::Certificate)?;
        let server = check_server(&chain, &roots, clock.now())?;
        let crl = one_list(files.crl)?;
        let revoked = Arc::new(check_crl(&crl, &server, &roots, stale, clock.now())?);
        let certificate_not_after = not_after(&chain[0], TlsFault::Certificate)?;

        let provider = Arc::new(CryptoProvider {
            // SHA-384 has no hardware path where SHA-256 has one, and costs 8 % of a connection.
            cipher_suites: vec![
                aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
                aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
                aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            // The client's order decides: the hybrid is for whoever asks for it, for results are public an hour later.
            kx_groups: vec![
                aws_lc_rs::kx_group::X25519,
                aws_lc_rs::kx_group::SECP256R1,
                aws_lc_rs::kx_group::X25519MLKEM768,
            ],
            signature_verification_algorithms: ALGORITHMS,
            ..aws_lc_rs::default_provider()
        });
        let key = certified_key(chain, files.key, &provider)?;
        let webpki = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| fault(TlsFault::Ca, format!("this certificate cannot be a CA's: {error}")))?;
        let election: Arc<str> = election.into();
        let verifier = Verifier { webpki, revoked: Arc::clone(&revoked), election: Arc::clone(&election) };
        let mut server = ServerConfig::builder_with_details(provider, Arc::new(clock))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|_| Error::Fault)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        server.ignore_client_order = true;
        // A revoked box must not resume what it began before.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.max_early_data_size = 0;
        Ok(Self { server: Arc::new(server), election, revoked, ca, certificate_not_after, ca_not_after })
    }

    /// The election CA's certificate, DER.
    pub fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// The last moment of the server's certificate, ms.
    pub fn certificate_not_after(&self) -> u64 {
        milliseconds(self.certificate_not_after)
    }

    /// The last moment of the election CA, ms.
    pub fn ca_not_after(&self) -> u64 {
        milliseconds(self.ca_not_after)
    }

    /// The revocation list's number, big-endian without leading zeros; it grows with each list that a CA makes.
    pub fn crl_number(&self) -> &[u8] {
        &self.revoked.number
    }

    /// Until when the revocation list is fresh, ms.
    pub fn crl_next_update(&self) -> u64 {
        milliseconds(self.revoked.next_update)
    }

    /// Whether the certificate with this serial number (big-endian) is on the revocation list.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.revoked.contains(serial)
    }
}

/// This machine's clock, and by how many ms it differs from the caller's.
#[derive(Debug)]
struct Clock {
    difference: i64,
}

impl Clock {
    fn at(now: u64) -> Self {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Self { difference: now.saturating_sub(Self::machine()) }
    }

    fn machine() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn now(&self) -> UnixTime {
        let now = Self::machine().saturating_add(self.difference);
        UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now).unwrap_or_default()))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

fn certificates(pem: &[u8], file: TlsFault) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<std::result::Result<Vec<_>, _>>()
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| fault(file, "there is no certificate in PEM here"))
}

fn one_certificate(pem: &[u8], file: TlsFault) -> Result<CertificateDer<'static>> {
    match &certificates(pem, file)?[..] {
        [one] => Ok(one.clone()),
        // Every certificate here would be an anchor: under the root, the devices of all elections.
        _ => Err(fault(file, "only the certificate of the election CA itself may stand here, not the root's")),
    }
}

fn one_list(pem: &[u8]) -> Result<CertificateRevocationListDer<'static>> {
    let lists: std::result::Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    match lists.as_deref() {
        Ok([one]) => Ok(one.clone()),
        _ => Err(fault(TlsFault::Crl, "this is not one revocation list in PEM: make it with `tallygate pki crl`")),
    }
}

fn not_after(der: &CertificateDer<'_>, file: TlsFault) -> Result<UnixTime> {
    let certificate = Certificate::read(der).ok_or_else(|| fault(file, "this certificate cannot be read"))?;
    Ok(certificate.not_after)
}

/// The server's certificate must be what boxes will ask for: of the election CA, for servers, good now.
fn check_server<'a>(
    chain: &'a [CertificateDer<'static>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<EndEntityCert<'a>> {
    let unfit = |error: webpki::Error| {
        let detail = match error {
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                "the server's certificate is not of the CA in ca.pem: bring both from the same `tallygate pki`"
                    .to_owned()
            }
            webpki::Error::CertExpired { .. } => {
                "the server's certificate has expired: make a new one with `tallygate pki server --replace`".to_owned()
            }
            webpki::Error::CertNotValidYet { .. } => {
                "the server's certificate is not valid yet: is this computer's clock right?".to_owned()
            }
            webpki::Error::RequiredEkuNotFoundContext(_) => NOT_FOR_A_SERVER.to_owned(),
            other => format!("the server's certificate cannot be used: {other:?}"),
        };
        fault(TlsFault::Certificate, detail)
    };
    let server = EndEntityCert::try_from(&chain[0]).map_err(unfit)?;
    verify_server(&server, roots, now, None).map_err(unfit)?;
    // webpki takes a certificate that names no purpose for one that is good for all.
    if !Certificate::read(&chain[0]).is_some_and(|certificate| certificate.is_for(SERVER_AUTH, false)) {
        return Err(fault(TlsFault::Certificate, NOT_FOR_A_SERVER));
    }
    Ok(server)
}

/// Has webpki look the server's certificate up in the list, which checks the list's issuer and signature, and keeps the serials.
fn check_crl(
    crl: &CertificateRevocationListDer<'_>,
    server: &EndEntityCert<'_>,
    roots: &RootCertStore,
    stale: StaleCrl,
    now: UnixTime,
) -> Result<Revoked> {
    let unfit = |error: webpki::Error| match error {
        webpki::Error::CertRevoked => fault(
            TlsFault::Certificate,
            "the server's certificate is revoked: make a new one with `tallygate pki server`",
        ),
        webpki::Error::UnknownRevocationStatus | webpki::Error::InvalidCrlSignatureForPublicKey => {
            fault(TlsFault::Crl, "the revocation list is not of the CA in ca.pem: make one with `tallygate pki crl`")
        }
        other => fault(TlsFault::Crl, format!("the revocation list cannot be used: {other:?}")),
    };
    let list = BorrowedCertRevocationList::from_der(crl).map_err(unfit)?;
    let serials: HashSet<Box<[u8]>> = list
        .into_iter()
        .map(|entry| entry.map(|revoked| significant(revoked.serial_number).into()))
        .collect::<std::result::Result<_, _>>()
        .map_err(unfit)?;
    let list = CertRevocationList::from(list);
    let lists = [&list];
    // Past its date its serials stay in force, or else nobody gets in: that is judged in each handshake.
    let revocation = RevocationOptionsBuilder::new(&lists)
        .map_err(|_| Error::Fault)?
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Ignore)
        .build();
    verify_server(server, roots, now, Some(revocation)).map_err(unfit)?;
    let List { this_update, next_update, number } =
        List::read(crl).ok_or_else(|| fault(TlsFault::Crl, "the revocation list does not say how long it is fresh"))?;
    if this_update > now {
        return Err(fault(TlsFault::Crl, "the revocation list is of a time to come: is this computer's clock right?"));
    }
    // RFC 5280, 5.2.3, asks for one, and only by it can an older list be known.
    let number = number
        .ok_or_else(|| fault(TlsFault::Crl, "the revocation list has no number: make it with `tallygate pki crl`"))?;
    Ok(Revoked { serials, number: significant(number).into(), next_update, stale })
}

/// Without the certificates behind it: what the CA did not sign itself is not of this election.
fn verify_server(
    server: &EndEntityCert<'_>,
    roots: &RootCertStore,
    now: UnixTime,
    revocation: Option<RevocationOptions<'_>>,
) -> std::result::Result<(), webpki::Error> {
    server
        .verify_for_usage(ALGORITHMS.all, &roots.roots, &[], now, KeyUsage::server_auth(), revocation, None)
        .map(|_| ())
}

fn certified_key(chain: Vec<CertificateDer<'static>>, pem: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey> {
    let key = PrivateKeyDer::from_pem_slice(pem)
        .ok()
        .and_then(|key| provider.key_provider.load_private_key(key).ok())
        .filter(|key| key.choose_scheme(&[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]).is_some())
        .ok_or_else(|| fault(TlsFault::Key, "this is no private key for Ed25519 or P-256 in PEM without a password"))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|_| fault(TlsFault::Key, "this key does not belong to the certificate in server.pem"))?;
    Ok(certified)
}

fn fault(fault: TlsFault, detail: impl Into<String>) -> Error {
    Error::Tls { fault, detail: detail.into() }
}
