//! A country's own protocol lines and equations, and the figures that every protocol knows.

use std::path::Path;

use super::cells::{self, Cell, malformed, unknown};
use super::compact::Numbers;
use super::csv::{self, Table};
use super::manifest::TableEntry;
use super::words::{Operator, Severity};
use crate::MAX_INTEGER;
use crate::error::Result;

/// The figures of packet.md, "Figures": the first has code 1, the last code 16.
pub const STANDARD_FIGURES: [&str; 16] = [
    "registered",
    "registered_additional",
    "identified",
    "ballots_received",
    "issued",
    "issued_outside",
    "spoiled",
    "cancelled",
    "in_box",
    "in_portable_box",
    "valid",
    "blank",
    "invalid",
    "lost",
    "returned_by_box",
    "issued_early",
];

/// The first code of a country's own figure; those below are kept for packet.md.
pub const FIRST_NATIONAL_CODE: u64 = 100;

/// `figures.csv` of a definition.
pub(super) const FIGURES: Table = Table { name: "figures", columns: &["code", "figure", "name"] };

/// `checks.csv` of a definition.
pub(super) const CHECKS: Table =
    Table { name: "checks", columns: &["check", "severity", "left", "op", "right", "tolerance"] };

/// A country's own protocol line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its code in packets, from 100.
    pub code: u64,
    /// Its name in checks and results folders.
    pub figure: String,
    /// Its name for people.
    pub name: String,
}

/// A country's own equation over figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its number: `H109.n` or `S214.n`.
    pub number: u64,
    /// How it judges.
    pub severity: Severity,
    /// Codes of the figures that add up on the left.
    pub left: Vec<u64>,
    /// How the sides compare.
    pub op: Operator,
    /// Codes of the figures that add up on the right.
    pub right: Vec<u64>,
    /// Ballots by which the sides may be off.
    pub tolerance: u64,
}

/// Reads `figures.csv`.
pub(super) fn load_figures(folder: &Path, entry: &TableEntry) -> Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    csv::read(folder, &FIGURES, entry, |row| {
        let code = row.next(|cell| {
            let code = cells::integer(cell, FIRST_NATIONAL_CODE, MAX_INTEGER)?;
            match figures.last() {
                Some(last) if last.code >= code => Err(malformed("the rows must ascend by code, each code once")),
                _ => Ok(code),
            }
        })?;
        let figure = row.next(|cell| match cells::figure(cell)? {
            taken if code_of(taken, &figures).is_some() => {
                Err(malformed(format!("the figure {taken} is there already")))
            }
            figure => Ok(figure.to_owned()),
        })?;
        let name = row.next(cells::name)?.to_owned();
        figures.push(Figure { code, figure, name });
        Ok(())
    })?;
    Ok(figures)
}

/// Reads `checks.csv`.
pub(super) fn load_checks(folder: &Path, entry: &TableEntry, figures: &[Figure]) -> Result<Vec<Check>> {
    let mut numbers = Numbers::default();
    let mut checks = Vec::new();
    csv::read(folder, &CHECKS, entry, |row| {
        let number = row.next(|cell| {
            let number = cells::number(cell)?;
            numbers.push(number).map(|()| number)
        })?;
        let severity = row.next(cells::word)?;
        let left = row.next(|cell| sum(cell, figures))?;
        let op = row.next(cells::word)?;
        let right = row.next(|cell| sum(cell, figures))?;
        let tolerance = row.next(|cell| cells::integer(cell, 0, cells::MAX_TOLERANCE))?;
        checks.push(Check { number, severity, left, op, right, tolerance });
        Ok(())
    })?;
    Ok(checks)
}

fn code_of(name: &str, figures: &[Figure]) -> Option<u64> {
    let standard = STANDARD_FIGURES.iter().zip(1..).find(|&(standard, _)| *standard == name).map(|(_, code)| code);
    standard.or_else(|| figures.iter().find(|figure| figure.figure == name).map(|figure| figure.code))
}

/// The codes of figure names joined by `+`.
fn sum(cell: &str, figures: &[Figure]) -> Cell<Vec<u64>> {
    cell.split('+').map(|name| code_of(cells::figure(name)?, figures).ok_or_else(|| unknown("figure", name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, malformed, unknown};

    #[test]
    fn figures_and_checks_come_back_by_number() {
        let definition = Sample::definition().load_definition().unwrap();
        assert_eq!(definition.figure(205).unwrap().figure, "papers_outside");
        assert!(definition.figure(9).is_none() && definition.figure(101).is_none());
        let check = definition.check(1).unwrap();
        assert_eq!((check.severity, check.op, check.tolerance), (Severity::Hard, Operator::Equal, 0));
        assert_eq!((&check.left[..], &check.right[..]), (&[4][..], &[5, 7, 100][..]));
        assert_eq!(definition.check(4).unwrap().op, Operator::AtMost);
        assert!(definition.check(2).is_none());
    }

    #[test]
    fn each_cell_has_its_form() {
        for (table, column, cells) in [
            ("figures", "code", &["", "100", "99", "x"][..]),
            ("figures", "figure", &["", "Papers", "in-box", "papers", "in_box"]),
            ("figures", "name", &[""]),
            ("checks", "check", &["", "0", "1"]),
            ("checks", "severity", &["", "off"]),
            ("checks", "left", &["", "issued+", "issued + spoiled", "+"]),
            ("checks", "op", &["", "<", ">="]),
            ("checks", "right", &["", "issued-spoiled"]),
            ("checks", "tolerance", &["", "-1", "1000001"]),
        ] {
            for cell in cells {
                let sample = Sample::definition().with(table, 3, column, cell);
                assert_eq!(sample.verdict(), malformed(3, column), "{column} {cell:?}");
            }
        }
        assert_eq!(Sample::definition().with("figures", 2, "code", "16").verdict(), malformed(2, "code"));
        assert_eq!(Sample::definition().with("checks", 3, "right", "issued+paper").verdict(), unknown(3, "right"));
    }
}
