//! The decision: what the commission orders (docs/packet.md, "Decisions of the commission").

use crate::cbor::{Reader, Writer, refuse};
use crate::error::{Result, Rule};
use crate::note::is_origin;
use crate::statement::packet::write_optional;
use crate::{Hash, MAX_INTEGER};

/// A decision of the commission, signed by one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// SHA-256 of `election.json`.
    pub definition: Hash,
    /// SHA-256 of the payload of decision `number` − 1; None exactly for number 1.
    pub previous: Option<Hash>,
    /// 1, 2, 3 …
    pub number: u64,
    /// Milliseconds since the Unix epoch.
    pub decided_at: u64,
    /// Why, in one or more languages; shown to the public.
    pub reason: Vec<Reason>,
    /// What is ordered.
    pub action: Action,
}

/// A reason in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The language's code.
    pub language: String,
    /// The text.
    pub text: String,
}

/// Which count of a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The boxes' results.
    Machine,
    /// The commissions' paper.
    Protocol,
}

impl Source {
    fn number(self) -> u64 {
        match self {
            Self::Machine => 1,
            Self::Protocol => 2,
        }
    }
}

/// The thirteen actions. A station or contest of 0 means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// 1: open the log.
    Open {
        /// The log's name.
        origin: String,
        /// The key that signs checkpoints.
        log_key: [u8; 32],
        /// The key that signs snapshots.
        snapshot_key: [u8; 32],
        /// SHA-256 of `roster.json`.
        roster: Hash,
        /// The software's version, for the record.
        software: String,
    },
    /// 2: revoke a device's key.
    Revoke {
        /// The device's number.
        device: u64,
    },
    /// 3: assign a device to a station.
    Assign {
        /// The device's number.
        device: u64,
        /// The station's number.
        station: u64,
        /// A device whose packets at this station no longer belong, or 0.
        replaces: u64,
    },
    /// 4: annul.
    Annul {
        /// The station's number, or 0 for all.
        station: u64,
        /// The contest's number, or 0 for all.
        contest: u64,
    },
    /// 5: choose the packet that counts.
    Choose {
        /// The station's number.
        station: u64,
        /// The contest's number.
        contest: u64,
        /// Which count.
        source: Source,
        /// The packet's statement id.
        id: Hash,
    },
    /// 6: pause publication.
    Pause,
    /// 7: resume publication.
    Resume,
    /// 8: set the status word.
    Status {
        /// Which count.
        source: Source,
        /// 0 … 5 in the order of docs/tally.md.
        status: u64,
    },
    /// 9: a new roster.
    Roster {
        /// SHA-256 of `roster.json`.
        roster: Hash,
    },
    /// 10: read packets that name another definition as if they named ours.
    Definition {
        /// The other definition's hash.
        definition: Hash,
    },
    /// 11: another closing time.
    Closing {
        /// The station's number, or 0 for all.
        station: u64,
        /// Milliseconds since the Unix epoch.
        closes_at: u64,
    },
    /// 12: no voting here.
    Cancel {
        /// The station's number.
        station: u64,
    },
    /// 13: undo a decision.
    Undo {
        /// The decision's number.
        number: u64,
    },
}

impl Action {
    /// The action's number in the format.
    pub fn number(&self) -> u64 {
        match self {
            Self::Open { .. } => 1,
            Self::Revoke { .. } => 2,
            Self::Assign { .. } => 3,
            Self::Annul { .. } => 4,
            Self::Choose { .. } => 5,
            Self::Pause => 6,
            Self::Resume => 7,
            Self::Status { .. } => 8,
            Self::Roster { .. } => 9,
            Self::Definition { .. } => 10,
            Self::Closing { .. } => 11,
            Self::Cancel { .. } => 12,
            Self::Undo { .. } => 13,
        }
    }
}

/// How many elements each action's array has, its number included; the place is the action's number less one.
const ELEMENTS: [u64; 13] = [6, 2, 4, 3, 5, 1, 1, 3, 2, 2, 3, 2, 2];

impl Decision {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        reader.tuple(6)?;
        let definition = reader.fixed()?;
        let previous = reader.optional_hash()?;
        let number = reader.number()?;
        if previous.value.is_none() != (number == 1) {
            return refuse(Rule::Previous, previous.offset);
        }
        Ok(Self {
            definition,
            previous: previous.value,
            number,
            decided_at: reader.any_uint()?,
            reason: reader.list(1, MAX_INTEGER, read_reason)?,
            action: read_action(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(6);
        writer.bytes(&self.definition);
        write_optional(writer, self.previous.as_ref());
        writer.uint(self.number);
        writer.uint(self.decided_at);
        writer.list(&self.reason, |writer, reason| {
            writer.array(2);
            writer.text(&reason.language);
            writer.text(&reason.text);
        });
        write_action(writer, &self.action);
    }
}

fn read_reason(reader: &mut Reader<'_>) -> Result<Reason> {
    reader.tuple(2)?;
    Ok(Reason { language: reader.text()?.value.to_owned(), text: reader.text()?.value.to_owned() })
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source> {
    Ok(if reader.uint(1..=2)? == 1 { Source::Machine } else { Source::Protocol })
}

fn read_action(reader: &mut Reader<'_>) -> Result<Action> {
    let head = reader.array()?;
    if head.value == 0 {
        return refuse(Rule::Length, head.offset);
    }
    let number = reader.placed_uint()?;
    let known = number.value.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let Some(elements) = known.and_then(|place| ELEMENTS.get(place)) else {
        return refuse(Rule::Action, number.offset);
    };
    if head.value != *elements {
        return refuse(Rule::Length, head.offset);
    }
    Ok(match number.value {
        1 => {
            let origin = reader.text()?;
            if !is_origin(origin.value) {
                return refuse(Rule::Origin, origin.offset);
            }
            Action::Open {
                origin: origin.value.to_owned(),
                log_key: reader.fixed()?,
                snapshot_key: reader.fixed()?,
                roster: reader.fixed()?,
                software: reader.text()?.value.to_owned(),
            }
        }
        2 => Action::Revoke { device: reader.number()? },
        3 => Action::Assign { device: reader.number()?, station: reader.number()?, replaces: reader.any_uint()? },
        4 => Action::Annul { station: reader.any_uint()?, contest: reader.any_uint()? },
        5 => Action::Choose {
            station: reader.number()?,
            contest: reader.number()?,
            source: read_source(reader)?,
            id: reader.fixed()?,
        },
        6 => Action::Pause,
        7 => Action::Resume,
        8 => Action::Status { source: read_source(reader)?, status: reader.uint(0..=5)? },
        9 => Action::Roster { roster: reader.fixed()? },
        10 => Action::Definition { definition: reader.fixed()? },
        11 => Action::Closing { station: reader.any_uint()?, closes_at: reader.any_uint()? },
        12 => Action::Cancel { station: reader.number()? },
        _ => Action::Undo { number: reader.number()? },
    })
}

fn write_action(writer: &mut Writer, action: &Action) {
    let (uints, hash): (&[u64], Option<&Hash>) = match action {
        Action::Open { origin, log_key, snapshot_key, roster, software } => {
            writer.array(6);
            writer.uint(action.number());
            writer.text(origin);
            writer.bytes(log_key);
            writer.bytes(snapshot_key);
            writer.bytes(roster);
            writer.text(software);
            return;
        }
        Action::Revoke { device } => (&[*device], None),
        Action::Assign { device, station, replaces } => (&[*device, *station, *replaces], None),
        Action::Annul { station, contest } => (&[*station, *contest], None),
        Action::Choose { station, contest, source, id } => (&[*station, *contest, source.number()], Some(id)),
        Action::Pause | Action::Resume => (&[], None),
        Action::Status { source, status } => (&[source.number(), *status], None),
        Action::Roster { roster } => (&[], Some(roster)),
        Action::Definition { definition } => (&[], Some(definition)),
        Action::Closing { station, closes_at } => (&[*station, *closes_at], None),
        Action::Cancel { station } => (&[*station], None),
        Action::Undo { number } => (&[*number], None),
    };
    writer.array(1 + uints.len() + usize::from(hash.is_some()));
    writer.uint(action.number());
    for value in uints {
        writer.uint(*value);
    }
    if let Some(hash) = hash {
        writer.bytes(hash);
    }
}
