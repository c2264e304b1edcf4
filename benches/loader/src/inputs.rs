//! What is played: credentials and statements, read into memory before the first connection.

use std::fs;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::Result;

/// A client's certificate and its key.
pub(crate) struct Credential {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A statement, and the place of the credential that brings it.
pub(crate) struct Upload {
    pub(crate) credential: usize,
    pub(crate) statement: Vec<u8>,
}

#[derive(Deserialize)]
struct Line {
    tls_key: String,
    certificate: String,
}

/// Reads a file in the form of `devices/bundle.ndjson`, of which two fields are looked at.
pub(crate) fn credentials(path: &Path) -> Result<Vec<Credential>> {
    fs::read_to_string(path)?
        .lines()
        .map(|line| {
            let line: Line = serde_json::from_str(line)?;
            Ok(Credential {
                certificate: CertificateDer::from_pem_slice(line.certificate.as_bytes())?,
                key: PrivateKeyDer::from_pem_slice(line.tls_key.as_bytes())?,
            })
        })
        .collect()
}

/// Reads statements: place of the credential (u32, big-endian) ‖ length (u32) ‖ the statement, again and again.
pub(crate) fn uploads(path: &Path, credentials: usize) -> Result<Vec<Upload>> {
    let file = fs::read(path)?;
    let mut rest = file.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let credential = number(&mut rest)?;
        if credential >= credentials {
            return Err(format!("statement {} wants credential {credential} of {credentials}", found.len()).into());
        }
        let length = number(&mut rest)?;
        let (statement, behind) = rest.split_at_checked(length).ok_or("the file of statements is cut off")?;
        rest = behind;
        found.push(Upload { credential, statement: statement.to_vec() });
    }
    Ok(found)
}

fn number(rest: &mut &[u8]) -> Result<usize> {
    let (bytes, behind) = rest.split_first_chunk::<4>().ok_or("the file of statements is cut off")?;
    *rest = behind;
    Ok(usize::try_from(u32::from_be_bytes(*bytes))?)
}
