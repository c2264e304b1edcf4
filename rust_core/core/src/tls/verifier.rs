//! Which client certificates open the door: webpki's judgement, then the revocation list's, then the election's own rules.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};

use crate::tls::der::Certificate;
use crate::tls::identity::{Peer, significant};

/// What a revocation list past its date means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleCrl {
    /// Its serials stay in force: a forgotten file must not stop a country.
    Keep,
    /// Everybody is refused until there is a fresh one.
    Refuse,
}

/// The serials of a revocation list, checked when the configuration was made.
///
/// Asking webpki for them in each handshake would check the list's signature each time: 50 to 110 µs.
#[derive(Debug)]
pub(super) struct Revoked {
    pub(super) serials: HashSet<Box<[u8]>>,
    pub(super) number: Box<[u8]>,
    pub(super) next_update: UnixTime,
    pub(super) stale: StaleCrl,
}

impl Revoked {
    pub(super) fn contains(&self, serial: &[u8]) -> bool {
        self.serials.contains(significant(serial))
    }
}

thread_local! {
    /// Whom the certificate names that was judged last on this thread. The verifier is every connection's, and rustls tells a
    /// connection nothing of a certificate that it refuses: who drives a connection takes it right behind that.
    static SHOWN: RefCell<Option<Peer>> = const { RefCell::new(None) };
}

/// Whom the certificate names that was judged on this thread since this was asked last, whatever the judgement.
pub(super) fn take_shown() -> Option<Peer> {
    SHOWN.take()
}

/// Wraps webpki's verifier, so that whoever is refused hears the right alert.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) webpki: Arc<dyn ClientCertVerifier>,
    pub(super) revoked: Arc<Revoked>,
    pub(super) election: Arc<str>,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = Certificate::read(end_entity);
        let peer = certificate.as_ref().and_then(|certificate| Peer::of(certificate, &self.election));
        let named = peer.is_some();
        SHOWN.set(peer);
        // The CA's path length is 0: what it did not sign itself is not ours, and no chain is worth a search.
        let verified = self.webpki.verify_client_cert(end_entity, &[], now).map_err(|error| match error {
            // Another CA under our CA's name.
            Error::InvalidCertificate(CertificateError::BadSignature) => CertificateError::UnknownIssuer.into(),
            other => other,
        })?;
        if self.revoked.stale == StaleCrl::Refuse && now > self.revoked.next_update {
            return Err(CertificateError::Other(OtherError(Arc::new(NoFreshCrl))).into());
        }
        let certificate = certificate.ok_or(CertificateError::BadEncoding)?;
        if self.revoked.contains(certificate.serial) {
            return Err(CertificateError::Revoked.into());
        }
        if !named {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// The client hears "certificate unknown": nothing is known to be wrong with it.
#[derive(Debug)]
struct NoFreshCrl;

impl fmt::Display for NoFreshCrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the revocation list is stale, and crl_stale says to refuse everybody then")
    }
}

impl std::error::Error for NoFreshCrl {}
