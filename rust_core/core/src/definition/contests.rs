//! Contests and their choices.

use std::ops::Range;
use std::path::Path;

use super::areas::Areas;
use super::cells::{self, malformed, unknown};
use super::compact::{Numbers, Texts};
use super::csv::{self, Fault, Judged, Table, line_of};
use super::manifest::TableEntry;
use super::words::{Base, ChoiceKind, ContestKind, Method};
use crate::error::Result;

/// Seats of one contest: no parliament has more than 3,000 members.
pub const MAX_SEATS: u32 = 10_000;

/// Marks or preferences that one ballot paper may carry.
pub const MAX_MARKS: u32 = 1_000;

/// `contests.csv` of a definition.
pub(super) const TABLE: Table = Table {
    name: "contests",
    columns: &[
        "contest",
        "kind",
        "area",
        "seats",
        "marks",
        "preferences",
        "method",
        "share_of",
        "threshold",
        "threshold_of",
        "threshold_area",
        "threshold_area_level",
        "seat_cap",
        "quorum",
        "quorum_of",
        "name",
    ],
};

/// `choices.csv` of a definition.
pub(super) const CHOICES: Table =
    Table { name: "choices", columns: &["contest", "choice", "kind", "list", "label", "name"] };

/// A part of a figure that must be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Hundredths of a percent, 1 to 10,000.
    pub hundredths: u32,
    /// Of what.
    pub of: Base,
}

/// What is voted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contest {
    /// Its number.
    pub number: u64,
    /// What kind of contest it is.
    pub kind: ContestKind,
    /// Number of the area it is held in; None = everywhere.
    pub area: Option<u64>,
    /// Seats to fill.
    pub seats: u32,
    /// Choices that one ballot paper may mark.
    pub marks: u32,
    /// Preferences within a list that one ballot paper may mark.
    pub preferences: u32,
    /// How votes become seats or an outcome.
    pub method: Method,
    /// What shares are taken of.
    pub share_of: Base,
    /// What a choice must reach to take part in the distribution.
    pub threshold: Option<Share>,
    /// Hundredths of a percent that a choice must reach in each area of this level.
    pub threshold_area: Option<(u32, String)>,
    /// Hundredths of a percent of the seats that one choice may have at most.
    pub seat_cap: Option<u32>,
    /// What turnout must reach.
    pub quorum: Option<Share>,
    /// Its name.
    pub name: String,
    /// The rows of its choices in `choices.csv`.
    choices: Range<usize>,
}

/// What can be voted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Its number, unique in its contest.
    pub number: u64,
    /// What kind of choice it is.
    pub kind: ChoiceKind,
    /// Number of the list that it is a preference of.
    pub list: Option<u64>,
    /// What the ballot paper prints beside it, or empty.
    pub label: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// All contests with their choices, by number.
#[derive(Debug)]
pub(super) struct Contests {
    numbers: Numbers,
    rows: Vec<Contest>,
    choices: Vec<ChoiceRow>,
    texts: Texts,
}

#[derive(Debug, Clone, Copy)]
struct ChoiceRow {
    number: u64,
    list: Option<u64>,
    kind: ChoiceKind,
}

impl Contests {
    /// Reads `contests.csv`; the choices come with `load_choices`.
    pub(super) fn load(folder: &Path, entry: &TableEntry, areas: &Areas) -> Result<Self> {
        let mut numbers = Numbers::default();
        let mut contests: Vec<Contest> = Vec::new();
        csv::read(folder, &TABLE, entry, |row| {
            let number = row.next(|cell| {
                let number = cells::number(cell)?;
                numbers.push(number).map(|()| number)
            })?;
            let kind = row.next(cells::word)?;
            let area = row.next(|cell| cells::optional(cell, |cell| areas.number(cell)))?;
            let seats = row.next(|cell| cells::small(cell, 1, MAX_SEATS))?;
            let marks = row.next(|cell| cells::small(cell, 1, MAX_MARKS))?;
            let preferences = row.next(|cell| cells::small(cell, 0, MAX_MARKS))?;
            let method = row.next(cells::word)?;
            let share_of = row.next(cells::word)?;
            let threshold = share(row, "threshold")?;
            let area_share = row.next(|cell| cells::optional(cell, cells::share))?;
            let level =
                row.next(|cell| cells::filled_with(cell, area_share.is_some(), "threshold_area", cells::level))?;
            let seat_cap = row.next(|cell| cells::optional(cell, cells::share))?;
            let quorum = share(row, "quorum")?;
            let name = row.next(cells::name)?.to_owned();
            let threshold_area = area_share.zip(level.map(str::to_owned));
            let choices = 0..0;
            contests.push(Contest {
                number,
                kind,
                area,
                seats,
                marks,
                preferences,
                method,
                share_of,
                threshold,
                threshold_area,
                seat_cap,
                quorum,
                name,
                choices,
            });
            Ok(())
        })?;
        Ok(Self { numbers, rows: contests, choices: Vec::new(), texts: Texts::default() })
    }

    /// Reads `choices.csv`.
    pub(super) fn load_choices(&mut self, folder: &Path, entry: &TableEntry) -> Result<()> {
        let rows = entry.expected_rows(&CHOICES);
        self.choices.reserve_exact(rows);
        self.texts = Texts::with_capacity(rows);
        let mut current = 0;
        csv::read(folder, &CHOICES, entry, |row| {
            let place = row.next(|cell| {
                let contest = cells::number(cell)?;
                if contest < current {
                    return Err(malformed("the rows must ascend by contest and choice"));
                }
                self.numbers.find(contest).ok_or_else(|| unknown("contest", contest))
            })?;
            let held = &mut self.rows[place];
            if current != held.number {
                current = held.number;
                held.choices = self.choices.len()..self.choices.len();
            }
            let number = row.next(|cell| {
                let number = cells::number(cell)?;
                match self.choices[held.choices.clone()].last() {
                    Some(last) if last.number >= number => {
                        Err(malformed("the rows must ascend by contest and choice, each once"))
                    }
                    _ => Ok(number),
                }
            })?;
            let kind = row.next(cells::word)?;
            let list = row.next(|cell| cells::optional(cell, cells::number))?;
            let label = row.next(cells::text)?;
            row.next(|cell| self.texts.push([label, cells::name(cell)?]))?;
            held.choices.end += 1;
            self.choices.push(ChoiceRow { number, list, kind });
            Ok(())
        })?;
        self.texts.shrink();
        self.lists_are_known().map_err(|fault| CHOICES.error(fault))
    }

    /// A preference may stand before its list, so this waits for the whole table.
    fn lists_are_known(&self) -> Judged<()> {
        for contest in &self.rows {
            let choices = &self.choices[contest.choices.clone()];
            for (place, choice) in choices.iter().enumerate() {
                let Some(list) = choice.list else { continue };
                let found = choices.binary_search_by_key(&list, |other| other.number).ok();
                if found.is_none_or(|found| choices[found].kind != ChoiceKind::List) {
                    let line = line_of(contest.choices.start + place);
                    return Err(Fault::cell(
                        line,
                        "list",
                        unknown("choice of kind list in this contest with the number", list),
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn find(&self, number: u64) -> Option<usize> {
        self.numbers.find(number)
    }

    pub(super) fn all(&self) -> &[Contest] {
        &self.rows
    }

    /// The choices of a contest, ascending; none for a contest that is not there.
    pub(super) fn choices(&self, contest: u64) -> impl ExactSizeIterator<Item = Choice<'_>> {
        let rows = self.find(contest).map_or(0..0, |place| self.rows[place].choices.clone());
        rows.map(|row| {
            let ChoiceRow { number, list, kind } = self.choices[row];
            let mut texts = self.texts.row(row);
            let (label, name) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            Choice { number, kind, list, label, name }
        })
    }

    pub(super) fn has_choice(&self, contest: u64, choice: u64) -> bool {
        self.find(contest).is_some_and(|place| {
            let choices = &self.choices[self.rows[place].choices.clone()];
            choices.binary_search_by_key(&choice, |row| row.number).is_ok()
        })
    }
}

/// A percent column and the `_of` column after it.
fn share(row: &mut csv::Row<'_>, name: &str) -> Judged<Option<Share>> {
    let hundredths = row.next(|cell| cells::optional(cell, cells::share))?;
    let of = row.next(|cell| cells::filled_with(cell, hundredths.is_some(), name, cells::word))?;
    Ok(hundredths.zip(of).map(|(hundredths, of)| Share { hundredths, of }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, malformed, unknown};

    #[test]
    fn contests_and_choices_come_back_by_number() {
        let definition = Sample::definition().load_definition().unwrap();
        let parliament = definition.contest(2).unwrap();
        assert_eq!(
            (parliament.kind, parliament.area, parliament.seats, parliament.marks, parliament.preferences),
            (ContestKind::List, None, 90, 1, 3)
        );
        assert_eq!((parliament.method, parliament.share_of), (Method::Hare, Base::Valid));
        assert_eq!(parliament.threshold, Some(Share { hundredths: 500, of: Base::Valid }));
        assert_eq!(parliament.threshold_area, Some((50, "region".to_owned())));
        assert_eq!((parliament.seat_cap, parliament.quorum, parliament.name.as_str()), (Some(6500), None, "Кеңеш"));
        let president = &definition.contests()[0];
        assert_eq!(president.quorum, Some(Share { hundredths: 3000, of: Base::Registered }));
        assert_eq!((president.threshold, president.seat_cap), (None, None));
        assert_eq!(definition.contest(7).unwrap().area, Some(2));
        assert!(definition.contest(3).is_none());

        let choices: Vec<_> = definition.choices(2).map(|choice| (choice.number, choice.kind, choice.list)).collect();
        let wanted = [(1, ChoiceKind::List, None), (2, ChoiceKind::Candidate, Some(3)), (3, ChoiceKind::List, None)];
        assert_eq!(choices, wanted);
        let last = definition.choices(7).last().unwrap();
        assert_eq!((last.number, last.label, last.name), (2, "", "Жок"));
        assert_eq!(definition.choices(1).next().unwrap().label, "1");
        assert_eq!(definition.choices(3).len(), 0);
    }

    #[test]
    fn each_cell_of_a_contest_has_its_form() {
        for (column, cells) in [
            ("contest", &["", "1", "0", "1.0"][..]),
            ("kind", &["", "Choose"]),
            ("area", &["0", "x"]),
            ("seats", &["", "0", "10001"]),
            ("marks", &["", "0", "1001"]),
            ("preferences", &["", "1001", "-1"]),
            ("method", &["", "dHondt"]),
            ("share_of", &["", "issued"]),
            ("threshold", &["0", "5.0", "10001"]),
            ("threshold_of", &["", "issued"]),
            ("threshold_area", &["0", "10001"]),
            ("threshold_area_level", &["", "Region"]),
            ("seat_cap", &["0", "10001"]),
            ("quorum", &["0"]),
            ("quorum_of", &["valid"]),
            ("name", &[""]),
        ] {
            for cell in cells {
                let sample = Sample::definition().with("contests", 3, column, cell);
                assert_eq!(sample.verdict(), malformed(3, column), "{column} {cell:?}");
            }
        }
        let sample = |column, cell| Sample::definition().with("contests", 3, column, cell).verdict();
        assert_eq!(sample("threshold", ""), malformed(3, "threshold_of"));
        assert_eq!(sample("threshold_area", ""), malformed(3, "threshold_area_level"));
        assert_eq!(sample("quorum", "1"), malformed(3, "quorum_of"));
        assert_eq!(sample("area", "4"), unknown(3, "area"));
    }

    #[test]
    fn each_cell_of_a_choice_has_its_form() {
        let sample = |line, column, cell| Sample::definition().with("choices", line, column, cell).verdict();
        for (column, cells) in [
            ("contest", &["", "0", "1"][..]),
            ("choice", &["", "0", "1"]),
            ("kind", &["", "person"]),
            ("list", &["0", "x"]),
            ("label", &["\u{1f}"]),
            ("name", &[""]),
        ] {
            for cell in cells {
                assert_eq!(sample(5, column, cell), malformed(5, column), "{column} {cell:?}");
            }
        }
        assert_eq!(sample(6, "contest", "3"), unknown(6, "contest"));
        assert_eq!(sample(8, "contest", "3"), malformed(8, "contest"));
    }

    #[test]
    fn a_preference_names_a_list_of_its_contest() {
        let sample = |list| Sample::definition().with("choices", 5, "list", list);
        assert!(sample("1").load_definition().is_ok());
        for list in ["2", "4", "9007199254740991"] {
            assert_eq!(sample(list).verdict(), unknown(5, "list"));
        }
        assert_eq!(Sample::definition().with("choices", 2, "list", "1").verdict(), unknown(2, "list"));
        // Lists may stand below their preferences, so the rest of the table comes first.
        assert_eq!(sample("2").with("choices", 8, "name", "").verdict(), malformed(8, "name"));
    }
}
