//! What follows from sums, at every limit of its rules.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::definition::testing::Sample;

/// A definition with one contest: its cells from `kind` on, without area and name, and its choices: a kind, and for
/// preferences behind it the list.
fn definition(contest: &str, choices: &[&str]) -> Definition {
    let cells: Vec<&str> = contest.split('|').collect();
    let row: Vec<String> =
        [&["1", cells[0], ""], &cells[1..], &["К"]].concat().into_iter().map(str::to_owned).collect();
    let choice = |(place, text): (usize, &&str)| {
        let (kind, list) = text.split_once(' ').unwrap_or((text, ""));
        ["1", &(place + 1).to_string(), kind, list, "", "Т"].map(str::to_owned).to_vec()
    };
    Sample::definition()
        .edit("contests", |rows| {
            rows.truncate(1);
            rows.push(row);
        })
        .edit("choices", |rows| {
            rows.truncate(1);
            rows.extend(choices.iter().enumerate().map(choice));
        })
        .edit("stations", |rows| rows.iter_mut().skip(1).for_each(|row| row[7] = "1".to_owned()))
        .load_definition()
        .unwrap()
}

/// Three stations with 2,000 voters registered, 1,000 ballots in the boxes and 900 valid ones.
fn sums(votes: &[u64]) -> SourceSums {
    let sum = |sum| Sum { sum, stations: 3 };
    SourceSums::of_counted(3, sum(2_000), vec![(9, sum(1_000)), (11, sum(900))], votes.to_vec())
}

fn verdict(contest: &str, choices: &[&str], sums: &SourceSums, areas: &[&SourceSums]) -> Verdict {
    Race::new(&definition(contest, choices), 1).unwrap().verdict(sums, areas)
}

/// Word, choices and seats, in short.
fn said(contest: &str, choices: &[&str], votes: &[u64]) -> String {
    let Verdict { seats, outcome, choices, .. } = verdict(contest, choices, &sums(votes), &[]);
    let seats = seats.map_or("null".to_owned(), |seats| format!("{seats:?}"));
    format!("{} {choices:?} {seats}", outcome.word())
}

const ONE: &str = "choose|1|1|0|plurality|valid|||||||";
const TWO: &str = "choose|2|2|0|plurality|valid|||||||";
const HALF: &str = "choose|1|1|0|majority|valid|||||||";
const THREE: &[&str] = &["candidate", "candidate", "candidate"];
const AGAINST: &[&str] = &["candidate", "candidate", "against_all"];
const QUESTION: &[&str] = &["yes", "no"];

#[test]
fn shares_are_rounded_half_up_and_end_somewhere() {
    assert_eq!(share(1, 0), None);
    assert_eq!([share(0, 7), share(1, 3), share(2, 3), share(7, 7)], [0, 3333, 6667, 10_000].map(Some));
    // 0.5 hundredths of a percent, and just below.
    assert_eq!([share(1, 20_000), share(1, 20_001)], [Some(1), Some(0)]);
    assert_eq!(share(MAX_INTEGER, 1), Some(MAX_INTEGER));
    assert_eq!(share(u64::MAX, 1), Some(MAX_INTEGER));
}

#[test]
fn shares_of_an_objects_numbers() {
    let definition = definition("list|9|1|1|hare|votes|||||||", &["list", "candidate 1", "list"]);
    let of = |counted, figures: &[_], votes| shares(&definition, 1, counted, (50, 2), figures, votes);
    let found = of(2, &[(9, 25, 2)], vec![3, 2, 1]).unwrap();
    let expected = Shares { base: Some(4), choices: vec![Some(7_500), Some(5_000), Some(2_500)], turnout: Some(5_000) };
    assert_eq!(found, expected);
    assert_eq!(of(2, &[(9, 25, 1)], vec![0, 0, 0]).unwrap().choices, [None; 3]);
    assert_eq!(of(2, &[], vec![3, 2, 1]).unwrap().turnout, None);
    for votes in [vec![1, 2], vec![MAX_INTEGER, 1, 0], vec![u64::MAX, 1, 0]] {
        assert_eq!(of(2, &[], votes).unwrap_err().code(), "argument.range");
    }
    assert_eq!(shares(&definition, 2, 0, (0, 0), &[], vec![]).unwrap_err().code(), "argument.range");
}

#[test]
fn the_first_places_win_a_plurality() {
    assert_eq!(said(ONE, THREE, &[5, 7, 6]), "decided [2] [0, 1, 0]");
    assert_eq!(said(TWO, THREE, &[5, 7, 6]), "decided [2, 3] [0, 1, 1]");
    assert_eq!(said(ONE, THREE, &[7, 7, 6]), "tie [1, 2] [0, 0, 0]");
    assert_eq!(said(TWO, THREE, &[7, 6, 6]), "tie [2, 3] [1, 0, 0]");
    assert_eq!(said(TWO, THREE, &[7, 7, 6]), "decided [1, 2] [1, 1, 0]");
    assert_eq!(said(TWO, THREE, &[7, 0, 0]), "decided [1] [1, 0, 0]");
    assert_eq!(said(ONE, THREE, &[0, 0, 0]), "decided [] [0, 0, 0]");
}

#[test]
fn against_all_keeps_out_who_has_fewer_votes() {
    assert_eq!(said(ONE, AGAINST, &[5, 6, 7]), "decided [3] [0, 0, 0]");
    assert_eq!(said(ONE, AGAINST, &[5, 7, 7]), "decided [2] [0, 1, 0]");
    assert_eq!(said(TWO, AGAINST, &[5, 7, 6]), "decided [2] [0, 1, 0]");
    assert_eq!(said(ONE, AGAINST, &[7, 7, 6]), "tie [1, 2] [0, 0, 0]");
    assert_eq!(said("list|9|1|0|hare|valid|||||||", &["list", "against_all"], &[1, 800]), "decided [1] [9, 0]");
    assert_eq!(said("list|9|1|0|hare|valid|||||||", &["list", "against_all"], &[0, 800]), "decided [2] [0, 0]");
}

#[test]
fn a_majority_is_more_than_half_of_the_base() {
    assert_eq!(said(HALF, THREE, &[451, 449, 0]), "decided [1] [1, 0, 0]");
    assert_eq!(said(HALF, THREE, &[450, 350, 100]), "run-off [1, 2] [0, 0, 0]");
    assert_eq!(said(HALF, THREE, &[400, 250, 250]), "tie [2, 3] [0, 0, 0]");
    assert_eq!(said(HALF, THREE, &[300, 300, 300]), "tie [1, 2, 3] [0, 0, 0]");
    assert_eq!(said(HALF, THREE, &[300, 300, 200]), "run-off [1, 2] [0, 0, 0]");
    // Nobody to run against, or all of them behind "against all".
    assert_eq!(said(HALF, THREE, &[400, 0, 0]), "decided [] [0, 0, 0]");
    assert_eq!(said(HALF, AGAINST, &[300, 200, 310]), "decided [3] [0, 0, 0]");
    assert_eq!(said(HALF, AGAINST, &[300, 200, 300]), "run-off [1, 2] [0, 0, 0]");
    let of_in_box = HALF.replace("valid", "in_box");
    assert_eq!(said(&of_in_box, THREE, &[500, 400, 0]), "run-off [1, 2] [0, 0, 0]");
    assert_eq!(said(&of_in_box, THREE, &[501, 399, 0]), "decided [1] [1, 0, 0]");
}

#[test]
fn a_majority_for_several_places() {
    let two = HALF.replace("choose|1|1", "choose|2|2");
    let four = &["candidate"; 4];
    assert_eq!(said(&two, four, &[600, 500, 300, 200]), "decided [1, 2] [1, 1, 0, 0]");
    assert_eq!(said(&two, four, &[600, 400, 300, 200]), "run-off [2, 3] [1, 0, 0, 0]");
    assert_eq!(said(&two, four, &[600, 400, 300, 300]), "tie [3, 4] [1, 0, 0, 0]");
    assert_eq!(said(&two, four, &[600, 400, 0, 0]), "decided [1] [1, 0, 0, 0]");
    // More have the majority than there are places.
    assert_eq!(said(&two, four, &[600, 500, 460, 200]), "decided [1, 2] [1, 1, 0, 0]");
    assert_eq!(said(&two, four, &[600, 500, 500, 200]), "tie [2, 3] [1, 0, 0, 0]");
    let of_lists = "list|40|1|0|majority|valid|||||||";
    assert_eq!(said(of_lists, &["list", "list"], &[500, 400]), "decided [1] [40, 0]");
    assert_eq!(said(of_lists, &["list", "list"], &[450, 400]), "run-off [1, 2] [0, 0]");
    assert_eq!(said("list|40|1|0|plurality|valid|||||||", &["list"; 3], &[1, 3, 2]), "decided [2] [0, 40, 0]");
}

#[test]
fn a_question_is_accepted_or_not() {
    let half = "referendum|1|1|0|majority|valid|||||||";
    assert_eq!(said(half, QUESTION, &[451, 449]), "decided [1] null");
    assert_eq!(said(half, QUESTION, &[450, 450]), "decided [2] null");
    assert_eq!(said(half, QUESTION, &[450, 400]), "decided [2] null");
    let most = half.replace("majority", "plurality");
    assert_eq!(said(&most, QUESTION, &[450, 400]), "decided [1] null");
    assert_eq!(said(&most, QUESTION, &[450, 450]), "tie [1, 2] null");
    assert_eq!(said(&most, QUESTION, &[400, 401]), "decided [2] null");
    assert_eq!(said(&most, &["yes", "candidate"], &[400, 401]), "open [] null");
    assert_eq!(said(&most, &["yes", "yes", "no"], &[400, 401, 0]), "open [] null");
    // 40 % of those registered must say yes; the word is for the yes alone.
    for (method, yes, accepted) in [("majority", 800, 1), ("majority", 799, 2), ("plurality", 799, 2)] {
        let contest = format!("referendum|1|1|0|{method}|valid|4000|registered|||||");
        let found = verdict(&contest, QUESTION, &sums(&[yes, 1]), &[]);
        let word = if accepted == 1 { Judgement::Passed } else { Judgement::Failed };
        assert_eq!((found.choices, found.thresholds), (vec![accepted], vec![(1, word)]));
    }
}

#[test]
fn thresholds_are_reached_exactly_or_not() {
    // 5 % of 1,000 in the boxes are 50.
    let contest = "list|10|1|0|dhondt|valid|500|in_box|||||";
    let choices = &["list", "list", "against_all", "list"];
    let found = verdict(contest, choices, &sums(&[600, 50, 100, 49]), &[]);
    let words = [(1, Judgement::Passed), (2, Judgement::Passed), (4, Judgement::Failed)];
    assert_eq!(found.thresholds, words);
    assert_eq!(said(contest, choices, &[600, 50, 100, 49]), "decided [1] [10, 0, 0, 0]");
    assert_eq!(said(contest, choices, &[40, 40, 100, 49]), "decided [3] [0, 0, 0, 0]");
}

#[test]
fn a_threshold_in_each_area_and_in_the_whole() {
    let contest = "list|10|1|0|hare|valid|500|valid|50|region|||";
    let choices = &["list", "list", "list"];
    let of = |counted, valid, votes: [u64; 3]| {
        let figures = vec![(11, Sum { sum: valid, stations: counted })];
        SourceSums::of_counted(counted, Sum::default(), figures, votes.to_vec())
    };
    let (one, other) = (of(1, 400, [300, 2, 98]), of(1, 200, [199, 1, 0]));
    // Nothing is counted in the third: it keeps nobody out.
    let (empty, whole) = (of(0, 0, [0, 0, 0]), sums(&[499, 100, 98]));
    let found = verdict(contest, choices, &whole, &[&one, &other, &empty]);
    assert_eq!(found.thresholds, [(1, Judgement::Passed), (2, Judgement::Passed), (3, Judgement::Failed)]);
    assert_eq!(found.seats, Some(vec![8, 2, 0]));
    let missed = of(1, 201, [199, 1, 1]);
    let found = verdict(contest, choices, &whole, &[&one, &missed]);
    assert_eq!(found.thresholds, [(1, Judgement::Passed), (2, Judgement::Failed), (3, Judgement::Failed)]);
    // Of the areas alone: by `share_of`.
    let found = verdict("list|10|1|0|hare|valid|||50|region|||", choices, &sums(&[1, 1, 0]), &[&one, &other]);
    assert_eq!(found.thresholds[1], (2, Judgement::Passed));
}

#[test]
fn a_quorum_is_of_the_ballots_in_the_boxes() {
    let quorum = |percent| format!("choose|1|1|0|plurality|valid||||||{percent}|registered");
    let found = verdict(&quorum(5_000), THREE, &sums(&[1, 0, 0]), &[]);
    assert_eq!((found.quorum, found.outcome), (Some(Judgement::Passed), Outcome::Decided));
    let found = verdict(&quorum(5_001), THREE, &sums(&[1, 0, 0]), &[]);
    let nothing = Verdict { quorum: Some(Judgement::Failed), outcome: Outcome::NoQuorum, ..Verdict::none() };
    assert_eq!(found, nothing);
}

#[test]
fn nothing_is_said_before_all_stations_are_there() {
    let contest = "list|10|1|0|hare|valid|500|valid||||3000|registered";
    let all = sums(&[500, 400]);
    let words = |sums: &SourceSums| {
        let found = verdict(contest, &["list", "list"], sums, &[]);
        let words = (found.outcome.word(), found.quorum.map(Judgement::word), found.thresholds[0].1.word());
        assert_eq!((found.seats.is_none(), found.choices.is_empty()), (words.0 != "decided", words.0 != "decided"));
        words
    };
    assert_eq!(words(&all), ("decided", Some("passed"), "passed"));
    for (state, word) in [
        (State::Silent, "open"),
        (State::Partial, "open"),
        (State::Held, "open"),
        (State::Disputed, "decided"),
        (State::Annulled, "decided"),
    ] {
        let mut changed = all.clone();
        changed.set_stations(state, 1);
        if state == State::Disputed {
            changed.set_stations(State::Reported, 2);
        }
        assert_eq!(words(&changed).0, word, "{state:?}");
    }
    let nothing = SourceSums::of_counted(0, Sum::default(), Vec::new(), vec![0, 0]);
    assert_eq!(words(&nothing), ("none", Some("open"), "open"));
    // A figure that a counted station lacks.
    let lacking = |code, stations| {
        let mut lacking = all.clone();
        lacking.figures.iter_mut().filter(|(known, _)| *known == code).for_each(|(_, sum)| sum.stations = stations);
        lacking
    };
    assert_eq!(words(&lacking(9, 2)), ("open", Some("open"), "passed"));
    assert_eq!(words(&lacking(11, 2)), ("open", Some("passed"), "open"));
    let without = |contest| verdict(contest, &["candidate"; 2], &lacking(11, 2), &[]).outcome.word();
    assert_eq!([without(HALF), without(ONE)], ["open", "decided"]);
    assert_eq!(
        verdict("referendum|1|1|0|majority|valid|||||||", QUESTION, &lacking(11, 2), &[]).outcome,
        Outcome::Open
    );
}

#[test]
fn preferences_say_who_of_a_list_has_its_seats() {
    let contest = "list|4|1|1|hare|valid|||||||";
    let choices = &["list", "candidate 1", "candidate 1", "list", "candidate 4", "candidate 4", "candidate 4"];
    assert_eq!(said(contest, choices, &[250, 9, 8, 750, 1, 0, 7]), "decided [1, 4] [1, 1, 0, 3, 1, 1, 1]");
    assert_eq!(said(contest, choices, &[250, 9, 8, 250, 1, 0, 7]), "decided [1, 4] [2, 1, 1, 2, 1, 0, 1]");
    assert_eq!(said(contest, choices, &[250, 9, 8, 250, 1, 1, 7]), "tie [5, 6] [2, 1, 1, 2, 0, 0, 1]");
    // Open between the lists, and then within one of them.
    let five = "list|5|1|1|hare|valid|||||||";
    assert_eq!(said(five, choices, &[250, 9, 8, 250, 1, 1, 7]), "tie [1, 4, 5, 6] [2, 1, 1, 2, 0, 0, 1]");
}

#[test]
fn the_cap_is_a_part_of_the_seats_and_at_least_one() {
    let choices = &["list", "list"];
    let capped = |seats: u32, cap| said(&format!("list|{seats}|1|0|hare|valid|||||{cap}||"), choices, &[800, 100]);
    assert_eq!(capped(120, 5_417), "decided [1, 2] [65, 55]");
    assert_eq!(capped(120, 5_416), "decided [1, 2] [64, 56]");
    assert_eq!(capped(1, 5_000), "decided [1] [1, 0]");
    assert_eq!(capped(10, 1), "decided [1, 2] [1, 1]");
    for method in ["dhondt", "sainte-lague"] {
        let contest = format!("list|120|1|0|{method}|valid|||||5417||");
        assert_eq!(said(&contest, choices, &[800, 100]), "decided [1, 2] [65, 55]");
    }
}

proptest! {
    /// Whatever the votes: seats that are given are there, and a tie is the only thing that keeps one back.
    #[test]
    fn seats_are_given_once(
        votes in vec(0u64..50, 6), method in 0usize..5, seats in 1u64..8, cap in 1u32..10_001, threshold in 1u32..4_000
    ) {
        let method = ["plurality", "majority", "hare", "dhondt", "sainte-lague"][method];
        let contest = format!("list|{seats}|1|1|{method}|votes|{threshold}|votes|||{cap}||");
        let choices = &["list", "list", "candidate 2", "candidate 2", "list", "against_all"];
        let found = verdict(&contest, choices, &sums(&votes), &[]);
        let own = found.seats.unwrap();
        let failed = found.thresholds.iter().filter(|(_, word)| *word == Judgement::Failed);
        prop_assert!(failed.clone().all(|(choice, _)| own[usize::try_from(*choice).unwrap() - 1] == 0));
        prop_assert_eq!(own[5], 0);
        prop_assert!(own[0] + own[1] + own[4] <= seats);
        prop_assert!(own[2] + own[3] <= own[1].min(2));
        prop_assert!(found.outcome != Outcome::Tie || found.choices.len() > 1);
    }
}
