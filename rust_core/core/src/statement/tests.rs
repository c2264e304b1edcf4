use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::{Hash, MAX_INTEGER};

fn uint() -> impl Strategy<Value = u64> {
    prop_oneof![0..24_u64, 0..300_u64, 0..70_000_u64, 0..=MAX_INTEGER]
}

fn number() -> impl Strategy<Value = u64> {
    uint().prop_map(|value| value.max(1))
}

fn figures(least: usize) -> impl Strategy<Value = Vec<Figure>> {
    btree_map(uint(), uint(), least..6)
        .prop_map(|all| all.into_iter().map(|(code, value)| Figure { code, value }).collect())
}

fn counts() -> impl Strategy<Value = Vec<Count>> {
    btree_map(number(), (figures(1), vec(uint(), 1..30)), 1..4)
        .prop_map(|all| all.into_iter().map(|(contest, (figures, votes))| Count { contest, figures, votes }).collect())
}

fn attachments(least: usize) -> impl Strategy<Value = Vec<Attachment>> {
    let one = (any::<Hash>(), 1..=4_u64, 1..=20_971_520_u64, 1..=6_u64, uint())
        .prop_map(|(sha256, media, size, document, page)| Attachment { sha256, media, size, document, page });
    vec(one, least..=16)
}

fn report() -> impl Strategy<Value = Report> {
    let zeros = btree_map(number(), vec(uint(), 1..5), 0..4)
        .prop_map(|all| all.into_iter().map(|(contest, votes)| Zero { contest, votes }).collect());
    prop_oneof![
        (uint(), any::<Hash>(), zeros).prop_map(|(counter, firmware, zeros)| Report::Opening {
            counter,
            firmware,
            zeros
        }),
        (uint(), figures(1)).prop_map(|(as_of, figures)| Report::Turnout { as_of, figures }),
        (uint(), 1..=4_u64, uint(), figures(0), counts(), attachments(0)).prop_map(
            |(closed_at, origin, counter, figures, counts, attachments)| Report::Result {
                closed_at,
                origin,
                counter,
                figures,
                counts,
                attachments
            }
        ),
        (uint(), any::<Option<Hash>>(), 0..=4_u64, figures(0), counts(), attachments(0)).prop_map(
            |(closed_at, corrects, cause, figures, counts, attachments)| Report::Protocol {
                closed_at,
                corrects,
                cause,
                figures,
                counts,
                attachments
            }
        ),
        attachments(1).prop_map(|attachments| Report::Documents { attachments }),
    ]
}

fn packet() -> impl Strategy<Value = Body> {
    (any::<Hash>(), number(), number(), number(), any::<Hash>(), uint(), report()).prop_map(
        |(definition, device, station, sequence, previous, signed_at, report)| {
            let previous = (sequence > 1).then_some(previous);
            Body::Packet(Packet { definition, device, station, sequence, previous, signed_at, report })
        },
    )
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![Just(Source::Machine), Just(Source::Protocol)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        ("[a-z0-9.-]{1,20}(/[a-z0-9.-]{1,20}){0,3}", any::<[Hash; 3]>(), "[^\\p{Cc}]{1,40}").prop_map(
            |(origin, [log_key, snapshot_key, roster], software)| Action::Open {
                origin,
                log_key,
                snapshot_key,
                roster,
                software
            }
        ),
        number().prop_map(|device| Action::Revoke { device }),
        (number(), number(), uint()).prop_map(|(device, station, replaces)| Action::Assign {
            device,
            station,
            replaces
        }),
        (uint(), uint()).prop_map(|(station, contest)| Action::Annul { station, contest }),
        (number(), number(), source(), any::<Hash>()).prop_map(|(station, contest, source, id)| Action::Choose {
            station,
            contest,
            source,
            id
        }),
        Just(Action::Pause),
        Just(Action::Resume),
        (source(), 0..=5_u64).prop_map(|(source, status)| Action::Status { source, status }),
        any::<Hash>().prop_map(|roster| Action::Roster { roster }),
        any::<Hash>().prop_map(|definition| Action::Definition { definition }),
        (uint(), uint()).prop_map(|(station, closes_at)| Action::Closing { station, closes_at }),
        number().prop_map(|station| Action::Cancel { station }),
        number().prop_map(|number| Action::Undo { number }),
    ]
}

fn decision() -> impl Strategy<Value = Body> {
    let reason = ("[a-z]{2}", "[^\\p{Cc}]{1,60}").prop_map(|(language, text)| Reason { language, text });
    (any::<Hash>(), any::<Hash>(), number(), uint(), vec(reason, 1..4), action()).prop_map(
        |(definition, previous, number, decided_at, reason, action)| {
            let previous = (number > 1).then_some(previous);
            Body::Decision(Decision { definition, previous, number, decided_at, reason, action })
        },
    )
}

const SEED: [u8; 32] = [5; 32];

fn refused(statement: &[u8]) -> (Rule, usize) {
    match decode(statement).unwrap_err() {
        Error::Statement { rule, offset } => (rule, offset),
        other => panic!("{other}"),
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_read_back(body in prop_oneof![packet(), decision()]) {
        let payload = body.encode();
        let statement = match sign(body.kind(), &payload, &SEED) {
            Ok(statement) => statement,
            Err(error) => {
                prop_assert!(payload.len() > 16_000, "{error}");
                return Ok(());
            }
        };
        let read = decode(&statement).unwrap();
        prop_assert_eq!(&read.body, &body);
        prop_assert_eq!(&statement[read.frame.payload()], &payload);
        let public = crate::verify::public_key(&SEED);
        prop_assert_eq!(read.frame.kid, kid(&public));
        prop_assert!(crate::verify::signature(&public, &read.frame.signed_bytes(&statement), &read.frame.signature));
        prop_assert_eq!(encode_payload(body.kind(), &Item::decode(&payload).unwrap()).unwrap(), payload);
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_statement(
        body in prop_oneof![packet(), decision()],
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let Ok(mut statement) = sign(body.kind(), &body.encode(), &SEED) else { return Ok(()) };
        let place = place.index(statement.len());
        statement[place] = byte;
        if let Ok(read) = decode(&statement) {
            prop_assert_eq!(read.body.encode(), &statement[read.frame.payload()]);
        }
    }

    #[test]
    fn every_prefix_is_truncated(body in packet(), place in any::<prop::sample::Index>()) {
        let Ok(statement) = sign(body.kind(), &body.encode(), &SEED) else { return Ok(()) };
        let (rule, offset) = refused(&statement[..place.index(statement.len())]);
        prop_assert_eq!(rule, Rule::Truncated);
        prop_assert!(offset <= place.index(statement.len()));
    }
}

fn turnout() -> Vec<u8> {
    let report = Report::Turnout { as_of: 1, figures: vec![Figure { code: 3, value: 9 }] };
    let packet =
        Packet { definition: [0; 32], device: 1, station: 1, sequence: 1, previous: None, signed_at: 0, report };
    sign(Kind::Packet, &Body::Packet(packet).encode(), &SEED).unwrap()
}

#[test]
fn the_frame_is_frozen() {
    let good = turnout();
    let payload_at = decode(&good).unwrap().frame.payload().start;
    let with = |place: usize, byte: u8| {
        let mut changed = good.clone();
        changed[place] = byte;
        refused(&changed)
    };
    assert_eq!(refused(&[]), (Rule::Truncated, 0));
    assert_eq!(with(0, 0xd1), (Rule::Envelope, 0));
    assert_eq!(with(3, 0x39), (Rule::Envelope, 3));
    // A decision's length in front of a packet's type: the decision's frame fits longer.
    assert_eq!(with(3, 0x3a), (Rule::Envelope, 9));
    assert_eq!(with(7, 0x02), (Rule::Envelope, 7));
    assert_eq!(with(payload_at - 3, 0xa1), (Rule::Envelope, payload_at - 3));
    assert_eq!(with(payload_at - 2, 0x78), (Rule::Type, payload_at - 2));
    let signature_at = good.len() - 66;
    assert_eq!(with(signature_at, 0x59), (Rule::Envelope, signature_at));
    assert_eq!(with(signature_at + 1, 0x41), (Rule::Envelope, signature_at + 1));
    assert_eq!(refused(&[good.as_slice(), &[0]].concat()), (Rule::Trailing, good.len()));
    assert_eq!(refused(&good[..good.len() - 1]), (Rule::Truncated, signature_at));
    assert_eq!(refused(&vec![0; MAX_STATEMENT + 1]), (Rule::Size, MAX_STATEMENT));
}

#[test]
fn the_signature_covers_type_kid_and_payload() {
    let good = turnout();
    let public = crate::verify::public_key(&SEED);
    let read = decode(&good).unwrap();
    let kid_at = read.frame.payload().start - 2 - 1 - 8;
    for place in [kid_at, read.frame.payload().start + 5] {
        let mut changed = good.clone();
        changed[place] ^= 1;
        let read = decode(&changed).unwrap();
        assert!(!crate::verify::signature(&public, &read.frame.signed_bytes(&changed), &read.frame.signature));
    }
}
