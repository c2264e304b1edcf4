use proptest::prelude::*;

use super::*;
use crate::error::RequestFault;

const MAX_BODY: usize = 64;
const GOOD: &str = "POST /v1/statements HTTP/1.1\r\nHost: a:8443\r\nContent-Length: 5\r\n\r\nhello";

/// What comes of these bytes, fed at once.
fn read(bytes: &[u8]) -> Result<Request> {
    let mut parser = Parser::new(MAX_BODY);
    assert_eq!(parser.feed(bytes).1, Event::Request, "{}", String::from_utf8_lossy(bytes));
    parser.request()
}

fn refusal(text: &str) -> (&'static str, Option<usize>) {
    match read(text.as_bytes()) {
        Err(error @ Error::Request { offset, .. }) => (error.code(), offset),
        other => panic!("{text:?} gave {other:?}"),
    }
}

/// A POST with these lines between `Host` and its end.
fn with(lines: &str) -> String {
    format!("POST /v1/statements HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn a_request_is_read() {
    let request = read(GOOD.as_bytes()).unwrap();
    assert_eq!(request.body.as_deref(), Some(&b"hello"[..]));
    let head = request.head;
    assert_eq!((head.method, &*head.path, head.content_length), (Method::Post, "/v1/statements", Some(5)));
    assert_eq!((head.content_type, head.expects_continue, head.keep_alive), (None, false, true));

    let text = "GET /v1/self?a=b HTTP/1.1\r\nhOST: [::1]:8443\r\nContent-type:  a/b; c=\"d\"  \r\nConnection: x, Close\r\n\r\n";
    let request = read(text.as_bytes()).unwrap();
    assert_eq!(request.body.as_deref(), Some(&b""[..]));
    let head = request.head;
    assert_eq!((head.method, &*head.path, head.content_length), (Method::Get, "/v1/self?a=b", None));
    assert_eq!((head.content_type.as_deref(), head.keep_alive), (Some("a/b; c=\"d\""), false));
    assert!(read(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX:\r\n\r\n").is_ok());
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let host = "POST / HTTP/1.1\r\nHost: a\r\n".len();
    // The line after `Host`, where it is wrong, and the code's last word.
    for (lines, offset, word) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\ncontent-length: 6\r\n", Some(19), "malformed"),
        ("Content-Length: 5, 5\r\n", Some(0), "malformed"),
        ("Content-Length: +5\r\n", Some(0), "malformed"),
        ("Content-Length: -5\r\n", Some(0), "malformed"),
        ("Content-Length: 0x5\r\n", Some(0), "malformed"),
        ("Content-Length: 05\r\n", Some(0), "malformed"),
        ("Content-Length: 1 2\r\n", Some(0), "malformed"),
        ("Content-Length: \r\n", Some(0), "malformed"),
        ("Content-Length: 5.0\r\n", Some(0), "malformed"),
        ("Content-Length: 9007199254740992\r\n", Some(0), "malformed"),
        ("Content-Length: 18446744073709551621\r\n", Some(0), "malformed"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Some(19), "malformed"),
        ("Transfer-Encoding: chunked\r\n", Some(0), "length_required"),
        ("Transfer-Encoding: identity\r\n", Some(0), "length_required"),
        ("", None, "length_required"),
        ("Content-Length : 5\r\n", Some(0), "malformed"),
        (" Content-Length: 5\r\n", Some(0), "malformed"),
        ("X: a\r\n b\r\nContent-Length: 5\r\n", Some(6), "malformed"),
        ("Content-Length: 5\r\n: a\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nnothing\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nX(y): a\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nHost: a\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nUpgrade: h2c\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nExpect: 200-ok\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nExpect: 100-continue, a\r\n", Some(19), "malformed"),
        ("Content-Length: 5\r\nContent-Type: a\r\nContent-Type: a\r\n", Some(36), "malformed"),
        ("Content-Length: 5\nX: a\r\n", Some(17), "malformed"),
        ("Content-Length: 5\r\nX: a\rY: b\r\n", Some(23), "malformed"),
        ("Content-Length: 5\r\nX: a\0\r\n", Some(23), "malformed"),
        ("Content-Length: 5\r\nX: a\tb\r\n", Some(23), "malformed"),
        ("Content-Length: 5\r\nX: \x7f\r\n", Some(22), "malformed"),
        ("Content-Length: 5\r\nX: é\r\n", Some(22), "malformed"),
    ] {
        let text = with(lines).replacen("/v1/statements", "/", 1);
        let found = refusal(&text);
        assert_eq!(found, (&*format!("request.{word}"), offset.map(|offset| host + offset)), "{lines:?}");
    }
}

#[test]
fn the_request_line_is_read_strictly() {
    let rest = "Host: a\r\n\r\n";
    for (line, code, offset) in [
        ("\r\n", "request.malformed", 0),
        ("GET / HTTP/1.0\r\n", "request.malformed", 6),
        ("GET / HTTP/2.0\r\n", "request.malformed", 0),
        ("GET / http/1.1\r\n", "request.malformed", 0),
        ("GET /\r\n", "request.malformed", 0),
        ("GET  / HTTP/1.1\r\n", "request.malformed", 0),
        ("GET / HTTP/1.1 \r\n", "request.malformed", 0),
        ("GET / /a HTTP/1.1\r\n", "request.malformed", 0),
        (" GET / HTTP/1.1\r\n", "request.malformed", 0),
        ("G(T / HTTP/1.1\r\n", "request.malformed", 0),
        ("GET https://a/ HTTP/1.1\r\n", "request.malformed", 4),
        ("GET a HTTP/1.1\r\n", "request.malformed", 4),
        ("GET * HTTP/1.1\r\n", "request.malformed", 4),
        ("GET /\u{e9} HTTP/1.1\r\n", "request.malformed", 5),
        ("GET / HTTP/1.1\n", "request.malformed", 14),
        ("CONNECT a:1 HTTP/1.1\r\n", "request.method", 0),
        ("OPTIONS * HTTP/1.1\r\n", "request.method", 0),
        ("HEAD / HTTP/1.1\r\n", "request.method", 0),
        ("get / HTTP/1.1\r\n", "request.method", 0),
        ("\x16\x03\x01\x02\r\n", "request.malformed", 0),
    ] {
        assert_eq!(refusal(&format!("{line}{rest}")), (code, Some(offset)), "{line:?}");
    }
}

#[test]
fn one_host_and_get_without_a_body() {
    let malformed = |text: &str| assert_eq!(refusal(text).0, "request.malformed", "{text:?}");
    malformed("GET / HTTP/1.1\r\n\r\n");
    malformed("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    malformed("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
    malformed("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    malformed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").0, "request.length_required");
}

#[test]
fn heads_have_bounds() {
    let padded = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length - rest))
    };
    assert!(read(padded(MAX_HEAD).as_bytes()).is_ok());
    assert_eq!(refusal(&padded(MAX_HEAD + 1)), ("request.too_large", Some(MAX_HEAD)));
    // It need not end to be refused.
    assert_eq!(refusal(&padded(2 * MAX_HEAD)[..MAX_HEAD]), ("request.too_large", Some(MAX_HEAD)));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert!(read(fields(MAX_HEADERS).as_bytes()).is_ok());
    assert_eq!(refusal(&fields(MAX_HEADERS + 1)), ("request.too_large", None));
}

#[test]
fn a_bad_byte_is_refused_before_the_head_ends() {
    let mut parser = Parser::new(MAX_BODY);
    assert_eq!(parser.feed(b"GET / HT\nTP"), (11, Event::Request));
    assert!(matches!(parser.request(), Err(Error::Request { fault: RequestFault::Malformed, offset: Some(8), .. })));
    assert!(parser.waits() && !parser.answered() && parser.waits());
    assert_eq!(parser.feed(GOOD.as_bytes()), (0, Event::More));
}

#[test]
fn the_next_request_is_left_alone() {
    let both = [GOOD, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"].concat();
    let mut parser = Parser::new(MAX_BODY);
    assert_eq!(parser.feed(both.as_bytes()), (GOOD.len(), Event::Request));
    assert!(parser.waits() && !parser.in_request());
    assert!(parser.request().is_ok());
    assert!(parser.request().is_err(), "it is there once");
    let rest = &both.as_bytes()[GOOD.len()..];
    assert_eq!(parser.feed(rest), (0, Event::More));
    assert!(parser.waits() && parser.answered() && !parser.waits() && !parser.in_request());
    assert_eq!(parser.feed(rest), (rest.len() - 3, Event::Request));
    assert!(parser.request().is_ok() && parser.answered());
    assert_eq!(parser.feed(b"GET"), (3, Event::More));
    assert!(parser.in_request());
}

#[test]
fn a_client_that_waits_is_told_to_go_on_once() {
    let head = with("Content-Length: 5\r\nExpect: 100-Continue\r\n");
    let mut parser = Parser::new(MAX_BODY);
    assert!(!parser.take_continue());
    assert_eq!(parser.feed(head.as_bytes()), (head.len(), Event::More));
    assert!(parser.take_continue() && !parser.take_continue());
    // Not where it has begun to send, nor where nothing is to come.
    let mut parser = Parser::new(MAX_BODY);
    parser.feed(format!("{head}h").as_bytes());
    assert!(!parser.take_continue());
    let empty = read(with("Content-Length: 0\r\nExpect: 100-continue\r\n").as_bytes()).unwrap();
    assert!(!empty.head.expects_continue);
}

#[test]
fn a_long_body_waits_until_it_is_wanted() {
    let length = MAX_PART + 10;
    let body: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
    let head = with(&format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"));
    let mut parser = Parser::new(MAX_BODY);
    assert_eq!(parser.feed(&[head.as_bytes(), &body].concat()), (head.len(), Event::Request));
    let request = parser.request().unwrap();
    assert_eq!((request.body, request.head.content_length), (None, Some(length as u64)));
    assert!(parser.part().is_err() && parser.waits() && parser.in_request());
    assert!(parser.accept_body().unwrap());
    assert!(parser.accept_body().is_err() && !parser.waits());
    // As much as a part may have, then what is left.
    assert_eq!(parser.feed(&body), (MAX_PART, Event::Part));
    assert_eq!(parser.feed(&body[MAX_PART..]), (0, Event::Part));
    assert_eq!(parser.part().unwrap(), (body[..MAX_PART].to_vec(), false));
    assert_eq!((parser.feed(&body[MAX_PART..length - 3]), parser.idle()), ((7, Event::More), Event::Part));
    assert_eq!(parser.part().unwrap(), (body[MAX_PART..length - 3].to_vec(), false));
    assert_eq!(parser.idle(), Event::More);
    assert_eq!(parser.feed(&[&body[length - 3..], b"GET"].concat()), (3, Event::Part));
    assert_eq!(parser.part().unwrap(), (body[length - 3..].to_vec(), true));
    assert!(parser.part().is_err() && parser.waits() && parser.answered());
}

#[test]
fn a_paper_comes_in_parts_however_short_it_is() {
    let head = "PUT /v1/attachments/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut parser = Parser::new(MAX_BODY);
    assert_eq!(parser.feed(head.as_bytes()), (head.len(), Event::Request));
    assert!(!parser.take_continue(), "nobody has said yet that it is wanted");
    let request = parser.request().unwrap();
    assert_eq!((request.body, request.head.content_length), (None, Some(5)));
    assert!(parser.accept_body().unwrap());
    assert_eq!(parser.feed(b"helloGET"), (5, Event::Part));
    assert_eq!(parser.part().unwrap(), (b"hello".to_vec(), true));
    assert!(parser.answered());
    // One of nothing has no parts.
    assert_eq!(read(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").unwrap().body, Some(Vec::new()));
}

#[test]
fn an_answer_before_the_end_of_a_body_is_the_last() {
    for accept in [false, true] {
        let mut parser = Parser::new(MAX_BODY);
        parser.feed(with("Content-Length: 1000\r\n").as_bytes());
        parser.request().unwrap();
        if accept {
            assert!(!parser.accept_body().unwrap());
        }
        assert!(!parser.answered() && parser.waits());
    }
    let mut parser = Parser::new(MAX_BODY);
    parser.feed(b"GET /");
    assert!(!parser.answered(), "a deadline's answer comes in the middle of a head");
}

/// Heads that are right, or nearly.
fn heads() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("GET / HTTP/1.1".to_owned()),
        Just("POST /v1/statements HTTP/1.1".to_owned()),
        "(GET|PUT|HEAD) ?/[a-z%]{0,9} HTTP/1[.][01]",
    ];
    let field = prop_oneof![
        Just("Host: a".to_owned()),
        Just("Content-Length: 3".to_owned()),
        Just("Connection: close".to_owned()),
        "(Content-Length|Transfer-Encoding|Host|Expect|X):? {0,2}[0-9a-z+,-]{0,8}",
        "[ -~\t\r\n\u{0}\u{e9}]{0,12}",
    ];
    (line, proptest::collection::vec(field, 0..5), ".{0,8}").prop_map(|(line, fields, rest)| {
        let lines: Vec<String> = std::iter::once(line).chain(fields).collect();
        lines.join("\r\n") + "\r\n\r\n" + &rest
    })
}

proptest! {
    #[test]
    fn where_the_bytes_are_cut_changes_nothing(text in heads(), cuts in proptest::collection::vec(1_usize..20, 0..20)) {
        let bytes = text.as_bytes();
        let mut whole = Parser::new(MAX_BODY);
        let (used, event) = whole.feed(bytes);
        let mut pieces = Parser::new(MAX_BODY);
        let (mut place, mut cuts) = (0, cuts.into_iter());
        while place < bytes.len() {
            let end = bytes.len().min(place + cuts.next().unwrap_or(bytes.len()));
            let (taken, event) = pieces.feed(&bytes[place..end]);
            place += taken;
            if event == Event::Request {
                break;
            }
            prop_assert_eq!(taken, end - (place - taken));
        }
        prop_assert_eq!(event == Event::Request, matches!(pieces.stage, Stage::Whole(_)));
        if event == Event::Request {
            let (whole, pieces) = (whole.request(), pieces.request());
            prop_assert_eq!(&whole, &pieces);
            if whole.is_ok() {
                prop_assert_eq!(used, place);
            }
        }
    }

    #[test]
    fn the_parts_of_a_body_are_the_body(
        body in proptest::collection::vec(any::<u8>(), 1..400),
        cuts in proptest::collection::vec((1_usize..50, any::<bool>()), 0..40),
        behind in "[A-Z]{0,9}",
    ) {
        let mut parser = Parser::new(MAX_BODY);
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        prop_assert_eq!(parser.feed(head.as_bytes()), (head.len(), Event::Request));
        parser.request().unwrap();
        parser.accept_body().unwrap();
        let sent = [&body[..], behind.as_bytes()].concat();
        let (mut place, mut cuts, mut parts, mut over) = (0, cuts.into_iter(), Vec::new(), false);
        while !over {
            // A pause of the line after some of the pieces.
            let (length, pause) = cuts.next().unwrap_or((sent.len(), true));
            let (taken, mut event) = parser.feed(&sent[place..sent.len().min(place + length)]);
            place += taken;
            if event == Event::More && pause {
                event = parser.idle();
            }
            if event == Event::Part {
                let (part, last) = parser.part().unwrap();
                prop_assert!(!part.is_empty() && part.len() <= MAX_PART);
                parts.extend(part);
                over = last;
            }
        }
        prop_assert_eq!((&parts, place), (&body, body.len()));
        prop_assert!(parser.answered());
    }

    #[test]
    fn whatever_is_accepted_is_plain(text in heads()) {
        let mut parser = Parser::new(MAX_BODY);
        if parser.feed(text.as_bytes()).1 == Event::Request && let Ok(request) = parser.request() {
            let head = &text[..text.find("\r\n\r\n").unwrap() + 2];
            prop_assert!(head.replace("\r\n", "").bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert!(request.head.path.starts_with('/'));
            let lower = head.to_ascii_lowercase();
            prop_assert_eq!(lower.matches("\r\nhost:").count(), 1);
            prop_assert!(!lower.contains("\r\ntransfer-encoding:"));
            prop_assert_eq!(lower.matches("\r\ncontent-length:").count(), usize::from(request.head.content_length.is_some()));
        }
    }
}
