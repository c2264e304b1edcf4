//! The commission: which decisions of a log are taken, void and in effect (docs/packet.md, "Decisions").
//!
//! A fold over the log's decisions in their order. It asks for no I/O: rosters that a decision 9 may name are offered
//! before it is applied, and one that nobody has offered leaves that decision unjudged and is named. Who learns of the
//! roster later makes a new `Authority` and applies the decisions again; they are few.
//!
//! - `pending`: signatures on payloads whose number is not taken yet
//! - `effects`: which decisions in effect speak about what

mod effects;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::Hash;
use crate::definition::{Definition, Roster};
use crate::error::{Error, Result};
use crate::statement::{self, Action, Body, Source, Statement};

use effects::{Effects, Topic};
use pending::Pending;

/// The packet that an action 5 names, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The station's number; the definition has it.
    pub station: u64,
    /// The contest's number; the station has it.
    pub contest: u64,
    /// Which count.
    pub source: Source,
    /// The packet's statement id.
    pub id: Hash,
}

/// What the commission's decisions have to know of the packets in the log before them.
pub trait Facts {
    /// The definition that the packet names, if it is in the log and may be chosen (docs/tally.md): it names this
    /// station, is a result for the machine or a protocol, carries the contest, and passes H100 and H101. Whether its
    /// definition is ours or accepted is judged here, not there.
    fn choosable(&self, choice: &Choice) -> Option<Hash>;
}

/// For users that keep no packets: nothing may be chosen.
///
/// What it says can change nothing but counts. A decision is taken by its signatures alone, void or not. The verdict
/// on an action 5 reaches that decision and the actions 13 that name it, or name one of those: each 13 names one
/// decision, so whatever such a chain turns on and off ends at that action 5. No other action looks at packets. So the
/// log's opening, rosters, closing times, assignments and everything else but `ruling` are the same whatever is said.
#[derive(Debug, Clone, Copy)]
pub struct NoPackets;

impl Facts for NoPackets {
    fn choosable(&self, _: &Choice) -> Option<Hash> {
        None
    }
}

/// The verdict on a taken decision, given once, in the state after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In effect from its entry on, unless it is undone.
    Valid,
    /// Never in effect.
    Void,
    /// A decision 9 whose roster nobody has offered: as not in effect, and every later verdict is preliminary.
    Unjudged,
}

/// A taken decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// SHA-256 of its payload.
    pub payload: Hash,
    /// Index of the log's entry at which it was taken.
    pub entry: u64,
    /// What it orders.
    pub action: Action,
    /// Whether it is void.
    pub verdict: Verdict,
    /// How many actions 13 in effect name it.
    undoers: usize,
}

impl Taken {
    /// Whether it is not void and not undone.
    pub fn in_effect(&self) -> bool {
        self.standing() == Standing::InEffect
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.verdict {
            Verdict::Valid if self.undoers == 0 => Standing::InEffect,
            Verdict::Valid => Standing::Undone,
            Verdict::Void => Standing::Void,
            Verdict::Unjudged => Standing::Unjudged,
        }
    }
}

/// How a payload of the commission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its number is not taken.
    Pending,
    /// Taken and in effect.
    InEffect,
    /// Taken, not void, and undone.
    Undone,
    /// Taken and void; or another payload was taken under its number; or it names another definition.
    Void,
    /// Taken, and its roster is missing.
    Unjudged,
}

impl Standing {
    /// The published word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InEffect => "in effect",
            Self::Undone => "undone",
            Self::Void => "void",
            Self::Unjudged => "unjudged",
        }
    }
}

/// What an entry of the log has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Numbers of the decisions that were taken at it.
    pub taken: Range<u64>,
    /// Numbers of the decisions that came into effect or went out of it, if only until the next number, ascending.
    pub changed: Vec<u64>,
}

/// A roster that a taken decision names and nobody has offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingRoster {
    /// SHA-256 of its `roster.json`.
    pub roster: Hash,
    /// Index of the entry at which the decision was taken: what the log says before it is certain.
    pub entry: u64,
}

/// What rules the count of one station, contest and source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing counts.
    Annulled,
    /// The packet with this statement id counts, alone.
    Chosen(Hash),
}

/// Which decisions of a log are taken, void and in effect.
///
/// Memory: `pending` bounds it by the log. Time of an entry: a lookup among what is pending; for a decision that
/// is taken, lookups among those in effect, for a 9 also the devices, for a 13 the chain of 13s that it stands on.
#[derive(Debug, Clone)]
pub struct Authority {
    definition: Arc<Definition>,
    /// Key ids of the members, in the order of their keys.
    members: Vec<[u8; 8]>,
    /// What was offered; None: the file is there and no roster of this definition.
    rosters: HashMap<Hash, Option<Arc<Roster>>>,
    first: Arc<Roster>,
    speakers: Arc<Roster>,
    pending: Pending,
    taken: Vec<Taken>,
    effects: Effects,
    missing: Vec<MissingRoster>,
    next_index: u64,
}

impl Authority {
    /// The commission before any decision. `roster` is the one that decision 1 names; both were loaded together.
    pub fn new(definition: Arc<Definition>, roster: Arc<Roster>) -> Self {
        let members = definition.commission_keys().iter().map(statement::kid).collect();
        let pending = Pending::new(definition.election.commission.quorum);
        Self {
            definition,
            members,
            rosters: HashMap::from([(roster.hash, Some(Arc::clone(&roster)))]),
            first: Arc::clone(&roster),
            speakers: roster,
            pending,
            taken: Vec::new(),
            effects: Effects::default(),
            missing: Vec::new(),
            next_index: 0,
        }
    }

    /// A roster of this definition that a decision 9 may name; it is used by those applied from now on.
    pub fn offer(&mut self, roster: Arc<Roster>) {
        self.rosters.insert(roster.hash, Some(roster));
    }

    /// The hash of a file that is there and that no loader takes as a roster of this definition, whatever stands beside
    /// it: a decision 9 that names it is void. A file or table that is missing or changed is not that.
    pub fn offer_unusable(&mut self, roster: Hash) {
        self.rosters.entry(roster).or_insert(None);
    }

    /// Takes an entry of the log; its signature is verified and its signer known (`verify::check`). Packets may be left
    /// out. What is asked of `facts` is about the entries below `index`.
    ///
    /// # Errors
    /// `argument.range` where `index` is not above the one before.
    pub fn apply(&mut self, index: u64, statement: &Statement, facts: &dyn Facts) -> Result<Applied> {
        if index < self.next_index {
            return Err(Error::Argument("the log's entries are applied in their order, each once"));
        }
        self.next_index = index.saturating_add(1);
        let Body::Decision(decision) = &statement.body else {
            return Ok(Applied::default());
        };
        let Some(member) = self.members.iter().position(|kid| *kid == statement.frame.kid) else {
            return Ok(Applied::default());
        };
        if decision.definition != self.definition.hash || self.taken(decision.number).is_some() {
            return Ok(Applied::default());
        }
        self.pending.sign(member, decision, statement.body.payload_hash());

        let first = self.next_number();
        let mut changed = BTreeSet::new();
        while let Some((payload, action)) =
            self.pending.complete(self.next_number(), self.taken.last().map(|taken| taken.payload))
        {
            self.take(index, payload, action, facts, &mut changed);
        }
        Ok(Applied { taken: first..self.next_number(), changed: changed.into_iter().collect() })
    }

    fn next_number(&self) -> u64 {
        self.taken.len() as u64 + 1
    }

    fn take(&mut self, entry: u64, payload: Hash, action: Action, facts: &dyn Facts, changed: &mut BTreeSet<u64>) {
        let number = self.next_number();
        let verdict = self.judge(number, &action, facts);
        let named = match action {
            Action::Open { roster, .. } | Action::Roster { roster } if verdict != Verdict::Void => Some(roster),
            _ => None,
        };
        self.taken.push(Taken { payload, entry, action, verdict, undoers: 0 });
        if let Some(roster) = named {
            match self.rosters.get(&roster) {
                Some(Some(known)) => self.speakers = Arc::clone(known),
                _ => self.missing.push(MissingRoster { roster, entry }),
            }
        }
        if verdict == Verdict::Valid {
            self.turn(number, changed);
        }
    }

    /// Whether the next decision is void, in the state after the one before it.
    fn judge(&self, number: u64, action: &Action, facts: &dyn Facts) -> Verdict {
        let valid = match *action {
            Action::Open { .. } => number == 1,
            _ if number == 1 => false,
            Action::Revoke { device } => self.knows_device(device),
            Action::Assign { device, station, replaces } => {
                self.knows_device(device)
                    && self.knows_station(station)
                    && device != replaces
                    && (replaces == 0 || self.knows_device(replaces))
            }
            Action::Annul { station: 0, contest } => contest == 0 || self.definition.contest(contest).is_some(),
            Action::Annul { station, contest: 0 } | Action::Cancel { station } => self.knows_station(station),
            Action::Annul { station, contest } => self.votes_on(station, contest),
            Action::Choose { station, contest, source, id } => {
                self.votes_on(station, contest)
                    && facts
                        .choosable(&Choice { station, contest, source, id })
                        .is_some_and(|definition| self.accepts(&definition))
            }
            Action::Pause | Action::Resume | Action::Status { .. } => true,
            Action::Roster { roster } => match self.rosters.get(&roster) {
                None => return Verdict::Unjudged,
                Some(known) => known.as_ref().is_some_and(|roster| holds_all(roster, &self.speakers)),
            },
            Action::Definition { definition } => definition != self.definition.hash,
            Action::Closing { station, .. } => station == 0 || self.knows_station(station),
            Action::Undo { number } => number > 1 && self.taken(number).is_some_and(Taken::in_effect),
        };
        if valid { Verdict::Valid } else { Verdict::Void }
    }

    /// Follows a decision that has come into effect or gone out of it, down the decisions that are undone or restored
    /// by it. The same as resolving all of them from the highest number down: only these can come out otherwise.
    fn turn(&mut self, mut number: u64, changed: &mut BTreeSet<u64>) {
        while let Some(taken) = place(number).and_then(|place| self.taken.get(place)) {
            let on = taken.in_effect();
            self.effects.set(number, &taken.action, on);
            changed.insert(number);
            let Action::Undo { number: target } = taken.action else { return };
            let Some(undone) = place(target).and_then(|place| self.taken.get_mut(place)) else { return };
            let before = undone.in_effect();
            if on {
                undone.undoers += 1;
            } else {
                undone.undoers -= 1;
            }
            if undone.in_effect() == before {
                return;
            }
            number = target;
        }
    }

    fn knows_device(&self, number: u64) -> bool {
        self.speakers.device(number).is_some()
    }

    fn knows_station(&self, number: u64) -> bool {
        self.definition.station(number).is_some()
    }

    fn votes_on(&self, station: u64, contest: u64) -> bool {
        self.definition.station(station).is_some_and(|station| station.contests.binary_search(&contest).is_ok())
    }

    /// The decision that was taken under this number.
    pub fn taken(&self, number: u64) -> Option<&Taken> {
        self.taken.get(place(number)?)
    }

    /// How many numbers are taken.
    pub fn taken_count(&self) -> u64 {
        self.taken.len() as u64
    }

    /// How a payload stands, signed by however many; None: it is a packet's.
    pub fn standing(&self, body: &Body) -> Option<Standing> {
        let Body::Decision(decision) = body else { return None };
        if decision.definition != self.definition.hash {
            return Some(Standing::Void);
        }
        Some(match self.taken(decision.number) {
            None => Standing::Pending,
            Some(taken) if taken.payload == body.payload_hash() => taken.standing(),
            Some(_) => Standing::Void,
        })
    }

    /// Whether decision 1 is in effect. It cannot be undone.
    pub fn is_open(&self) -> bool {
        self.taken(1).is_some_and(Taken::in_effect)
    }

    /// Who may speak: the roster that took effect last, undone or not; it holds every device of those before.
    pub fn speakers(&self) -> &Arc<Roster> {
        &self.speakers
    }

    /// Who stands where, as far as no decision 3 says otherwise: the newest roster in effect.
    pub fn assignments(&self) -> &Arc<Roster> {
        let known = match self.ruling_action(Topic::Roster) {
            Some(Action::Open { roster, .. } | Action::Roster { roster }) => self.rosters.get(roster),
            _ => None,
        };
        known.and_then(Option::as_ref).unwrap_or(&self.first)
    }

    /// Rosters that taken decisions name and nobody has offered, in the order of their numbers.
    pub fn missing_rosters(&self) -> &[MissingRoster] {
        &self.missing
    }

    /// When a station closes now, ms since the Unix epoch; None: there is no such station.
    pub fn closes_at(&self, station: u64) -> Option<u64> {
        let planned = self.definition.station(station)?.closes_at;
        Some(self.ruled_closing(station).unwrap_or(planned))
    }

    /// When a station closes by a decision in effect, ms since the Unix epoch; None: as the definition says.
    pub(crate) fn ruled_closing(&self, station: u64) -> Option<u64> {
        let number = self.effects.highest(Topic::Closing(station)).max(self.effects.highest(Topic::Closing(0)));
        match self.action(number) {
            Some(Action::Closing { closes_at, .. }) => Some(*closes_at),
            _ => None,
        }
    }

    /// Whether a device is assigned to a station now.
    pub fn is_assigned(&self, device: u64, station: u64) -> bool {
        match self.ruling_action(Topic::Assignment { device, station }) {
            Some(Action::Assign { device: assigned, .. }) => *assigned == device,
            _ => {
                self.assignments().device(device).is_some_and(|device| device.stations.binary_search(&station).is_ok())
            }
        }
    }

    /// The stations that a device is assigned to now, ascending.
    pub fn stations(&self, device: u64) -> Vec<u64> {
        let listed = self.assignments().device(device).map_or(&[][..], |device| device.stations);
        let mut stations: BTreeSet<u64> = listed.iter().copied().collect();
        stations.extend(self.effects.stations_named_with(device));
        stations.retain(|station| self.is_assigned(device, *station));
        stations.into_iter().collect()
    }

    /// The devices for which a decision 3 in effect says whether they are assigned to the station, ascending.
    pub fn reassigned(&self, station: u64) -> Vec<(u64, bool)> {
        let named: BTreeSet<u64> = self
            .effects
            .all(Topic::Station(station))
            .filter_map(|number| match self.action(Some(number)) {
                Some(Action::Assign { device, replaces, .. }) => Some([*device, *replaces]),
                _ => None,
            })
            .flatten()
            .filter(|device| *device != 0)
            .collect();
        named.into_iter().map(|device| (device, self.is_assigned(device, station))).collect()
    }

    /// The numbers of the decisions 2 in effect that name a device, ascending.
    pub fn revocations(&self, device: u64) -> impl Iterator<Item = u64> {
        self.effects.all(Topic::Revocation(device))
    }

    /// Index of the entry at which the earliest revocation of a device that is in effect was taken: its packets above
    /// that do not belong.
    pub fn revoked_at(&self, device: u64) -> Option<u64> {
        self.revocations(device).next().and_then(|number| self.taken(number)).map(|taken| taken.entry)
    }

    /// What the commission has ruled for the count of a station's contest in one source.
    pub fn ruling(&self, station: u64, contest: u64, source: Source) -> Option<Ruling> {
        let annulments = [(station, contest), (station, 0), (0, contest), (0, 0)]
            .map(|(station, contest)| Topic::Annulment { station, contest });
        let chosen = self.effects.highest(Topic::Choice { station, contest, source });
        let number = annulments.into_iter().map(|topic| self.effects.highest(topic)).fold(chosen, Option::max);
        match self.action(number)? {
            Action::Choose { id, .. } => Some(Ruling::Chosen(*id)),
            _ => Some(Ruling::Annulled),
        }
    }

    /// Whether there is no voting at a station.
    pub fn is_cancelled(&self, station: u64) -> bool {
        self.effects.highest(Topic::Cancellation(station)).is_some()
    }

    /// Whether packets that name this definition are read: ours, or one that a decision 10 in effect names.
    pub fn accepts(&self, definition: &Hash) -> bool {
        *definition == self.definition.hash || self.effects.highest(Topic::Definition(*definition)).is_some()
    }

    /// Whether the commission has paused publication.
    pub fn is_paused(&self) -> bool {
        matches!(self.ruling_action(Topic::Publication), Some(Action::Pause))
    }

    /// The status word of a source, 0 … 5 in the order of docs/tally.md, if one is set.
    pub fn status(&self, source: Source) -> Option<u64> {
        match self.ruling_action(Topic::Status(source)) {
            Some(Action::Status { status, .. }) => Some(*status),
            _ => None,
        }
    }

    /// The numbers of the actions 3, 4, 5, 11 and 12 in effect that name a station or all of them, ascending.
    pub fn about_station(&self, station: u64) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            self.effects.all(Topic::Station(station)).chain(self.effects.all(Topic::Station(0))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// What the highest number in effect on a topic orders.
    fn ruling_action(&self, topic: Topic) -> Option<&Action> {
        self.action(self.effects.highest(topic))
    }

    fn action(&self, number: Option<u64>) -> Option<&Action> {
        self.taken(number?).map(|taken| &taken.action)
    }
}

/// Where a decision stands among the taken ones.
fn place(number: u64) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

/// Whether a roster holds every device of another with the same key and kind.
fn holds_all(roster: &Roster, before: &Roster) -> bool {
    before
        .devices()
        .all(|old| roster.device(old.number).is_some_and(|device| (device.key, device.kind) == (old.key, old.kind)))
}
