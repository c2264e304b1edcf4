//! One connection: a full TLS 1.3 handshake with a client certificate, requests one after another, an orderly end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Result;
use crate::inputs::Credential;

/// A server that says nothing for so long has failed; the gateway's own deadline is ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers here are receipts and problems of at most a few KB.
const MOST_ANSWER_BYTES: usize = 65_536;
/// Headers of an answer; the gateway sends five.
const MOST_HEADERS: usize = 32;
/// What a receipt begins with (docs/log.md).
const RECEIPT: &[u8] = b"c2sp.org/tlog-proof@v1\nindex ";

/// Whom to connect to, and as whom.
pub(crate) struct Client {
    address: SocketAddr,
    configs: Vec<Arc<ClientConfig>>,
}

impl Client {
    /// Trusts what `ca` (PEM) has signed; one configuration for each credential.
    pub(crate) fn new(address: SocketAddr, ca: &Path, credentials: &[Credential]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let roots = Arc::new(roots);
        let mut provider = default_provider();
        // Every server that is compared does the same exchange; nginx of today's distributions knows no ML-KEM.
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
        let provider = Arc::new(provider);
        let configs = credentials
            .iter()
            .map(|one| {
                let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                    .with_protocol_versions(&[&rustls::version::TLS13])?
                    .with_root_certificates(Arc::clone(&roots))
                    .with_client_auth_cert(vec![one.certificate.clone()], one.key.clone_key())?;
                config.resumption = Resumption::disabled();
                Ok(Arc::new(config))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { address, configs })
    }

    /// How many credentials there are.
    pub(crate) fn credentials(&self) -> usize {
        self.configs.len()
    }

    /// Connects and sends the client's last flight; that the server took it shows with its first answer.
    pub(crate) fn connect(&self, credential: usize) -> Result<Session> {
        let config = self.configs.get(credential).ok_or("no such credential")?;
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut tls = ClientConnection::new(Arc::clone(config), ServerName::IpAddress(self.address.ip().into()))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Session { stream: StreamOwned::new(tls, socket), host: self.address })
    }
}

/// An answer, as far as anybody here looks at it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) receipt: bool,
    pub(crate) bytes: usize,
}

/// An open connection.
pub(crate) struct Session {
    stream: StreamOwned<ClientConnection, TcpStream>,
    host: SocketAddr,
}

impl Session {
    /// Uploads a statement and reads the whole answer; `keep` asks the server to leave the connection open.
    pub(crate) fn post(&mut self, statement: &[u8], keep: bool) -> Result<Answer> {
        let connection = if keep { "" } else { "Connection: close\r\n" };
        let mut request = format!(
            "POST /v1/statements HTTP/1.1\r\nHost: {}\r\nContent-Type: application/cose\r\n{connection}\
             Content-Length: {}\r\n\r\n",
            self.host,
            statement.len()
        )
        .into_bytes();
        request.extend_from_slice(statement);
        self.stream.write_all(&request)?;
        self.stream.flush()?;

        let mut answer = Vec::with_capacity(4_096);
        loop {
            if let Some((status, body, bytes)) = whole(&answer)? {
                let receipt = answer.get(body..).is_some_and(|body| body.starts_with(RECEIPT));
                return Ok(Answer { status, receipt, bytes });
            }
            if answer.len() > MOST_ANSWER_BYTES {
                return Err("the answer does not end".into());
            }
            let mut part = [0; 4_096];
            match self.stream.read(&mut part)? {
                0 => return Err("the connection ended before the answer did".into()),
                count => answer.extend_from_slice(&part[..count]),
            }
        }
    }

    /// Waits for the server's end of a connection that it was asked to close, and says goodbye.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.stream.read(&mut [0; 16]) {
            Ok(0) => {}
            Ok(_) => return Err("the server goes on after its answer".into()),
            // A server that leaves out close_notify has still answered; it is its client's turn to care.
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {}
            Err(error) => return Err(error.into()),
        }
        self.stream.conn.send_close_notify();
        // The server may be gone altogether by now.
        let _gone = self.stream.conn.complete_io(&mut self.stream.sock);
        Ok(())
    }
}

/// Status, beginning of the body, and size of a whole answer; None while there is more to come.
fn whole(answer: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body) = head.parse(answer).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let status = head.code.ok_or("an answer without a status")?;
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without Content-Length")?;
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    let end = body.checked_add(length).ok_or("an answer of an impossible length")?;
    Ok((answer.len() >= end).then_some((status, body, end)))
}
