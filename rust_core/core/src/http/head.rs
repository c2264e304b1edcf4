//! The head of a request: request line and header fields (RFC 9112, 2 to 6), read by httparse within rules of our own.
//!
//! Before httparse sees a head, every byte of it is known to be visible ASCII or a space, and every line to end in CRLF: bare
//! CR and LF, tabs, NUL and everything beyond ASCII are refused where they stand.

use httparse::{EMPTY_HEADER, Status};

use crate::MAX_INTEGER;
use crate::error::{Error, RequestFault, Result};

/// The largest head in bytes, with the empty line: browsers' default cookies would fit, a box sends 200.
pub const MAX_HEAD: usize = 8_192;
/// The most header fields: a box sends five.
pub const MAX_HEADERS: usize = 32;

/// The methods that the box port answers; another's answer might be framed differently (HEAD, CONNECT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Fetches; has no body.
    Get,
    /// Uploads a statement.
    Post,
    /// Uploads an attachment.
    Put,
}

impl Method {
    /// As in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What the box port wants to know of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target as it was sent, in origin form: `/` and visible ASCII.
    pub path: String,
    /// The media type as it was sent.
    pub content_type: Option<String>,
    /// The body's length in bytes, where the head says one.
    pub content_length: Option<u64>,
    /// Whether the client wants to be told to go on before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
}

/// Where the head ends that begins the buffer: behind its empty line; None: not yet.
///
/// Bytes before `scanned` were found clean by an earlier call on a shorter buffer.
///
/// # Errors
/// `request.malformed` at the first byte that cannot stand in a head.
pub(super) fn end(buffer: &[u8], scanned: usize) -> Result<Option<usize>> {
    // The last byte found clean may be a CR, which only the byte behind it can excuse; the two before it may be the line's end.
    let mut place = scanned.saturating_sub(1);
    while let Some(byte) = buffer.get(place) {
        match byte {
            b' '..=b'~' => place += 1,
            b'\r' => match buffer.get(place + 1) {
                None => return Ok(None),
                Some(b'\n') if place == 0 => return Err(malformed(0, "a request begins with its method")),
                Some(b'\n') if buffer[..place].ends_with(b"\r\n") => return Ok(Some(place + 2)),
                Some(b'\n') => place += 2,
                Some(_) => return Err(malformed(place, "a carriage return stands alone: lines end in CR LF")),
            },
            b'\n' if place > 0 && buffer[place - 1] == b'\r' => place += 1,
            b'\n' => return Err(malformed(place, "a line feed stands alone: lines end in CR LF")),
            _ => return Err(malformed(place, "only visible ASCII and spaces may stand in a head")),
        }
    }
    Ok(None)
}

/// Reads a whole head that [`end`] has found.
///
/// # Errors
/// Every code of [`RequestFault`].
pub(super) fn parse(head: &[u8]) -> Result<Head> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(refused(RequestFault::TooLarge, None, "there are more than 32 header fields"));
        }
        _ => return Err(explain(head)),
    }
    let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
        return Err(explain(head));
    };
    if version != 1 {
        return Err(malformed(method.len() + path.len() + 2, "only HTTP/1.1 is spoken here"));
    }
    let fields = Fields::read(head, request.headers)?;
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        _ => return Err(refused(RequestFault::Method, Some(0), "only GET, POST and PUT are answered here")),
    };
    if !path.starts_with('/') {
        return Err(malformed(method.name().len() + 1, "the target must be a path, as in `POST /v1/statements`"));
    }
    fields.into_head(method, path)
}

/// The refusal of a head that does not end.
pub(super) fn too_long() -> Error {
    refused(RequestFault::TooLarge, Some(MAX_HEAD), "a head has at most 8,192 bytes")
}

/// The fields that matter, each with the offset of its value.
#[derive(Default)]
struct Fields<'a> {
    host: Option<(usize, &'a str)>,
    content_length: Option<(usize, &'a str)>,
    content_type: Option<(usize, &'a str)>,
    expect: Option<(usize, &'a str)>,
    transfer_encoding: Option<usize>,
    close: bool,
}

impl<'a> Fields<'a> {
    fn read(head: &[u8], headers: &[httparse::Header<'a>]) -> Result<Self> {
        let mut fields = Self::default();
        for header in headers {
            let offset = header.name.as_ptr().addr() - head.as_ptr().addr();
            let Ok(value) = std::str::from_utf8(header.value) else {
                return Err(malformed(offset, "only visible ASCII and spaces may stand in a head"));
            };
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                once(&mut fields.host, offset, value, "`Host` stands twice")?;
            } else if is("content-length") {
                once(&mut fields.content_length, offset, value, "`Content-Length` stands twice")?;
            } else if is("content-type") {
                once(&mut fields.content_type, offset, value, "`Content-Type` stands twice")?;
            } else if is("expect") {
                once(&mut fields.expect, offset, value, "`Expect` stands twice")?;
            } else if is("transfer-encoding") {
                fields.transfer_encoding = Some(offset);
            } else if is("upgrade") {
                return Err(malformed(offset, "no other protocol is spoken here: leave out `Upgrade`"));
            } else if is("connection") {
                fields.close |= value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
            }
        }
        Ok(fields)
    }

    fn into_head(self, method: Method, path: &str) -> Result<Head> {
        match self.host {
            Some((_, host)) if is_host(host) => {}
            Some((offset, _)) => return Err(malformed(offset, "`Host` is a name or address and perhaps a port")),
            None => return Err(refused(RequestFault::Malformed, None, "`Host` is missing")),
        }
        // A body whose end two readers see in two places is how a request is smuggled past one of them (RFC 9112, 11.2).
        if let Some(offset) = self.transfer_encoding {
            return Err(if self.content_length.is_some() {
                malformed(offset, "`Transfer-Encoding` and `Content-Length` exclude each other")
            } else {
                refused(RequestFault::LengthRequired, Some(offset), "say `Content-Length` and send the body as it is")
            });
        }
        let content_length = self.content_length.map(|(offset, value)| length(offset, value)).transpose()?;
        match (method, content_length) {
            (Method::Get, Some(1..)) => {
                return Err(malformed(self.content_length.map_or(0, |(offset, _)| offset), "GET has no body"));
            }
            (Method::Post | Method::Put, None) => {
                return Err(refused(RequestFault::LengthRequired, None, "`Content-Length` is missing"));
            }
            _ => {}
        }
        let expects_continue = match self.expect {
            None => false,
            Some((_, value)) if value.eq_ignore_ascii_case("100-continue") => content_length.is_some_and(|n| n > 0),
            Some((offset, _)) => return Err(malformed(offset, "`Expect` can only be 100-continue")),
        };
        Ok(Head {
            method,
            path: path.to_owned(),
            content_type: self.content_type.map(|(_, value)| value.to_owned()),
            content_length,
            expects_continue,
            keep_alive: !self.close,
        })
    }
}

fn once<'a>(field: &mut Option<(usize, &'a str)>, offset: usize, value: &'a str, twice: &'static str) -> Result<()> {
    if field.replace((offset, value)).is_some() { Err(malformed(offset, twice)) } else { Ok(()) }
}

/// `host [":" port]` (RFC 9110, 7.2), without what no host name or address holds.
fn is_host(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// Digits and nothing else, no zero before them.
fn length(offset: usize, value: &str) -> Result<u64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && (value == "0" || !value.starts_with('0'));
    match value.parse() {
        Ok(length) if digits && length <= MAX_INTEGER => Ok(length),
        _ => Err(malformed(offset, "`Content-Length` is one whole number in digits")),
    }
}

/// Why httparse did not take a head: the request line, or the first line that is no header field.
fn explain(head: &[u8]) -> Error {
    let mut offset = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        if offset > 0 && line != b"\r\n" {
            let mut one = [EMPTY_HEADER; 1];
            let alone = [line, b"\r\n"].concat();
            if !matches!(httparse::parse_headers(&alone, &mut one), Ok(Status::Complete(_))) {
                return malformed(offset, "this line is no header field `Name: value`");
            }
        }
        offset += line.len();
    }
    malformed(0, "the first line is not `METHOD /path HTTP/1.1`")
}

fn malformed(offset: usize, detail: &'static str) -> Error {
    refused(RequestFault::Malformed, Some(offset), detail)
}

fn refused(fault: RequestFault, offset: Option<usize>, detail: &'static str) -> Error {
    Error::Request { fault, offset, detail }
}
