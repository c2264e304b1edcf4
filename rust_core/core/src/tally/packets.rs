//! The log's packets, kept compactly: what a packet states in numbers stands in one flat list.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::book::MAX_VALUE;
use crate::Hash;
use crate::definition::Roster;
use crate::error::{Error, Result};
use crate::statement::{self, Attachment, Report};

/// Numbers to make room for before they are known: as many as a result with two contests has.
const USUAL_NUMBERS: usize = 64;

/// Numbers that are kept without memory of their own: as many as a turnout with two figures has.
const FEW: usize = 5;

/// Numbers of a packet. Almost all of them fit 32 bits; a packet with one that does not is kept wide.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers {
    Few { len: u8, numbers: [u32; FEW] },
    Narrow(Box<[u32]>),
    Wide(Box<[u64]>),
}

impl Numbers {
    fn new(numbers: Vec<u64>) -> Self {
        if numbers.iter().any(|&number| u32::try_from(number).is_err()) {
            return Self::Wide(numbers.into());
        }
        let narrow = numbers.iter().map(|&number| u32::try_from(number).unwrap_or(u32::MAX));
        match u8::try_from(numbers.len()) {
            Ok(len) if numbers.len() <= FEW => {
                let mut few = [0; FEW];
                few.iter_mut().zip(narrow).for_each(|(place, number)| *place = number);
                Self::Few { len, numbers: few }
            }
            _ => Self::Narrow(narrow.collect()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => (*len).into(),
            Self::Narrow(numbers) => numbers.len(),
            Self::Wide(numbers) => numbers.len(),
        }
    }

    fn at(&self, place: usize) -> u64 {
        match self {
            Self::Few { numbers, .. } => numbers[place].into(),
            Self::Narrow(numbers) => numbers[place].into(),
            Self::Wide(numbers) => numbers[place],
        }
    }

    /// A number that says how many others follow; it was a length in memory before.
    fn length(&self, place: usize) -> usize {
        usize::try_from(self.at(place)).unwrap_or(usize::MAX)
    }
}

/// Figures as they stand in a packet: codes ascend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures<'a> {
    numbers: &'a Numbers,
    start: usize,
    len: usize,
}

impl<'a> Figures<'a> {
    /// Code and value of each.
    pub(super) fn iter(self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        (0..self.len).map(move |place| {
            let at = self.start + 2 * place;
            (self.numbers.at(at), self.numbers.at(at + 1))
        })
    }

    /// The value under a code.
    pub(super) fn get(self, code: u64) -> Option<u64> {
        self.iter().take_while(|&(known, _)| known <= code).find(|&(known, _)| known == code).map(|(_, value)| value)
    }
}

/// Votes as they stand in a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Votes<'a> {
    numbers: &'a Numbers,
    start: usize,
    len: usize,
}

impl<'a> Votes<'a> {
    pub(super) fn len(self) -> usize {
        self.len
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u64> + use<'a> {
        (self.start..self.start + self.len).map(move |place| self.numbers.at(place))
    }

    /// Those of the choice at a place, which must be below their number.
    pub(super) fn at(self, place: usize) -> u64 {
        self.numbers.at(self.start + place)
    }
}

/// What a packet says of one contest: a count, or what a counter showed before the first voter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count<'a> {
    /// The contest's number.
    pub(super) contest: u64,
    /// Its own figures.
    pub(super) figures: Figures<'a>,
    /// One a choice.
    pub(super) votes: Votes<'a>,
}

impl Count<'_> {
    /// Whether own figures and votes stand there as in the other.
    pub(super) fn is_same(&self, other: &Count<'_>) -> bool {
        self.figures.iter().eq(other.figures.iter()) && self.votes.iter().eq(other.votes.iter())
    }
}

/// What only one of the reports has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Detail {
    Opening {
        counter: u64,
        firmware: Box<Hash>,
    },
    Turnout {
        as_of: u64,
    },
    /// `origin` and `cause` are kept because they tell two payloads apart.
    Result {
        closed_at: u64,
        counter: u64,
        origin: u64,
    },
    Protocol {
        closed_at: u64,
        corrects: Option<Box<Hash>>,
        cause: u64,
    },
    Documents,
}

/// A packet's payload. Two are equal exactly if their bytes are: there is one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// The definition that it names; None: ours.
    pub(super) definition: Option<Box<Hash>>,
    pub(super) device: u64,
    pub(super) station: u64,
    pub(super) sequence: u64,
    pub(super) previous: Option<Hash>,
    pub(super) signed_at: u64,
    pub(super) detail: Detail,
    /// How many figures of the voters there are, then code and value of each; then for each count its contest, how
    /// many figures and how many votes, code and value of each figure, the votes.
    numbers: Numbers,
    pub(super) attachments: Box<[Attachment]>,
    /// H100: no figure and no vote is above what may be added up.
    pub(super) is_bounded: bool,
}

impl Payload {
    pub(super) fn new(packet: &statement::Packet, ours: &Hash) -> Self {
        let mut numbers = Vec::with_capacity(USUAL_NUMBERS);
        let detail = match &packet.report {
            Report::Opening { counter, firmware, zeros } => {
                push_voters(&mut numbers, &[]);
                for zero in zeros {
                    push_count(&mut numbers, zero.contest, &[], &zero.votes);
                }
                Detail::Opening { counter: *counter, firmware: Box::new(*firmware) }
            }
            Report::Turnout { as_of, figures } => {
                push_voters(&mut numbers, figures);
                Detail::Turnout { as_of: *as_of }
            }
            Report::Result { closed_at, origin, counter, figures, counts, .. } => {
                push_counted(&mut numbers, figures, counts);
                Detail::Result { closed_at: *closed_at, origin: *origin, counter: *counter }
            }
            Report::Protocol { closed_at, corrects, cause, figures, counts, .. } => {
                push_counted(&mut numbers, figures, counts);
                Detail::Protocol { closed_at: *closed_at, corrects: corrects.map(Box::new), cause: *cause }
            }
            Report::Documents { .. } => {
                push_voters(&mut numbers, &[]);
                Detail::Documents
            }
        };
        Self {
            definition: (packet.definition != *ours).then(|| Box::new(packet.definition)),
            device: packet.device,
            station: packet.station,
            sequence: packet.sequence,
            previous: packet.previous,
            signed_at: packet.signed_at,
            detail,
            numbers: Numbers::new(numbers),
            attachments: packet.attachments().into(),
            is_bounded: is_bounded(&packet.report),
        }
    }

    /// The report's number in the format.
    pub(super) fn report(&self) -> u64 {
        match self.detail {
            Detail::Opening { .. } => 1,
            Detail::Turnout { .. } => 2,
            Detail::Result { .. } => 3,
            Detail::Protocol { .. } => 4,
            Detail::Documents => 5,
        }
    }

    /// Whether it is a result or a protocol.
    pub(super) fn is_count(&self) -> bool {
        matches!(self.detail, Detail::Result { .. } | Detail::Protocol { .. })
    }

    /// The figures of a turnout, or those of the voters.
    pub(super) fn voters(&self) -> Figures<'_> {
        Figures { numbers: &self.numbers, start: 1, len: self.numbers.length(0) }
    }

    /// The counts of a result or protocol, the zero report of an opening: contests ascend.
    pub(super) fn counts(&self) -> impl Iterator<Item = Count<'_>> {
        let numbers = &self.numbers;
        let mut next = 1 + 2 * numbers.length(0);
        std::iter::from_fn(move || {
            let start = next;
            if start >= numbers.len() {
                return None;
            }
            let figures = Figures { numbers, start: start + 3, len: numbers.length(start + 1) };
            let votes = Votes { numbers, start: figures.start + 2 * figures.len, len: numbers.length(start + 2) };
            next = votes.start + votes.len;
            Some(Count { contest: numbers.at(start), figures, votes })
        })
    }

    /// What it says of a contest.
    pub(super) fn count(&self, contest: u64) -> Option<Count<'_>> {
        self.counts().find(|count| count.contest == contest)
    }
}

/// H100.
fn is_bounded(report: &Report) -> bool {
    let bounds = |votes: &[u64]| votes.iter().all(|&votes| votes <= MAX_VALUE);
    let bounded = |figures: &[statement::Figure]| figures.iter().all(|figure| figure.value <= MAX_VALUE);
    match report {
        Report::Opening { zeros, .. } => zeros.iter().all(|zero| bounds(&zero.votes)),
        Report::Turnout { figures, .. } => bounded(figures),
        Report::Result { figures, counts, .. } | Report::Protocol { figures, counts, .. } => {
            bounded(figures) && counts.iter().all(|count| bounded(&count.figures) && bounds(&count.votes))
        }
        Report::Documents { .. } => true,
    }
}

fn push_voters(numbers: &mut Vec<u64>, figures: &[statement::Figure]) {
    numbers.push(figures.len() as u64);
    numbers.extend(figures.iter().flat_map(|figure| [figure.code, figure.value]));
}

fn push_count(numbers: &mut Vec<u64>, contest: u64, figures: &[statement::Figure], votes: &[u64]) {
    numbers.extend([contest, figures.len() as u64, votes.len() as u64]);
    numbers.extend(figures.iter().flat_map(|figure| [figure.code, figure.value]));
    numbers.extend(votes);
}

fn push_counted(numbers: &mut Vec<u64>, figures: &[statement::Figure], counts: &[statement::Count]) {
    push_voters(numbers, figures);
    for count in counts {
        push_count(numbers, count.contest, &count.figures, &count.votes);
    }
}

/// A packet of the log: a payload, however often it was signed.
#[derive(Debug)]
pub(super) struct Packet {
    /// The lowest index of an entry with this payload.
    pub(super) index: u64,
    /// The statement id of that entry.
    pub(super) id: Hash,
    /// The statement ids of the others; there is hardly ever one.
    more_names: Box<[Hash]>,
    /// Whether its `previous` names one of its device with the sequence before its own, or it is the first. Once it
    /// does, it always will.
    pub(super) is_chained: bool,
    /// Whether its device has signed something else under its sequence. Once it has, it always will have.
    pub(super) is_equivocal: bool,
    /// The one before it that names the same station.
    before: Option<Place>,
    pub(super) payload: Payload,
}

impl Packet {
    /// Whether a statement id is one of its names.
    pub(super) fn is_named(&self, id: &Hash) -> bool {
        self.id == *id || self.more_names.contains(id)
    }
}

/// Where a packet stands among all packets, in the order of their indexes.
pub(super) type Place = u32;

/// All packets of the log, by station and by device.
#[derive(Debug)]
pub(super) struct Packets {
    all: Vec<Packet>,
    /// By the station's index: the last one that names it.
    last_at: Vec<Option<Place>>,
    /// By the index of the device: sequence and place of each, ascending.
    of_devices: Vec<Vec<(u64, Place)>>,
    /// Has the devices with the first indexes.
    roster: Arc<Roster>,
    /// Indexes of the other devices, by number.
    more_devices: HashMap<u64, usize>,
}

impl Packets {
    /// None yet. `roster`: any; its devices are found faster than others.
    pub(super) fn new(stations: usize, roster: Arc<Roster>) -> Self {
        Self {
            all: Vec::new(),
            last_at: vec![None; stations],
            of_devices: vec![Vec::new(); roster.device_count()],
            roster,
            more_devices: HashMap::new(),
        }
    }

    fn device_index(&self, number: u64) -> Option<usize> {
        self.roster.device_index(number).or_else(|| self.more_devices.get(&number).copied())
    }

    /// Takes a packet that is not known; `station` is the index of the one that it names, if that is known.
    pub(super) fn insert(&mut self, index: u64, id: Hash, payload: Payload, station: Option<usize>) -> Result<()> {
        let device = self.device_index(payload.device).unwrap_or_else(|| {
            self.more_devices.insert(payload.device, self.of_devices.len());
            self.of_devices.push(Vec::new());
            self.of_devices.len() - 1
        });
        let Self { all, last_at, of_devices, .. } = self;
        let of_device = &mut of_devices[device];
        let twins = under(of_device, payload.sequence);
        for &(_, twin) in &of_device[twins.clone()] {
            all[twin as usize].is_equivocal = true;
        }
        let is_chained = payload.previous.as_ref().is_none_or(|previous| {
            // Only a packet with the sequence 1 has no previous.
            let before = &of_device[under(of_device, payload.sequence - 1)];
            before.iter().any(|&(_, before)| all[before as usize].is_named(previous))
        });
        chain(all, of_device, payload.sequence, &id);

        let place = Place::try_from(all.len()).map_err(|_| Error::Fault)?;
        let before = station.and_then(|station| last_at.get_mut(station)?.replace(place));
        of_device.insert(twins.end, (payload.sequence, place));
        let is_equivocal = !twins.is_empty();
        all.push(Packet { index, id, more_names: Box::default(), is_chained, is_equivocal, before, payload });
        Ok(())
    }

    /// Notes another signature on a known payload.
    pub(super) fn name(&mut self, place: Place, id: Hash) {
        let packet = &mut self.all[place as usize];
        if packet.is_named(&id) {
            return;
        }
        packet.more_names = [&*packet.more_names, &[id]].concat().into();
        let (device, sequence) = (packet.payload.device, packet.payload.sequence);
        if let Some(device) = self.device_index(device) {
            chain(&mut self.all, &self.of_devices[device], sequence, &id);
        }
    }

    /// The packets that name a station, by its index; ascending.
    pub(super) fn at(&self, station: usize) -> Vec<&Packet> {
        let packet = |place: Place| &self.all[place as usize];
        let last = self.last_at.get(station).copied().flatten().map(packet);
        let mut packets: Vec<&Packet> = std::iter::successors(last, |it| it.before.map(packet)).collect();
        packets.reverse();
        packets
    }

    /// The packets of a device.
    pub(super) fn of_device(&self, device: u64) -> OfDevice<'_> {
        let sequences = self.device_index(device).map_or(&[][..], |device| &self.of_devices[device]);
        OfDevice { all: &self.all, sequences }
    }
}

#[cfg(test)]
impl Packets {
    pub(super) fn every(&self) -> impl Iterator<Item = &Packet> {
        self.all.iter()
    }
}

/// Which of a device's packets have a sequence.
fn under(of_device: &[(u64, Place)], sequence: u64) -> Range<usize> {
    let start = of_device.partition_point(|&(known, _)| known < sequence);
    start..start + of_device[start..].partition_point(|&(known, _)| known == sequence)
}

/// Notes which packets of a device name one with this sequence by this id.
fn chain(all: &mut [Packet], of_device: &[(u64, Place)], sequence: u64, id: &Hash) {
    for &(_, next) in &of_device[under(of_device, sequence.saturating_add(1))] {
        let next = &mut all[next as usize];
        next.is_chained |= next.payload.previous.as_ref() == Some(id);
    }
}

/// The packets of a device, found once and asked often.
#[derive(Clone, Copy)]
pub(super) struct OfDevice<'a> {
    all: &'a [Packet],
    /// Sequence and place of each, ascending.
    sequences: &'a [(u64, Place)],
}

impl<'a> OfDevice<'a> {
    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = &'a Packet> {
        self.sequences.iter().map(move |&(_, place)| &self.all[place as usize])
    }

    /// Those under a sequence, ascending.
    pub(super) fn under(self, sequence: u64) -> impl Iterator<Item = &'a Packet> {
        self.sequences[under(self.sequences, sequence)].iter().map(move |&(_, place)| &self.all[place as usize])
    }

    /// Where a payload of this device stands that is known.
    pub(super) fn find(self, payload: &Payload) -> Option<Place> {
        let mut places = self.sequences[under(self.sequences, payload.sequence)].iter().map(|&(_, place)| place);
        places.find(|&place| self.all[place as usize].payload == *payload)
    }
}
