//! How a million rows stay small: sorted numbers, text and lists in one allocation each, shared values kept once.

use std::collections::HashMap;

use super::cells::{Cell, malformed};

/// Stands between the cells of one row's text; no cell may hold a control character.
const CELL_END: char = '\u{1f}';

/// A position as it is kept: 32 bits, because no table has more bytes than that (`MAX_TABLE_BYTES`).
pub(super) fn offset(position: usize) -> Cell<u32> {
    u32::try_from(position).map_err(|_| malformed("the table is too large"))
}

/// Strictly ascending numbers of things; the place of a number is the thing's index.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    ascending: Vec<u64>,
}

impl Numbers {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { ascending: Vec::with_capacity(rows) }
    }

    /// Takes the next number, which must be above all before it.
    pub(super) fn push(&mut self, number: u64) -> Cell<()> {
        if self.ascending.last().is_some_and(|&last| last >= number) {
            return Err(malformed("the rows must ascend by number, each number once"));
        }
        offset(self.ascending.len())?;
        self.ascending.push(number);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ascending.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<u64> {
        self.ascending.get(index).copied()
    }

    /// The index of a number.
    pub(super) fn find(&self, number: u64) -> Option<usize> {
        // Most tables are numbered without gaps: then the distance from the first number is the index.
        let guess = usize::try_from(number.checked_sub(*self.ascending.first()?)?).ok()?;
        if self.ascending.get(guess) == Some(&number) {
            return Some(guess);
        }
        self.ascending.binary_search(&number).ok()
    }
}

/// The text cells of every row, one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(rows) }
    }

    /// Keeps the text cells of the next row.
    pub(super) fn push<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Cell<()> {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.text.push(CELL_END);
            }
            self.text.push_str(cell);
        }
        self.ends.push(offset(self.text.len())?);
        Ok(())
    }

    /// Gives back what growing took in advance.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
    }

    /// The cells of a row; none for a row that is not there.
    pub(super) fn row(&self, index: usize) -> impl Iterator<Item = &str> {
        let text = span(&self.ends, index).and_then(|(start, end)| self.text.get(start..end));
        text.into_iter().flat_map(|text| text.split(CELL_END))
    }
}

/// A list of values for each row, all in one pool.
#[derive(Debug)]
pub(super) struct Lists<T> {
    pool: Vec<T>,
    ends: Vec<u32>,
}

impl<T: Copy> Lists<T> {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { pool: Vec::new(), ends: Vec::with_capacity(rows) }
    }

    /// Keeps the list of the next row.
    pub(super) fn push(&mut self, list: &[T]) -> Cell<()> {
        self.pool.extend_from_slice(list);
        self.ends.push(offset(self.pool.len())?);
        Ok(())
    }

    /// Gives back what growing took in advance.
    pub(super) fn shrink(&mut self) {
        self.pool.shrink_to_fit();
    }

    /// The list of a row; empty for a row that is not there.
    pub(super) fn row(&self, index: usize) -> &[T] {
        span(&self.ends, index).and_then(|(start, end)| self.pool.get(start..end)).unwrap_or(&[])
    }
}

fn span(ends: &[u32], index: usize) -> Option<(usize, usize)> {
    let start = match index.checked_sub(1) {
        None => 0,
        Some(before) => *ends.get(before)?,
    };
    Some((start as usize, *ends.get(index)? as usize))
}

/// Values that many cells share, each parsed and kept once.
pub(super) struct Interner<T> {
    known: HashMap<String, u32>,
    values: Vec<T>,
}

impl<T> Interner<T> {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), values: Vec::new() }
    }

    /// The index of the value that `cell` spells; `parse` is asked when a cell is seen for the first time.
    pub(super) fn index<'a>(&mut self, cell: &'a str, parse: impl FnOnce(&'a str) -> Cell<T>) -> Cell<u32> {
        if let Some(&index) = self.known.get(cell) {
            return Ok(index);
        }
        let value = parse(cell)?;
        let index = offset(self.values.len())?;
        self.values.push(value);
        self.known.insert(cell.to_owned(), index);
        Ok(index)
    }

    /// The values, by index.
    pub(super) fn into_values(self) -> Vec<T> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_and_without_gaps() {
        let mut numbers = Numbers::default();
        for number in [5, 6, 7, 9, 1 << 40] {
            numbers.push(number).unwrap();
        }
        assert_eq!([5, 7, 9, 1 << 40].map(|number| numbers.find(number)), [Some(0), Some(2), Some(3), Some(4)]);
        assert_eq!([0, 4, 8, 10, u64::MAX].map(|number| numbers.find(number)), [None; 5]);
        assert_eq!(Numbers::default().find(1), None);
        assert!(numbers.push(1 << 40).is_err());
        assert_eq!(numbers.len(), 5);
    }

    #[test]
    fn texts_and_lists_come_back_by_row() {
        let mut texts = Texts::with_capacity(2);
        texts.push(["", "Бишкек", ""]).unwrap();
        texts.push(["b"]).unwrap();
        assert_eq!(texts.row(0).collect::<Vec<_>>(), ["", "Бишкек", ""]);
        assert_eq!(texts.row(1).collect::<Vec<_>>(), ["b"]);
        assert_eq!(texts.row(2).count(), 0);

        let mut lists = Lists::with_capacity(3);
        for list in [&[1, 2][..], &[], &[3]] {
            lists.push(list).unwrap();
        }
        assert_eq!([lists.row(0), lists.row(1), lists.row(2), lists.row(3)], [&[1, 2][..], &[], &[3], &[]]);
    }

    #[test]
    fn positions_beyond_32_bits_are_refused() {
        assert_eq!(offset(7), Ok(7));
        assert!(offset(1 << 32).is_err());
    }
}
