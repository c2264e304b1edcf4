//! A station's state: a pure function of its packets and of what the commission says (docs/tally.md).

use super::book::{Book, Reckoning, figure};
use super::codes::Code;
use super::packets::{Count, Detail, Packet};
use super::rules::{self, ContestFigures, Openings, Verdict};
use super::turnout::{Reading, Turnout};
use super::world::{Ruled, SOURCES, Situation};
use crate::Hash;
use crate::definition::StationKind;
use crate::error::{Error, Result};
use crate::statement::Source;

/// How a source stands with a station's contest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Silent,
    Partial,
    Reported,
    Held,
    Disputed,
    Annulled,
}

impl State {
    /// How many there are.
    pub(super) const COUNT: usize = 6;

    /// The published word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Partial => "partial",
            Self::Reported => "reported",
            Self::Held => "held",
            Self::Disputed => "disputed",
            Self::Annulled => "annulled",
        }
    }

    /// Whether figures and votes of it are summed.
    pub(super) fn is_counted(self) -> bool {
        matches!(self, Self::Reported | Self::Disputed)
    }
}

/// What one source says of a contest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tallied {
    pub(super) state: State,
    /// Indexes of the packets that count, ascending.
    pub(super) packets: Box<[u64]>,
    /// Code and value, codes ascending; empty unless counted, as the votes.
    pub(super) figures: Box<[(u64, u64)]>,
    pub(super) votes: Box<[u64]>,
}

impl Tallied {
    fn uncounted(state: State) -> Self {
        Self { state, packets: Box::default(), figures: Box::default(), votes: Box::default() }
    }

    /// The value under a code.
    fn figure(&self, code: u64) -> Option<u64> {
        let place = self.figures.binary_search_by_key(&code, |&(known, _)| known).ok()?;
        self.figures.get(place).map(|&(_, value)| value)
    }
}

/// A station as its object and the areas above it show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StationState {
    pub(super) opened: bool,
    pub(super) cancelled: bool,
    /// Its own and those of packets that belong to it, ascending, each once.
    pub(super) codes: Box<[Code]>,
    pub(super) identified: Option<u64>,
    /// Places of hours from which on identified is another number, and that number; from the first one on it is there.
    pub(super) hours: Box<[(usize, u64)]>,
    /// For each contest of the station the machine's, then the protocol's; empty where it is cancelled.
    pub(super) counts: Box<[Tallied]>,
    /// A packet's place among those of the station, and a code of it; ascending.
    pub(super) packet_codes: Box<[(usize, Code)]>,
    /// Numbers of the decisions that the object lists.
    pub(super) decisions: Box<[u64]>,
}

/// What a count is before the commission's rulings.
struct Found {
    state: State,
    /// Places of the packets that count.
    places: Vec<usize>,
    /// What S212 asks: something else came before.
    is_late: bool,
}

/// What comes of packets of which the first that passes counts.
struct First<'a> {
    /// Its place and its count.
    passing: Option<(usize, Count<'a>)>,
    /// One before it does not pass.
    is_late: bool,
    /// One behind it has other figures or votes.
    differs: bool,
}

/// The station's state.
pub(super) fn evaluate(book: &Book, situation: &Situation<'_>) -> Result<StationState> {
    let openings = Openings::new(&situation.packets);
    let verdicts: Vec<Verdict> =
        situation.packets.iter().map(|seen| rules::judge(book, situation, &openings, seen)).collect();
    let judged = Judged { book, situation, verdicts: &verdicts };

    let mut codes: Vec<Code> =
        verdicts.iter().filter(|verdict| verdict.belongs).flat_map(|verdict| &verdict.codes).copied().collect();
    let Turnout { identified, changes } = Turnout::new(judged.readings(), &book.hours)?;
    let mut counts = Vec::new();
    if !situation.cancelled {
        counts.reserve_exact(situation.rulings.len());
        let mut rulings = situation.rulings.iter();
        for &contest in situation.station.contests {
            for source in SOURCES {
                let ruled = *rulings.next().ok_or(Error::Fault)?;
                let found = judged.find(contest, source);
                if found.is_late {
                    codes.push(Code::NOT_THE_FIRST);
                }
                counts.push(judged.tallied(contest, &found, ruled)?);
            }
        }
        judged.mark_station(&counts, identified, &mut codes);
    }
    codes.sort_unstable();
    codes.dedup();

    let packet_codes = verdicts
        .iter()
        .enumerate()
        .flat_map(|(place, verdict)| verdict.codes.iter().map(move |&code| (place, code)))
        .collect();
    Ok(StationState {
        opened: verdicts.iter().any(|verdict| verdict.belongs),
        cancelled: situation.cancelled,
        codes: codes.into(),
        identified,
        hours: changes.into(),
        counts: counts.into(),
        packet_codes,
        decisions: situation.decisions.as_slice().into(),
    })
}

/// A situation with a verdict on each of its packets.
struct Judged<'a> {
    book: &'a Book,
    situation: &'a Situation<'a>,
    verdicts: &'a [Verdict],
}

impl Judged<'_> {
    fn packet(&self, place: usize) -> &Packet {
        self.situation.packets[place].packet
    }

    /// Places of the packets that belong, ascending.
    fn belonging(&self) -> impl Iterator<Item = usize> {
        self.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.belongs).map(|(place, _)| place)
    }

    fn passes(&self, place: usize, contest: u64) -> bool {
        self.verdicts[place].passes(contest) && self.count(place, contest).is_some()
    }

    fn count(&self, place: usize, contest: u64) -> Option<Count<'_>> {
        self.packet(place).payload.count(contest)
    }

    fn find(&self, contest: u64, source: Source) -> Found {
        match source {
            Source::Machine => self.machine(contest),
            Source::Protocol => self.protocol(contest),
        }
    }

    /// What comes of packets that follow each other, by the first that passes for a contest.
    fn first(&self, places: impl Iterator<Item = usize>, contest: u64) -> Option<First<'_>> {
        let mut places = places.peekable();
        let mut first = First { passing: None, is_late: false, differs: false };
        places.peek()?;
        for place in places {
            match first.passing {
                None if self.passes(place, contest) => {
                    first.passing = self.count(place, contest).map(|count| (place, count));
                }
                None => first.is_late = true,
                Some((_, count)) => {
                    first.differs |= self.count(place, contest).is_some_and(|other| !count.is_same(&other));
                }
            }
        }
        Some(first)
    }

    fn machine(&self, contest: u64) -> Found {
        let mut found = Found { state: State::Silent, places: Vec::new(), is_late: false };
        let (mut held, mut disputed) = (false, false);
        let (mut boxes, mut with_result) = (0, 0);
        for device in self.situation.boxes() {
            boxes += 1;
            let results = self.belonging().filter(|&place| {
                let payload = &self.packet(place).payload;
                payload.device == device && matches!(payload.detail, Detail::Result { .. })
            });
            let Some(first) = self.first(results, contest) else { continue };
            with_result += 1;
            let Some((place, _)) = first.passing else {
                held = true;
                continue;
            };
            disputed |= first.differs;
            found.is_late |= first.is_late;
            found.places.push(place);
        }
        found.places.sort_unstable();
        found.state = if held {
            State::Held
        } else if with_result == 0 {
            State::Silent
        } else if with_result < boxes {
            State::Partial
        } else if disputed {
            State::Disputed
        } else {
            State::Reported
        };
        found
    }

    fn protocol(&self, contest: u64) -> Found {
        let all: Vec<usize> = self
            .belonging()
            .filter(|&place| matches!(self.packet(place).payload.detail, Detail::Protocol { .. }))
            .filter(|&place| self.count(place, contest).is_some())
            .collect();
        let corrected: Vec<(usize, &Hash)> = all
            .iter()
            .filter(|&&place| self.passes(place, contest))
            .filter_map(|&place| match &self.packet(place).payload.detail {
                Detail::Protocol { corrects: Some(id), .. } => Some((place, &**id)),
                _ => None,
            })
            .collect();
        let is_left_out =
            |place: usize| corrected.iter().any(|(by, id)| *by != place && self.packet(place).is_named(id));
        let left_out = all.iter().any(|&place| is_left_out(place));
        let rest = all.iter().copied().filter(|&place| !is_left_out(place));
        let (state, place, is_late) = match self.first(rest, contest) {
            None => (State::Silent, None, false),
            Some(First { passing: None, .. }) => (State::Held, None, false),
            Some(First { passing: Some((place, _)), is_late, differs }) => {
                (if differs { State::Disputed } else { State::Reported }, Some(place), is_late)
            }
        };
        Found { state, places: place.into_iter().collect(), is_late: left_out || is_late }
    }

    /// The count after the commission's ruling.
    fn tallied(&self, contest: u64, found: &Found, ruled: Ruled) -> Result<Tallied> {
        match ruled {
            Ruled::Annulled => Ok(Tallied::uncounted(State::Annulled)),
            Ruled::Chosen(place) => self.add_up(contest, State::Reported, &[place]),
            Ruled::No if found.state.is_counted() => self.add_up(contest, found.state, &found.places),
            Ruled::No => Ok(Tallied::uncounted(found.state)),
        }
    }

    /// Figures and votes of one count, or of several boxes together.
    fn add_up(&self, contest: u64, state: State, places: &[usize]) -> Result<Tallied> {
        let mut figures: Vec<(u64, u64)> = Vec::new();
        let mut votes: Vec<u64> = Vec::new();
        for (nth, &place) in places.iter().enumerate() {
            let payload = &self.packet(place).payload;
            let count = payload.count(contest).ok_or(Error::Fault)?;
            let of_contest = ContestFigures::new(payload, &count);
            if nth == 0 {
                figures = of_contest.merged();
                votes = count.votes.iter().collect();
                continue;
            }
            let mut sums = Vec::with_capacity(figures.len());
            for (code, so_far) in figures {
                let Some(value) = of_contest.get(code) else { continue };
                sums.push((
                    code,
                    match code {
                        figure::REGISTERED | figure::REGISTERED_ADDITIONAL => so_far.max(value),
                        _ => so_far.checked_add(value).ok_or(Error::Fault)?,
                    },
                ));
            }
            figures = sums;
            for (sum, more) in votes.iter_mut().zip(count.votes.iter()) {
                *sum = sum.checked_add(more).ok_or(Error::Fault)?;
            }
        }
        Ok(Tallied {
            state,
            packets: places.iter().map(|&place| self.packet(place).index).collect(),
            figures: figures.into(),
            votes: votes.into(),
        })
    }

    /// The turnouts that count.
    fn readings(&self) -> Vec<Reading> {
        let reading = |place: usize| {
            let Packet { index, payload, .. } = self.packet(place);
            let Detail::Turnout { as_of } = payload.detail else { return None };
            let identified = payload.voters().get(figure::IDENTIFIED)?;
            Some(Reading { device: payload.device, sequence: payload.sequence, index: *index, as_of, identified })
        };
        self.belonging().filter(|&place| self.verdicts[place].is_usable()).filter_map(reading).collect()
    }

    /// The rules on stations, but S212.
    fn mark_station(&self, counts: &[Tallied], identified: Option<u64>, codes: &mut Vec<Code>) {
        let station = &self.situation.station;
        for (&contest, both) in station.contests.iter().zip(counts.chunks(SOURCES.len())) {
            for counted in both.iter().filter(|count| count.state.is_counted()) {
                self.mark_count(contest, counted, identified, codes);
            }
            if differences(both).next().is_some() {
                codes.push(Code::SOURCES);
            }
        }
    }

    /// The rules on stations that are asked of one count.
    fn mark_count(&self, contest: u64, counted: &Tallied, identified: Option<u64>, codes: &mut Vec<Code>) {
        let (rules, station) = (self.book.rules(), &self.situation.station);
        let figures = Reckoning { stated: |code| counted.figure(code), registered: station.registered };
        let (in_box, given_out) = (figures.value(figure::IN_BOX), figures.given_out());
        let voters = given_out.or(in_box);

        if identified.zip(voters).is_some_and(|(one, other)| one.abs_diff(other) > rules.s201_tolerance) {
            codes.push(Code::IDENTIFIED);
        }
        if in_box.zip(given_out).is_some_and(|(in_box, given_out)| in_box < given_out) {
            codes.push(Code::MISSING_BALLOTS);
        }
        if station.kind == StationKind::Ordinary {
            let turnout = identified.or(voters).zip(station.registered.map(u64::from));
            let is_unusual = turnout.is_some_and(|(voters, registered)| {
                100 * voters > rules.s203_high * registered || 100 * voters < rules.s203_low * registered
            });
            let is_one_sided = self.book.ballot(contest).is_some_and(|ballot| {
                let sum: u64 = ballot.plain(counted.votes.iter()).sum();
                let most = ballot.plain(counted.votes.iter()).max().copied().unwrap_or(0);
                ballot.plain_count() >= 2 && sum > 0 && 100 * most >= rules.s203_high * sum
            });
            if is_unusual || is_one_sided {
                codes.push(Code::TURNOUT);
            }
        }
    }
}

/// Where the votes of machine and protocol differ, if both are counted: the choice's place and both votes.
pub(super) fn differences(both: &[Tallied]) -> impl Iterator<Item = (usize, u64, u64)> {
    let pair = match both {
        [machine, protocol] if machine.state.is_counted() && protocol.state.is_counted() => Some((machine, protocol)),
        _ => None,
    };
    pair.into_iter()
        .flat_map(|(machine, protocol)| machine.votes.iter().copied().zip(protocol.votes.iter().copied()).enumerate())
        .filter(|(_, (machine, protocol))| machine != protocol)
        .map(|(place, (machine, protocol))| (place, machine, protocol))
}
