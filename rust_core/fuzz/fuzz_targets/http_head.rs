//! Any bytes as what a client sends of HTTP, whole and in pieces (the first byte says of which length).
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::Error;
use tallygate_core::http::{Event, MAX_HEAD, Method, Parser, Request};
use tallygate_fuzz::MAX_BODY;

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let (whole, used) = read(bytes, bytes.len().max(1));
    let (pieces, place) = read(bytes, usize::from(step).max(1));
    assert_eq!(whole, pieces);
    match whole {
        None => assert_eq!((used, place), (bytes.len(), bytes.len())),
        Some(Ok(request)) => {
            assert_eq!(used, place);
            assert_plain(&request, &bytes[..used]);
        }
        Some(Err(Error::Request { offset, .. })) => assert!(offset.is_none_or(|offset| offset <= bytes.len())),
        Some(Err(other)) => panic!("a request can only be refused as one, not with {other:?}"),
    }
});

/// The first request in `bytes`, fed in steps, and how much of them was taken.
fn read(bytes: &[u8], step: usize) -> (Option<tallygate_core::Result<Request>>, usize) {
    let mut parser = Parser::new(MAX_BODY);
    let mut place = 0;
    while place < bytes.len() {
        let piece = &bytes[place..bytes.len().min(place + step)];
        let (taken, event) = parser.feed(piece);
        place += taken;
        match event {
            Event::More => assert_eq!(taken, piece.len()),
            Event::Request => return (Some(parser.request()), place),
            Event::Part => panic!("no body was asked for"),
        }
    }
    (None, place)
}

/// What is accepted can be read in one way only.
fn assert_plain(request: &Request, taken: &[u8]) {
    let body = request.body.as_deref().unwrap_or_default();
    let head = taken.strip_suffix(body).expect("the body is what stands behind the head");
    let text = std::str::from_utf8(head).expect("a head is ASCII").to_ascii_lowercase();
    assert!(text.len() <= MAX_HEAD && text.ends_with("\r\n\r\n"));
    assert!(text.replace("\r\n", "").bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    assert_eq!(text.find("\r\n\r\n"), Some(text.len() - 4));
    let count = |name: &str| text.matches(&format!("\r\n{name}:")).count();
    assert_eq!(count("host"), 1);
    assert_eq!((count("transfer-encoding"), count("upgrade")), (0, 0));
    assert_eq!(count("content-length"), usize::from(request.head.content_length.is_some()));
    let length = request.head.content_length.unwrap_or_default();
    let paper = request.head.method == Method::Put && length > 0;
    match &request.body {
        Some(body) => assert!(body.len() as u64 == length && !paper),
        None => assert!(length > MAX_BODY as u64 || paper),
    }
}
