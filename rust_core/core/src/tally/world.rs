//! What a station is judged by: its packets, and what the commission's decisions in effect say of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::book::Book;
use super::codes::Code;
use super::packets::{Packet, Packets};
use super::rules;
use crate::Hash;
use crate::authority::{Authority, Choice, Facts, Ruling};
use crate::definition::{Definition, DeviceKind, Firmware, Roster, Station};
use crate::error::{Error, Result};
use crate::statement::Source;

/// The two sources in the order of objects.
pub(super) const SOURCES: [Source; 2] = [Source::Machine, Source::Protocol];

/// The boxes and terminals that the newest roster assigns, by station.
#[derive(Debug)]
pub(super) struct Posts {
    /// SHA-256 of that roster.
    roster: Hash,
    devices: Vec<(u64, DeviceKind)>,
    /// By the station's index: where its devices end.
    ends: Vec<usize>,
}

impl Posts {
    fn new(definition: &Definition, roster: &Roster) -> Self {
        let mut posts: Vec<(u64, u64, DeviceKind)> = roster
            .devices()
            .flat_map(|device| device.stations.iter().map(move |&station| (station, device.number, device.kind)))
            .collect();
        posts.sort_unstable_by_key(|&(station, device, _)| (station, device));
        let mut rest = posts.iter().peekable();
        let mut devices = Vec::with_capacity(posts.len());
        let mut ends = Vec::with_capacity(definition.station_count());
        for station in definition.stations() {
            while let Some(&(_, device, kind)) = rest.next_if(|&&(number, _, _)| number <= station.number) {
                devices.push((device, kind));
            }
            ends.push(devices.len());
        }
        Self { roster: roster.hash, devices, ends }
    }

    /// Devices of a station, by its index; ascending.
    fn at(&self, station: usize) -> &[(u64, DeviceKind)] {
        let start = station.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(station).and_then(|&end| self.devices.get(start..end)).unwrap_or(&[])
    }
}

/// A packet, and what the commission's rosters and decisions make of it.
pub(super) struct Seen<'a> {
    pub(super) packet: &'a Packet,
    /// H105, H106, H107: why it does not belong to the station.
    pub(super) excluded: Vec<Code>,
}

/// What the commission says of one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruled {
    /// Nothing: what belongs counts by the rules.
    No,
    /// Nothing counts.
    Annulled,
    /// The packet at this place among those of the station counts, alone.
    Chosen(usize),
}

/// Everything that a station's state depends on, at one point of the log.
pub(super) struct Situation<'a> {
    pub(super) station: Station<'a>,
    /// The packets that name the station, ascending.
    pub(super) packets: Vec<Seen<'a>>,
    /// The boxes and terminals that are assigned, and the desks that a decision 3 assigns, ascending.
    assigned: Cow<'a, [(u64, DeviceKind)]>,
    /// When the station closes, ms since the Unix epoch.
    pub(super) closes_at: u64,
    pub(super) cancelled: bool,
    /// What boxes may run; empty: anything.
    pub(super) firmware: &'a [Firmware],
    /// For each contest of the station the machine's count and the protocol's.
    pub(super) rulings: Vec<Ruled>,
    /// Numbers of the decisions in effect that its object lists.
    pub(super) decisions: Vec<u64>,
}

impl Situation<'_> {
    /// The boxes that are assigned, ascending.
    pub(super) fn boxes(&self) -> impl Iterator<Item = u64> {
        self.assigned.iter().filter(|(_, kind)| *kind == DeviceKind::Box).map(|&(device, _)| device)
    }
}

/// The log so far, as the rules look at it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) definition: Arc<Definition>,
    pub(super) authority: Authority,
    pub(super) packets: Packets,
    posts: Posts,
}

impl World {
    pub(super) fn new(definition: Arc<Definition>, roster: Arc<Roster>) -> Self {
        let posts = Posts::new(&definition, &roster);
        let packets = Packets::new(definition.station_count(), Arc::clone(&roster));
        let authority = Authority::new(Arc::clone(&definition), roster);
        Self { definition, authority, packets, posts }
    }

    /// Follows the newest roster; whether it is another one than before.
    pub(super) fn follow_roster(&mut self) -> bool {
        let newest = self.authority.assignments();
        let another = newest.hash != self.posts.roster;
        if another {
            self.posts = Posts::new(&self.definition, newest);
        }
        another
    }

    /// What is to be known of the station with this index.
    pub(super) fn situation(&self, index: usize) -> Result<Situation<'_>> {
        let station = self.definition.station_at(index).ok_or(Error::Fault)?;
        let assigned = self.assigned(&station);
        let has_terminal = assigned.iter().any(|(_, kind)| *kind == DeviceKind::Terminal);

        let mut desks = HashMap::new();
        let of_station = self.packets.at(index);
        let mut packets = Vec::with_capacity(of_station.len());
        for packet in of_station {
            let device = packet.payload.device;
            let post = assigned.iter().find(|(known, _)| *known == device).map(|&(_, kind)| kind);
            let post = post.or_else(|| {
                let serves = *desks.entry(device).or_insert_with(|| self.desk_serves(device, &station));
                serves.then_some(DeviceKind::Desk)
            });
            packets.push(Seen { packet, excluded: self.excluded(packet, post, has_terminal) });
        }

        let mut decisions = self.authority.about_station(station.number);
        let posted = assigned.iter().filter(|(_, kind)| *kind != DeviceKind::Desk).map(|&(device, _)| device);
        let speaking = desks.iter().filter(|(_, serves)| **serves).map(|(device, _)| *device);
        let speaking_by_decision = assigned.iter().filter(|(device, kind)| {
            *kind == DeviceKind::Desk && packets.iter().any(|seen| seen.packet.payload.device == *device)
        });
        for device in posted.chain(speaking).chain(speaking_by_decision.map(|&(device, _)| device)) {
            decisions.extend(self.authority.revocations(device));
        }
        decisions.sort_unstable();

        let rulings = self.rulings(&station, &packets)?;
        Ok(Situation {
            station,
            packets,
            assigned,
            closes_at: self.authority.ruled_closing(station.number).unwrap_or(station.closes_at),
            cancelled: self.authority.is_cancelled(station.number),
            firmware: &self.authority.assignments().firmware,
            rulings,
            decisions,
        })
    }

    /// The boxes and terminals that are assigned to a station, and the desks that a decision 3 assigns; ascending.
    fn assigned(&self, station: &Station<'_>) -> Cow<'_, [(u64, DeviceKind)]> {
        let posted = self.posts.at(station.index);
        let reassigned = self.authority.reassigned(station.number);
        if reassigned.is_empty() {
            return posted.into();
        }
        let mut assigned = posted.to_vec();
        for (device, is_assigned) in reassigned {
            assigned.retain(|(known, _)| *known != device);
            if let Some(kind) = self.kind(device).filter(|_| is_assigned) {
                assigned.push((device, kind));
            }
        }
        assigned.sort_unstable_by_key(|&(device, _)| device);
        assigned.into()
    }

    /// Whether the newest roster assigns a desk to a station, and no decision 3 speaks about that.
    fn desk_serves(&self, device: u64, station: &Station<'_>) -> bool {
        let area = self.authority.assignments().device(device).and_then(|device| device.area);
        area.is_some_and(|area| self.definition.holds(area, station.number))
            && !self.authority.reassigned(station.number).iter().any(|&(known, _)| known == device)
    }

    fn kind(&self, device: u64) -> Option<DeviceKind> {
        self.authority.speakers().device(device).map(|device| device.kind)
    }

    /// Why a packet does not belong to the station that it names. `post`: what its device is there, if it is assigned.
    fn excluded(&self, packet: &Packet, post: Option<DeviceKind>, has_terminal: bool) -> Vec<Code> {
        let payload = &packet.payload;
        let may_report = match (payload.report(), post) {
            (_, None) => false,
            (1 | 3, Some(kind)) => kind == DeviceKind::Box,
            (2, Some(kind)) => kind == DeviceKind::Terminal || (kind == DeviceKind::Box && !has_terminal),
            (_, Some(kind)) => matches!(kind, DeviceKind::Box | DeviceKind::Desk),
        };
        let reasons = [
            (Code::DEVICE, !may_report),
            (Code::DEFINITION, payload.definition.as_ref().is_some_and(|named| !self.authority.accepts(named))),
            (Code::REVOKED, self.authority.revoked_at(payload.device).is_some_and(|entry| packet.index > entry)),
        ];
        reasons.into_iter().filter(|(_, holds)| *holds).map(|(code, _)| code).collect()
    }

    fn rulings(&self, station: &Station<'_>, packets: &[Seen<'_>]) -> Result<Vec<Ruled>> {
        let counts = station.contests.iter().flat_map(|&contest| SOURCES.map(|source| (contest, source)));
        let ruled = counts.map(|(contest, source)| match self.authority.ruling(station.number, contest, source) {
            None => Ok(Ruled::No),
            Some(Ruling::Annulled) => Ok(Ruled::Annulled),
            // It was there when the decision was judged.
            Some(Ruling::Chosen(id)) => {
                packets.iter().position(|seen| seen.packet.is_named(&id)).map(Ruled::Chosen).ok_or(Error::Fault)
            }
        });
        ruled.collect()
    }
}

/// The packets that an action 5 may choose.
pub(super) struct Choosable<'a> {
    pub(super) book: &'a Book,
    pub(super) packets: &'a Packets,
}

impl Facts for Choosable<'_> {
    fn choosable(&self, choice: &Choice) -> Option<Hash> {
        let station = self.book.definition.station(choice.station)?;
        let payload = &self.packets.at(station.index).into_iter().find(|packet| packet.is_named(&choice.id))?.payload;
        let source = match payload.report() {
            3 => Source::Machine,
            4 => Source::Protocol,
            _ => return None,
        };
        let fits = source == choice.source
            && payload.count(choice.contest).is_some()
            && payload.is_bounded
            && rules::has_form(self.book, &station, payload);
        let ours = &self.book.definition.hash;
        fits.then(|| *payload.definition.as_deref().unwrap_or(ours))
    }
}
