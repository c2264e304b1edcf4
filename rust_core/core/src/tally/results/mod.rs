//! What follows from the sums (docs/tally.md, "From the integers"): shares in any area; of the root thresholds,
//! quorum, seats and outcome too. Fractions are compared by cross-multiplication; no rounded share decides anything.
//!
//! - `winners`: who of those who take part wins what
//! - `seats`: seats from votes
//!
//! Nothing reaches 2^128: sums are below 2^64, factors at most 20,000.

mod seats;
#[cfg(test)]
mod tests;
mod winners;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::book::figure;
use super::station::State;
use super::sums::{AreaSums, SourceSums, Sum};
use crate::MAX_INTEGER;
use crate::definition::{Base, Choice, ChoiceKind, Contest, ContestKind, Definition, WHOLE};
use crate::error::{Error, Result};

/// By a level's name the sums of its areas.
pub(super) type Parts<'a> = BTreeMap<&'a str, Vec<&'a AreaSums>>;

/// Base, shares and turnout of a contest in one source; shares in hundredths of a percent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// What shares are taken of; None: not every counted station says.
    pub base: Option<u64>,
    /// By the choice's place; None: there is no base, or it is 0.
    pub choices: Vec<Option<u64>>,
    /// Ballots in the boxes of those registered.
    pub turnout: Option<u64>,
}

/// What is said of a threshold or a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Open,
    Passed,
    Failed,
}

impl Judgement {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }

    fn of(is_reached: bool) -> Self {
        if is_reached { Self::Passed } else { Self::Failed }
    }
}

/// How a contest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    None,
    Open,
    NoQuorum,
    Tie,
    RunOff,
    Decided,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::NoQuorum => "no-quorum",
            Self::Tie => "tie",
            Self::RunOff => "run-off",
            Self::Decided => "decided",
        }
    }
}

/// What follows for a contest in one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// By the choice's place; None: nobody has one, or it is not said yet.
    pub(super) seats: Option<Vec<u64>>,
    /// The number of a choice, and whether it has reached the threshold; ascending.
    pub(super) thresholds: Vec<(u64, Judgement)>,
    pub(super) quorum: Option<Judgement>,
    pub(super) outcome: Outcome,
    /// Numbers of the choices that the outcome is about, ascending.
    pub(super) choices: Vec<u64>,
}

impl Verdict {
    /// What is said of an area that is not the root.
    fn none() -> Self {
        Self { seats: None, thresholds: Vec::new(), quorum: None, outcome: Outcome::None, choices: Vec::new() }
    }
}

/// Everything that is said of a contest in one source.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) race: Rc<Race<'a>>,
    pub(super) source: u64,
    pub(super) sums: &'a SourceSums,
    pub(super) shares: Shares,
    pub(super) verdict: Verdict,
}

/// What follows for the contests of an area, ascending, in each source.
///
/// `parts`: of the root, the sums of the areas of every level that a contest has a threshold for.
pub(super) fn of_area<'a>(
    definition: &'a Definition,
    sums: &'a AreaSums,
    parts: Option<&Parts<'a>>,
) -> Result<Vec<Found<'a>>> {
    let mut found = Vec::with_capacity(2 * sums.contests.len());
    for of in &sums.contests {
        let race = Rc::new(Race::new(definition, of.contest).ok_or(Error::Fault)?);
        let level = race.contest.threshold_area.as_ref().map(|(_, level)| level.as_str());
        for (place, own) in of.sources.iter().enumerate() {
            let verdict = parts.map_or_else(Verdict::none, |parts| {
                let level = level.and_then(|level| parts.get(level)).into_iter().flatten();
                let areas = level.filter_map(|area| area.contest(of.contest)).map(|of| &of.sources[place]);
                race.verdict(own, &areas.collect::<Vec<_>>())
            });
            let (shares, source) = (race.shares(own), 1 + place as u64);
            found.push(Found { race: Rc::clone(&race), source, sums: own, shares, verdict });
        }
    }
    Ok(found)
}

/// A contest with its choices.
#[derive(Debug)]
pub(super) struct Race<'a> {
    pub(super) contest: &'a Contest,
    /// By their place among the votes.
    pub(super) choices: Vec<Choice<'a>>,
}

impl<'a> Race<'a> {
    /// None: there is no such contest.
    fn new(definition: &'a Definition, contest: u64) -> Option<Self> {
        let choices = definition.choices(contest).collect();
        definition.contest(contest).map(|contest| Self { contest, choices })
    }

    fn shares(&self, sums: &SourceSums) -> Shares {
        let base = self.base(self.contest.share_of, sums);
        let turnout = whole(sums, sums.figure(figure::IN_BOX)).zip(whole(sums, sums.registered));
        Shares {
            base,
            choices: sums.votes.iter().map(|&votes| share(votes, base?)).collect(),
            turnout: turnout.and_then(|(in_box, registered)| share(in_box, registered)),
        }
    }

    /// What follows from the root's sums.
    ///
    /// `areas`: the sums of this contest and source in each area that a threshold is for.
    fn verdict(&self, sums: &SourceSums, areas: &[&SourceSums]) -> Verdict {
        let is_settled =
            sums.counted() > 0 && [State::Silent, State::Partial, State::Held].iter().all(|&it| sums.stations(it) == 0);
        let thresholds = self.thresholds(is_settled, sums, areas);
        let quorum = self.quorum(is_settled, sums);
        let nothing = |outcome| Verdict {
            thresholds: thresholds.iter().map(|&(place, word)| (self.choices[place].number, word)).collect(),
            quorum,
            outcome,
            ..Verdict::none()
        };
        if sums.counted() == 0 {
            return nothing(Outcome::None);
        }
        if !is_settled || quorum == Some(Judgement::Open) {
            return nothing(Outcome::Open);
        }
        if quorum == Some(Judgement::Failed) {
            return nothing(Outcome::NoQuorum);
        }
        let of = |wanted| thresholds.iter().filter(move |(_, word)| *word == wanted).map(|&(place, _)| place);
        if of(Judgement::Open).next().is_some() {
            return nothing(Outcome::Open);
        }
        let failed: Vec<usize> = of(Judgement::Failed).collect();
        let eligible: Vec<usize> =
            self.takers().filter(|place| sums.votes[*place] > 0 && !failed.contains(place)).collect();
        let Some(award) = self.award(sums, &eligible, &failed) else { return nothing(Outcome::Open) };
        let (seats, tied) = self.seats(sums, &award);
        let (outcome, mut places) = if !tied.is_empty() {
            (Outcome::Tie, tied)
        } else if !award.run_off.is_empty() {
            (Outcome::RunOff, award.run_off)
        } else {
            (Outcome::Decided, self.winners(sums, &award.won))
        };
        places.sort_unstable();
        let choices = places.into_iter().map(|place| self.choices[place].number).collect();
        Verdict { seats, choices, ..nothing(outcome) }
    }

    /// Places of the choices that may win something.
    fn takers(&self) -> impl Iterator<Item = usize> {
        self.plain().filter(|(_, choice)| choice.kind != ChoiceKind::AgainstAll).map(|(place, _)| place)
    }

    /// The choices that are no preferences, with their places.
    fn plain(&self) -> impl Iterator<Item = (usize, &Choice<'a>)> {
        self.choices.iter().enumerate().filter(|(_, choice)| choice.list.is_none())
    }

    fn against_all(&self) -> impl Iterator<Item = usize> {
        self.plain().filter(|(_, choice)| choice.kind == ChoiceKind::AgainstAll).map(|(place, _)| place)
    }

    fn votes_against_all(&self, sums: &SourceSums) -> u64 {
        self.against_all().map(|place| sums.votes[place]).sum()
    }

    /// What a word stands for; None: not every counted station says.
    fn base(&self, of: Base, sums: &SourceSums) -> Option<u64> {
        match of {
            Base::Votes => Some(self.plain().map(|(place, _)| sums.votes[place]).sum()),
            Base::Registered => whole(sums, sums.registered),
            Base::Valid => whole(sums, sums.figure(figure::VALID)),
            Base::InBox => whole(sums, sums.figure(figure::IN_BOX)),
        }
    }

    /// By the places of the choices that a threshold is for.
    fn thresholds(&self, is_settled: bool, sums: &SourceSums, areas: &[&SourceSums]) -> Vec<(usize, Judgement)> {
        let (threshold, threshold_area) = (self.contest.threshold, self.contest.threshold_area.as_ref());
        if threshold.is_none() && threshold_area.is_none() {
            return Vec::new();
        }
        let of = threshold.map_or(self.contest.share_of, |threshold| threshold.of);
        let base = self.base(of, sums).filter(|_| is_settled);
        let judge = |place: usize| {
            let Some(base) = base else { return Judgement::Open };
            let in_all = threshold.is_none_or(|threshold| reaches(sums.votes[place], threshold.hundredths, base));
            let in_each = threshold_area.is_none_or(|&(hundredths, _)| {
                areas
                    .iter()
                    .filter(|area| area.counted() > 0)
                    .all(|area| self.base(of, area).is_some_and(|base| reaches(area.votes[place], hundredths, base)))
            });
            Judgement::of(in_all && in_each)
        };
        let is_question = self.contest.kind == ContestKind::Referendum;
        self.takers()
            .filter(|&place| !is_question || self.choices[place].kind == ChoiceKind::Yes)
            .map(|place| (place, judge(place)))
            .collect()
    }

    fn quorum(&self, is_settled: bool, sums: &SourceSums) -> Option<Judgement> {
        let quorum = self.contest.quorum?;
        let in_box = whole(sums, sums.figure(figure::IN_BOX));
        let both = in_box.zip(self.base(quorum.of, sums)).filter(|_| is_settled);
        Some(both.map_or(Judgement::Open, |(in_box, base)| Judgement::of(reaches(in_box, quorum.hundredths, base))))
    }
}

/// Shares from the numbers of an area's object: of a contest in one source its stations that are counted, the registered
/// (sum, stations), the figures (code, sum, stations; ascending) and the votes.
///
/// # Errors
/// `argument.range`: there is no such contest, it has another number of choices, or an integer would be above 2^53−1.
pub fn shares(
    definition: &Definition,
    contest: u64,
    counted: u64,
    registered: (u64, u64),
    figures: &[(u64, u64, u64)],
    votes: Vec<u64>,
) -> Result<Shares> {
    let race = Race::new(definition, contest).filter(|race| race.choices.len() == votes.len());
    let race = race.ok_or(Error::Argument("there is no such contest with so many choices"))?;
    let all = votes.iter().try_fold(0_u64, |all, &votes| all.checked_add(votes));
    if all.is_none_or(|all| all > MAX_INTEGER) {
        return Err(Error::Argument("the votes add up to more than 2^53-1"));
    }
    let figures = figures.iter().map(|&(code, sum, stations)| (code, Sum { sum, stations })).collect();
    let registered = Sum { sum: registered.0, stations: registered.1 };
    Ok(race.shares(&SourceSums::of_counted(counted, registered, figures, votes)))
}

/// A sum that every counted station has a part in.
fn whole(sums: &SourceSums, sum: Sum) -> Option<u64> {
    (sum.stations == sums.counted()).then_some(sum.sum)
}

fn reaches(part: u64, hundredths: u32, base: u64) -> bool {
    u128::from(WHOLE) * u128::from(part) >= u128::from(hundredths) * u128::from(base)
}

/// Hundredths of a percent, rounded half up; None: there is no base.
fn share(part: u64, base: u64) -> Option<u64> {
    let (part, base) = (u128::from(part), u128::from(base));
    let share = (2 * u128::from(WHOLE) * part + base).checked_div(2 * base)?;
    Some(u64::try_from(share).unwrap_or(MAX_INTEGER).min(MAX_INTEGER))
}
