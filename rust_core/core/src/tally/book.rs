//! What the rules ask of a definition, made ready once: ballot papers, hours, and figures with their absent values.

use std::collections::HashMap;
use std::sync::Arc;

use crate::MAX_INTEGER;
use crate::definition::{ChoiceKind, Definition, FIRST_NATIONAL_CODE, Rules, STANDARD_FIGURES};

/// Milliseconds from one hour of the turnout to the next.
const HOUR: u64 = 3_600_000;

/// Hours of turnout: 31 days, as docs/tally.md says.
const MAX_HOURS: usize = 744;

/// The most that a figure or vote may be and still be added up (H100).
pub(super) const MAX_VALUE: u64 = 1_000_000;

/// Codes of the figures that rules speak about (docs/packet.md).
pub(super) mod figure {
    pub(in crate::tally) const REGISTERED: u64 = 1;
    pub(in crate::tally) const REGISTERED_ADDITIONAL: u64 = 2;
    pub(in crate::tally) const IDENTIFIED: u64 = 3;
    pub(in crate::tally) const ISSUED: u64 = 5;
    pub(in crate::tally) const ISSUED_OUTSIDE: u64 = 6;
    pub(in crate::tally) const IN_BOX: u64 = 9;
    pub(in crate::tally) const VALID: u64 = 11;
    pub(in crate::tally) const BLANK: u64 = 12;
    pub(in crate::tally) const INVALID: u64 = 13;
    pub(in crate::tally) const RETURNED_BY_BOX: u64 = 15;
    pub(in crate::tally) const ISSUED_EARLY: u64 = 16;
}

/// A contest's ballot paper.
#[derive(Debug)]
pub(super) struct Ballot {
    pub(super) marks: u64,
    pub(super) preferences: u64,
    /// Numbers of the choices, in the order of votes.
    pub(super) choices: Vec<u64>,
    /// By the place of a choice: whether it is a preference.
    is_preference: Vec<bool>,
    /// Places of the lists that have preferences, each with the places of those.
    pub(super) lists: Vec<(usize, Vec<usize>)>,
}

impl Ballot {
    /// Votes of the choices that are no preferences, of all votes of a contest in their order.
    pub(super) fn plain<V>(&self, votes: impl Iterator<Item = V>) -> impl Iterator<Item = V> {
        votes.zip(&self.is_preference).filter(|(_, preference)| !**preference).map(|(votes, _)| votes)
    }

    /// How many choices are no preferences.
    pub(super) fn plain_count(&self) -> usize {
        self.is_preference.iter().filter(|preference| !**preference).count()
    }
}

/// A definition as the rules read it.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) definition: Arc<Definition>,
    /// Ends of the hours of turnout, ms since the Unix epoch, ascending.
    pub(super) hours: Vec<u64>,
    ballots: HashMap<u64, Ballot>,
}

impl Book {
    pub(super) fn new(definition: Arc<Definition>) -> Self {
        let ballots =
            definition.contests().iter().map(|contest| (contest.number, ballot(&definition, contest.number))).collect();
        let hours = hours(&definition);
        Self { definition, hours, ballots }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.definition.election.rules
    }

    /// The ballot paper of a contest, if there is this contest.
    pub(super) fn ballot(&self, contest: u64) -> Option<&Ballot> {
        self.ballots.get(&contest)
    }

    /// Whether a figure with this code exists.
    pub(super) fn is_figure(&self, code: u64) -> bool {
        let standard = STANDARD_FIGURES.len() as u64;
        (1..=standard).contains(&code) || (code >= FIRST_NATIONAL_CODE && self.definition.figure(code).is_some())
    }
}

fn ballot(definition: &Definition, number: u64) -> Ballot {
    let (marks, preferences) =
        definition.contest(number).map_or((1, 0), |contest| (contest.marks, contest.preferences));
    let choices: Vec<_> = definition.choices(number).collect();
    let preferring = |list: u64| -> Vec<usize> {
        choices.iter().enumerate().filter(|(_, choice)| choice.list == Some(list)).map(|(place, _)| place).collect()
    };
    let lists = choices
        .iter()
        .enumerate()
        .filter(|(_, choice)| choice.kind == ChoiceKind::List)
        .map(|(place, choice)| (place, preferring(choice.number)))
        .filter(|(_, preferring)| !preferring.is_empty())
        .collect();
    Ballot {
        marks: marks.into(),
        preferences: preferences.into(),
        choices: choices.iter().map(|choice| choice.number).collect(),
        is_preference: choices.iter().map(|choice| choice.list.is_some()).collect(),
        lists,
    }
}

fn hours(definition: &Definition) -> Vec<u64> {
    let Some(last) = definition.stations().map(|station| station.closes_at).max() else { return Vec::new() };
    let mut hours = Vec::new();
    let mut hour = definition.election.opens_at;
    while hours.len() < MAX_HOURS {
        // opens_at is at most 2^53−1: adding an hour once more stays far below 2^64.
        hour += HOUR;
        if hour > MAX_INTEGER {
            break;
        }
        hours.push(hour);
        if hour >= last {
            break;
        }
    }
    hours
}

/// Figures as rules read them: some that are absent are 0, and the registered voters may be the definition's.
pub(super) struct Reckoning<F> {
    /// The value that is stated under a code.
    pub(super) stated: F,
    /// What the definition says of the station.
    pub(super) registered: Option<u32>,
}

impl<F: Fn(u64) -> Option<u64>> Reckoning<F> {
    /// The value of a figure; None: a rule that needs it does not apply.
    pub(super) fn value(&self, code: u64) -> Option<u64> {
        (self.stated)(code).or(match code {
            figure::REGISTERED => self.registered.map(u64::from),
            figure::REGISTERED_ADDITIONAL
            | figure::ISSUED_OUTSIDE
            | figure::BLANK
            | figure::RETURNED_BY_BOX
            | figure::ISSUED_EARLY => Some(0),
            _ => None,
        })
    }

    /// The sum of figures, a code as often as it stands there.
    pub(super) fn sum(&self, codes: &[u64]) -> Option<u64> {
        codes.iter().map(|&code| self.value(code)).sum()
    }

    /// Ballots that voters have got.
    pub(super) fn given_out(&self) -> Option<u64> {
        self.sum(&[figure::ISSUED, figure::ISSUED_OUTSIDE, figure::ISSUED_EARLY])
    }
}
