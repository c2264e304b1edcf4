//! Any bytes on a fresh connection, and any bytes of HTTP from a client with a good certificate, cut anywhere.
//!
//! The first byte says which (and whether long bodies are wanted), the second how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tallygate_core::Error;
use tallygate_core::http::MAX_PART;
use tallygate_core::tls::{Connection, HANDSHAKE_LIMIT, State};
use tallygate_fuzz::{Client, MAX_BODY, connection};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let &[mode, step, ref bytes @ ..] = bytes else { return };
    let step = (usize::from(step) * 8).max(1);
    if mode & 1 == 0 {
        stranger(bytes, step);
    } else {
        client(bytes, step, mode & 2 == 0);
    }
});

/// Nobody gets in, and nobody fills our memory.
fn stranger(bytes: &[u8], step: usize) {
    let mut door = connection();
    let mut taken = 0;
    for piece in bytes.chunks(step) {
        let (state, out) = door.feed(piece).expect("it wants more");
        assert!(door.peer().is_none() && out.len() < 4_096);
        if state != State::More {
            assert!(matches!(state, State::Failed | State::Closed));
            assert_eq!(door.failure().is_some(), state == State::Failed);
            assert_eq!(door.feed(piece), Ok((state, Vec::new())));
            return;
        }
        taken += piece.len();
    }
    assert!(taken <= HANDSHAKE_LIMIT);
    assert_eq!(door.eof().0, State::Failed);
}

/// The caller's loop of docs/box-port.md.
fn client(plain: &[u8], step: usize, accept: bool) {
    let mut client = Client::new();
    let sealed = client.seal(plain);
    for piece in sealed.chunks(step) {
        let (mut state, mut out) = client.door.feed(piece).expect("it wants more");
        while state != State::More {
            assert!(matches!(client.door.feed(b"x"), Err(Error::Argument(_))));
            match state {
                State::Request => out.extend(answer(&mut client.door, accept)),
                State::Body => {
                    let (part, last) = client.door.body().expect("a part was announced");
                    assert!((1..=MAX_PART).contains(&part.len()));
                    if last {
                        out.extend(client.door.respond(ANSWER, &part, false));
                    }
                }
                other => panic!("a client that speaks TLS cannot come to {other:?}"),
            }
            let (next, more) = client.door.feed(b"").expect("what was announced was taken");
            out.extend(more);
            if next == State::Closed {
                client.hear(&out);
                return;
            }
            state = next;
        }
        client.hear(&out);
    }
    let (state, out) = client.door.eof();
    assert!(matches!(state, State::Closed | State::Failed));
    client.hear(&out);
}

fn answer(door: &mut Connection, accept: bool) -> Vec<u8> {
    match door.request() {
        Ok(request) if request.body.is_none() && accept => door.accept_body().expect("there is a long body"),
        Ok(request) => {
            assert!(request.body.as_ref().is_none_or(|body| body.len() <= MAX_BODY));
            door.respond(ANSWER, &request.body.unwrap_or_default(), false)
        }
        Err(_) => door.respond(ANSWER, b"", true),
    }
}
