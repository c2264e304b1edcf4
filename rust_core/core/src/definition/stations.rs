//! Polling stations: the leaves of the geography, and by far the longest table of a definition.

use std::path::Path;

use super::areas::Areas;
use super::cells::{self, Cell, malformed};
use super::compact::{Interner, Numbers, Texts, offset};
use super::contests::Contests;
use super::csv::{self, Table};
use super::manifest::TableEntry;
use super::words::StationKind;
use crate::MAX_INTEGER;
use crate::error::Result;

/// `stations.csv` of a definition.
pub(super) const TABLE: Table = Table {
    name: "stations",
    columns: &["station", "area", "registered", "type", "box", "closes_at", "timezone", "contests", "label", "name"],
};

/// Stands for a station whose registered voters are not known; `MAX_REGISTERED` is far below.
const UNKNOWN: u32 = u32::MAX;

/// A polling station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station<'a> {
    /// Its place among the stations by number, from 0.
    pub index: usize,
    /// Its number.
    pub number: u64,
    /// Number of its area.
    pub area: u64,
    /// Index of its area.
    pub area_index: usize,
    /// Registered voters, where they are known.
    pub registered: Option<u32>,
    /// What kind of station it is.
    pub kind: StationKind,
    /// Whether a ballot box is due.
    pub expects_box: bool,
    /// When voting closes, ms since the Unix epoch.
    pub closes_at: u64,
    /// IANA name of its time zone.
    pub timezone: &'a str,
    /// Numbers of its contests, ascending; at least one.
    pub contests: &'a [u64],
    /// The printed number, or empty.
    pub label: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// All stations, by number.
#[derive(Debug)]
pub(super) struct Stations {
    numbers: Numbers,
    areas: Vec<u32>,
    registered: Vec<u32>,
    kinds: Vec<(StationKind, bool)>,
    closing_times: Vec<u64>,
    timezones: Vec<u32>,
    timezone_names: Vec<String>,
    contests: Vec<u32>,
    contest_sets: Vec<Box<[u64]>>,
    texts: Texts,
}

impl Stations {
    pub(super) fn load(folder: &Path, entry: &TableEntry, areas: &Areas, contests: &Contests) -> Result<Self> {
        let rows = entry.expected_rows(&TABLE);
        let mut timezone_names = Interner::new();
        let mut contest_sets = Interner::new();
        let mut stations = Self {
            numbers: Numbers::with_capacity(rows),
            areas: Vec::with_capacity(rows),
            registered: Vec::with_capacity(rows),
            kinds: Vec::with_capacity(rows),
            closing_times: Vec::with_capacity(rows),
            timezones: Vec::with_capacity(rows),
            timezone_names: Vec::new(),
            contests: Vec::with_capacity(rows),
            contest_sets: Vec::new(),
            texts: Texts::with_capacity(rows),
        };
        csv::read(folder, &TABLE, entry, |row| {
            row.next(|cell| stations.numbers.push(cells::number(cell)?))?;
            stations.areas.push(row.next(|cell| leaf(cell, areas))?);
            let registered =
                row.next(|cell| cells::optional(cell, |cell| cells::small(cell, 0, cells::MAX_REGISTERED)))?;
            stations.registered.push(registered.unwrap_or(UNKNOWN));
            stations.kinds.push((row.next(cells::word)?, row.next(cells::yes_no)?));
            stations.closing_times.push(row.next(|cell| cells::integer(cell, 0, MAX_INTEGER))?);
            let timezone = row.next(|cell| timezone_names.index(cell, |cell| cells::zone(cell).map(str::to_owned)))?;
            stations.timezones.push(timezone);
            stations.contests.push(row.next(|cell| contest_sets.index(cell, |cell| contest_set(cell, contests)))?);
            let label = row.next(cells::text)?;
            row.next(|cell| stations.texts.push([label, cells::name(cell)?]))
        })?;
        stations.texts.shrink();
        stations.timezone_names = timezone_names.into_values();
        stations.contest_sets = contest_sets.into_values();
        Ok(stations)
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn find(&self, number: u64) -> Option<usize> {
        self.numbers.find(number)
    }

    /// How many stations each area holds, right below it or further down, by the area's index.
    pub(super) fn count_by_area(&self, areas: &Areas) -> Vec<u32> {
        let mut counts = vec![0_u32; areas.len()];
        for &area in &self.areas {
            for index in areas.upwards(area as usize) {
                if let Some(count) = counts.get_mut(index) {
                    *count = count.saturating_add(1);
                }
            }
        }
        counts
    }

    pub(super) fn get<'a>(&'a self, index: usize, areas: &Areas) -> Option<Station<'a>> {
        let mut texts = self.texts.row(index);
        let area_index = *self.areas.get(index)? as usize;
        let (kind, expects_box) = *self.kinds.get(index)?;
        Some(Station {
            index,
            number: self.numbers.get(index)?,
            area: areas.number_at(area_index)?,
            area_index,
            registered: self.registered.get(index).copied().filter(|&registered| registered != UNKNOWN),
            kind,
            expects_box,
            closes_at: *self.closing_times.get(index)?,
            timezone: self.timezones.get(index).and_then(|&zone| self.timezone_names.get(zone as usize))?,
            contests: self.contests.get(index).and_then(|&set| self.contest_sets.get(set as usize))?,
            label: texts.next()?,
            name: texts.next()?,
        })
    }
}

/// The index of an area that may hold stations.
fn leaf(cell: &str, areas: &Areas) -> Cell<u32> {
    let area = areas.cell(cell)?;
    if !areas.children(area).is_empty() {
        return Err(malformed("the area holds other areas; stations stand in areas without any"));
    }
    offset(area)
}

fn contest_set(cell: &str, contests: &Contests) -> Cell<Box<[u64]>> {
    let set = cells::numbers(cell, "contest", |number| contests.find(number).is_some())?;
    if set.is_empty() { Err(malformed("a station has at least one contest")) } else { Ok(set.into_boxed_slice()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, malformed, unknown};

    #[test]
    fn stations_come_back_by_number() {
        let definition = Sample::definition().load_definition().unwrap();
        let school = definition.station(10).unwrap();
        assert_eq!((school.index, school.number, school.registered), (0, 10, Some(1200)));
        assert_eq!((school.area, school.area_index), (3, 2));
        assert_eq!((school.kind, school.expects_box), (StationKind::Ordinary, true));
        assert_eq!((school.closes_at, school.timezone, school.contests), (2000, "Asia/Bishkek", &[1, 2][..]));
        assert_eq!((school.label, school.name), ("УИК 10", "№ 1 мектеп"));
        let embassy = definition.station_at(1).unwrap();
        assert_eq!((embassy.number, embassy.registered, embassy.expects_box), (11, None, false));
        assert_eq!((embassy.timezone, embassy.contests), ("Europe/Moscow", &[1, 2, 7][..]));
        assert_eq!(definition.station(500).unwrap().registered, Some(0));
        assert_eq!(definition.stations().map(|station| station.number).collect::<Vec<_>>(), [10, 11, 500]);
        assert_eq!(definition.station_count(), 3);
        assert!(definition.station(12).is_none() && definition.station_at(3).is_none());
    }

    #[test]
    fn each_cell_has_its_form() {
        for (column, cells) in [
            ("station", &["", "0", "10", "9007199254740992"][..]),
            // Area 5 holds area 2, so no station.
            ("area", &["", "0", "5"]),
            ("registered", &["1000001", "12o4", "1,200", "12.0", "1e3"]),
            ("type", &["", "Ordinary"]),
            ("box", &["", "1", "true"]),
            ("closes_at", &["", "-1", "2031-10-05T20:00:00+06:00"]),
            ("timezone", &["", "Asia/"]),
            ("contests", &["", "*", "2 1", "1  2", "1,2", "1 1"]),
            ("label", &["\u{85}"]),
            ("name", &[""]),
        ] {
            for cell in cells {
                let sample = Sample::definition().with("stations", 3, column, cell);
                assert_eq!(sample.verdict(), malformed(3, column), "{column} {cell:?}");
            }
        }
        assert_eq!(Sample::definition().with("stations", 4, "area", "4").verdict(), unknown(4, "area"));
        assert_eq!(Sample::definition().with("stations", 4, "contests", "1 3").verdict(), unknown(4, "contests"));
    }

    #[test]
    fn an_election_may_be_without_stations() {
        let definition = Sample::definition().edit("stations", |rows| rows.truncate(1)).load_definition().unwrap();
        assert_eq!(definition.stations().count(), 0);
    }
}
