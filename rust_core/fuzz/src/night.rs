//! Logs of the small election from draws: good counts, what is done to them, and decisions of its commission.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use tallygate_core::statement::{
    self, Action, Attachment, Body, Count, Decision, Figure, Kind, Packet, Reason, Report, Source, Zero,
};
use tallygate_core::{Hash, MAX_INTEGER};

/// Seeds of the commission's members, as in the core's own tests; two of the three decide.
const MEMBERS: [[u8; 32]; 3] = [[201; 32], [202; 32], [203; 32]];
/// Of the election in `base/`, and one that nobody knows.
const DEVICES: [u64; 5] = [1, 2, 3, 9, 77];
const STATIONS: [u64; 5] = [10, 10, 11, 500, 88];
const CLOSES_AT: u64 = 2_000;
const OTHER_DEFINITION: Hash = [0xd0; 32];

/// A number at a limit of the rules, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    /// Up to 255.
    Small(u8),
    /// Around what a sum may take.
    Limit(i8),
    /// Around a time of the election.
    Time(i8),
    /// Anything that a statement may hold.
    Any(u64),
}

impl Number {
    fn value(self) -> u64 {
        match self {
            Self::Small(value) => value.into(),
            Self::Limit(offset) => 1_000_000_u64.saturating_add_signed(offset.into()),
            Self::Time(offset) => CLOSES_AT.saturating_add_signed(offset.into()),
            Self::Any(value) => value.min(MAX_INTEGER),
        }
    }
}

/// What is done to a good count.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Edit {
    /// A figure of the voters (true) or of the count gets a value.
    Set(bool, u8, Number),
    /// A figure of the count goes.
    Unset(u8),
    /// A choice gets other votes.
    Votes(u8, Number),
    /// There is a choice more.
    More(Number),
    /// The count is of another contest, or there is none of it.
    Contest(u8),
}

/// What a device reports, still in draws.
#[derive(Arbitrary, Clone, Debug)]
pub enum Said {
    /// A zero report of a contest with a value in it, if any.
    Opening(Number, bool, Option<(u8, Number)>),
    /// Identified and up to when, perhaps registered.
    Turnout(Number, Number, Option<Number>),
    /// A time, a counter, an edit of each count.
    Result(Number, Number, [Option<Edit>; 2]),
    /// A time, the statement that it corrects, edits, how many counts.
    Protocol(Number, Option<u8>, [Option<Edit>; 2], bool),
    /// Papers.
    Documents(u8),
}

/// What comes next in the log.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    /// A packet; `previous` is the place of a statement, None the one that it should be.
    Packet {
        /// Places among devices and stations.
        at: (u8, u8),
        /// Up to 4.
        sequence: u8,
        /// Whose id it names.
        previous: Option<u8>,
        /// Of another definition.
        is_foreign: bool,
        /// Is signed now and logged at the end.
        is_late: bool,
        /// What it reports.
        said: Said,
    },
    /// Another signature on what stands at this place.
    Again(u8, u8),
    /// A decision, by so many members.
    Decision(Order, u8),
}

/// What the commission orders, still in draws.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Order {
    /// 2
    Revoke(u8),
    /// 3
    Assign(u8, u8, Option<u8>),
    /// 4, of all stations (true) and contests
    Annul(u8, bool, u8),
    /// 5
    Choose(u8, u8, bool, u8),
    /// 9, one that moves devices or one that is none
    Roster(bool),
    /// 10
    Definition,
    /// 11, of all stations (true)
    Closing(u8, bool, Number),
    /// 12
    Cancel(u8),
    /// 13
    Undo(u8),
}

/// Hashes that a log names.
pub struct Names {
    /// The election's definition.
    pub definition: Hash,
    /// The roster of decision 1.
    pub roster: Hash,
    /// Another roster.
    pub moved: Hash,
}

/// The statements of a log.
pub struct Night<'a> {
    names: &'a Names,
    log: Vec<Vec<u8>>,
    /// Packets that are signed, logged or not.
    signed: Vec<(Packet, Hash)>,
    late: Vec<Vec<u8>>,
    decisions: u64,
    tip: Option<Hash>,
}

impl<'a> Night<'a> {
    /// The log of decision 1 and some steps.
    pub fn play(names: &'a Names, steps: &[Step]) -> Vec<Vec<u8>> {
        let mut night = Night { names, log: vec![], signed: vec![], late: vec![], decisions: 0, tip: None };
        let open = Action::Open {
            origin: "toolia.example".into(),
            log_key: [1; 32],
            snapshot_key: [2; 32],
            roster: names.roster,
            software: "x".into(),
        };
        night.decide(open, 2);
        for step in steps {
            night.step(step);
        }
        for bytes in std::mem::take(&mut night.late) {
            night.send(bytes);
        }
        night.log
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if !self.log.contains(&bytes) {
            self.log.push(bytes);
        }
    }

    fn earlier(&self, place: u8) -> Option<&(Packet, Hash)> {
        self.signed.get(usize::from(place) % self.signed.len().max(1))
    }

    fn id(&self, place: u8) -> Hash {
        self.earlier(place).map_or([0x98; 32], |(_, id)| *id)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Packet { at, sequence, previous, is_foreign, is_late, said } => {
                let (device, station) = (pick(&DEVICES, at.0), pick(&STATIONS, at.1));
                let sequence = 1 + u64::from(sequence % 4);
                let before = self.signed.iter().find(|(it, _)| (it.device, it.sequence + 1) == (device, sequence));
                let previous = match previous {
                    _ if sequence == 1 => None,
                    Some(place) => Some(self.id(*place)),
                    None => Some(before.map_or([0x99; 32], |(_, id)| *id)),
                };
                let definition = if *is_foreign { OTHER_DEFINITION } else { self.names.definition };
                let report = self.report(station, said);
                let packet = Packet { definition, device, station, sequence, previous, signed_at: CLOSES_AT, report };
                self.sign(packet, 0, *is_late);
            }
            Step::Again(place, signature) => {
                if let Some((packet, _)) = self.earlier(*place).cloned() {
                    self.sign(packet, *signature, false);
                }
            }
            Step::Decision(order, members) => {
                let action = self.action(*order);
                self.decide(action, 1 + usize::from(members % 3));
            }
        }
    }

    fn sign(&mut self, packet: Packet, signature: u8, is_late: bool) {
        let bytes = assemble(&PACKET_FRAME, &Body::Packet(packet.clone()).encode(), signature);
        self.signed.push((packet, statement::id(&bytes)));
        if is_late {
            self.late.push(bytes);
        } else {
            self.send(bytes);
        }
    }

    /// The next number, by so many members; one alone leaves it pending, and another decision may take its place.
    fn decide(&mut self, action: Action, members: usize) {
        let body = Body::Decision(Decision {
            definition: self.names.definition,
            previous: self.tip,
            number: self.decisions + 1,
            decided_at: 5,
            reason: vec![Reason { language: "en".into(), text: "because".into() }],
            action,
        });
        for frame in &DECISION_FRAMES[..members] {
            self.send(assemble(frame, &body.encode(), 0));
        }
        if members > 1 {
            self.tip = Some(body.payload_hash());
            self.decisions += 1;
        }
    }

    fn report(&self, station: u64, said: &Said) -> Report {
        let papers = vec![Attachment { sha256: [9; 32], media: 1, size: 2, document: 3, page: 4 }];
        match *said {
            Said::Opening(counter, is_listed, zero) => Report::Opening {
                counter: counter.value(),
                firmware: [if is_listed { 0x0a } else { 0x0b }; 32],
                zeros: zero
                    .map(|(contest, votes)| Zero { contest: u64::from(contest) + 1, votes: vec![0, votes.value()] })
                    .into_iter()
                    .collect(),
            },
            Said::Turnout(identified, as_of, registered) => {
                let figures = [registered.map(|value| (1, value)), Some((3, identified))];
                let figures = figures.into_iter().flatten();
                Report::Turnout {
                    as_of: as_of.value(),
                    figures: figures.map(|(code, value)| Figure { code, value: value.value() }).collect(),
                }
            }
            Said::Result(closed_at, counter, edits) => {
                let (figures, counts) = counted(station, edits, false);
                Report::Result {
                    closed_at: closed_at.value(),
                    origin: 1,
                    counter: counter.value(),
                    figures,
                    counts,
                    attachments: papers,
                }
            }
            Said::Protocol(closed_at, corrects, edits, is_part) => {
                let (figures, counts) = counted(station, edits, is_part);
                Report::Protocol {
                    closed_at: closed_at.value(),
                    corrects: corrects.map(|place| self.id(place)),
                    cause: 0,
                    figures,
                    counts,
                    attachments: vec![],
                }
            }
            Said::Documents(pages) => {
                Report::Documents { attachments: vec![papers[0].clone(); 1 + usize::from(pages % 3)] }
            }
        }
    }

    fn action(&self, order: Order) -> Action {
        let (device, station) = (|by| pick(&DEVICES, by), |by| pick(&STATIONS, by));
        match order {
            Order::Revoke(by) => Action::Revoke { device: device(by) },
            Order::Assign(by, at, replaced) => {
                Action::Assign { device: device(by), station: station(at), replaces: replaced.map_or(0, device) }
            }
            Order::Annul(at, is_all, contest) => {
                Action::Annul { station: if is_all { 0 } else { station(at) }, contest: (contest % 4).into() }
            }
            Order::Choose(at, contest, is_machine, place) => Action::Choose {
                station: station(at),
                contest: 1 + u64::from(contest % 3),
                source: if is_machine { Source::Machine } else { Source::Protocol },
                id: self.id(place),
            },
            Order::Roster(is_one) => Action::Roster { roster: if is_one { self.names.moved } else { UNUSABLE } },
            Order::Definition => Action::Definition { definition: OTHER_DEFINITION },
            Order::Closing(at, is_all, closes_at) => {
                Action::Closing { station: if is_all { 0 } else { station(at) }, closes_at: closes_at.value() }
            }
            Order::Cancel(at) => Action::Cancel { station: station(at) },
            Order::Undo(number) => Action::Undo { number: 1 + u64::from(number % 8) },
        }
    }
}

/// The hash of a file that is no roster.
pub const UNUSABLE: Hash = [0x66; 32];

fn pick(of: &[u64], by: u8) -> u64 {
    of[usize::from(by) % of.len()]
}

/// A hundred ballots of each contest of a station as the election's rules want them, then edited.
fn counted(station: u64, edits: [Option<Edit>; 2], is_part: bool) -> (Vec<Figure>, Vec<Count>) {
    let own = BTreeMap::from([(5, 100), (9, 100), (11, 96), (12, 2), (13, 2), (100, 0)]);
    let mut counts: Vec<(u64, BTreeMap<u64, u64>, Vec<u64>)> =
        vec![(1, own.clone(), vec![60, 36]), (2, own.clone(), vec![50, 30, 46])];
    if station == 11 {
        counts.push((7, own, vec![50, 46]));
    }
    if is_part {
        counts.truncate(1);
    }
    let mut of_voters = BTreeMap::new();
    for (place, edit) in edits.into_iter().enumerate() {
        let Some((contest, figures, votes)) = counts.get_mut(place) else { continue };
        match edit {
            None => {}
            Some(Edit::Set(true, code, value)) => drop(of_voters.insert(code.into(), value.value())),
            Some(Edit::Set(false, code, value)) => drop(figures.insert(code.into(), value.value())),
            // A count has a figure at least.
            Some(Edit::Unset(code)) => drop(figures.remove(&(code % 14).into())),
            Some(Edit::Votes(choice, value)) => {
                let choices = votes.len();
                votes[usize::from(choice) % choices] = value.value();
            }
            Some(Edit::More(value)) => votes.push(value.value()),
            // Contests ascend.
            Some(Edit::Contest(by)) if place > 0 => *contest = 2 + u64::from(by % 4),
            Some(Edit::Contest(_)) => *contest = 1,
        }
    }
    let listed =
        |figures: BTreeMap<u64, u64>| figures.into_iter().map(|(code, value)| Figure { code, value }).collect();
    let counts = counts.into_iter().map(|(contest, own, votes)| Count { contest, figures: listed(own), votes });
    (listed(of_voters), counts.collect())
}

static PACKET_FRAME: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let report = Report::Turnout { as_of: 0, figures: vec![Figure { code: 3, value: 0 }] };
    let packet =
        Packet { definition: [0; 32], device: 1, station: 1, sequence: 1, previous: None, signed_at: 0, report };
    frame(Kind::Packet, &Body::Packet(packet), &crate::SEED)
});

static DECISION_FRAMES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let body = Body::Decision(Decision {
        definition: [0; 32],
        previous: None,
        number: 1,
        decided_at: 0,
        reason: vec![Reason { language: "en".into(), text: "x".into() }],
        action: Action::Pause,
    });
    MEMBERS.map(|seed| frame(Kind::Decision, &body, &seed))
});

/// What stands before the payload's head in every statement of a kind by one signer.
fn frame(kind: Kind, body: &Body, seed: &[u8; 32]) -> Vec<u8> {
    let payload = body.encode();
    let signed = statement::sign(kind, &payload, seed).expect("a small statement");
    let start = statement::decode(&signed).expect("it was signed").frame.payload().start;
    signed[..start - head(payload.len()).len()].to_vec()
}

/// The head of a byte string (RFC 8949, section 3).
fn head(length: usize) -> Vec<u8> {
    match u16::try_from(length).expect("statements are small").to_be_bytes() {
        [0, low @ ..24] => vec![0x40 | low],
        [0, low] => vec![0x58, low],
        [high, low] => vec![0x59, high, low],
    }
}

/// A statement whose signature is none; the tally does not look at it, whoever calls it has.
fn assemble(frame: &[u8], payload: &[u8], signature: u8) -> Vec<u8> {
    [frame, &head(payload.len()), payload, &[0x58, 0x40], &[signature; 64]].concat()
}
