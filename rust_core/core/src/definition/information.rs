//! What is only shown: names in every language, addresses, photographs, biographies, funds. Replaceable at any time.

use std::collections::BTreeSet;
use std::path::Path;

use super::cells::{self, Cell, malformed, unknown};
use super::compact::Texts;
use super::csv::{self, Judged, Row, Table};
use super::election::Definition;
use super::manifest::{self, Manifest, Medium, Site, TableEntry};
use crate::Hash;
use crate::error::Result;

const AREAS: Table = Table { name: "areas", columns: &["area", "name_ky", "name_kk", "name_ru", "name_en"] };
const CONTESTS: Table = Table { name: "contests", columns: &["contest", "name_ky", "name_kk", "name_ru", "name_en"] };
const CHOICES: Table = Table {
    name: "choices",
    columns: &[
        "contest",
        "choice",
        "name_ky",
        "name_kk",
        "name_ru",
        "name_en",
        "party",
        "color",
        "photo",
        "biography_ky",
        "biography_kk",
        "biography_ru",
        "biography_en",
        "programme_ky",
        "programme_kk",
        "programme_ru",
        "programme_en",
        "link",
        "fund_income",
        "fund_spent",
    ],
};
const STATIONS: Table = Table {
    name: "stations",
    columns: &[
        "station",
        "name_ky",
        "name_kk",
        "name_ru",
        "name_en",
        "address_ky",
        "address_kk",
        "address_ru",
        "address_en",
        "route_ky",
        "route_kk",
        "route_ru",
        "route_en",
        "latitude",
        "longitude",
        "photo",
        "panorama",
    ],
};
const FIGURES: Table = Table { name: "figures", columns: &["code", "name_ky", "name_kk", "name_ru", "name_en"] };
const CHECKS: Table = Table { name: "checks", columns: &["check", "text_ky", "text_kk", "text_ru", "text_en"] };

/// A loaded information: `information.json` and its six tables. What a table has no row for has nothing to show.
#[derive(Debug)]
pub struct Information {
    /// SHA-256 of `information.json`.
    pub hash: Hash,
    /// What the site says of itself.
    pub site: Site,
    /// The files in `media/`, by name. Their bytes are checked by who copies them.
    pub media: Vec<Medium>,
    /// Names of areas.
    pub areas: InformationTable,
    /// Names of contests.
    pub contests: InformationTable,
    /// Names of choices, and who they are.
    pub choices: InformationTable,
    /// Names of stations, and where they are.
    pub stations: InformationTable,
    /// Names of a country's own protocol lines.
    pub figures: InformationTable,
    /// Sentences for a country's own equations.
    pub checks: InformationTable,
}

/// One table of an information.
#[derive(Debug)]
pub struct InformationTable {
    columns: &'static [&'static str],
    keys: Vec<Key>,
    texts: Texts,
}

/// The number of a thing; a choice's contest and number, else the number and 0.
type Key = (u64, u64);

impl Information {
    /// Reads the folder that holds `information.json` and its tables, for `definition`.
    ///
    /// # Errors
    /// `manifest.missing`, `manifest.malformed`, `manifest.definition`, `table.missing`, `table.changed`,
    /// `table.malformed`, `table.reference`: of the manifest, else of the first table in the order areas, contests,
    /// choices, stations, figures, checks.
    pub fn load(folder: &Path, definition: &Definition) -> Result<Self> {
        let tables = [&AREAS, &CONTESTS, &CHOICES, &STATIONS, &FIGURES, &CHECKS];
        let Manifest { hash, content: (site, media), tables: entries } =
            manifest::information(folder, &definition.hash, tables)?;
        let [area_entry, contest_entry, choice_entry, station_entry, figure_entry, check_entry] = &entries;
        let loader = Loader { folder, media: media.iter().map(|medium| medium.name.as_str()).collect() };
        let areas = loader.load(&AREAS, area_entry, "area", |number| definition.areas.find(number).is_some())?;
        let contests =
            loader.load(&CONTESTS, contest_entry, "contest", |number| definition.contests.find(number).is_some())?;
        let choices = loader.load_choices(choice_entry, definition)?;
        let stations =
            loader.load(&STATIONS, station_entry, "station", |number| definition.stations.find(number).is_some())?;
        let figures = loader.load(&FIGURES, figure_entry, "figure", |code| definition.figure(code).is_some())?;
        let checks = loader.load(&CHECKS, check_entry, "check", |number| definition.check(number).is_some())?;
        Ok(Self { hash, site, media, areas, contests, choices, stations, figures, checks })
    }
}

impl InformationTable {
    /// The columns that `row` gives the cells of.
    pub fn columns(&self) -> &'static [&'static str] {
        self.columns
    }

    /// The cells shown for an area, contest, station, figure or check; None where nothing is.
    pub fn row(&self, number: u64) -> Option<impl Iterator<Item = &str>> {
        self.find((number, 0))
    }

    /// The cells shown for a choice; None where nothing is.
    pub fn choice(&self, contest: u64, choice: u64) -> Option<impl Iterator<Item = &str>> {
        self.find((contest, choice))
    }

    fn find(&self, key: Key) -> Option<impl Iterator<Item = &str>> {
        self.keys.binary_search(&key).ok().map(|row| self.texts.row(row))
    }
}

/// Where tables and media are looked up.
struct Loader<'a> {
    folder: &'a Path,
    media: BTreeSet<&'a str>,
}

impl Loader<'_> {
    /// Reads a table whose key is one number, that of a `known` thing.
    fn load(
        &self,
        table: &Table,
        entry: &TableEntry,
        what: &str,
        known: impl Fn(u64) -> bool,
    ) -> Result<InformationTable> {
        self.load_keyed(table, entry, 1, |row, (last, _)| {
            let number = row.next(|cell| known_above(cell, last, what, &known))?;
            Ok((number, 0))
        })
    }

    /// Reads the table of choices, whose key is contest and choice.
    fn load_choices(&self, entry: &TableEntry, definition: &Definition) -> Result<InformationTable> {
        self.load_keyed(&CHOICES, entry, 2, |row, (last_contest, last_choice)| {
            let contest = row.next(|cell| {
                let before = last_contest.saturating_sub(1);
                known_above(cell, before, "contest", |number| definition.contests.find(number).is_some())
            })?;
            let before = if contest == last_contest { last_choice } else { 0 };
            let choice = row.next(|cell| {
                known_above(cell, before, "choice", |choice| definition.contests.has_choice(contest, choice))
            })?;
            Ok((contest, choice))
        })
    }

    fn load_keyed(
        &self,
        table: &Table,
        entry: &TableEntry,
        key_columns: usize,
        take_key: impl Fn(&mut Row<'_>, Key) -> Judged<Key>,
    ) -> Result<InformationTable> {
        let rows = entry.expected_rows(table);
        let columns = &table.columns[key_columns..];
        let mut keys = Vec::with_capacity(rows);
        let mut texts = Texts::with_capacity(rows);
        csv::read(self.folder, table, entry, |row| {
            let key = take_key(row, keys.last().copied().unwrap_or_default())?;
            keys.push(key);
            let cells =
                columns.iter().map(|&column| row.next(|cell| self.shown(column, cell))).collect::<Judged<Vec<_>>>()?;
            row.judge(texts.push(cells))
        })?;
        texts.shrink();
        Ok(InformationTable { columns, keys, texts })
    }

    /// A cell that pages show: text, or the name of a file that the manifest names.
    fn shown<'a>(&self, column: &str, cell: &'a str) -> Cell<&'a str> {
        let text = cells::text(cell)?;
        if matches!(column, "photo" | "panorama") && !text.is_empty() && !self.media.contains(text) {
            return Err(unknown("file in the manifest's media with the name", text));
        }
        Ok(text)
    }
}

/// The number of a known thing, above that of the row before.
fn known_above(cell: &str, before: u64, what: &str, known: impl Fn(u64) -> bool) -> Cell<u64> {
    let number = cells::number(cell)?;
    if number <= before {
        return Err(malformed("the rows must ascend by number, each once"));
    }
    if known(number) { Ok(number) } else { Err(unknown(what, number)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, malformed, unknown};

    fn cell<'a>(table: &'a InformationTable, mut row: impl Iterator<Item = &'a str>, column: &str) -> &'a str {
        row.nth(table.columns().iter().position(|name| *name == column).unwrap()).unwrap()
    }

    #[test]
    fn what_is_shown_comes_back_by_number() {
        let information =
            Sample::information().load_information(&Sample::definition().load_definition().unwrap()).unwrap();
        assert_eq!(information.areas.row(1).unwrap().collect::<Vec<_>>(), ["Тоолия", "", "", "Toolia"]);
        assert!(information.areas.row(2).is_none() && information.areas.choice(1, 1).is_none());
        let choices = &information.choices;
        assert_eq!(cell(choices, choices.choice(2, 2).unwrap(), "link"), "https://b.example/");
        assert_eq!(cell(choices, choices.choice(2, 1).unwrap(), "fund_spent"), "900");
        assert!(choices.choice(1, 1).is_none());
        let stations = &information.stations;
        assert_eq!(cell(stations, stations.row(11).unwrap(), "address_ru"), "ул. Большая Ордынка, 64");
        assert_eq!(cell(stations, stations.row(11).unwrap(), "longitude"), "37.6251");
        assert_eq!(information.figures.row(205).unwrap().last(), Some("Papers outside"));
        assert_eq!(information.checks.row(4).unwrap().count(), 4);
        assert_eq!(information.site.contact, "a@toolia.example");
        assert_eq!((information.media[0].name.as_str(), information.media[0].size), ("bekova.jpg", 5));
    }

    #[test]
    fn each_cell_has_its_form() {
        for (table, line, column, cell) in [
            ("areas", 3, "area", "1"),
            ("contests", 2, "name_en", "\u{7f}"),
            ("choices", 3, "contest", "0"),
            ("choices", 4, "contest", "1"),
            ("choices", 4, "choice", "1"),
            ("choices", 4, "link", "\u{80}"),
            ("stations", 2, "photo", "\u{1}"),
            ("figures", 2, "code", ""),
            ("checks", 2, "text_ru", "\u{9b}"),
        ] {
            let sample = Sample::information().with(table, line, column, cell);
            assert_eq!(sample.verdict(), malformed(line as u64, column), "{table} {cell:?}");
        }
    }

    #[test]
    fn what_is_named_must_be_known() {
        for (table, line, column, cell) in [
            ("areas", 3, "area", "4"),
            ("contests", 2, "contest", "3"),
            ("choices", 3, "contest", "3"),
            ("choices", 4, "choice", "4"),
            ("choices", 4, "photo", "other.jpg"),
            ("stations", 2, "station", "12"),
            ("stations", 2, "panorama", "other.jpg"),
            ("figures", 2, "code", "9"),
            ("checks", 2, "check", "2"),
        ] {
            let sample = Sample::information().with(table, line, column, cell);
            assert_eq!(sample.verdict(), unknown(line as u64, column), "{table} {cell:?}");
        }
    }
}
