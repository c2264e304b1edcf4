//! One client's connection: TLS around HTTP, driven by whoever owns the socket.

use std::fmt;
use std::io::{BufRead as _, IoSlice, Write as _};
use std::sync::Arc;

use rustls::{CertificateError, ServerConnection};

use crate::error::{Error, Result};
use crate::http::{CONTINUE, Event, Parser, Request};
use crate::tls::config::Config;
use crate::tls::der::Certificate;
use crate::tls::identity::Peer;
use crate::tls::verifier::take_shown;

/// The bytes that a client may send before its handshake is complete: four times what a box sends with an RSA chain.
pub const HANDSHAKE_LIMIT: usize = 16_384;
/// The bytes of an answer that rustls encrypts at once, one record; a longer answer goes through it in turns.
const WRITE_LIMIT: usize = 16_384;

/// What became of the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Receive more, and feed it.
    More,
    /// [`Connection::request`] has a request, or says why it is none; then it wants an answer.
    Request,
    /// [`Connection::body`] has a part of an accepted body.
    Body,
    /// The connection has ended in order: the client has said so, or we have.
    Closed,
    /// The connection is broken: [`Connection::failure`].
    Failed,
}

/// Why a connection was refused or broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client's certificate is past its dates, or not yet within them.
    Expired,
    /// The client's certificate is on the revocation list.
    Revoked,
    /// The client's certificate is not of the election CA.
    UnknownCa,
    /// The client has shown no certificate.
    NoCertificate,
    /// Anything else: not TLS 1.3, an identity of another shape, a broken record, an end in the middle.
    Protocol,
}

impl Failure {
    /// The word for it in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UnknownCa => "unknown_ca",
            Self::NoCertificate => "no_certificate",
            Self::Protocol => "protocol",
        }
    }

    fn of(error: &rustls::Error) -> Self {
        use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
        match error {
            NoCertificatesPresented => Self::NoCertificate,
            InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::Expired,
            InvalidCertificate(CertificateError::Revoked) => Self::Revoked,
            InvalidCertificate(CertificateError::UnknownIssuer) => Self::UnknownCa,
            _ => Self::Protocol,
        }
    }
}

/// One connection of the box port, sans I/O.
///
/// Feed what was received, send what comes back, whatever the state: a failure's bytes carry the alert. While a request, or a
/// part of a body, waits to be taken, nothing more may be fed: that is the back-pressure, and it bounds what a connection holds
/// to what the caller has received at once.
pub struct Connection {
    tls: ServerConnection,
    http: Parser,
    config: Arc<Config>,
    /// What was received and not yet decrypted, because a request came before it.
    held: Vec<u8>,
    /// Whether everything that was received has been decrypted and read.
    hungry: bool,
    /// How much the client has sent of its handshake.
    handshake: usize,
    peer: Option<Peer>,
    /// Whom the certificate names that the client has shown.
    shown: Option<Peer>,
    failure: Option<(Failure, String)>,
    /// Whether the client has said that it sends nothing more.
    peer_closed: bool,
    /// Whether we have.
    closed: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("peer", &self.peer)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection that a client has just opened. Bodies of up to `max_body` bytes come with their requests.
    ///
    /// # Errors
    /// `server.fault` where the TLS library cannot begin.
    pub fn new(config: Arc<Config>, max_body: usize) -> Result<Self> {
        let mut tls = ServerConnection::new(Arc::clone(&config.server)).map_err(|_| Error::Fault)?;
        tls.set_buffer_limit(Some(WRITE_LIMIT));
        Ok(Self {
            tls,
            http: Parser::new(max_body),
            config,
            held: Vec::new(),
            hungry: true,
            handshake: 0,
            peer: None,
            shown: None,
            failure: None,
            peer_closed: false,
            closed: false,
        })
    }

    /// Takes what was received; nothing, to go on with what is held. The bytes are to be sent, in every state.
    ///
    /// # Errors
    /// `argument.range` where a request waits to be taken or answered, and for bytes in another state than [`State::More`].
    pub fn feed(&mut self, data: &[u8]) -> Result<(State, Vec<u8>)> {
        let mut out = Vec::new();
        if let Some(state) = self.ended() {
            return Ok((state, out));
        }
        if self.http.waits() {
            return Err(Error::Argument("a request waits: take it, and answer it, before more is fed"));
        }
        let state = if self.hungry {
            self.advance(data, &mut out)
        } else if data.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.advance(&held, &mut out)
        } else {
            return Err(Error::Argument("what was received before comes first: feed nothing until it says `more`"));
        };
        self.hungry = state == State::More;
        self.write_out(&mut out);
        Ok((state, out))
    }

    /// The client's FIN. In order between two requests, and after a close notify; anywhere else something was cut off.
    pub fn eof(&mut self) -> (State, Vec<u8>) {
        let mut out = Vec::new();
        let state = match self.ended() {
            Some(state) => state,
            None if self.peer.is_none() => {
                self.fail(Failure::Protocol, "the connection ended within the handshake".into())
            }
            None if self.http.in_request() => {
                self.fail(Failure::Protocol, "the connection ended within a request".into())
            }
            None => {
                self.end();
                State::Closed
            }
        };
        self.write_out(&mut out);
        (state, out)
    }

    /// Who the client is, once its handshake is complete.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Whom the certificate names that the client has shown, as soon as it is there and whatever was thought of it.
    ///
    /// Certificates are no secret: only [`Connection::peer`] has proved to be its holder.
    pub fn shown(&self) -> Option<&Peer> {
        self.shown.as_ref()
    }

    /// Why the connection was refused or broke.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.as_ref().map(|(failure, _)| *failure)
    }

    /// The same in the TLS library's words, for the operator's log.
    pub fn failure_detail(&self) -> Option<&str> {
        self.failure.as_ref().map(|(_, detail)| &**detail)
    }

    /// Takes the request that [`State::Request`] announced.
    ///
    /// # Errors
    /// What [`Parser::request`] refuses: answer it, and close.
    pub fn request(&mut self) -> Result<Request> {
        self.http.request()
    }

    /// Asks for a long body in parts. Send what this returns, then feed nothing, then what is received.
    ///
    /// # Errors
    /// `argument.range` where there is no long body, or it was asked for already.
    pub fn accept_body(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        // A client that has begun to send does not wait (RFC 9110, 10.1.1).
        if self.http.accept_body()? && self.held.is_empty() && !self.has_plaintext() {
            self.encrypt(&[CONTINUE], &mut out);
        }
        Ok(out)
    }

    /// Takes the part of an accepted body that has arrived, and whether it was the last. Then feed nothing.
    ///
    /// # Errors
    /// `argument.range` where no part was announced.
    pub fn body(&mut self) -> Result<(Vec<u8>, bool)> {
        self.http.part()
    }

    /// The bytes of an answer, head and body as they stand, and a close notify behind it if `close`, or if the request was not
    /// read to its end: nobody could tell where the next begins. Then feed nothing, for the next request may be here already.
    pub fn respond(&mut self, head: &[u8], body: &[u8], close: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(head.len() + body.len() + 64);
        if self.ended().is_none() && self.peer.is_some() {
            self.encrypt(&[head, body], &mut out);
            if !self.http.answered() || close {
                self.end();
            }
            self.write_out(&mut out);
        }
        out
    }

    /// The close notify of a connection that ends without an answer.
    pub fn close(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.ended().is_none() {
            self.end();
            self.write_out(&mut out);
        }
        out
    }

    fn ended(&self) -> Option<State> {
        match (&self.failure, self.closed) {
            (Some(_), _) => Some(State::Failed),
            (None, true) => Some(State::Closed),
            (None, false) => None,
        }
    }

    fn end(&mut self) {
        self.closed = true;
        self.held = Vec::new();
        self.tls.send_close_notify();
    }

    fn fail(&mut self, failure: Failure, detail: String) -> State {
        self.failure = Some((failure, detail));
        self.held = Vec::new();
        // Nothing, where rustls has an alert on its way.
        self.tls.send_close_notify();
        State::Failed
    }

    /// Decrypts as much as HTTP can take, and keeps the rest.
    fn advance(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> State {
        loop {
            match self.drain_plaintext() {
                Event::More => {}
                event => return self.pause(event, data),
            }
            if self.peer_closed {
                self.end();
                return State::Closed;
            }
            if data.is_empty() {
                break;
            }
            let handshaking = self.tls.is_handshaking();
            let most = if handshaking { HANDSHAKE_LIMIT - self.handshake } else { data.len() };
            let mut window = &data[..data.len().min(most)];
            let read = match self.tls.read_tls(&mut window) {
                Ok(read) if read > 0 => read,
                _ => return self.fail(Failure::Protocol, "more than a handshake needs was sent before its end".into()),
            };
            data = &data[read..];
            if handshaking {
                self.handshake += read;
            }
            let processed = self.tls.process_new_packets();
            if let Some(shown) = take_shown() {
                self.shown = Some(shown);
            }
            match processed {
                Ok(state) => self.peer_closed = state.peer_has_closed(),
                Err(error) => return self.fail(Failure::of(&error), describe(&error)),
            }
            if self.peer.is_none() && !self.tls.is_handshaking() && !self.identify() {
                return self.fail(Failure::Protocol, "the verified certificate names nobody".into());
            }
        }
        match self.http.idle() {
            Event::More => {}
            event => return self.pause(event, data),
        }
        if self.http.take_continue() {
            self.encrypt(&[CONTINUE], out);
        }
        State::More
    }

    fn pause(&mut self, event: Event, rest: &[u8]) -> State {
        self.held = rest.to_vec();
        if event == Event::Part { State::Body } else { State::Request }
    }

    /// Reads the identity out of the certificate that the verifier has let through.
    fn identify(&mut self) -> bool {
        let certificate = self.tls.peer_certificates().and_then(<[_]>::first).and_then(|der| Certificate::read(der));
        self.peer = certificate.and_then(|certificate| Peer::of(&certificate, &self.config.election));
        self.peer.is_some()
    }

    fn drain_plaintext(&mut self) -> Event {
        loop {
            let mut reader = self.tls.reader();
            // An error only says that there is nothing now.
            let (used, event) = self.http.feed(reader.fill_buf().unwrap_or_default());
            reader.consume(used);
            if event != Event::More || used == 0 {
                return event;
            }
        }
    }

    fn has_plaintext(&mut self) -> bool {
        self.tls.reader().fill_buf().is_ok_and(|chunk| !chunk.is_empty())
    }

    fn encrypt(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.tls.writer().write_vectored(left) {
                Ok(written) if written > 0 => IoSlice::advance_slices(&mut left, written),
                // Only a connection that has ended takes nothing.
                _ => return,
            }
            self.write_out(out);
        }
    }

    /// Everything that is to be sent: into memory, which cannot fail.
    fn write_out(&mut self, out: &mut Vec<u8>) {
        while self.tls.wants_write() {
            if self.tls.write_tls(out).is_err() {
                return;
            }
        }
    }
}

/// The library's words, and our own for what only we refuse.
fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "the certificate is the CA's, but names no holder of this election in the way that enrolment does"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => other.0.to_string(),
        other => other.to_string(),
    }
}
