//! The incremental part against its plain meaning, and the rules at their limits.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::definition::testing::Sample;
use crate::jcs;
use crate::statement::{Attachment, Count, Decision, Figure, Kind, Packet, Reason, Report, Source, Zero, decode, sign};

const OTHER_DEFINITION: Hash = [0xd0; 32];
const CLOSES_AT: u64 = 2_000;
const GREATEST: u64 = crate::MAX_INTEGER;

/// The sample election's log: station 10 with box 1, stations 11 and 500 with desk 3, terminal 2 at 10 and 11; box 9
/// is a spare; two of the members 201, 202 and 203 decide.
struct Night {
    tally: Tally,
    decisions: u64,
    tip: Option<Hash>,
    /// Bytes of the statements that are in the log.
    log: Vec<Vec<u8>>,
    /// Packets that are signed and not sent yet: others may name them already.
    held: Vec<Vec<u8>>,
}

fn sample() -> (Arc<Definition>, Arc<Roster>) {
    let definition = Arc::new(Sample::definition().load_definition().unwrap());
    let roster = Arc::new(Sample::roster().load_roster(&definition).unwrap());
    (definition, roster)
}

/// Another roster: box 9 has taken the place of box 1, the terminal is at 11 only, any firmware may run.
fn moved(definition: &Definition) -> Arc<Roster> {
    let sample = Sample::roster()
        .with("devices", 2, "stations", "11")
        .with("devices", 3, "stations", "11")
        .with("devices", 4, "area", "3")
        .with("devices", 5, "stations", "10 500")
        .edit("firmware", |rows| rows.truncate(1));
    Arc::new(sample.load_roster(definition).unwrap())
}

impl Night {
    fn of(sample: &Sample) -> Self {
        let definition = Arc::new(sample.load_definition().unwrap());
        let roster = Arc::new(Sample::roster().load_roster(&definition).unwrap());
        let mut tally = Tally::new(Arc::clone(&definition), Arc::clone(&roster)).unwrap();
        tally.offer(moved(&definition));
        let mut night = Self { tally, decisions: 0, tip: None, log: Vec::new(), held: Vec::new() };
        night.decide(Action::Open {
            origin: "toolia.example".into(),
            log_key: [1; 32],
            snapshot_key: [2; 32],
            roster: roster.hash,
            software: "x".into(),
        });
        night
    }

    fn new() -> Self {
        Self::of(&Sample::definition())
    }

    fn append(&mut self, bytes: Vec<u8>) -> Step {
        let step = self.tally.apply(self.tally.next_index(), statement::id(&bytes), &decode(&bytes).unwrap()).unwrap();
        self.log.push(bytes);
        step
    }

    fn packet(&mut self, packet: &Packet) -> Hash {
        let bytes = signed(packet, 0);
        let id = statement::id(&bytes);
        self.send(bytes);
        id
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if !self.log.contains(&bytes) {
            self.append(bytes);
        }
    }

    /// Holds a statement back, or sends it.
    fn send_or_hold(&mut self, bytes: Vec<u8>, holds: bool) {
        if holds {
            self.held.push(bytes);
        } else {
            self.send(bytes);
        }
    }

    fn decide(&mut self, action: Action) -> Step {
        self.decisions += 1;
        let body = Body::Decision(Decision {
            definition: self.tally.book.definition.hash,
            previous: self.tip,
            number: self.decisions,
            decided_at: 5,
            reason: vec![Reason { language: "en".into(), text: "because".into() }],
            action,
        });
        self.tip = Some(body.payload_hash());
        let mut step = Step::Taken;
        for member in [201, 202] {
            step = self.append(sign(Kind::Decision, &body.encode(), &[member; 32]).unwrap());
        }
        step
    }

    fn definition(&self) -> Hash {
        self.tally.book.definition.hash
    }

    fn state(&mut self, station: u64) -> &StationState {
        self.tally.settle().unwrap();
        let index = self.tally.station_index(station).unwrap();
        &self.tally.stations[index].state
    }

    /// Codes of the last packet that names a station, and of that station.
    fn codes(&mut self, station: u64) -> (String, String) {
        let index = self.tally.station_index(station).unwrap();
        let last = self.tally.world.packets.at(index).len() - 1;
        let state = self.state(station);
        let of_packet = state.packet_codes.iter().filter(|(place, _)| *place == last).map(|(_, code)| code.to_string());
        let of_station = state.codes.iter().map(ToString::to_string);
        (of_packet.collect::<Vec<_>>().join(" "), of_station.collect::<Vec<_>>().join(" "))
    }
}

/// A packet's statement; those with other numbers have other signatures. Nobody here looks whether they verify.
fn signed(packet: &Packet, number: u8) -> Vec<u8> {
    let mut bytes = sign(Kind::Packet, &Body::Packet(packet.clone()).encode(), &[7; 32]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= number;
    bytes
}

fn figures(pairs: &[(u64, u64)]) -> Vec<Figure> {
    pairs.iter().map(|&(code, value)| Figure { code, value }).collect()
}

/// A count of a hundred ballots, as the sample's rules want it.
fn count(contest: u64, votes: &[u64]) -> Count {
    let figures = figures(&[(5, 100), (9, 100), (11, 96), (12, 2), (13, 2), (100, 0)]);
    Count { contest, figures, votes: votes.to_vec() }
}

fn counts() -> Vec<Count> {
    vec![count(1, &[60, 36]), count(2, &[50, 30, 46])]
}

fn result(counter: u64) -> Report {
    Report::Result {
        closed_at: CLOSES_AT,
        origin: 1,
        counter,
        figures: Vec::new(),
        counts: counts(),
        attachments: Vec::new(),
    }
}

fn opening(counter: u64) -> Report {
    Report::Opening { counter, firmware: [0x0a; 32], zeros: Vec::new() }
}

fn packet(night: &Night, device: u64, station: u64, sequence: u64, previous: Option<Hash>, report: Report) -> Packet {
    Packet {
        definition: night.definition(),
        device,
        station,
        sequence,
        previous: (sequence > 1).then(|| previous.unwrap_or([0x99; 32])),
        signed_at: CLOSES_AT,
        report,
    }
}

/// A night with box 1's opening and a result of it that `change` has been at.
fn night_with_result(sample: &Sample, change: impl FnOnce(&mut Packet)) -> Night {
    let mut night = Night::of(sample);
    let first = night.packet(&packet(&night, 1, 10, 1, None, opening(7)));
    let mut second = packet(&night, 1, 10, 2, Some(first), result(207));
    change(&mut second);
    night.packet(&second);
    night
}

/// Edits the figures and votes of a result's count.
fn edit(packet: &mut Packet, place: usize, change: impl FnOnce(&mut Vec<Figure>, &mut Vec<u64>)) {
    let Report::Result { counts, .. } = &mut packet.report else { panic!("no result") };
    let count = &mut counts[place];
    change(&mut count.figures, &mut count.votes);
}

fn set(figures: &mut Vec<Figure>, code: u64, value: u64) {
    figures.retain(|figure| figure.code != code);
    figures.push(Figure { code, value });
    figures.sort_unstable_by_key(|figure| figure.code);
}

#[test]
fn a_good_result_has_no_codes_and_counts() {
    let mut night = night_with_result(&Sample::definition(), |_| {});
    assert_eq!(night.codes(10), (String::new(), String::new()));
    let tallied = &night.state(10).counts[0];
    assert_eq!(
        (tallied.state, &*tallied.packets, &*tallied.votes),
        (station::State::Reported, &[3][..], &[60, 36][..])
    );
}

type Change = fn(&mut Packet);

/// A limit that holds, and the first value beyond it with the codes that it brings.
const LIMITS: &[(Change, Change, &str)] = &[
    (
        |it| edit(it, 0, |figures, _| set(figures, 7, 1_000_000)),
        |it| edit(it, 0, |figures, _| set(figures, 7, 1_000_001)),
        "H100",
    ),
    (|_| (), |it| edit(it, 1, |_, votes| votes[2] = GREATEST), "H100"),
    (|it| edit(it, 0, |figures, _| set(figures, 16, 0)), |it| edit(it, 0, |figures, _| set(figures, 17, 0)), "H101"),
    (|it| edit(it, 0, |figures, _| set(figures, 205, 0)), |it| edit(it, 0, |figures, _| set(figures, 99, 0)), "H101"),
    (|_| (), |it| edit(it, 0, |figures, _| figures.retain(|figure| figure.code != 100)), "H101"),
    (|_| (), |it| edit(it, 0, |_, votes| votes.push(0)), "H101"),
    (
        |_| (),
        |it| {
            let Report::Result { counts, .. } = &mut it.report else { return };
            counts.truncate(1);
        },
        "H101",
    ),
    (
        |_| (),
        |it| {
            let Report::Result { counts, .. } = &mut it.report else { return };
            counts.push(count(7, &[48, 48]));
        },
        "H101",
    ),
    (|_| (), |it| edit(it, 0, |figures, _| set(figures, 12, 3)), "H102"),
    (|_| (), |it| edit(it, 0, |_, votes| votes[0] = 59), "H103"),
    // The sample's H104 is soft, with a tolerance of 1.
    (|it| edit(it, 0, |figures, _| set(figures, 5, 99)), |it| edit(it, 0, |figures, _| set(figures, 5, 98)), "H104"),
    (
        |it| edit(it, 0, |figures, _| set(figures, 6, 1_101)),
        |it| edit(it, 0, |figures, _| set(figures, 6, 1_102)),
        "H104",
    ),
    // Three preferences a ballot paper, 46 papers of the list.
    (|it| edit(it, 1, |_, votes| votes[1] = 138), |it| edit(it, 1, |_, votes| votes[1] = 139), "H108"),
    // Ballots received are those issued, spoiled and the papers of the country's own line.
    (
        |it| {
            edit(it, 0, |figures, _| {
                set(figures, 4, 103);
                set(figures, 7, 3);
            });
        },
        |it| {
            edit(it, 0, |figures, _| {
                set(figures, 4, 104);
                set(figures, 7, 3);
            });
        },
        "H109.1",
    ),
    (
        |it| edit(it, 0, |figures, _| set(figures, 205, 5)),
        |it| edit(it, 0, |figures, _| set(figures, 205, 6)),
        "S214.4",
    ),
    (
        |it| {
            edit(it, 0, |figures, votes| {
                set(figures, 11, 90);
                set(figures, 13, 8);
                votes[0] = 54;
            });
        },
        |it| {
            edit(it, 0, |figures, votes| {
                set(figures, 11, 89);
                set(figures, 13, 9);
                votes[0] = 53;
            });
        },
        "S202",
    ),
    (|it| it.signed_at = CLOSES_AT + 720 * 60_000, |it| it.signed_at = CLOSES_AT + 720 * 60_000 + 1, "S204"),
    (|_| (), |it| it.signed_at = CLOSES_AT - 1, "S204"),
    (
        |_| (),
        |it| {
            let Report::Result { closed_at, .. } = &mut it.report else { return };
            *closed_at -= 1;
        },
        "S204",
    ),
    (|_| (), |it| it.previous = Some([3; 32]), "S205"),
    // Opened at 7, 200 ballots, a tolerance of 3.
    (|it| it.report = result(210), |it| it.report = result(211), "S210"),
    (|it| it.report = result(204), |it| it.report = result(203), "S210"),
    (|_| (), |it| it.report = result(GREATEST), "S210"),
    (
        |it| edit(it, 0, |figures, _| set(figures, 1, 1_200)),
        |it| edit(it, 0, |figures, _| set(figures, 1, 1_201)),
        "S213",
    ),
];
#[test]
fn each_rule_on_a_result_holds_up_to_its_limit() {
    let sample = Sample::definition();
    for (number, (holds, fails, codes)) in LIMITS.iter().enumerate() {
        assert_eq!(night_with_result(&sample, holds).codes(10).0, "", "case {number}");
        let mut night = night_with_result(&sample, fails);
        assert_eq!(night.codes(10).0, *codes, "case {number}");
        let is_held = night.state(10).counts.iter().any(|tallied| tallied.state == station::State::Held);
        assert_eq!(is_held, codes.starts_with('H') && *codes != "H104", "case {number}");
    }
}

#[test]
fn a_hard_h104_keeps_a_count_out_and_one_that_is_off_says_nothing() {
    for (word, codes, state) in [
        ("hard", "H104", station::State::Held),
        ("soft", "H104", station::State::Reported),
        ("off", "", station::State::Reported),
    ] {
        let sample = Sample::definition().manifest("\"h104\":\"soft\"", &format!("\"h104\":\"{word}\""));
        let mut night = night_with_result(&sample, |it| edit(it, 0, |figures, _| set(figures, 5, 50)));
        assert_eq!(night.codes(10).0, codes);
        assert_eq!(night.state(10).counts[0].state, state);
        assert_eq!(night.state(10).counts[2].state, station::State::Reported);
    }
}

#[test]
fn a_box_that_has_signed_twice_is_marked_and_the_first_word_stands() {
    let mut night = night_with_result(&Sample::definition(), |_| {});
    let mut second = packet(&night, 1, 10, 2, None, result(207));
    edit(&mut second, 0, |_, votes| votes.swap(0, 1));
    night.packet(&second);
    assert_eq!(night.codes(10), ("S205 S208".into(), "S205 S208".into()));
    let state = night.state(10);
    assert_eq!(state.counts[0].state, station::State::Disputed);
    assert_eq!(*state.counts[0].votes, [60, 36]);
    assert_eq!(state.counts[2].state, station::State::Reported);
}

#[test]
fn a_late_packet_reaches_the_station_that_names_it() {
    let mut night = Night::new();
    let turnout = |identified| Report::Turnout { as_of: 1_000, figures: figures(&[(3, identified)]) };
    let first = packet(&night, 2, 10, 1, None, turnout(1));
    let second = packet(&night, 2, 11, 2, Some(statement::id(&signed(&first, 0))), turnout(2));
    let third = packet(&night, 2, 10, 3, Some(statement::id(&signed(&second, 1))), turnout(3));
    night.packet(&third);
    night.packet(&second);
    assert_eq!([night.codes(10).0, night.codes(11).0], ["S205", "S205"]);
    night.packet(&first);
    assert_eq!(night.codes(11).0, "");
    assert_eq!([10, 11].map(|station| night.tally.version_of(station)), [Some(4), Some(4)]);
    // The third one names another signature on the second.
    night.send(signed(&second, 1));
    assert_eq!(night.codes(10).1, "");
    assert_eq!([10, 11].map(|station| night.tally.version_of(station)), [Some(5), Some(4)]);
}

#[test]
fn a_protocol_is_corrected_by_any_of_its_names() {
    let mut night = Night::new();
    let protocol = |corrects, votes: [u64; 2]| Report::Protocol {
        closed_at: CLOSES_AT,
        corrects,
        cause: 2,
        figures: Vec::new(),
        counts: vec![count(1, &votes)],
        attachments: Vec::new(),
    };
    let wrong = packet(&night, 3, 500, 1, None, protocol(None, [60, 36]));
    let id = night.packet(&wrong);
    let other = statement::id(&signed(&wrong, 1));
    let right = packet(&night, 3, 500, 3, Some(id), protocol(Some(other), [59, 37]));
    night.packet(&right);
    assert_eq!(night.state(500).counts[1].state, station::State::Disputed);
    night.send(signed(&wrong, 1));
    assert_eq!(night.codes(500).1, "H104 S205 S212");
    let tallied = &night.state(500).counts[1];
    assert_eq!((tallied.state, &*tallied.votes), (station::State::Reported, &[59, 37][..]));
    assert_eq!(night.tally.version_of(500), Some(4));
}

#[test]
fn what_waits_for_a_roster_is_not_in_the_tally() {
    let (definition, roster) = sample();
    let other = moved(&definition);
    let mut night = Night::new();
    night.tally = Tally::new(Arc::clone(&definition), roster).unwrap();
    for (index, bytes) in night.log.iter().enumerate() {
        night.tally.apply(index as u64, statement::id(bytes), &decode(bytes).unwrap()).unwrap();
    }
    let before = night.tally.area_object(1).unwrap();
    let missing = MissingRoster { roster: other.hash, entry: 3 };
    assert_eq!(night.decide(Action::Roster { roster: other.hash }), Step::Waiting(missing));
    assert_eq!((night.tally.next_index(), night.tally.missing_rosters()), (3, &[missing][..]));
    assert_eq!(night.tally.area_object(1).unwrap(), before);
    night.tally.offer(Arc::clone(&other));
    assert_eq!(night.tally.missing_rosters(), []);
    let last = night.log.pop().unwrap();
    assert_eq!(night.append(last), Step::Taken);
    assert_eq!(night.tally.world.authority.assignments().hash, other.hash);
    // An unusable one is void, and nothing waits for it.
    night.tally.offer_unusable([5; 32]);
    assert_eq!(night.decide(Action::Roster { roster: [5; 32] }), Step::Taken);
    assert_eq!(night.tally.world.authority.assignments().hash, other.hash);
}

#[test]
fn after_a_fault_nothing_is_said_any_more() {
    let mut night = Night::new();
    night.tally.areas[0].sums.stations = u64::MAX;
    assert_eq!(night.tally.area_object(1), Err(Error::Fault));
    night.tally.areas[0].sums.stations = 0;
    assert_eq!(night.tally.station_object(10), Err(Error::Fault));
    assert_eq!(night.tally.progress(1), Err(Error::Fault));
    assert_eq!(night.tally.apply_all(2, &[]), Ok(0));
    let bytes = night.log[0].clone();
    assert_eq!(night.tally.apply_all(2, &[&bytes]), Err(Error::Fault));
}

#[test]
fn a_sum_that_would_overflow_is_a_fault() {
    let mut night = night_with_result(&Sample::definition(), |_| {});
    night.tally.areas[0].sums.contests[0].sources[0].votes[0] = u64::MAX - 59;
    assert_eq!(night.tally.settle(), Err(Error::Fault));
}

#[test]
fn numbers_of_any_size_come_back_as_they_were() {
    let mut night = Night::new();
    for value in [0, u64::from(u32::MAX), u64::from(u32::MAX) + 1, GREATEST] {
        let turnout = Report::Turnout { as_of: GREATEST, figures: figures(&[(3, value), (GREATEST, value)]) };
        let packet = packet(&night, 2, 10, 1, None, turnout);
        let payload = Payload::new(&packet, &night.definition());
        assert_eq!(payload.voters().iter().collect::<Vec<_>>(), [(3, value), (GREATEST, value)]);
        assert_eq!(payload.counts().count(), 0);
        night.packet(&packet);
    }
    assert_eq!(night.codes(10).0, "H100 S208");
}

/// What one draw of eight bytes adds to a log.
fn play(night: &mut Night, known: &mut Vec<(Packet, Hash)>, draw: [u8; 8]) {
    let [kind, device, station, sequence, report, variant, link, other] = draw;
    let pick = |of: &[u64], by: u8| of[usize::from(by) % of.len()];
    let earlier = |by: u8| known.get(usize::from(by) % known.len().max(1));
    let (device, station) = (pick(&[1, 1, 2, 3, 9], device), pick(&[10, 10, 11, 500, 77], station));
    match kind % 8 {
        0 => {
            if let Some((packet, _)) = earlier(link).cloned() {
                let bytes = signed(&packet, 1 + variant % 3);
                known.push((packet, statement::id(&bytes)));
                night.send_or_hold(bytes, report % 2 == 0);
            }
        }
        1 if !night.held.is_empty() => {
            let bytes = night.held.remove(usize::from(link) % night.held.len());
            night.send(bytes);
        }
        1 | 2 => {
            let named = earlier(link).map_or([0; 32], |(_, id)| *id);
            let source = if other % 2 == 0 { Source::Machine } else { Source::Protocol };
            let contest = pick(&[0, 1, 2, 7], variant);
            let moved = night.tally.offered.keys().copied().max().unwrap_or_default();
            night.decide(match report % 10 {
                0 => Action::Revoke { device },
                1 => Action::Assign { device, station, replaces: pick(&[0, 1, 9, 3], other) },
                2 => Action::Annul { station: pick(&[0, station], other), contest },
                3 | 4 => Action::Choose { station, contest: contest.max(1), source, id: named },
                5 => Action::Roster { roster: moved },
                6 => Action::Definition { definition: OTHER_DEFINITION },
                7 => Action::Closing { station: pick(&[0, station], other), closes_at: CLOSES_AT + 1 },
                8 => Action::Cancel { station },
                _ => Action::Undo { number: 2 + u64::from(other % 8) },
            });
        }
        _ => {
            let corrects = (other % 3 == 0).then(|| earlier(other).map_or([1; 32], |(_, id)| *id));
            let mut counts = counts();
            counts[0].votes[0] -= u64::from(variant % 2);
            counts[0].figures[2].value -= u64::from(variant % 4 / 2);
            let attachments = vec![Attachment { sha256: [9; 32], media: 1, size: 2, document: 3, page: 4 }];
            let report = match report % 5 {
                0 => Report::Opening {
                    counter: 7,
                    firmware: [variant % 2; 32],
                    zeros: vec![Zero { contest: 1, votes: vec![0] }],
                },
                1 => Report::Turnout { as_of: 1_000, figures: figures(&[(3, u64::from(variant))]) },
                2 => Report::Protocol {
                    closed_at: CLOSES_AT,
                    corrects,
                    cause: 0,
                    figures: Vec::new(),
                    counts,
                    attachments,
                },
                3 => Report::Result {
                    closed_at: CLOSES_AT,
                    origin: 1,
                    counter: 9,
                    figures: Vec::new(),
                    counts,
                    attachments,
                },
                _ => Report::Documents { attachments },
            };
            let sequence = 1 + u64::from(sequence % 4);
            let right = known.iter().find(|(it, _)| (it.device, it.sequence + 1) == (device, sequence));
            let previous = right.filter(|_| link % 4 > 0).or(earlier(link)).map(|(_, id)| *id);
            let mut packet = packet(night, device, station, sequence, previous, report);
            if other % 8 == 0 {
                packet.definition = OTHER_DEFINITION;
            }
            let bytes = signed(&packet, 0);
            known.push((packet, statement::id(&bytes)));
            night.send_or_hold(bytes, variant / 4 % 3 == 0);
        }
    }
}

/// What packets know of others of their device is what a look at all of them tells.
fn assert_linked(tally: &Tally) {
    let all: Vec<_> = tally.world.packets.every().collect();
    for packet in &all {
        let payload = &packet.payload;
        let of_device = |sequence| {
            all.iter().filter(move |it| (it.payload.device, it.payload.sequence) == (payload.device, sequence))
        };
        assert_eq!(packet.is_equivocal, of_device(payload.sequence).count() > 1);
        let chained =
            payload.previous.is_none_or(|previous| of_device(payload.sequence - 1).any(|it| it.is_named(&previous)));
        assert_eq!(packet.is_chained, chained);
    }
}

/// The states of all stations as they are evaluated anew, and how many packets each has.
fn afresh(tally: &Tally) -> Vec<(StationState, usize)> {
    let station = |index| {
        let situation = tally.world.situation(index).unwrap();
        (station::evaluate(&tally.book, &situation).unwrap(), situation.packets.len())
    };
    (0..tally.stations.len()).map(station).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nothing that an entry changes is overlooked: states, versions and sums are what they are without memory.
    #[test]
    fn the_fold_is_what_it_means(draws in vec(any::<[u8; 8]>(), 1..40), looked_at in vec(any::<bool>(), 40)) {
        let mut night = Night::new();
        let mut known = Vec::new();
        let mut before = afresh(&night.tally);
        let mut versions: Vec<Option<u64>> = night.tally.stations.iter().map(|slot| slot.version).collect();
        for (draw, look) in draws.into_iter().zip(looked_at) {
            let first = night.log.len();
            play(&mut night, &mut known, draw);
            assert_linked(&night.tally);
            let after = afresh(&night.tally);
            // A decision may add two entries, of which only the second changes anything.
            let last = (night.log.len() as u64).saturating_sub(1);
            for (place, version) in versions.iter_mut().enumerate() {
                if after[place] != before[place] {
                    prop_assert!(night.log.len() > first);
                    *version = Some(last);
                }
                prop_assert_eq!(night.tally.stations[place].version, *version, "station {}", place);
            }
            before = after;
            if !look {
                continue;
            }
            let root = night.tally.area_object(1).unwrap();
            for (slot, (state, _)) in night.tally.stations.iter().zip(&before) {
                prop_assert_eq!(&*slot.state, state);
            }
            let areas = std::mem::replace(&mut night.tally.areas, nodes(&night.tally.book));
            night.tally.add_all().unwrap();
            for (kept, anew) in areas.iter().zip(&night.tally.areas) {
                prop_assert_eq!(&kept.sums, &anew.sums);
            }
            prop_assert_eq!(night.tally.area_object(1).unwrap(), root);
        }
        // Members stand in the order of RFC 8785 in every object.
        for number in [10, 11, 500] {
            if let Some(object) = night.tally.station_object(number).unwrap() {
                prop_assert!(jcs::parse_canonical(&object).is_ok());
            }
        }
        for area in [1, 2, 3, 5, 8] {
            for object in [night.tally.area_object(area), night.tally.results(area), night.tally.progress(area)] {
                prop_assert!(jcs::parse_canonical(&object.unwrap().unwrap()).is_ok());
            }
        }
        // And in one go.
        let (definition, roster) = sample();
        let mut whole = Tally::new(Arc::clone(&definition), roster).unwrap();
        whole.offer(moved(&definition));
        let log: Vec<&[u8]> = night.log.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(whole.apply_all(0, &log), Ok(log.len()));
        prop_assert_eq!(whole.area_object(1), night.tally.area_object(1));
        for number in [10, 11, 500] {
            prop_assert_eq!(whole.station_object(number), night.tally.station_object(number));
        }
        let changed: Vec<u64> = [10, 11, 500].into_iter().filter(|&at| whole.version_of(at).is_some()).collect();
        prop_assert_eq!(whole.take_changed(), changed);
        prop_assert!(whole.take_changed().is_empty());
    }
}
