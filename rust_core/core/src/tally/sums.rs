//! An area's sums over the stations in it and below, kept while stations change: the old contribution goes, the new
//! one comes. Every addition is checked.

use std::collections::BTreeMap;

use super::book::Book;
use super::codes::Code;
use super::station::{State, StationState, Tallied};
use crate::definition::{Headline, Station};
use crate::error::{Error, Result};

/// Whether a contribution comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    Add,
    Remove,
}

impl Shift {
    fn apply(self, sum: &mut u64, by: u64) -> Result<()> {
        let shifted = match self {
            Self::Add => sum.checked_add(by),
            Self::Remove => sum.checked_sub(by),
        };
        *sum = shifted.ok_or(Error::Fault)?;
        Ok(())
    }
}

/// A sum, and over how many stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) sum: u64,
    pub(super) stations: u64,
}

impl Sum {
    fn shift(&mut self, shift: Shift, by: u64) -> Result<()> {
        shift.apply(&mut self.sum, by)?;
        shift.apply(&mut self.stations, 1)
    }
}

/// How a sum differs from that of the hour before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Step {
    sum: i64,
    /// Stations that have their first value in this hour.
    stations: u64,
}

/// What one source says of a contest, over all expected stations that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceSums {
    states: [u64; State::COUNT],
    pub(super) registered: Sum,
    /// Code and sum, codes ascending; only those that a counted station has.
    pub(super) figures: Vec<(u64, Sum)>,
    pub(super) votes: Vec<u64>,
}

impl SourceSums {
    fn new(choices: usize) -> Self {
        Self { states: [0; State::COUNT], registered: Sum::default(), figures: Vec::new(), votes: vec![0; choices] }
    }

    /// Those of an object, as far as shares need them: all counted stations reported.
    pub(super) fn of_counted(counted: u64, registered: Sum, figures: Vec<(u64, Sum)>, votes: Vec<u64>) -> Self {
        let mut states = [0; State::COUNT];
        states[State::Reported as usize] = counted;
        Self { states, registered, figures, votes }
    }

    #[cfg(test)]
    pub(super) fn set_stations(&mut self, state: State, stations: u64) {
        self.states[state as usize] = stations;
    }

    /// How many stations are in a state.
    pub(super) fn stations(&self, state: State) -> u64 {
        self.states[state as usize]
    }

    /// How many stations are counted.
    pub(super) fn counted(&self) -> u64 {
        self.stations(State::Reported) + self.stations(State::Disputed)
    }

    /// The sum under a code; nothing where no counted station has it.
    pub(super) fn figure(&self, code: u64) -> Sum {
        let place = self.figures.binary_search_by_key(&code, |&(known, _)| known);
        place.map_or_else(|_| Sum::default(), |place| self.figures[place].1)
    }

    fn shift(&mut self, shift: Shift, registered: Option<u32>, tallied: &Tallied) -> Result<()> {
        shift.apply(&mut self.states[tallied.state as usize], 1)?;
        if !tallied.state.is_counted() {
            return Ok(());
        }
        if let Some(registered) = registered {
            self.registered.shift(shift, registered.into())?;
        }
        // Both ascend, and hardly a code is in one of them only.
        let mut place = 0;
        for &(code, value) in &tallied.figures {
            while self.figures.get(place).is_some_and(|&(known, _)| known < code) {
                place += 1;
            }
            if self.figures.get(place).is_none_or(|&(known, _)| known != code) {
                self.figures.insert(place, (code, Sum::default()));
            }
            let sum = &mut self.figures[place].1;
            sum.shift(shift, value)?;
            if sum.stations == 0 {
                self.figures.remove(place);
            }
        }
        for (sum, &votes) in self.votes.iter_mut().zip(&tallied.votes) {
            shift.apply(sum, votes)?;
        }
        Ok(())
    }
}

/// A contest in an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContestSums {
    /// The contest's number.
    pub(super) contest: u64,
    /// Expected stations that have it.
    pub(super) stations: u64,
    pub(super) registered: Sum,
    /// The machine's, then the protocol's.
    pub(super) sources: [SourceSums; 2],
}

/// All sums of an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AreaSums {
    /// Expected stations.
    pub(super) stations: u64,
    pub(super) opened: u64,
    pub(super) cancelled: u64,
    pub(super) registered: Sum,
    pub(super) identified: Sum,
    /// By the hour's place how the identified voters change.
    hours: Vec<Step>,
    /// The contests that a station in the area has, ascending.
    pub(super) contests: Vec<ContestSums>,
    /// Expected stations by code; only those that one has.
    pub(super) flags: BTreeMap<Code, u64>,
    /// Expected stations by what the headline's source says of all their contests together.
    headline: [u64; State::COUNT],
}

impl AreaSums {
    /// Sums over nothing, for contests that ascend.
    pub(super) fn new(book: &Book, contests: impl Iterator<Item = u64>) -> Self {
        let sums = |contest| {
            let choices = book.ballot(contest).map_or(0, |ballot| ballot.choices.len());
            let sources = [SourceSums::new(choices), SourceSums::new(choices)];
            ContestSums { contest, stations: 0, registered: Sum::default(), sources }
        };
        Self {
            stations: 0,
            opened: 0,
            cancelled: 0,
            registered: Sum::default(),
            identified: Sum::default(),
            hours: vec![Step::default(); book.hours.len()],
            contests: contests.map(sums).collect(),
            flags: BTreeMap::new(),
            headline: [0; State::COUNT],
        }
    }

    /// A contest's, if a station in the area has it.
    pub(super) fn contest(&self, number: u64) -> Option<&ContestSums> {
        let place = self.contests.binary_search_by_key(&number, |sums| sums.contest).ok()?;
        self.contests.get(place)
    }

    /// How many expected stations the headline's source puts into a state.
    pub(super) fn in_headline(&self, state: State) -> u64 {
        self.headline[state as usize]
    }

    /// Identified voters hour by hour.
    pub(super) fn hours(&self) -> impl Iterator<Item = Sum> {
        self.hours.iter().scan(Sum::default(), |at, step| {
            // A sum below 0 is a fault; no object takes what it becomes here.
            at.sum = at.sum.checked_add_signed(step.sum).unwrap_or(u64::MAX);
            at.stations = at.stations.saturating_add(step.stations);
            Some(*at)
        })
    }

    /// Adds what a station contributes, or takes it away.
    pub(super) fn shift(
        &mut self,
        shift: Shift,
        headline: Headline,
        station: &Station<'_>,
        state: &StationState,
    ) -> Result<()> {
        if state.cancelled {
            return shift.apply(&mut self.cancelled, 1);
        }
        shift.apply(&mut self.stations, 1)?;
        shift.apply(&mut self.opened, state.opened.into())?;
        if let Some(registered) = station.registered {
            self.registered.shift(shift, registered.into())?;
        }
        if let Some(identified) = state.identified {
            self.identified.shift(shift, identified)?;
        }
        self.shift_hours(shift, &state.hours)?;
        for &code in &state.codes {
            let flagged = self.flags.entry(code).or_default();
            shift.apply(flagged, 1)?;
            if *flagged == 0 {
                self.flags.remove(&code);
            }
        }
        for (contest, tallied) in station.contests.iter().zip(state.counts.chunks(2)) {
            let place = self.contests.binary_search_by_key(contest, |sums| sums.contest).map_err(|_| Error::Fault)?;
            let sums = &mut self.contests[place];
            shift.apply(&mut sums.stations, 1)?;
            if let Some(registered) = station.registered {
                sums.registered.shift(shift, registered.into())?;
            }
            for (source, tallied) in sums.sources.iter_mut().zip(tallied) {
                source.shift(shift, station.registered, tallied)?;
            }
        }
        shift.apply(&mut self.headline[overall(headline, state) as usize], 1)
    }

    /// `changes`: places of the hours from which on the station has another value, and that value.
    fn shift_hours(&mut self, shift: Shift, changes: &[(usize, u64)]) -> Result<()> {
        let mut before = 0;
        for (nth, &(place, value)) in changes.iter().enumerate() {
            let value = i64::try_from(value).map_err(|_| Error::Fault)?;
            let step = self.hours.get_mut(place).ok_or(Error::Fault)?;
            let sum = match shift {
                Shift::Add => step.sum.checked_add(value - before),
                Shift::Remove => step.sum.checked_sub(value - before),
            };
            step.sum = sum.ok_or(Error::Fault)?;
            shift.apply(&mut step.stations, u64::from(nth == 0))?;
            before = value;
        }
        Ok(())
    }
}

/// What the headline's source says of a station as a whole.
fn overall(headline: Headline, state: &StationState) -> State {
    let place = usize::from(headline == Headline::Protocol);
    let any = |wanted: State| state.counts.chunks(2).any(|both| both.get(place).is_some_and(|it| it.state == wanted));
    if any(State::Held) {
        State::Held
    } else if any(State::Disputed) {
        State::Disputed
    } else if any(State::Partial) || (any(State::Silent) && any(State::Reported)) {
        State::Partial
    } else if any(State::Silent) {
        State::Silent
    } else if any(State::Reported) {
        State::Reported
    } else {
        State::Annulled
    }
}
