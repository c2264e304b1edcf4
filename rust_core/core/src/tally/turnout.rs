//! How many voters have been identified at a station, at the end and hour by hour.

use std::cmp::Reverse;

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
    /// By device, ascending.
    last: Vec<Reading>,
    total: u64,
}

impl Sum {
    fn take(&mut self, reading: Reading) -> Result<()> {
        match self.last.binary_search_by_key(&reading.device, |last| last.device) {
            Err(place) => self.last.insert(place, reading),
            Ok(place) => {
                let last = &mut self.last[place];
                if (last.sequence, Reverse(last.index)) >= (reading.sequence, Reverse(reading.index)) {
                    return Ok(());
                }
                self.total = self.total.checked_sub(last.identified).ok_or(Error::Fault)?;
                *last = reading;
            }
        }
        self.total = self.total.checked_add(reading.identified).ok_or(Error::Fault)?;
        Ok(())
    }
}

/// The identified voters of a station.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turnout {
    /// The sum over the devices that have a value; None: none has.
    pub(super) identified: Option<u64>,
    /// Places of the hours from which on that sum is another one, by the readings that speak up to then.
    pub(super) changes: Vec<(usize, u64)>,
}

impl Turnout {
    /// What readings come to; `hours` ascend.
    pub(super) fn new(mut readings: Vec<Reading>, hours: &[u64]) -> Result<Self> {
        readings.sort_unstable_by_key(|reading| reading.as_of);
        let mut sum = Sum::default();
        let mut changes: Vec<(usize, u64)> = Vec::new();
        for reading in readings {
            sum.take(reading)?;
            let place = hours.partition_point(|&hour| hour < reading.as_of);
            match changes.last_mut() {
                Some((last, value)) if *last == place => *value = sum.total,
                _ => changes.push((place, sum.total)),
            }
        }
        // What speaks up to later than the last hour is in no hour.
        changes.pop_if(|(place, _)| *place == hours.len());
        changes.dedup_by_key(|(_, value)| *value);
        Ok(Self { identified: (!sum.last.is_empty()).then_some(sum.total), changes })
    }
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
        let identified = |readings: &[Reading]| Turnout::new(readings.to_vec(), &[]).unwrap();
        assert_eq!(identified(&[]), Turnout::default());
        let readings =
            [reading(1, 2, 5, 10, 7), reading(1, 2, 4, 99, 8), reading(1, 1, 9, 50, 9), reading(2, 1, 1, 1, 0)];
        assert_eq!(identified(&readings), Turnout { identified: Some(8), changes: Vec::new() });
        assert_eq!(identified(&readings[3..]).identified, Some(0));
    }

    #[test]
    fn hours_carry_forward_and_may_fall() {
        let readings = vec![
            reading(1, 3, 2, 30, 5),
            reading(1, 2, 1, 20, 50),
            // What comes back to the value before it is no change.
            reading(2, 1, 3, 39, 3),
            reading(2, 2, 4, 40, 0),
            reading(3, 1, 5, 50, 1),
            // An older sequence that speaks of a later time changes nothing then.
            reading(1, 1, 0, 55, 99),
            reading(3, 2, 6, 61, 7),
        ];
        let turnout = Turnout::new(readings, &[10, 20, 30, 40, 50, 60]).unwrap();
        assert_eq!(turnout.identified, Some(12));
        assert_eq!(turnout.changes, [(1, 50), (2, 5), (4, 6)]);
        assert_eq!(carried(&turnout.changes, 6).collect::<Vec<_>>(), [(1, 50), (2, 5), (3, 5), (4, 6), (5, 6)]);
        assert_eq!(carried(&[], 6).count(), 0);
    }
}
