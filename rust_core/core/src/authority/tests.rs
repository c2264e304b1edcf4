use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::definition::testing::{Sample, key};
use crate::statement::{Decision, Kind, Reason, decode, sign};

const OTHER_DEFINITION: Hash = [0xd0; 32];
const PACKET: Hash = [0xaa; 32];

fn origin() -> Action {
    Action::Open {
        origin: "toolia.example".into(),
        log_key: [1; 32],
        snapshot_key: [2; 32],
        roster: [0; 32],
        software: "x".into(),
    }
}

/// One packet of station 10, a result with contest 1, that names this definition.
struct OnePacket(Hash);

impl Facts for OnePacket {
    fn choosable(&self, choice: &Choice) -> Option<Hash> {
        let wanted = Choice { station: 10, contest: 1, source: Source::Machine, id: PACKET };
        (*choice == wanted).then_some(self.0)
    }
}

/// A commission of three, of whom two decide (`Sample::definition`), and the log that it writes.
struct Night {
    authority: Authority,
    facts: OnePacket,
    index: u64,
    /// The payload behind which the next decision stands.
    tip: Option<Hash>,
}

impl Night {
    fn new() -> Self {
        let definition = Arc::new(Sample::definition().load_definition().unwrap());
        let roster = Arc::new(Sample::roster().load_roster(&definition).unwrap());
        let facts = OnePacket(definition.hash);
        Self { authority: Authority::new(definition, roster), facts, index: 0, tip: None }
    }

    /// A night whose log is open.
    fn opened() -> Self {
        let mut night = Self::new();
        let roster = night.authority.first.hash;
        let mut action = origin();
        if let Action::Open { roster: named, .. } = &mut action {
            *named = roster;
        }
        assert_eq!(night.decide(action), Verdict::Valid);
        night
    }

    fn decision(&self, number: u64, previous: Option<Hash>, action: Action) -> Decision {
        Decision {
            definition: self.authority.definition.hash,
            previous,
            number,
            decided_at: 5,
            reason: vec![Reason { language: "en".into(), text: "because".into() }],
            action,
        }
    }

    fn next(&self, action: Action) -> Decision {
        self.decision(self.authority.next_number(), self.tip, action)
    }

    /// Logs the decision, signed by a member (201, 202, 203).
    fn log(&mut self, member: u8, decision: &Decision) -> Applied {
        let bytes = sign(Kind::Decision, &Body::Decision(decision.clone()).encode(), &[member; 32]).unwrap();
        let applied = self.authority.apply(self.index, &decode(&bytes).unwrap(), &self.facts).unwrap();
        self.index += 1;
        applied
    }

    /// Has two members sign the next decision.
    fn decide(&mut self, action: Action) -> Verdict {
        let decision = self.next(action);
        assert_eq!(self.log(201, &decision), Applied { taken: decision.number..decision.number, changed: vec![] });
        let applied = self.log(202, &decision);
        assert_eq!(applied.taken, decision.number..decision.number + 1);
        self.tip = Some(payload(&decision));
        let taken = self.authority.taken(decision.number).unwrap();
        assert_eq!((taken.payload, taken.entry), (payload(&decision), self.index - 1));
        assert_eq!(applied.changed.contains(&decision.number), taken.verdict == Verdict::Valid);
        assert_resolved(&self.authority);
        taken.verdict
    }

    fn standing(&self, decision: &Decision) -> Standing {
        self.authority.standing(&Body::Decision(decision.clone())).unwrap()
    }

    /// Offers the sample's roster with changes.
    fn offer(&mut self, change: impl FnOnce(Sample) -> Sample) -> Hash {
        let roster = change(Sample::roster()).load_roster(&self.authority.definition).unwrap();
        let hash = roster.hash;
        self.authority.offer(Arc::new(roster));
        hash
    }
}

fn payload(decision: &Decision) -> Hash {
    Body::Decision(decision.clone()).payload_hash()
}

/// What is in effect is what the text says: resolve from the highest number down.
fn assert_resolved(authority: &Authority) {
    let mut undone = BTreeSet::new();
    for number in (1..=authority.taken_count()).rev() {
        let taken = authority.taken(number).unwrap();
        let in_effect = taken.verdict == Verdict::Valid && !undone.contains(&number);
        assert_eq!(taken.in_effect(), in_effect, "decision {number}");
        if let (true, Action::Undo { number }) = (in_effect, &taken.action) {
            undone.insert(*number);
        }
    }
    assert!(authority.effects.every().all(|number| authority.taken(number).unwrap().in_effect()));
}

fn closing(station: u64, closes_at: u64) -> Action {
    Action::Closing { station, closes_at }
}

fn assign(device: u64, station: u64, replaces: u64) -> Action {
    Action::Assign { device, station, replaces }
}

fn annul(station: u64, contest: u64) -> Action {
    Action::Annul { station, contest }
}

fn choose(station: u64, contest: u64, source: Source) -> Action {
    Action::Choose { station, contest, source, id: PACKET }
}

fn undo(number: u64) -> Action {
    Action::Undo { number }
}

#[test]
fn a_decision_is_taken_by_distinct_members_on_one_payload() {
    let mut night = Night::opened();
    let one = night.next(Action::Pause);
    let other = night.next(Action::Resume);
    assert_eq!(night.log(201, &one), Applied { taken: 2..2, changed: vec![] });
    // Once more by the same member, another payload, a stranger, another definition, the wrong previous: nothing.
    assert_eq!(night.log(201, &one).taken, 2..2);
    assert_eq!(night.log(202, &other).taken, 2..2);
    assert_eq!(night.log(99, &one), Applied::default());
    let foreign = Decision { definition: OTHER_DEFINITION, ..one.clone() };
    let astray = Decision { previous: Some([7; 32]), ..one.clone() };
    for member in [201, 202, 203] {
        assert!(night.log(member, &foreign).taken.is_empty());
        assert!(night.log(member, &astray).taken.is_empty());
    }
    assert_eq!((night.standing(&one), night.standing(&foreign)), (Standing::Pending, Standing::Void));
    assert_eq!(night.log(203, &one), Applied { taken: 2..3, changed: vec![2] });
    assert!(night.authority.is_paused());
    assert_eq!(night.authority.taken(2).unwrap().entry, night.index - 1);
    let standings = [&one, &other, &astray].map(|decision| night.standing(decision));
    assert_eq!(standings, [Standing::InEffect, Standing::Void, Standing::Void]);
    // What comes for a taken number changes nothing.
    assert_eq!(night.log(201, &other), Applied::default());
    assert_eq!(night.log(202, &one), Applied::default());
}

#[test]
fn one_entry_may_take_several_in_number_order() {
    let mut night = Night::new();
    let first = night.decision(1, None, origin());
    let second = night.decision(2, Some(payload(&first)), Action::Pause);
    let third = night.decision(3, Some(payload(&second)), undo(2));
    for decision in [&third, &second] {
        assert!(night.log(201, decision).taken.is_empty());
        assert!(night.log(203, decision).taken.is_empty());
    }
    assert!(night.log(201, &first).taken.is_empty());
    assert!(!night.authority.is_open());
    // 2 came into effect and went out of it again.
    assert_eq!(night.log(202, &first), Applied { taken: 1..4, changed: vec![1, 2, 3] });
    assert!(night.authority.is_open() && !night.authority.is_paused());
    assert!((1..4).all(|number| night.authority.taken(number).unwrap().entry == 5));
    assert_eq!(night.authority.pending.kept(), 0);
}

#[test]
fn of_two_the_quorum_that_was_complete_first_is_taken() {
    for swapped in [false, true] {
        let mut night = Night::new();
        let first = night.decision(1, None, origin());
        let mut rivals = [Action::Pause, Action::Resume].map(|action| night.decision(2, Some(payload(&first)), action));
        let stray = night.decision(2, Some([7; 32]), Action::Pause);
        for member in [201, 202] {
            night.log(member, &stray);
        }
        if swapped {
            rivals.reverse();
        }
        // The other one's first signature came earlier; the quorum-th decides.
        for (member, place) in [(201, 1), (201, 0), (203, 0), (203, 1), (202, 1)] {
            night.log(member, &rivals[place]);
        }
        night.log(201, &first);
        assert_eq!(night.log(202, &first).taken, 1..3);
        assert_eq!(night.authority.taken(2).unwrap().action, rivals[0].action);
        assert_eq!(night.standing(&rivals[1]), Standing::Void);
        assert_eq!(night.authority.pending.kept(), 0);
    }
}

#[test]
fn entries_are_applied_in_order() {
    let mut night = Night::opened();
    let bytes = sign(Kind::Decision, &Body::Decision(night.next(Action::Pause)).encode(), &[201; 32]).unwrap();
    let statement = decode(&bytes).unwrap();
    let again = night.authority.apply(night.index - 1, &statement, &NoPackets);
    assert_eq!(again.unwrap_err().code(), "argument.range");
    // Indexes of packets may be left out.
    assert!(night.authority.apply(night.index + 100, &statement, &NoPackets).is_ok());
}

#[test]
fn a_decision_is_judged_once_in_the_state_before_it() {
    use Verdict::{Valid, Void};

    // The sample has stations 10, 11 and 500, contests 1, 2 and 7 (7 at station 11 only), devices 1, 2, 3 and 9.
    for (action, verdict) in [
        (origin(), Void),
        (Action::Revoke { device: 9 }, Valid),
        (Action::Revoke { device: 4 }, Void),
        (assign(9, 11, 0), Valid),
        (assign(9, 11, 1), Valid),
        (assign(9, 11, 9), Void),
        (assign(4, 11, 0), Void),
        (assign(9, 12, 0), Void),
        (assign(9, 11, 4), Void),
        (annul(0, 0), Valid),
        (annul(0, 7), Valid),
        (annul(0, 3), Void),
        (annul(10, 0), Valid),
        (annul(12, 0), Void),
        (annul(10, 2), Valid),
        (annul(10, 7), Void),
        (annul(12, 1), Void),
        (choose(10, 1, Source::Machine), Valid),
        (choose(10, 1, Source::Protocol), Void),
        (choose(10, 2, Source::Machine), Void),
        (choose(10, 7, Source::Machine), Void),
        (choose(12, 1, Source::Machine), Void),
        (Action::Pause, Valid),
        (Action::Resume, Valid),
        (Action::Status { source: Source::Protocol, status: 5 }, Valid),
        (Action::Roster { roster: [9; 32] }, Verdict::Unjudged),
        (Action::Definition { definition: OTHER_DEFINITION }, Valid),
        (closing(0, 1), Valid),
        (closing(500, 0), Valid),
        (closing(12, 1), Void),
        (Action::Cancel { station: 11 }, Valid),
        (Action::Cancel { station: 12 }, Void),
        (undo(1), Void),
        (undo(2), Void),
        (undo(3), Void),
    ] {
        let mut night = Night::opened();
        assert_eq!(night.decide(action.clone()), verdict, "{action:?}");
        let in_effect = night.authority.taken(2).unwrap().in_effect();
        assert_eq!(in_effect, verdict == Valid, "{action:?}");
    }
    let mut night = Night::opened();
    let own = night.authority.definition.hash;
    assert_eq!(night.decide(Action::Definition { definition: own }), Void);
    // A void decision carries the chain all the same.
    assert_eq!(night.decide(Action::Pause), Valid);
}

#[test]
fn only_the_first_decision_opens_the_log() {
    let mut night = Night::new();
    assert_eq!(night.decide(Action::Pause), Verdict::Void);
    assert_eq!(night.decide(origin()), Verdict::Void);
    assert!(!night.authority.is_open());
}

#[test]
fn a_packet_of_another_definition_is_chosen_once_that_is_accepted() {
    let mut night = Night::opened();
    night.facts = OnePacket(OTHER_DEFINITION);
    let machine = choose(10, 1, Source::Machine);
    assert_eq!(night.decide(machine.clone()), Verdict::Void);
    assert_eq!(night.decide(Action::Definition { definition: OTHER_DEFINITION }), Verdict::Valid);
    assert!(night.authority.accepts(&OTHER_DEFINITION));
    assert_eq!(night.decide(machine.clone()), Verdict::Valid);
    // Undoing decision 3 does not judge decision 4 again.
    assert_eq!(night.decide(undo(3)), Verdict::Valid);
    assert!(!night.authority.accepts(&OTHER_DEFINITION));
    assert_eq!(night.authority.ruling(10, 1, Source::Machine), Some(Ruling::Chosen(PACKET)));
    assert_eq!(night.decide(machine), Verdict::Void);
    // What no packets are kept for says nothing else than this.
    let opened = Night::opened().authority;
    assert!(NoPackets.choosable(&Choice { station: 10, contest: 1, source: Source::Machine, id: PACKET }).is_none());
    assert_eq!(opened.ruling(10, 1, Source::Machine), None);
}

#[test]
fn undoing_an_undo_restores() {
    let mut night = Night::opened();
    assert_eq!(night.decide(closing(10, 7000)), Verdict::Valid);
    assert_eq!(night.decide(undo(2)), Verdict::Valid);
    assert_eq!(night.authority.closes_at(10), Some(2000));
    // 2 is undone already; 3 is not.
    assert_eq!(night.decide(undo(2)), Verdict::Void);
    assert_eq!(night.decide(undo(4)), Verdict::Void);
    assert_eq!(night.decide(undo(3)), Verdict::Valid);
    assert_eq!(night.authority.closes_at(10), Some(7000));
    // 3 is undone by 6: 2 may be undone again, and then twice, when 6 is undone too.
    assert_eq!(night.decide(undo(2)), Verdict::Valid);
    assert_eq!(night.decide(undo(6)), Verdict::Valid);
    assert_eq!(night.authority.closes_at(10), Some(2000));
    let applied_to = |night: &Night, number| night.authority.taken(number).unwrap().undoers;
    assert_eq!(applied_to(&night, 2), 2);
    // One of the two is not enough to restore it.
    assert_eq!(night.decide(undo(7)), Verdict::Valid);
    assert_eq!(night.authority.closes_at(10), Some(2000));
    assert_eq!(night.decide(undo(3)), Verdict::Valid);
    assert_eq!(night.authority.closes_at(10), Some(7000));
    let decision = night.next(undo(10));
    night.log(203, &decision);
    assert_eq!(night.log(202, &decision).changed, [2, 3, 10, 11]);
    assert_eq!(night.authority.closes_at(10), Some(2000));
}

#[test]
fn the_highest_number_in_effect_rules() {
    let mut night = Night::opened();
    // Closing times: a station's own and everybody's are one matter.
    night.decide(closing(10, 7000));
    night.decide(closing(0, 6000));
    assert_eq!([10, 11, 12].map(|station| night.authority.closes_at(station)), [Some(6000), Some(6000), None]);
    night.decide(closing(10, 5000));
    assert_eq!([10, 11].map(|station| night.authority.closes_at(station)), [Some(5000), Some(6000)]);
    night.decide(undo(3));
    assert_eq!([10, 11].map(|station| night.authority.closes_at(station)), [Some(5000), Some(2500)]);
    assert_eq!(night.authority.about_station(10), [2, 4]);

    // Publication and status.
    night.decide(Action::Pause);
    night.decide(Action::Resume);
    assert!(!night.authority.is_paused());
    night.decide(undo(7));
    assert!(night.authority.is_paused());
    assert_eq!(night.authority.status(Source::Machine), None);
    for status in [1, 4] {
        night.decide(Action::Status { source: Source::Machine, status });
    }
    assert_eq!([Source::Machine, Source::Protocol].map(|source| night.authority.status(source)), [Some(4), None]);
}

#[test]
fn annulments_and_choices_rule_by_their_number() {
    let mut night = Night::opened();
    let rulings = |night: &Night| {
        [(10, 1, Source::Machine), (10, 1, Source::Protocol), (10, 2, Source::Machine), (11, 7, Source::Protocol)]
            .map(|(station, contest, source)| night.authority.ruling(station, contest, source))
    };
    let (annulled, chosen) = (Some(Ruling::Annulled), Some(Ruling::Chosen(PACKET)));
    night.decide(choose(10, 1, Source::Machine));
    assert_eq!(rulings(&night), [chosen, None, None, None]);
    night.decide(annul(0, 1));
    assert_eq!(rulings(&night), [annulled, annulled, None, None]);
    night.decide(choose(10, 1, Source::Machine));
    assert_eq!(rulings(&night), [chosen, annulled, None, None]);
    night.decide(annul(10, 0));
    assert_eq!(rulings(&night), [annulled, annulled, annulled, None]);
    night.decide(annul(0, 0));
    assert_eq!(rulings(&night), [annulled; 4]);
    assert_eq!(night.authority.about_station(10), [2, 3, 4, 5, 6]);
    assert_eq!(night.authority.about_station(11), [3, 6]);
    for number in [5, 6] {
        night.decide(undo(number));
    }
    assert_eq!(rulings(&night), [chosen, annulled, None, None]);
    night.decide(Action::Cancel { station: 11 });
    assert_eq!([10, 11].map(|station| night.authority.is_cancelled(station)), [false, true]);
    assert_eq!(night.authority.about_station(11), [3, 9]);
}

#[test]
fn the_earliest_revocation_in_effect_counts() {
    let mut night = Night::opened();
    for _ in 0..2 {
        night.decide(Action::Revoke { device: 1 });
    }
    assert_eq!(night.authority.revoked_at(1), Some(3));
    assert_eq!(night.authority.revocations(1).collect::<Vec<_>>(), [2, 3]);
    night.decide(undo(2));
    assert_eq!(night.authority.revoked_at(1), Some(5));
    night.decide(undo(3));
    assert_eq!(night.authority.revoked_at(1), None);
    // A revoked device stays known and assigned.
    assert_eq!(night.authority.stations(1), [10]);
}

#[test]
fn assignments_stay_on_top_of_rosters() {
    let mut night = Night::opened();
    let stations = |night: &Night| [1, 2, 9, 4].map(|device| night.authority.stations(device));
    assert_eq!(stations(&night), [vec![10], vec![10, 11], vec![], vec![]]);
    // 9 instead of 1 at station 10, and nowhere else.
    night.decide(assign(9, 10, 1));
    assert_eq!(stations(&night), [vec![], vec![10, 11], vec![10], vec![]]);
    assert_eq!(night.authority.reassigned(10), [(1, false), (9, true)]);
    night.decide(assign(1, 500, 0));
    assert_eq!(stations(&night)[0], [500]);
    night.decide(assign(1, 10, 9));
    assert_eq!(stations(&night), [vec![10, 500], vec![10, 11], vec![], vec![]]);
    assert_eq!(night.authority.reassigned(10), [(1, true), (9, false)]);

    let roster =
        night.offer(|sample| sample.with("devices", 2, "stations", "11").with("devices", 3, "stations", "500"));
    assert_eq!(night.decide(Action::Roster { roster }), Verdict::Valid);
    assert_eq!(stations(&night), [vec![10, 11, 500], vec![500], vec![], vec![]]);
    assert!(night.authority.is_assigned(1, 10) && !night.authority.is_assigned(2, 10));
    night.decide(undo(4));
    assert_eq!(stations(&night), [vec![11, 500], vec![500], vec![10], vec![]]);
    night.decide(undo(5));
    assert_eq!(stations(&night), [vec![500], vec![10, 11], vec![10], vec![]]);
    assert_eq!(night.authority.speakers().hash, roster);
    assert_eq!(night.authority.assignments().hash, night.authority.first.hash);
}

/// With another box.
fn joined(sample: Sample) -> Sample {
    sample.edit("devices", |rows| {
        let row = ["12", "box", "500", "", &key(12), ""];
        rows.push(row.map(str::to_owned).to_vec());
    })
}

#[test]
fn a_roster_holds_every_device_that_ever_was() {
    let keyed = |sample: Sample| sample.with("devices", 5, "key", &key(77));
    let turned = |sample: Sample| sample.with("devices", 5, "kind", "terminal");
    let missing = |sample: Sample| {
        sample.edit("devices", |rows| {
            rows.pop();
        })
    };
    let mut night = Night::opened();
    for roster in [night.offer(keyed), night.offer(turned), night.offer(missing)] {
        assert_eq!(night.decide(Action::Roster { roster }), Verdict::Void);
    }
    night.authority.offer_unusable([6; 32]);
    assert_eq!(night.decide(Action::Roster { roster: [6; 32] }), Verdict::Void);
    assert!(night.authority.missing_rosters().is_empty());

    // Device 12 is known once its roster takes effect, and stays so when that is undone.
    assert_eq!(night.decide(Action::Revoke { device: 12 }), Verdict::Void);
    let roster = night.offer(joined);
    assert_eq!(night.decide(Action::Roster { roster }), Verdict::Valid);
    assert_eq!(night.decide(undo(7)), Verdict::Valid);
    assert_eq!((night.authority.speakers().hash, night.authority.stations(12)), (roster, vec![]));
    assert_eq!(night.decide(Action::Revoke { device: 12 }), Verdict::Valid);
    // So the first roster cannot come back by name.
    let first = night.authority.first.hash;
    assert_eq!(night.decide(Action::Roster { roster: first }), Verdict::Void);
    assert_eq!(night.decide(Action::Roster { roster }), Verdict::Valid);
    assert_eq!(night.authority.stations(12), [500]);
}

#[test]
fn a_missing_roster_is_named_and_judged_when_it_is_there() {
    let mut offering = Night::opened();
    let roster = offering.offer(joined);
    let mut night = Night::opened();
    for night in [&mut night, &mut offering] {
        night.decide(Action::Roster { roster });
        night.decide(Action::Revoke { device: 12 });
        night.decide(undo(2));
    }
    assert_eq!(night.authority.missing_rosters(), [MissingRoster { roster, entry: 3 }]);
    let verdicts = |night: &Night| [2, 3, 4].map(|number| night.authority.taken(number).unwrap().verdict);
    assert_eq!(verdicts(&night), [Verdict::Unjudged, Verdict::Void, Verdict::Void]);
    assert_eq!(verdicts(&offering), [Verdict::Valid; 3]);
    assert_eq!(night.authority.speakers().hash, night.authority.first.hash);
    assert_eq!(offering.authority.speakers().hash, roster);
    let previous = night.authority.taken(1).unwrap().payload;
    let decision = night.decision(2, Some(previous), Action::Roster { roster });
    assert_eq!([&night, &offering].map(|night| night.standing(&decision)), [Standing::Unjudged, Standing::Undone]);
}

#[test]
fn decision_1_may_name_a_roster_that_is_missing() {
    let mut night = Night::new();
    assert_eq!(night.decide(origin()), Verdict::Valid);
    assert!(night.authority.is_open());
    assert_eq!(night.authority.missing_rosters(), [MissingRoster { roster: [0; 32], entry: 1 }]);
    assert_eq!(night.authority.assignments().hash, night.authority.first.hash);
}

#[test]
fn a_hostile_member_is_remembered_in_few_bytes() {
    let mut night = Night::opened();
    for number in 2..200 {
        night.log(201, &night.decision(number, Some([7; 32]), Action::Pause));
    }
    assert_eq!(night.authority.pending.kept(), 198);
    night.decide(Action::Pause);
    assert_eq!(night.authority.pending.kept(), 197);
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1..14_u64).prop_map(undo),
        1 => Just(Action::Pause),
        1 => Just(Action::Resume),
        1 => (1..5_u64).prop_map(|device| Action::Revoke { device }),
        1 => (1..3_u64, prop_oneof![Just(10), Just(12)], 0..4_u64).prop_map(|(device, station, replaces)| assign(
            device, station, replaces
        )),
        1 => (prop_oneof![Just(0), Just(10)], 5000..5010_u64).prop_map(|(station, at)| closing(station, at)),
    ]
}

proptest! {
    #[test]
    fn turning_one_by_one_is_resolving_from_the_top(actions in vec(any_action(), 1..14)) {
        let mut night = Night::opened();
        for action in actions {
            // Compares with the text's own way after each.
            night.decide(action);
        }
    }
}
