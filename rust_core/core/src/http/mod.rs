//! HTTP/1.1 of the box port (RFC 9110, RFC 9112), sans I/O: plaintext in, one request at a time out.
//!
//! A small language read strictly: whatever two readers could take for two different requests is refused, and a refused
//! connection ends. [`head`] reads a request's head; the [`Parser`] here keeps to its body's length and never takes a byte that
//! belongs to the next request.

pub mod head;

use crate::error::{Error, Result};

pub use head::{Head, MAX_HEAD, MAX_HEADERS, Method};

/// The largest part, in bytes, in which a long body is handed out: what a caller reads from a socket at once.
pub const MAX_PART: usize = 65_536;

/// What a client waits for that has said `Expect: 100-continue` (RFC 9110, 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A whole request, or the head of one whose body comes in parts.
///
/// The body of a PUT always does, however short: whether a paper is wanted, and how long it may take, is decided on its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What stands before the body.
    pub head: Head,
    /// The body; None: a PUT's, or longer than the parser keeps ([`Parser::accept_body`]).
    pub body: Option<Vec<u8>>,
}

/// What the bytes so far have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// More bytes are needed.
    More,
    /// [`Parser::request`] has something to say: a request, or why there is none.
    Request,
    /// [`Parser::part`] has a part of a long body.
    Part,
}

/// Reads the requests of one connection, one at a time.
///
/// `feed` until it says something else than [`Event::More`]; it leaves alone what it does not need, and takes nothing while
/// it [`waits`](Self::waits). A request is taken with
/// `request` and done with `answered`, from where on the bytes that follow are the next request's. After an error nothing is
/// ever read again.
#[derive(Debug)]
pub struct Parser {
    max_body: usize,
    stage: Stage,
    /// The part of a head, or of a body, that has arrived.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Waiting for the end of a head; so much of the buffer is known to be clean.
    Head { scanned: usize },
    /// Waiting for the rest of a short body.
    Body { head: Head, length: usize },
    /// A request, or its refusal, is there to be taken.
    Whole(Result<Request>),
    /// The head of a long body was taken; its body is not wanted yet.
    Long { length: u64, expects: bool },
    /// A long body arrives in parts; so much of it is still to come.
    Parts { left: u64 },
    /// The request was taken, with all its body.
    Taken,
    /// Nothing is read any more.
    Ended,
}

impl Parser {
    /// A parser that hands out bodies of up to `max_body` bytes with their requests, but for those of PUT.
    pub fn new(max_body: usize) -> Self {
        Self { max_body, stage: Stage::Head { scanned: 0 }, buffer: Vec::new() }
    }

    /// Takes what it needs of `bytes` and says how much that was.
    ///
    /// Whatever is not taken is to be fed again: after `part`, or after `answered`.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Event) {
        let mut used = 0;
        if let Stage::Head { scanned } = self.stage {
            used = self.feed_head(bytes, scanned);
        }
        if let Stage::Body { length, .. } = self.stage {
            used += self.feed_body(&bytes[used..], length);
        } else if let Stage::Parts { left } = self.stage {
            used += self.feed_part(&bytes[used..], left);
        }
        (used, self.event(false))
    }

    /// What there is to be had, where no more bytes can be had now: then a part need not be full.
    pub fn idle(&self) -> Event {
        self.event(true)
    }

    /// The client waits for [`CONTINUE`] before it sends a body that is wanted: said once, and not where it has begun to send.
    pub fn take_continue(&mut self) -> bool {
        match &mut self.stage {
            Stage::Body { head, .. } => std::mem::take(&mut head.expects_continue) && self.buffer.is_empty(),
            _ => false,
        }
    }

    /// Whether nothing can be fed: a request is to be taken first, or to be answered.
    pub fn waits(&self) -> bool {
        !matches!(self.stage, Stage::Head { .. } | Stage::Body { .. } | Stage::Parts { .. })
    }

    /// Whether bytes of a request have arrived that is not whole.
    pub fn in_request(&self) -> bool {
        match &self.stage {
            Stage::Head { .. } => !self.buffer.is_empty(),
            Stage::Body { .. } | Stage::Long { .. } | Stage::Parts { .. } => true,
            Stage::Whole(_) | Stage::Taken | Stage::Ended => false,
        }
    }

    /// Takes the request that [`Event::Request`] announced.
    ///
    /// # Errors
    /// `request.malformed`, `request.length_required`, `request.too_large`, `request.method`: answer and close.
    /// `argument.range` where no request was announced.
    pub fn request(&mut self) -> Result<Request> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Whole(request) => {
                let request = request?;
                self.stage = match (&request.body, request.head.content_length) {
                    (None, Some(length)) => Stage::Long { length, expects: request.head.expects_continue },
                    _ => Stage::Taken,
                };
                Ok(request)
            }
            other => {
                self.stage = other;
                Err(Error::Argument("no request has arrived"))
            }
        }
    }

    /// Asks for a long body in parts; whether the client waits for [`CONTINUE`].
    ///
    /// # Errors
    /// `argument.range` where the last request has no long body, or it was asked for already.
    pub fn accept_body(&mut self) -> Result<bool> {
        let Stage::Long { length, expects } = self.stage else {
            return Err(Error::Argument("there is no body to accept"));
        };
        self.stage = Stage::Parts { left: length };
        Ok(expects)
    }

    /// Takes the part of a long body that has arrived, and whether it was the last.
    ///
    /// # Errors
    /// `argument.range` where no part was announced.
    pub fn part(&mut self) -> Result<(Vec<u8>, bool)> {
        match self.stage {
            Stage::Parts { left } if !self.buffer.is_empty() => {
                if left == 0 {
                    self.stage = Stage::Taken;
                }
                Ok((std::mem::take(&mut self.buffer), left == 0))
            }
            _ => Err(Error::Argument("no part of a body has arrived")),
        }
    }

    /// The request has been answered: the next bytes are another's. False, and the end: it was not read to its end.
    pub fn answered(&mut self) -> bool {
        let whole = matches!(self.stage, Stage::Taken);
        self.stage = if whole { Stage::Head { scanned: 0 } } else { Stage::Ended };
        self.buffer = Vec::new();
        whole
    }

    fn event(&self, idle: bool) -> Event {
        match self.stage {
            Stage::Whole(_) => Event::Request,
            Stage::Parts { left } if self.buffer.len() == MAX_PART || left == 0 => Event::Part,
            Stage::Parts { .. } if idle && !self.buffer.is_empty() => Event::Part,
            _ => Event::More,
        }
    }

    fn feed_head(&mut self, bytes: &[u8], scanned: usize) -> usize {
        // Most heads arrive whole, in one record: they are read where they are.
        let held = self.buffer.len();
        if held > 0 {
            let room = MAX_HEAD.saturating_sub(held);
            self.buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let bounded = if held > 0 { &self.buffer[..] } else { &bytes[..bytes.len().min(MAX_HEAD)] };
        match head::end(bounded, scanned) {
            Err(error) => self.refuse(error),
            Ok(Some(end)) => match head::parse(&bounded[..end]) {
                Err(error) => self.refuse(error),
                Ok(head) => {
                    self.buffer = Vec::new();
                    self.begin_body(head);
                    return end - held;
                }
            },
            Ok(None) if bounded.len() == MAX_HEAD => self.refuse(head::too_long()),
            Ok(None) => {
                let scanned = bounded.len();
                if held == 0 {
                    self.buffer = bounded.to_vec();
                }
                self.stage = Stage::Head { scanned };
            }
        }
        bytes.len()
    }

    fn begin_body(&mut self, head: Head) {
        self.stage = match head.content_length {
            None | Some(0) => Stage::Whole(Ok(Request { head, body: Some(Vec::new()) })),
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= self.max_body && head.method != Method::Put => Stage::Body { head, length },
                _ => Stage::Whole(Ok(Request { head, body: None })),
            },
        };
    }

    fn feed_body(&mut self, bytes: &[u8], length: usize) -> usize {
        let taken = bytes.len().min(length - self.buffer.len());
        if taken > 0 && self.buffer.is_empty() {
            self.buffer.reserve_exact(length);
        }
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == length
            && let Stage::Body { head, .. } = std::mem::replace(&mut self.stage, Stage::Ended)
        {
            let body = Some(std::mem::take(&mut self.buffer));
            self.stage = Stage::Whole(Ok(Request { head, body }));
        }
        taken
    }

    fn feed_part(&mut self, bytes: &[u8], left: u64) -> usize {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_PART - self.buffer.len());
        let taken = bytes.len().min(wanted);
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.stage = Stage::Parts { left: left - taken as u64 };
        taken
    }

    fn refuse(&mut self, error: Error) {
        self.buffer = Vec::new();
        self.stage = Stage::Whole(Err(error));
    }
}

#[cfg(test)]
mod tests;
