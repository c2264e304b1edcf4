//! The tally: what counts (docs/tally.md). A fold over the log that keeps the objects of stations and areas.
//!
//! A station's state is a pure function of what is known of it (`station::evaluate` of a `world::Situation`), and an
//! area's sums are those of its stations. This file only says which stations an entry touches: a new packet marks its
//! station, which is evaluated when somebody looks; stations that are touched without a packet of their own are
//! evaluated before and after the entry, since only that shows whether their objects differ.
//!
//! - `packets`, `world`: the log so far, and what of it a station is judged by
//! - `book`, `codes`: the definition and the names of rules as the rules use them
//! - `rules`, `turnout`, `station`: the rules on packets, the identified voters, a station's state
//! - `sums`, `objects`: areas, and everything as canonical JSON
//! - `results`: what follows from an area's sums

mod book;
mod codes;
mod objects;
mod packets;
mod results;
mod rules;
mod station;
mod sums;
#[cfg(test)]
mod tests;
mod turnout;
mod world;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::Hash;
use crate::authority::{MissingRoster, Standing};
use crate::definition::{Definition, Headline, Roster, Station};
use crate::error::{Error, Result};
use crate::statement::{self, Action, Body, Statement};

pub use results::{Shares, shares};

use book::Book;
use objects::Row;
use packets::Payload;
use results::Parts;
use station::StationState;
use sums::{AreaSums, Shift};
use world::{Choosable, World};

/// Statements that are decoded at a time, on all cores: what is kept of them stays in the cache until it is taken.
const DECODED_AT_ONCE: usize = 1_024;

/// Stations that are evaluated at a time, on all cores: their new states wait in memory for the sums.
const EVALUATED_AT_ONCE: usize = 4_096;

/// Stations that are worth waking another core for: one takes some microseconds, handing some over takes 20.
const WORTH_A_CORE: usize = 32;

/// What has become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is in the tally.
    Taken,
    /// It is not: a decision that it completes names a roster that nobody has offered. Offer it and apply the entry
    /// again.
    Waiting(MissingRoster),
}

/// A statement as the tally takes it: of a packet what is kept.
enum Entry {
    Packet(Payload),
    Decision(Box<Statement>),
}

impl Entry {
    fn new(statement: &Statement, ours: &Hash) -> Self {
        match &statement.body {
            Body::Packet(packet) => Self::Packet(Payload::new(packet, ours)),
            Body::Decision(_) => Self::Decision(Box::new(statement.clone())),
        }
    }
}

/// A station, and whether its state is still that of its packets.
#[derive(Debug)]
struct Slot {
    /// Index of the area that it stands in.
    area: usize,
    /// Elsewhere: what an entry looks at of many stations stays close together.
    state: Box<StationState>,
    /// Index of the last entry that has changed its object.
    version: Option<u64>,
    /// A packet of its own has come since it was evaluated.
    is_stale: bool,
    /// Its object has changed since `take_changed`.
    is_changed: bool,
}

/// An area, and its object's hash until something below it changes.
#[derive(Debug)]
struct Node {
    /// Index of the area that holds it.
    parent: Option<usize>,
    /// Indexes of the stations that stand right in it.
    stations: Vec<usize>,
    sums: AreaSums,
    hash: Option<Hash>,
}

/// The tally of a log's prefix.
///
/// `server.fault` from any method means an integer beyond 2^53−1 or a fault of this program. What the tally holds is not
/// known then, so every method answers that from there on.
#[derive(Debug)]
pub struct Tally {
    book: Book,
    world: World,
    /// The rosters that have been offered, and whether each is one.
    offered: HashMap<Hash, bool>,
    /// Rosters that a decision of the log names, taken or not, and that nobody has offered.
    unoffered: HashSet<Hash>,
    waiting: Vec<MissingRoster>,
    /// By the station's index.
    stations: Vec<Slot>,
    /// By the area's index.
    areas: Vec<Node>,
    stale: Vec<usize>,
    changed: Vec<usize>,
    next_index: u64,
    has_failed: bool,
}

impl Tally {
    /// The tally of the empty log. `roster` is the one that decision 1 names; both were loaded together.
    ///
    /// # Errors
    /// `server.fault`.
    pub fn new(definition: Arc<Definition>, roster: Arc<Roster>) -> Result<Self> {
        let offered = HashMap::from([(roster.hash, true)]);
        let book = Book::new(Arc::clone(&definition));
        let world = World::new(definition, roster);
        let definition = Arc::clone(&book.definition);
        let evaluated: Vec<StationState> = (0..definition.station_count())
            .into_par_iter()
            .map(|index| station::evaluate(&book, &world.situation(index)?))
            .collect::<Result<_>>()?;
        let mut tally = Self {
            areas: nodes(&book),
            stations: definition.stations().zip(evaluated).map(slot).collect(),
            book,
            world,
            offered,
            unoffered: HashSet::new(),
            waiting: Vec::new(),
            stale: Vec::new(),
            changed: Vec::new(),
            next_index: 0,
            has_failed: false,
        };
        tally.add_all()?;
        Ok(tally)
    }

    /// Adds what all stations contribute to sums over nothing.
    fn add_all(&mut self) -> Result<()> {
        let definition = &self.book.definition;
        for (station, slot) in definition.stations().zip(&self.stations) {
            shift(&mut self.areas, slot, Shift::Add, definition.election.headline, &station)?;
        }
        Ok(())
    }

    /// A roster of this definition that a decision 9 may name.
    pub fn offer(&mut self, roster: Arc<Roster>) {
        self.note_offered(roster.hash, true);
        self.world.authority.offer(roster);
    }

    /// The hash of a file that is there and that no loader takes as a roster of this definition, whatever stands beside
    /// it: a decision 9 that names it is void (`Authority::offer_unusable`).
    pub fn offer_unusable(&mut self, roster: Hash) {
        self.note_offered(roster, false);
        self.world.authority.offer_unusable(roster);
    }

    fn note_offered(&mut self, roster: Hash, is_usable: bool) {
        *self.offered.entry(roster).or_default() |= is_usable;
        self.unoffered.remove(&roster);
        self.waiting.retain(|missing| missing.roster != roster);
    }

    /// Rosters that the entry at `next_index` waits for.
    pub fn missing_rosters(&self) -> &[MissingRoster] {
        &self.waiting
    }

    /// The index of the entry that comes next: how many are in the tally.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Takes the log's next entry: a statement that `verify::check` has accepted, and its id.
    ///
    /// # Errors
    /// `argument.range` where `index` is not `next_index`; `server.fault`.
    pub fn apply(&mut self, index: u64, id: Hash, statement: &Statement) -> Result<Step> {
        let entry = Entry::new(statement, &self.book.definition.hash);
        self.take(index, id, entry)
    }

    fn take(&mut self, index: u64, id: Hash, entry: Entry) -> Result<Step> {
        if index != self.next_index {
            return Err(Error::Argument("the log's entries are tallied in their order, none left out"));
        }
        self.guarded(|tally| {
            match entry {
                Entry::Packet(payload) => tally.apply_packet(index, id, payload)?,
                Entry::Decision(statement) => {
                    tally.note_named(&statement.body);
                    if let Some(missing) = tally.apply_decision(index, &statement)? {
                        return Ok(Step::Waiting(missing));
                    }
                }
            }
            tally.next_index += 1;
            Ok(Step::Taken)
        })
    }

    /// Does something that may leave the tally half done, and then lets nobody use it.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.has_failed {
            return Err(Error::Fault);
        }
        // Set beforehand, so that it stays where the work panics.
        self.has_failed = true;
        let done = work(self);
        self.has_failed = matches!(done, Err(Error::Fault));
        done
    }

    /// Notes a roster that a decision needs once it is taken: a 9 with an unusable one is void, a 1 cannot do without.
    fn note_named(&mut self, body: &Body) {
        let Body::Decision(decision) = body else { return };
        let needed = match decision.action {
            Action::Open { roster, .. } if self.offered.get(&roster) != Some(&true) => roster,
            Action::Roster { roster } if !self.offered.contains_key(&roster) => roster,
            _ => return,
        };
        self.unoffered.insert(needed);
    }

    /// Takes the log's next entries, as bytes; how many of them are in the tally now. All are, unless the first of the
    /// others waits for a roster.
    ///
    /// # Errors
    /// `argument.range` where `first` is not `next_index`; `statement.malformed` of the first statement that is none,
    /// with all before it in the tally; `server.fault`.
    pub fn apply_all(&mut self, first: u64, statements: &[&[u8]]) -> Result<usize> {
        if statements.len() < WORTH_A_CORE {
            self.apply_some(first, statements)
        } else {
            // Among the threads that share the work: none is woken for every part of it.
            rayon::scope(|_| self.apply_some(first, statements))
        }
    }

    fn apply_some(&mut self, first: u64, statements: &[&[u8]]) -> Result<usize> {
        let mut taken = 0;
        for chunk in statements.chunks(DECODED_AT_ONCE) {
            let ours = &self.book.definition.hash;
            // A decoded statement is let go at once: it may be a dozen times as large as its bytes.
            let one = |bytes: &&[u8]| statement::decode(bytes).map(|it| (statement::id(bytes), Entry::new(&it, ours)));
            let entries: Vec<_> = if chunk.len() < WORTH_A_CORE {
                chunk.iter().map(one).collect()
            } else {
                chunk.par_iter().with_min_len(WORTH_A_CORE).map(one).collect()
            };
            for entry in entries {
                let (id, entry) = entry?;
                if let Step::Waiting(_) = self.take(first + taken as u64, id, entry)? {
                    return Ok(taken);
                }
                taken += 1;
            }
        }
        Ok(taken)
    }

    fn apply_packet(&mut self, index: u64, id: Hash, payload: Payload) -> Result<()> {
        let own = self.station_index(payload.station);
        let of_device = self.world.packets.of_device(payload.device);
        let stations =
            |sequence| of_device.under(sequence).filter_map(|packet| self.station_index(packet.payload.station));
        // Those that name it as their previous.
        let mut others: BTreeSet<usize> = stations(payload.sequence.saturating_add(1)).collect();
        if let Some(place) = of_device.find(&payload) {
            others.extend(own);
            return self.touch(index, &others, |world| {
                world.packets.name(place, id);
                Ok(())
            });
        }
        others.extend(stations(payload.sequence));
        if let Some(own) = own {
            // One packet more is listed: whatever else changes there, its object differs.
            others.remove(&own);
        }
        self.touch(index, &others, |world| world.packets.insert(index, id, payload, own))?;
        if let Some(own) = own {
            self.version(own, index);
            let slot = &mut self.stations[own];
            if !slot.is_stale {
                slot.is_stale = true;
                self.stale.push(own);
            }
        }
        Ok(())
    }

    fn station_index(&self, number: u64) -> Option<usize> {
        self.book.definition.station_index(number)
    }

    /// Lets an entry change the world; stations whose objects may differ by it get its index as version if they do.
    fn touch(
        &mut self,
        index: u64,
        stations: &BTreeSet<usize>,
        change: impl FnOnce(&mut World) -> Result<()>,
    ) -> Result<()> {
        let stations: Vec<usize> = stations.iter().copied().collect();
        self.refresh(&stations)?;
        change(&mut self.world)?;
        self.compare(index, &stations)
    }

    /// Evaluates stations whose packets are the same as before; those that differ get the version.
    fn compare(&mut self, index: u64, stations: &[usize]) -> Result<()> {
        for station in self.evaluate(stations)? {
            self.version(station, index);
        }
        Ok(())
    }

    fn compare_all(&mut self, index: u64) -> Result<()> {
        self.compare(index, &(0..self.stations.len()).collect::<Vec<_>>())
    }

    /// A decision; what it waits for, if it changes nothing yet.
    fn apply_decision(&mut self, index: u64, statement: &Statement) -> Result<Option<MissingRoster>> {
        // What a decision changes is seen by comparing with what was before it.
        self.settle()?;
        let world = &mut self.world;
        let facts = Choosable { book: &self.book, packets: &world.packets };
        let applied = if self.unoffered.is_empty() {
            world.authority.apply(index, statement, &facts)?
        } else {
            // It may need what is not there: only a copy can be thrown away.
            let mut authority = world.authority.clone();
            let applied = authority.apply(index, statement, &facts)?;
            if let Some(missing) = authority.missing_rosters().first() {
                self.waiting = authority.missing_rosters().to_vec();
                return Ok(Some(*missing));
            }
            world.authority = authority;
            applied
        };
        if world.follow_roster() {
            self.compare_all(index)?;
            return Ok(None);
        }
        let mut touched = BTreeSet::new();
        for number in applied.changed {
            let Some(action) = self.world.authority.taken(number).map(|taken| &taken.action) else { continue };
            match *action {
                Action::Definition { .. } | Action::Annul { station: 0, .. } | Action::Closing { station: 0, .. } => {
                    self.compare_all(index)?;
                    return Ok(None);
                }
                Action::Assign { station, .. }
                | Action::Annul { station, .. }
                | Action::Choose { station, .. }
                | Action::Closing { station, .. }
                | Action::Cancel { station } => touched.extend(self.station_index(station)),
                Action::Revoke { device } => {
                    let packets = self.world.packets.of_device(device).all().map(|packet| packet.payload.station);
                    let stations = self.world.authority.stations(device).into_iter().chain(packets);
                    touched.extend(stations.filter_map(|station| self.station_index(station)));
                }
                // Nothing of these is in an object but the newest roster; what a 13 turns on or off stands beside it.
                Action::Open { .. }
                | Action::Roster { .. }
                | Action::Pause
                | Action::Resume
                | Action::Status { .. }
                | Action::Undo { .. } => {}
            }
        }
        self.compare(index, &touched.into_iter().collect::<Vec<_>>())?;
        Ok(None)
    }

    /// Sets a station's version.
    fn version(&mut self, station: usize, index: u64) {
        let slot = &mut self.stations[station];
        slot.version = Some(index);
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(station);
        }
        // The objects of the areas above are other ones now. Where one is not known, none above it is.
        let mut next = Some(slot.area);
        while let Some(node) = next.and_then(|area| self.areas.get_mut(area)).filter(|node| node.hash.is_some()) {
            node.hash = None;
            next = node.parent;
        }
    }

    /// Evaluates the stations that have got packets.
    fn settle(&mut self) -> Result<()> {
        let mut stale = std::mem::take(&mut self.stale);
        // Neighbours share an area: its sums stay at hand.
        stale.sort_unstable();
        self.refresh(&stale)
    }

    /// Evaluates those of some stations that have got packets.
    fn refresh(&mut self, stations: &[usize]) -> Result<()> {
        let stale = |station: &usize| std::mem::take(&mut self.stations[*station].is_stale);
        let stale: Vec<usize> = stations.iter().copied().filter(stale).collect();
        self.evaluate(&stale).map(drop)
    }

    /// Evaluates stations and keeps the sums; those whose state is another one than before.
    fn evaluate(&mut self, stations: &[usize]) -> Result<Vec<usize>> {
        let mut changed = Vec::new();
        for chunk in stations.chunks(EVALUATED_AT_ONCE) {
            let Self { book, world, stations, areas, .. } = self;
            let one = |&index: &usize| -> Result<Option<(Station<'_>, StationState)>> {
                let situation = world.situation(index)?;
                let state = station::evaluate(book, &situation)?;
                Ok((state != *stations[index].state).then_some((situation.station, state)))
            };
            let states: Vec<_> = if chunk.len() < WORTH_A_CORE {
                chunk.iter().map(one).collect::<Result<_>>()?
            } else {
                chunk.par_iter().with_min_len(WORTH_A_CORE).map(one).collect::<Result<_>>()?
            };
            let headline = book.definition.election.headline;
            for (station, state) in states.into_iter().flatten() {
                let slot = &mut stations[station.index];
                shift(areas, slot, Shift::Remove, headline, &station)?;
                *slot.state = state;
                shift(areas, slot, Shift::Add, headline, &station)?;
                changed.push(station.index);
            }
        }
        Ok(changed)
    }

    /// The numbers of the stations whose objects have changed since this was asked last, ascending.
    pub fn take_changed(&mut self) -> Vec<u64> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        for &index in &changed {
            self.stations[index].is_changed = false;
        }
        changed
            .into_iter()
            .filter_map(|index| self.book.definition.station_at(index).map(|station| station.number))
            .collect()
    }

    /// How a decision's payload stands after the entries taken; None: it is a packet's.
    pub fn standing(&self, body: &Body) -> Option<Standing> {
        self.world.authority.standing(body)
    }

    /// Index of the last entry that has changed a station's object; None: none has, or there is no such station.
    pub fn version_of(&self, station: u64) -> Option<u64> {
        self.stations.get(self.station_index(station)?)?.version
    }

    /// A station's object; None: no entry has changed it yet, or there is no such station.
    ///
    /// # Errors
    /// `server.fault`.
    pub fn station_object(&mut self, station: u64) -> Result<Option<Vec<u8>>> {
        self.guarded(|tally| {
            tally.settle()?;
            let Some(station) = tally.book.definition.station(station) else { return Ok(None) };
            let slot = &tally.stations[station.index];
            let Some(version) = slot.version else { return Ok(None) };
            let packets = tally.world.packets.at(station.index);
            objects::station(&tally.book, &station, &packets, &slot.state, version).map(Some)
        })
    }

    /// An area's object; None: there is no such area.
    ///
    /// # Errors
    /// `server.fault`.
    pub fn area_object(&mut self, area: u64) -> Result<Option<Vec<u8>>> {
        self.in_area(area, Self::object_of)
    }

    /// `results` of an area, canonical JSON: for each contest and source shares and turnout; of the root thresholds,
    /// quorum, seats and outcome too. None: there is no such area.
    ///
    /// # Errors
    /// `server.fault`.
    pub fn results(&mut self, area: u64) -> Result<Option<Vec<u8>>> {
        self.in_area(area, |tally, area| {
            let node = &tally.areas[area];
            let parts = node.parent.is_none().then(|| tally.parts());
            objects::results(&tally.book, &node.sums, parts.as_ref())
        })
    }

    /// The sums of the areas of the levels that contests have a threshold for.
    fn parts(&self) -> Parts<'_> {
        let definition = &self.book.definition;
        let levels = definition.contests().iter().filter_map(|contest| contest.threshold_area.as_ref());
        let mut parts: Parts<'_> = levels.map(|(_, level)| (level.as_str(), Vec::new())).collect();
        if !parts.is_empty() {
            for area in definition.areas() {
                if let Some(of_level) = parts.get_mut(area.level) {
                    of_level.push(&self.areas[area.index].sums);
                }
            }
        }
        parts
    }

    /// `progress` of an area, canonical JSON. None: there is no such area.
    ///
    /// # Errors
    /// `server.fault`.
    pub fn progress(&mut self, area: u64) -> Result<Option<Vec<u8>>> {
        self.in_area(area, |tally, area| objects::progress(&tally.areas[area].sums))
    }

    /// What is to be said of an area by its index, if there is this area.
    fn in_area<T>(&mut self, area: u64, say: impl FnOnce(&mut Self, usize) -> Result<T>) -> Result<Option<T>> {
        self.guarded(|tally| {
            tally.settle()?;
            let Some(index) = tally.book.definition.area(area).map(|area| area.index) else { return Ok(None) };
            say(tally, index).map(Some)
        })
    }

    /// The object of the area with this index, and with it the hashes of those below that are not known.
    fn object_of(&mut self, index: usize) -> Result<Vec<u8>> {
        let definition = Arc::clone(&self.book.definition);
        let mut children = Vec::new();
        for child in definition.children(index) {
            let number = definition.area_at(child).ok_or(Error::Fault)?.number;
            let hash = match self.areas[child].hash {
                Some(hash) => hash,
                // As deep as the tree: MAX_AREA_DEPTH.
                None => Sha256::digest(self.object_of(child)?).into(),
            };
            children.push((number, hash));
        }
        let rows = self.areas[index].stations.iter().filter_map(|&index| {
            let Slot { state, version, .. } = &self.stations[index];
            Some(Row { station: definition.station_at(index)?, version: *version, state })
        });
        let number = definition.area_at(index).ok_or(Error::Fault)?.number;
        let bytes = objects::area(&self.book, number, &self.areas[index].sums, &children, rows)?;
        self.areas[index].hash = Some(Sha256::digest(&bytes).into());
        Ok(bytes)
    }
}

fn slot((station, state): (Station<'_>, StationState)) -> Slot {
    Slot { area: station.area_index, state: Box::new(state), version: None, is_stale: false, is_changed: false }
}

/// Adds what a station contributes to the areas above it, or takes it away.
fn shift(areas: &mut [Node], slot: &Slot, shift: Shift, headline: Headline, station: &Station<'_>) -> Result<()> {
    let mut next = Some(slot.area);
    while let Some(node) = next.and_then(|area| areas.get_mut(area)) {
        node.sums.shift(shift, headline, station, &slot.state)?;
        next = node.parent;
    }
    Ok(())
}

/// The areas by index, with sums over nothing.
fn nodes(book: &Book) -> Vec<Node> {
    let definition = &book.definition;
    let parents: Vec<Option<usize>> = definition
        .areas()
        .map(|area| area.parent.and_then(|parent| definition.area(parent)).map(|parent| parent.index))
        .collect();
    let mut contests = vec![BTreeSet::new(); parents.len()];
    let mut stations = vec![Vec::new(); parents.len()];
    for station in definition.stations() {
        stations[station.area_index].push(station.index);
        for area in std::iter::successors(Some(station.area_index), |&area| parents[area]) {
            contests[area].extend(station.contests);
        }
    }
    let all = parents.into_iter().zip(stations).zip(contests);
    all.map(|((parent, stations), contests)| Node {
        parent,
        stations,
        sums: AreaSums::new(book, contests.into_iter()),
        hash: None,
    })
    .collect()
}
