//! The geography: a tree of areas under one root. Polling stations stand below its leaves.

use std::path::Path;

use super::cells::{self, Cell, malformed, unknown};
use super::compact::{Interner, Lists, Numbers, Texts, offset};
use super::csv::{self, Fault, Judged, Table, line_of};
use super::manifest::TableEntry;
use crate::error::Result;

/// Levels below the root: country to precinct takes six or seven, and a walk up the tree stays this short.
pub const MAX_AREA_DEPTH: usize = 32;

/// `areas.csv` of a definition.
pub(super) const TABLE: Table = Table { name: "areas", columns: &["area", "parent", "level", "label", "code", "name"] };

/// The column that every rule of the tree blames.
const PARENT: &str = "parent";

/// Stands for the root's parent; no table has this many rows.
const NONE: u32 = u32::MAX;

/// A node of the geography.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area<'a> {
    /// Its place among the areas by number, from 0.
    pub index: usize,
    /// Its number.
    pub number: u64,
    /// Number of the area that holds it; None for the root.
    pub parent: Option<u64>,
    /// What kind of area it is: country, region, district …
    pub level: &'a str,
    /// What people call it, or empty.
    pub label: &'a str,
    /// National or OCD identifier, or empty.
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// All areas, by number.
#[derive(Debug)]
pub(super) struct Areas {
    numbers: Numbers,
    parents: Vec<u32>,
    levels: Vec<u32>,
    level_names: Vec<String>,
    texts: Texts,
    children: Lists<u32>,
    root: usize,
}

impl Areas {
    pub(super) fn load(folder: &Path, entry: &TableEntry) -> Result<Self> {
        let rows = entry.expected_rows(&TABLE);
        let mut numbers = Numbers::with_capacity(rows);
        let mut texts = Texts::with_capacity(rows);
        let mut parents: Vec<Option<u64>> = Vec::with_capacity(rows);
        let mut levels = Vec::with_capacity(rows);
        let mut level_names = Interner::new();
        let mut root = None;
        csv::read(folder, &TABLE, entry, |row| {
            row.next(|cell| numbers.push(cells::number(cell)?))?;
            parents.push(row.next(|cell| {
                let parent = cells::optional(cell, cells::number)?;
                if parent.is_none() && root.replace(parents.len()).is_some() {
                    return Err(malformed("only one area, the root, may have no parent"));
                }
                Ok(parent)
            })?);
            levels.push(row.next(|cell| level_names.index(cell, |cell| cells::level(cell).map(str::to_owned)))?);
            let label = row.next(cells::text)?;
            let code = row.next(cells::text)?;
            row.next(|cell| texts.push([label, code, cells::name(cell)?]))
        })?;
        texts.shrink();
        let (root, parents, children) = tree(&numbers, &parents, root).map_err(|fault| TABLE.error(fault))?;
        Ok(Self { numbers, parents, levels, level_names: level_names.into_values(), texts, children, root })
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn find(&self, number: u64) -> Option<usize> {
        self.numbers.find(number)
    }

    /// A cell that holds the number of an area: its index.
    pub(super) fn cell(&self, cell: &str) -> Cell<usize> {
        let number = cells::number(cell)?;
        self.find(number).ok_or_else(|| unknown("area", number))
    }

    /// A cell that holds the number of an area: that number.
    pub(super) fn number(&self, cell: &str) -> Cell<u64> {
        let number = cells::number(cell)?;
        self.cell(cell).map(|_| number)
    }

    pub(super) fn number_at(&self, index: usize) -> Option<u64> {
        self.numbers.get(index)
    }

    pub(super) fn get(&self, index: usize) -> Option<Area<'_>> {
        let mut texts = self.texts.row(index);
        Some(Area {
            index,
            number: self.number_at(index)?,
            parent: self.parent(index).and_then(|parent| self.number_at(parent)),
            level: self.levels.get(index).and_then(|&level| self.level_names.get(level as usize))?,
            label: texts.next()?,
            code: texts.next()?,
            name: texts.next()?,
        })
    }

    pub(super) fn root(&self) -> usize {
        self.root
    }

    pub(super) fn parent(&self, index: usize) -> Option<usize> {
        self.parents.get(index).filter(|&&parent| parent != NONE).map(|&parent| parent as usize)
    }

    /// The area with this index and those that hold it, the root last.
    pub(super) fn upwards(&self, index: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(index), |&index| self.parent(index))
    }

    pub(super) fn children(&self, index: usize) -> &[u32] {
        self.children.row(index)
    }
}

/// Root, parents and children by index, after every rule that needs the whole table.
fn tree(numbers: &Numbers, parents: &[Option<u64>], root: Option<usize>) -> Judged<(usize, Vec<u32>, Lists<u32>)> {
    let blame = |row: usize, refusal| Fault::cell(line_of(row), PARENT, refusal);
    let mut known = Vec::with_capacity(parents.len());
    for (row, parent) in parents.iter().enumerate() {
        known.push(match parent {
            None => NONE,
            Some(number) => {
                let place = numbers.find(*number).ok_or_else(|| blame(row, unknown("area", *number)))?;
                offset(place).map_err(|refusal| blame(row, refusal))?
            }
        });
    }
    for row in 0..known.len() {
        let up = |&place: &u32| known.get(place as usize).copied();
        let first = known.get(row).copied();
        if std::iter::successors(first, up).take_while(|&place| place != NONE).nth(MAX_AREA_DEPTH).is_some() {
            return Err(blame(
                row,
                malformed(format!("the way to the root is a circle, or longer than {MAX_AREA_DEPTH} steps")),
            ));
        }
    }
    // Where every way ends at a root, only an empty table has none.
    let root = root.ok_or_else(|| Fault::cell(1, PARENT, malformed("no area is the root: one must have no parent")))?;
    let children = children(&known).map_err(|refusal| blame(root, refusal))?;
    Ok((root, known, children))
}

fn children(parents: &[u32]) -> Cell<Lists<u32>> {
    let mut ordered: Vec<(u32, u32)> = Vec::with_capacity(parents.len());
    for (row, &parent) in parents.iter().enumerate() {
        if parent != NONE {
            ordered.push((parent, offset(row)?));
        }
    }
    ordered.sort_unstable();
    let mut children = Lists::with_capacity(parents.len());
    let mut rest = ordered.iter().peekable();
    let mut list = Vec::new();
    for (row, _) in parents.iter().enumerate() {
        list.clear();
        while let Some(&(_, child)) = rest.next_if(|&&(parent, _)| parent as usize == row) {
            list.push(child);
        }
        children.push(&list)?;
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Station;
    use crate::definition::testing::{Sample, malformed, unknown};

    fn with(line: usize, column: &str, cell: &str) -> Sample {
        Sample::definition().with("areas", line, column, cell)
    }

    /// A chain of areas below area 100, which is below the root, down to `depth`; its last one holds no station.
    fn chain(depth: u64) -> Sample {
        Sample::definition().edit("areas", |rows| {
            for step in 0..depth {
                let parent = if step == 0 { 1 } else { 99 + step };
                rows.push(
                    [&(100 + step).to_string(), &parent.to_string(), "x", "", "", "x"].map(String::from).to_vec(),
                );
            }
        })
    }

    #[test]
    fn the_tree_can_be_walked_up_and_down() {
        let definition = Sample::definition().load_definition().unwrap();
        let root = definition.root().unwrap();
        assert_eq!((root.number, root.parent, root.level, root.name), (1, None, "country", "Тоолия"));
        let district = definition.area(8).unwrap();
        assert_eq!(district, definition.area_at(4).unwrap());
        assert_eq!((district.parent, district.label, district.code), (Some(2), "01.01", ""));
        assert_eq!(district.name, "\"Жаңы\" район");
        let up: Vec<u64> = definition.ancestors(district.index).map(|area| area.number).collect();
        assert_eq!(up, [2, 5, 1]);
        assert_eq!(definition.children(root.index).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(definition.children(district.index).len(), 0);
        assert_eq!(definition.areas().map(|area| area.number).collect::<Vec<_>>(), [1, 2, 3, 5, 8]);
        assert!(definition.area(4).is_none() && definition.area_at(5).is_none());
        assert_eq!(definition.ancestors(9).count() + definition.children(9).count(), 0);
    }

    #[test]
    fn an_area_holds_the_stations_below_it() {
        let definition = Sample::definition().load_definition().unwrap();
        for area in definition.areas() {
            let below = |station: &Station<'_>| {
                station.area == area.number
                    || definition.ancestors(station.area_index).any(|above| above.number == area.number)
            };
            let held: Vec<u64> = definition.stations().filter(below).map(|station| station.number).collect();
            assert_eq!(definition.stations_in(area.number), Some(u32::try_from(held.len()).unwrap()));
            for station in definition.stations() {
                let holds = definition.holds(area.number, station.number);
                assert_eq!(holds, held.contains(&station.number), "{} {}", area.number, station.number);
            }
            assert!(!definition.holds(area.number, 12));
        }
        assert_eq!(definition.stations_in(1), u32::try_from(definition.station_count()).ok());
        assert_eq!(definition.stations_in(4), None);
        assert!(!definition.holds(4, 10));
    }

    #[test]
    fn each_cell_has_its_form() {
        for (column, cells) in [
            ("area", &["", "0", "03", "1", "2"][..]),
            ("parent", &["0", "x", "01"]),
            ("level", &["", "Region", "2nd"]),
            ("label", &["\u{7}"]),
            ("code", &["\u{9f}"]),
            ("name", &["", "a\tb"]),
        ] {
            for cell in cells {
                assert_eq!(with(4, column, cell).verdict(), malformed(4, column), "{cell}");
            }
        }
    }

    #[test]
    fn there_is_one_root_that_every_area_leads_to() {
        assert_eq!(with(4, "parent", "").verdict(), malformed(4, "parent"));
        assert_eq!(with(4, "parent", "4").verdict(), unknown(4, "parent"));
        assert_eq!(with(2, "parent", "1").verdict(), malformed(2, "parent"));
        assert_eq!(with(5, "parent", "8").verdict(), malformed(3, "parent"));
        let empty = Sample::definition().edit("areas", |rows| rows.truncate(1));
        assert_eq!(empty.verdict(), malformed(1, "parent"));
        // The whole table is read before parents are looked up.
        assert_eq!(with(4, "parent", "4").with("areas", 6, "name", "").verdict(), malformed(6, "name"));
    }

    #[test]
    fn the_tree_has_a_depth() {
        let deepest = MAX_AREA_DEPTH as u64;
        let definition = chain(deepest).load_definition().unwrap();
        assert_eq!(definition.ancestors(definition.area(99 + deepest).unwrap().index).count(), MAX_AREA_DEPTH);
        assert_eq!(chain(deepest + 1).verdict(), malformed(7 + deepest, "parent"));
    }
}
