//! Which decisions in effect speak about what: for each topic their numbers, of which the highest rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::Hash;
use crate::statement::{Action, Source};

/// What a decision speaks about; decisions that say the same thing share a topic. 0 stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// Actions 6 and 7.
    Publication,
    /// Action 8.
    Status(Source),
    /// Actions 1 and 9.
    Roster,
    /// Action 10.
    Definition(Hash),
    /// Action 2, of a device.
    Revocation(u64),
    /// Action 3, which speaks about the device and about the one that it replaces.
    Assignment { device: u64, station: u64 },
    /// Action 4.
    Annulment { station: u64, contest: u64 },
    /// Action 5.
    Choice { station: u64, contest: u64, source: Source },
    /// Action 11, of a station.
    Closing(u64),
    /// Action 12, of a station.
    Cancellation(u64),
    /// Actions 3, 4, 5, 11 and 12 together, of a station.
    Station(u64),
}

fn topics(action: &Action) -> impl Iterator<Item = Topic> {
    let topics = match *action {
        Action::Open { .. } | Action::Roster { .. } => [Some(Topic::Roster), None, None],
        Action::Revoke { device } => [Some(Topic::Revocation(device)), None, None],
        Action::Assign { device, station, replaces } => [
            Some(Topic::Station(station)),
            Some(Topic::Assignment { device, station }),
            (replaces != 0).then_some(Topic::Assignment { device: replaces, station }),
        ],
        Action::Annul { station, contest } => {
            [Some(Topic::Station(station)), Some(Topic::Annulment { station, contest }), None]
        }
        Action::Choose { station, contest, source, .. } => {
            [Some(Topic::Station(station)), Some(Topic::Choice { station, contest, source }), None]
        }
        Action::Pause | Action::Resume => [Some(Topic::Publication), None, None],
        Action::Status { source, .. } => [Some(Topic::Status(source)), None, None],
        Action::Definition { definition } => [Some(Topic::Definition(definition)), None, None],
        Action::Closing { station, .. } => [Some(Topic::Station(station)), Some(Topic::Closing(station)), None],
        Action::Cancel { station } => [Some(Topic::Station(station)), Some(Topic::Cancellation(station)), None],
        Action::Undo { .. } => [None, None, None],
    };
    topics.into_iter().flatten()
}

/// The decisions in effect by topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    numbers: BTreeMap<Topic, BTreeSet<u64>>,
}

impl Effects {
    /// Notes that a decision is in effect, or is not any more.
    pub(super) fn set(&mut self, number: u64, action: &Action, on: bool) {
        for topic in topics(action) {
            let numbers = self.numbers.entry(topic).or_default();
            if on {
                numbers.insert(number);
            } else {
                numbers.remove(&number);
            }
        }
    }

    /// The number that rules.
    pub(super) fn highest(&self, topic: Topic) -> Option<u64> {
        self.numbers.get(&topic)?.last().copied()
    }

    /// All numbers in effect, ascending.
    pub(super) fn all(&self, topic: Topic) -> impl Iterator<Item = u64> {
        self.numbers.get(&topic).into_iter().flatten().copied()
    }

    /// The stations for which a decision 3 names a device, in effect or not any more.
    pub(super) fn stations_named_with(&self, device: u64) -> impl Iterator<Item = u64> {
        let all = Topic::Assignment { device, station: 0 }..=Topic::Assignment { device, station: u64::MAX };
        self.numbers.range(all).filter_map(|(topic, _)| match topic {
            Topic::Assignment { station, .. } => Some(*station),
            _ => None,
        })
    }
}

#[cfg(test)]
impl Effects {
    /// Every decision that is in effect on any topic.
    pub(super) fn every(&self) -> impl Iterator<Item = u64> {
        self.numbers.values().flatten().copied()
    }
}
