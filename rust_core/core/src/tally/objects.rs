//! The objects as bytes: canonical JSON (RFC 8785), written straight away. Going through `jcs::Value` would make a
//! string of every member's name in every row; members stand here in the order that it would sort them into, and tests
//! hold the two against each other.

use std::fmt::{Display, Write as _};

use super::book::Book;
use super::packets::{Count, Detail, Packet};
use super::results::{self, Found, Parts};
use super::station::{self, State, StationState, Tallied};
use super::sums::{AreaSums, ContestSums, SourceSums, Sum};
use super::turnout;
use crate::definition::Station;
use crate::error::{Error, Result};
use crate::{Hash, MAX_INTEGER};

/// Writes JSON; an integer above 2^53−1 shows when it is finished.
struct Json {
    text: String,
    is_exact: bool,
}

impl Json {
    fn new() -> Self {
        Self { text: String::new(), is_exact: true }
    }

    fn finish(self) -> Result<Vec<u8>> {
        if self.is_exact { Ok(self.text.into_bytes()) } else { Err(Error::Fault) }
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn int(&mut self, value: u64) -> &mut Self {
        self.is_exact &= value <= MAX_INTEGER;
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    fn optional(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.int(value),
            None => self.raw("null"),
        }
    }

    fn flag(&mut self, value: bool) -> &mut Self {
        self.int(value.into())
    }

    /// A text of ASCII letters, digits, dots and dashes.
    fn word(&mut self, word: impl Display) -> &mut Self {
        let _ = write!(self.text, "\"{word}\"");
        self
    }

    fn hex(&mut self, hash: &Hash) -> &mut Self {
        self.word(hex::encode(hash))
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) -> &mut Self {
        self.raw("[");
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.raw(",");
            }
            write(self, item);
        }
        self.raw("]")
    }

    fn ints(&mut self, values: impl IntoIterator<Item = u64>) -> &mut Self {
        self.list(values, |json, value| {
            json.int(value);
        })
    }

    fn pairs(&mut self, pairs: impl IntoIterator<Item = (u64, u64)>) -> &mut Self {
        self.list(pairs, |json, (first, second)| {
            json.ints([first, second]);
        })
    }

    fn sum(&mut self, sum: Sum) -> &mut Self {
        self.ints([sum.sum, sum.stations])
    }
}

/// A station's object.
pub(super) fn station(
    book: &Book,
    station: &Station<'_>,
    packets: &[&Packet],
    state: &StationState,
    version: u64,
) -> Result<Vec<u8>> {
    let mut json = Json::new();
    json.raw("{\"cancelled\":").flag(state.cancelled);
    json.raw(",\"codes\":").list(&state.codes, |json, code| {
        json.word(code);
    });
    json.raw(",\"counts\":").list(shown(station, state), |json, (contest, source, tallied)| {
        json.raw("{\"contest\":").int(contest);
        json.raw(",\"figures\":").pairs(tallied.figures.iter().copied());
        json.raw(",\"packets\":").ints(tallied.packets.iter().copied());
        json.raw(",\"source\":").int(source);
        json.raw(",\"state\":").word(tallied.state.word());
        json.raw(",\"votes\":").ints(tallied.votes.iter().copied()).raw("}");
    });
    json.raw(",\"decisions\":").ints(state.decisions.iter().copied());
    json.raw(",\"definition\":").hex(&book.definition.hash);
    json.raw(",\"differences\":").list(differences(book, station, state), |json, difference| {
        json.ints(difference);
    });
    json.raw(",\"documents\":");
    documents(&mut json, packets, state);
    json.raw(",\"format\":\"tallygate-station/1\",\"opened\":").flag(state.opened);
    json.raw(",\"packets\":").list(packets.iter().enumerate(), |json, (place, shown)| {
        packet(json, shown, place, state);
    });
    json.raw(",\"station\":").int(station.number);
    let hours = turnout::carried(&state.hours, book.hours.len());
    json.raw(",\"turnout\":{\"hours\":").pairs(hours.map(|(place, identified)| (book.hours[place], identified)));
    json.raw(",\"identified\":").optional(state.identified);
    json.raw("},\"version\":").int(version).raw("}");
    json.finish()
}

/// The counts that are not silent, each with its contest and source.
fn shown<'a>(station: &'a Station<'_>, state: &'a StationState) -> impl Iterator<Item = (u64, u64, &'a Tallied)> {
    let both = station.contests.iter().zip(state.counts.chunks(2));
    both.flat_map(|(&contest, both)| (1..).zip(both).map(move |(source, tallied)| (contest, source, tallied)))
        .filter(|(_, _, tallied)| tallied.state != State::Silent)
}

fn differences<'a>(
    book: &'a Book,
    station: &'a Station<'_>,
    state: &'a StationState,
) -> impl Iterator<Item = [u64; 4]> {
    let both = station.contests.iter().zip(state.counts.chunks(2));
    both.flat_map(|(&contest, both)| {
        let choices = book.ballot(contest).map_or(&[][..], |ballot| &ballot.choices);
        station::differences(both).map(move |(place, machine, protocol)| [contest, choices[place], machine, protocol])
    })
}

fn documents(json: &mut Json, packets: &[&Packet], state: &StationState) {
    let excluded = |place: usize| state.packet_codes.iter().any(|(at, code)| *at == place && code.excludes());
    let belonging = packets
        .iter()
        .enumerate()
        .filter(|(place, packet)| !packet.payload.attachments.is_empty() && !excluded(*place));
    let papers = belonging
        .flat_map(|(_, packet)| packet.payload.attachments.iter().map(move |attachment| (packet.index, attachment)));
    json.list(papers, |json, (index, attachment)| {
        json.raw("{\"document\":").int(attachment.document);
        json.raw(",\"index\":").int(index);
        json.raw(",\"media\":").int(attachment.media);
        json.raw(",\"page\":").int(attachment.page);
        json.raw(",\"sha256\":").hex(&attachment.sha256);
        json.raw(",\"size\":").int(attachment.size).raw("}");
    });
}

fn packet(json: &mut Json, packet: &Packet, place: usize, state: &StationState) {
    let payload = &packet.payload;
    let first = state.packet_codes.partition_point(|(at, _)| *at < place);
    let codes = state.packet_codes[first..].iter().take_while(|(at, _)| *at == place);
    let (counter, corrects) = match &payload.detail {
        Detail::Opening { counter, .. } | Detail::Result { counter, .. } => (Some(*counter), None),
        Detail::Protocol { corrects, .. } => (None, corrects.as_deref()),
        Detail::Turnout { .. } | Detail::Documents => (None, None),
    };
    json.raw("{\"codes\":").list(codes, |json, (_, code)| {
        json.word(code);
    });
    json.raw(",\"corrects\":");
    match corrects {
        Some(id) => json.hex(id),
        None => json.word(""),
    };
    json.raw(",\"counter\":").optional(counter);
    json.raw(",\"counts\":").list(payload.counts(), |json, count: Count<'_>| {
        json.raw("[").int(count.contest).raw(",").pairs(count.figures.iter());
        json.raw(",").ints(count.votes.iter()).raw("]");
    });
    json.raw(",\"device\":").int(payload.device);
    json.raw(",\"id\":").hex(&packet.id);
    json.raw(",\"index\":").int(packet.index);
    json.raw(",\"report\":").int(payload.report());
    json.raw(",\"sequence\":").int(payload.sequence);
    json.raw(",\"signed_at\":").int(payload.signed_at);
    json.raw(",\"voters\":").pairs(payload.voters().iter()).raw("}");
}

/// A station's row in its area's object.
pub(super) struct Row<'a> {
    pub(super) station: Station<'a>,
    pub(super) version: Option<u64>,
    pub(super) state: &'a StationState,
}

/// An area's object. `children`: the numbers of the areas right below it with the SHA-256 of their objects; `rows`: the
/// stations that stand right in it. Both ascend.
pub(super) fn area<'a>(
    book: &Book,
    number: u64,
    sums: &AreaSums,
    children: &[(u64, Hash)],
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<Vec<u8>> {
    let mut json = Json::new();
    json.raw("{\"area\":").int(number);
    json.raw(",\"areas\":").list(children, |json, (number, hash)| {
        json.raw("[").int(*number).raw(",").hex(hash).raw("]");
    });
    json.raw(",\"cancelled\":").int(sums.cancelled);
    json.raw(",\"contests\":").list(&sums.contests, contest);
    json.raw(",\"definition\":").hex(&book.definition.hash);
    json.raw(",\"flags\":").list(&sums.flags, |json, (code, stations)| {
        json.raw("[").word(code).raw(",").int(*stations).raw("]");
    });
    json.raw(",\"format\":\"tallygate-area/1\",\"opened\":").int(sums.opened);
    json.raw(",\"rows\":").list(rows, |json, shown| row(json, &shown));
    json.raw(",\"stations\":").int(sums.stations);
    let hours = book.hours.iter().zip(sums.hours()).filter(|(_, identified)| identified.stations > 0);
    json.raw(",\"turnout\":{\"hours\":").list(hours, |json, (&hour, identified)| {
        json.ints([hour, identified.sum, identified.stations]);
    });
    json.raw(",\"identified\":").int(sums.identified.sum);
    json.raw(",\"registered\":").sum(sums.registered);
    json.raw(",\"stations\":").int(sums.identified.stations).raw("}}");
    json.finish()
}

fn contest(json: &mut Json, sums: &ContestSums) {
    let [machine, protocol] = &sums.sources;
    json.raw("{\"contest\":").int(sums.contest);
    json.raw(",\"machine\":");
    source(json, machine);
    json.raw(",\"protocol\":");
    source(json, protocol);
    json.raw(",\"registered\":").sum(sums.registered);
    json.raw(",\"stations\":").int(sums.stations).raw("}");
}

fn source(json: &mut Json, sums: &SourceSums) {
    json.raw("{\"annulled\":").int(sums.stations(State::Annulled));
    json.raw(",\"counted\":").int(sums.counted());
    json.raw(",\"disputed\":").int(sums.stations(State::Disputed));
    json.raw(",\"figures\":").list(&sums.figures, |json, &(code, sum)| {
        json.ints([code, sum.sum, sum.stations]);
    });
    json.raw(",\"held\":").int(sums.stations(State::Held));
    json.raw(",\"partial\":").int(sums.stations(State::Partial));
    json.raw(",\"registered\":").sum(sums.registered);
    json.raw(",\"reported\":").int(sums.stations(State::Reported));
    json.raw(",\"silent\":").int(sums.stations(State::Silent));
    json.raw(",\"votes\":").ints(sums.votes.iter().copied()).raw("}");
}

fn row(json: &mut Json, row: &Row<'_>) {
    json.raw("[").int(row.station.number).raw(",").optional(row.version);
    json.raw(",").flag(row.state.opened).raw(",").flag(row.state.cancelled);
    json.raw(",").list(&row.state.codes, |json, code| {
        json.word(code);
    });
    json.raw(",").list(shown(&row.station, row.state), |json, (contest, source, tallied)| {
        json.raw("[").int(contest).raw(",").int(source).raw(",").word(tallied.state.word());
        json.raw(",").pairs(tallied.figures.iter().copied());
        json.raw(",").ints(tallied.votes.iter().copied()).raw("]");
    });
    json.raw("]");
}

/// `progress` of an area.
pub(super) fn progress(sums: &AreaSums) -> Result<Vec<u8>> {
    let mut json = Json::new();
    json.raw("{\"annulled\":").int(sums.in_headline(State::Annulled));
    json.raw(",\"cancelled\":").int(sums.cancelled);
    json.raw(",\"disputed\":").int(sums.in_headline(State::Disputed));
    json.raw(",\"held\":").int(sums.in_headline(State::Held));
    json.raw(",\"opened\":").int(sums.opened);
    json.raw(",\"partial\":").int(sums.in_headline(State::Partial));
    json.raw(",\"reported\":").int(sums.in_headline(State::Reported));
    json.raw(",\"silent\":").int(sums.in_headline(State::Silent));
    json.raw(",\"stations\":").int(sums.stations).raw("}");
    json.finish()
}

/// `results` of an area. `parts`: of the root.
pub(super) fn results(book: &Book, sums: &AreaSums, parts: Option<&Parts<'_>>) -> Result<Vec<u8>> {
    let mut json = Json::new();
    json.list(results::of_area(&book.definition, sums, parts)?, |json, found| result(json, &found));
    json.finish()
}

fn result(json: &mut Json, found: &Found<'_>) {
    let Found { race, source, sums, shares, verdict } = found;
    let choices = race.choices.iter().zip(&sums.votes).zip(&shares.choices).enumerate();
    json.raw("{\"base\":").optional(shares.base);
    json.raw(",\"choices\":").list(choices, |json, (place, ((choice, &votes), &share))| {
        json.raw("{\"choice\":").int(choice.number);
        json.raw(",\"seats\":").optional(verdict.seats.as_ref().map(|seats| seats[place]));
        json.raw(",\"share\":").optional(share);
        json.raw(",\"votes\":").int(votes).raw("}");
    });
    json.raw(",\"contest\":").int(race.contest.number);
    json.raw(",\"outcome\":{\"choices\":").ints(verdict.choices.iter().copied());
    json.raw(",\"word\":").word(verdict.outcome.word()).raw("},\"quorum\":");
    match verdict.quorum {
        Some(quorum) => json.word(quorum.word()),
        None => json.raw("null"),
    };
    json.raw(",\"source\":").int(*source);
    json.raw(",\"thresholds\":").list(&verdict.thresholds, |json, (choice, judgement)| {
        json.raw("[").int(*choice).raw(",").word(judgement.word()).raw("]");
    });
    json.raw(",\"turnout\":").optional(shares.turnout).raw("}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_integer_above_the_largest_is_written() {
        let mut json = Json::new();
        json.int(MAX_INTEGER);
        assert_eq!(json.finish().unwrap(), b"9007199254740991");
        let mut json = Json::new();
        json.int(MAX_INTEGER + 1).raw("x");
        assert_eq!(json.finish(), Err(Error::Fault));
    }
}
