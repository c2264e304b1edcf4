//! How many voters have been identified at a station, at the end and hour by hour.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::{Error, Result};

/// A turnout that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) device: u64,
    pub(super) sequence: u64,
    pub(super) index: u64,
    /// Up to when it speaks, ms since the Unix epoch.
    pub(super) as_of: u64,
    pub(super) identified: u64,
}

/// What the readings taken so far come to: of each device the one with the highest sequence, of several under one
/// sequence the one with the lowest index.
#[derive(Default)]
struct Sum {
    last: BTreeMap<u64, (u64, Reverse<u64>, u64)>,
    total: u64,
}

impl Sum {
    fn take(&mut self, reading: &Reading) -> Result<()> {
        let new = (reading.sequence, Reverse(reading.index), reading.identified);
        match self.last.entry(reading.device) {
            Entry::Vacant(place) => {
                place.insert(new);
            }
            Entry::Occupied(mut place) => {
                if (place.get().0, place.get().1) >= (new.0, new.1) {
                    return Ok(());
                }
                self.total = self.total.checked_sub(place.insert(new).2).ok_or(Error::Fault)?;
            }
        }
        self.total = self.total.checked_add(reading.identified).ok_or(Error::Fault)?;
        Ok(())
    }

    fn value(&self) -> Option<u64> {
        (!self.last.is_empty()).then_some(self.total)
    }
}

/// The sum over the devices that have a value; None: none has.
pub(super) fn identified(readings: &[Reading]) -> Result<Option<u64>> {
    let mut sum = Sum::default();
    for reading in readings {
        sum.take(reading)?;
    }
    Ok(sum.value())
}

/// Places of the hours from which on that sum is another one, by the readings that speak up to then.
pub(super) fn by_hour(mut readings: Vec<Reading>, hours: &[u64]) -> Result<Vec<(usize, u64)>> {
    readings.sort_unstable_by_key(|reading| reading.as_of);
    let mut rest = readings.iter().peekable();
    let mut sum = Sum::default();
    let mut changes: Vec<(usize, u64)> = Vec::new();
    for (place, hour) in hours.iter().enumerate() {
        while let Some(reading) = rest.next_if(|reading| reading.as_of <= *hour) {
            sum.take(reading)?;
        }
        if let Some(value) = sum.value()
            && changes.last().is_none_or(|&(_, before)| before != value)
        {
            changes.push((place, value));
        }
    }
    Ok(changes)
}

/// The value of each hour from the first change on: the hour's place, and what carries forward to it.
pub(super) fn carried(changes: &[(usize, u64)], hours: usize) -> impl Iterator<Item = (usize, u64)> {
    changes.iter().enumerate().flat_map(move |(nth, &(from, value))| {
        let until = changes.get(nth + 1).map_or(hours, |&(next, _)| next);
        (from..until).map(move |place| (place, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(device: u64, sequence: u64, index: u64, as_of: u64, identified: u64) -> Reading {
        Reading { device, sequence, index, as_of, identified }
    }

    #[test]
    fn the_last_reading_of_each_device_counts() {
        assert_eq!(identified(&[]), Ok(None));
        let readings =
            [reading(1, 2, 5, 10, 7), reading(1, 2, 4, 99, 8), reading(1, 1, 9, 50, 9), reading(2, 1, 1, 1, 0)];
        assert_eq!(identified(&readings), Ok(Some(8)));
        assert_eq!(identified(&readings[3..]), Ok(Some(0)));
    }

    #[test]
    fn hours_carry_forward_and_may_fall() {
        let readings = vec![
            reading(1, 3, 2, 30, 5),
            reading(1, 2, 1, 20, 50),
            reading(2, 1, 3, 40, 1),
            // An older sequence that speaks of a later time changes nothing then.
            reading(1, 1, 0, 45, 99),
        ];
        let changes = by_hour(readings, &[10, 20, 30, 40, 50, 60]).unwrap();
        assert_eq!(changes, [(1, 50), (2, 5), (3, 6)]);
        assert_eq!(carried(&changes, 6).collect::<Vec<_>>(), [(1, 50), (2, 5), (3, 6), (4, 6), (5, 6)]);
        assert_eq!(carried(&[], 6).count(), 0);
    }
}
