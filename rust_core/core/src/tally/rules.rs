//! The rules on packets (docs/tally.md): which of its codes a packet has, and for which contests it passes.

use std::cmp::Reverse;

use super::book::{Ballot, Book, Reckoning, figure};
use super::codes::Code;
use super::packets::{Count, Detail, Figures, Payload};
use super::world::{Seen, Situation};
use crate::definition::{Operator, Severity, Station, Strictness};

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// How a packet has been judged.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Ascending, each once.
    pub(super) codes: Vec<Code>,
    /// Whether it belongs to the station that it names.
    pub(super) belongs: bool,
    /// H100.
    is_bounded: bool,
    /// H100 and H101, of a count that belongs.
    sound: bool,
    /// Contests for which it fails a hard rule, of a sound one.
    failing: Vec<u64>,
}

impl Verdict {
    /// Whether it is a count that passes for a contest, if it has one of that.
    pub(super) fn passes(&self, contest: u64) -> bool {
        self.sound && !self.failing.contains(&contest)
    }

    /// Whether its figures may be added up: it belongs and passes H100.
    pub(super) fn is_usable(&self) -> bool {
        self.belongs && self.is_bounded
    }
}

/// The contest's figures: those of a count, and for codes that it lacks those of the voters.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContestFigures<'a> {
    own: Figures<'a>,
    voters: Figures<'a>,
}

impl<'a> ContestFigures<'a> {
    pub(super) fn new(payload: &'a Payload, count: &Count<'a>) -> Self {
        Self { own: count.figures, voters: payload.voters() }
    }

    pub(super) fn get(self, code: u64) -> Option<u64> {
        self.own.get(code).or_else(|| self.voters.get(code))
    }

    /// All of them, codes ascending.
    pub(super) fn merged(self) -> Vec<(u64, u64)> {
        let mut merged: Vec<(u64, u64)> = self.own.iter().collect();
        merged.extend(self.voters.iter().filter(|&(code, _)| self.own.get(code).is_none()));
        merged.sort_unstable();
        merged
    }

    fn reckoning(self, station: &Station<'_>) -> Reckoning<impl Fn(u64) -> Option<u64>> {
        Reckoning { stated: move |code| self.get(code), registered: station.registered }
    }
}

/// The openings that belong to a station, each with its counter: by device, then sequence, the lowest index last.
pub(super) struct Openings(Vec<(u64, u64, Reverse<u64>, u64)>);

impl Openings {
    pub(super) fn new(packets: &[Seen<'_>]) -> Self {
        let belonging = packets.iter().filter(|seen| seen.excluded.is_empty()).map(|seen| seen.packet);
        let mut openings: Vec<_> = belonging
            .filter_map(|packet| match packet.payload.detail {
                Detail::Opening { counter, .. } => {
                    Some((packet.payload.device, packet.payload.sequence, Reverse(packet.index), counter))
                }
                _ => None,
            })
            .collect();
        openings.sort_unstable();
        Self(openings)
    }

    /// The counter of the device's opening with the highest sequence below this one.
    fn counter_before(&self, device: u64, sequence: u64) -> Option<u64> {
        let place = self.0.partition_point(|opening| (opening.0, opening.1) < (device, sequence));
        let last = self.0.get(place.checked_sub(1)?)?;
        (last.0 == device).then_some(last.3)
    }
}

/// H101, of a result or protocol: contests, votes and figures are those that the definition wants.
pub(super) fn has_form(book: &Book, station: &Station<'_>, payload: &Payload) -> bool {
    let rules = book.rules();
    let known = |figures: Figures<'_>| figures.iter().all(|(code, _)| book.is_figure(code));
    let voters = payload.voters();
    let mut contests = 0;
    let counts = payload.counts().all(|count| {
        contests += 1;
        let figures = ContestFigures::new(payload, &count);
        station.contests.binary_search(&count.contest).is_ok()
            && book.ballot(count.contest).is_some_and(|ballot| ballot.choices.len() == count.votes.len())
            && known(count.figures)
            && rules.required.iter().all(|&code| figures.get(code).is_some())
    });
    let is_result = matches!(payload.detail, Detail::Result { .. });
    counts
        && known(voters)
        && rules.required_voters.iter().all(|&code| voters.get(code).is_some())
        // Contests stand once each, so as many as the station has are all of them.
        && (!is_result || contests == station.contests.len())
}

/// Asks a packet all rules that there are for it.
pub(super) fn judge(book: &Book, situation: &Situation<'_>, openings: &Openings, seen: &Seen<'_>) -> Verdict {
    let payload = &seen.packet.payload;
    let is_bounded = payload.is_bounded;
    if !seen.excluded.is_empty() {
        return Verdict { codes: seen.excluded.clone(), belongs: false, is_bounded, sound: false, failing: Vec::new() };
    }
    let mut codes = Vec::new();
    let mut mark = |code, fails: bool| {
        if fails {
            codes.push(code);
        }
    };
    mark(Code::VALUE, !is_bounded);
    mark(Code::CHAIN, !seen.packet.is_chained);
    mark(Code::EQUIVOCATION, seen.packet.is_equivocal);
    let mut sound = false;
    let mut failing = Vec::new();
    if payload.is_count() {
        let formed = has_form(book, &situation.station, payload);
        mark(Code::FORM, !formed);
        sound = is_bounded && formed;
    }
    match &payload.detail {
        Detail::Opening { firmware, .. } => {
            let listed = situation.firmware.iter().any(|known| known.sha256 == **firmware);
            mark(Code::OPENING, payload.counts().any(|zero| zero.votes.iter().any(|votes| votes != 0)));
            mark(Code::FIRMWARE, !listed && !situation.firmware.is_empty());
        }
        Detail::Turnout { .. } => mark(Code::REGISTERED, differs_in_registered(&situation.station, payload)),
        Detail::Result { closed_at, counter, .. } => {
            mark(Code::REGISTERED, differs_in_registered(&situation.station, payload));
            mark(Code::TIMES, is_untimely(book, situation, *closed_at, payload.signed_at));
            let before = openings.counter_before(payload.device, payload.sequence);
            mark(Code::OPENING, before.is_none());
            let tolerance = book.rules().s210_tolerance;
            mark(Code::COUNTER, sound && before.is_some_and(|before| miscounts(payload, before, *counter, tolerance)));
        }
        Detail::Protocol { closed_at, .. } => {
            mark(Code::REGISTERED, differs_in_registered(&situation.station, payload));
            mark(Code::TIMES, is_untimely(book, situation, *closed_at, payload.signed_at));
        }
        Detail::Documents => {}
    }
    if sound {
        for count in payload.counts() {
            let figures = ContestFigures::new(payload, &count).reckoning(&situation.station);
            if let Some(ballot) = book.ballot(count.contest)
                && !judge_count(book, ballot, &figures, &count, &mut codes)
            {
                failing.push(count.contest);
            }
        }
    }
    codes.sort_unstable();
    codes.dedup();
    Verdict { codes, belongs: true, is_bounded, sound, failing }
}

/// The rules for a contest; whether the count passes the hard ones.
fn judge_count<F: Fn(u64) -> Option<u64>>(
    book: &Book,
    ballot: &Ballot,
    figures: &Reckoning<F>,
    count: &Count<'_>,
    codes: &mut Vec<Code>,
) -> bool {
    let rules = book.rules();
    let mut passes = true;
    let mut ask = |code, hard: bool, fails: Option<bool>| {
        if fails == Some(true) {
            codes.push(code);
            passes &= !hard;
        }
    };
    let in_box = figures.value(figure::IN_BOX);
    let valid = figures.value(figure::VALID);
    let spoilt = figures.sum(&[figure::BLANK, figure::INVALID]);

    let split = valid.zip(spoilt).zip(in_box);
    ask(Code::BALLOTS, true, split.map(|((valid, spoilt), in_box)| valid + spoilt != in_box));

    let given: u64 = ballot.plain(count.votes.iter()).sum();
    ask(
        Code::VOTES,
        true,
        valid.map(|valid| if ballot.marks == 1 { given != valid } else { given > valid * ballot.marks }),
    );

    if rules.h104 != Strictness::Off {
        let tolerance = rules.h104_tolerance;
        let given_out = figures.given_out();
        let allowed = figures.sum(&[figure::REGISTERED, figure::REGISTERED_ADDITIONAL]);
        let over = |more: Option<u64>, than: Option<u64>| more.zip(than).map(|(more, than)| more > than + tolerance);
        let hard = rules.h104 == Strictness::Hard;
        ask(Code::GIVEN_OUT, hard, over(in_box, given_out));
        ask(Code::GIVEN_OUT, hard, over(given_out, allowed));
    }

    let overfull = ballot.lists.iter().any(|(list, preferences)| {
        // As many votes as choices: the packet is sound.
        let marked: u64 = preferences.iter().map(|&place| count.votes.at(place)).sum();
        marked > count.votes.at(*list) * ballot.preferences
    });
    ask(Code::PREFERENCES, true, Some(overfull));

    let percent = rules.s202_percent;
    ask(Code::SPOILT, false, spoilt.zip(in_box).map(|(spoilt, in_box)| 100 * spoilt > percent * in_box));

    for check in &book.definition.checks {
        let fails = figures.sum(&check.left).zip(figures.sum(&check.right)).map(|(left, right)| match check.op {
            Operator::Equal => left.abs_diff(right) > check.tolerance,
            Operator::AtMost => left > right + check.tolerance,
        });
        match check.severity {
            Severity::Hard => ask(Code::hard_check(check.number), true, fails),
            Severity::Soft => ask(Code::soft_check(check.number), false, fails),
        }
    }
    passes
}

/// S213.
fn differs_in_registered(station: &Station<'_>, payload: &Payload) -> bool {
    let Some(registered) = station.registered.map(u64::from) else { return false };
    let differs = |figures: Figures<'_>| figures.get(figure::REGISTERED).is_some_and(|stated| stated != registered);
    differs(payload.voters()) || payload.counts().any(|count| differs(count.figures))
}

/// S204.
fn is_untimely(book: &Book, situation: &Situation<'_>, closed_at: u64, signed_at: u64) -> bool {
    closed_at < situation.closes_at
        || signed_at.checked_sub(closed_at).is_none_or(|late| late > book.rules().s204_minutes * MINUTE)
}

/// S210: whether the counter has advanced by another number than the ballots that went through the box.
fn miscounts(payload: &Payload, before: u64, counter: u64, tolerance: u64) -> bool {
    let mut ballots = 0;
    for count in payload.counts() {
        let figures = ContestFigures::new(payload, &count);
        let Some(in_box) = figures.get(figure::IN_BOX) else { return false };
        ballots += in_box + figures.get(figure::RETURNED_BY_BOX).unwrap_or(0);
    }
    // |(counter − before) − ballots|, without a sign on the way.
    counter.abs_diff(before + ballots) > tolerance
}
