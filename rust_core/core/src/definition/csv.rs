//! Canonical CSV, read line by line and hashed on the way: a table of any size needs the memory of one line.
//!
//! Canonical (RFC 4180, narrowed): no BOM, the expected header, `,` between cells, LF after every line, a cell quoted
//! exactly when it holds `,` or `"`, the latter doubled.
//!
//! Order of judgement: size and SHA-256 (`table.changed`, whatever the lines hold); each line, first as a whole (its
//! end, its cells, UTF-8), which blames no column, then cell by cell from left to right; the number of rows; last,
//! rules over all rows.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cells::{Cell, Refusal};
use super::manifest::TableEntry;
use crate::Hash;
use crate::error::{Error, Result, TableFault};

/// Bytes of one line without its LF: 20 texts of `MAX_TEXT` that are all quotes need 80,000, the rest is room
/// for lists.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Bytes of one table: what 32-bit offsets reach. A million stations with their names take a fortieth.
pub const MAX_TABLE_BYTES: u64 = u32::MAX as u64;

/// Bytes that one read asks the system for; larger ones measured no faster.
const READ_BYTES: usize = 1 << 18;

/// A table's name and columns.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
}

impl Table {
    /// The error that `fault` is in this table.
    pub(super) fn error(&self, fault: Fault) -> Error {
        let Fault { kind, line, column, detail } = fault;
        Error::Table { fault: kind, file: self.file(), line, column, detail }
    }

    fn file(&self) -> String {
        format!("{}.csv", self.name)
    }
}

/// What a rule over cells, lines or a whole table answers.
pub(super) type Judged<T> = std::result::Result<T, Fault>;

/// What is wrong, and where in its table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: TableFault,
    pub(super) line: Option<u64>,
    pub(super) column: Option<&'static str>,
    pub(super) detail: String,
}

impl Fault {
    /// A cell that its parser, or a rule over the whole table, refused.
    pub(super) fn cell(line: u64, column: &'static str, refusal: Refusal) -> Self {
        Self { kind: refusal.kind, line: Some(line), column: Some(column), detail: refusal.detail }
    }

    fn line(line: u64, detail: impl Into<String>) -> Self {
        Self { kind: TableFault::Malformed, line: Some(line), column: None, detail: detail.into() }
    }

    fn file(kind: TableFault, detail: impl Into<String>) -> Self {
        Self { kind, line: None, column: None, detail: detail.into() }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::file(
            TableFault::Missing,
            format!("cannot be read ({error}); put the table back as it was built, beside its manifest"),
        )
    }
}

/// The line of the row with this index: line 1 is the header, and no cell holds a line break.
pub(super) fn line_of(row: usize) -> u64 {
    row as u64 + 2
}

/// The cells of one row, to be taken from left to right.
pub(super) struct Row<'a> {
    line: u64,
    text: &'a str,
    cells: &'a [Range<usize>],
    columns: &'static [&'static str],
    taken: usize,
}

impl<'a> Row<'a> {
    /// The next cell, as `parse` understands it.
    pub(super) fn next<T>(&mut self, parse: impl FnOnce(&'a str) -> Cell<T>) -> Judged<T> {
        let cell = self.cells.get(self.taken).and_then(|cell| self.text.get(cell.clone())).unwrap_or_default();
        self.taken += 1;
        self.judge(parse(cell))
    }

    /// An answer about the cell that was taken last.
    pub(super) fn judge<T>(&self, answer: Cell<T>) -> Judged<T> {
        let column = self.columns.get(self.taken.saturating_sub(1)).copied().unwrap_or_default();
        answer.map_err(|refusal| Fault::cell(self.line, column, refusal))
    }
}

/// Reads `folder`/`table`.csv, which must be the file that `entry` names, and hands every row to `take`.
pub(super) fn read(
    folder: &Path,
    table: &Table,
    entry: &TableEntry,
    take: impl FnMut(&mut Row<'_>) -> Judged<()>,
) -> Result<()> {
    read_file(&folder.join(table.file()), table.columns, entry, take).map_err(|fault| table.error(fault))
}

fn read_file(
    path: &Path,
    columns: &'static [&'static str],
    entry: &TableEntry,
    take: impl FnMut(&mut Row<'_>) -> Judged<()>,
) -> Judged<()> {
    let metadata = fs::metadata(path)?;
    // Opening a pipe or a device could wait for ever.
    if !metadata.is_file() {
        return Err(Fault::file(TableFault::Missing, "is not a file"));
    }
    let changed = |what: &str| {
        Fault::file(
            TableFault::Changed,
            format!("its {what} is not the one in the manifest; put the table back as it was built, or build again"),
        )
    };
    if metadata.len() != entry.size {
        return Err(changed("size"));
    }
    if entry.size > MAX_TABLE_BYTES {
        return Err(Fault::file(TableFault::Malformed, format!("has more than {MAX_TABLE_BYTES} bytes")));
    }
    // One byte more than expected shows a file that grew since it was measured.
    let mut file = Hashing { source: File::open(path)?.take(entry.size + 1), sha256: Sha256::new() };
    let outcome = split_lines(BufReader::with_capacity(READ_BYTES, &mut file), columns, take);
    io::copy(&mut file, &mut io::sink())?;
    if Hash::from(file.sha256.finalize()) != entry.sha256 {
        return Err(changed("SHA-256"));
    }
    let rows = outcome?;
    if rows != entry.rows {
        let detail = format!("has {rows} rows, the manifest says {}", entry.rows);
        return Err(Fault::file(TableFault::Malformed, detail));
    }
    Ok(())
}

struct Hashing<R> {
    source: R,
    sha256: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        Ok(read)
    }
}

/// Hands every row after the header to `take`; answers their number.
fn split_lines(
    mut source: impl BufRead,
    columns: &'static [&'static str],
    mut take: impl FnMut(&mut Row<'_>) -> Judged<()>,
) -> Judged<u64> {
    let header = columns.join(",");
    let mut bytes = Vec::new();
    let mut cells = Vec::with_capacity(columns.len());
    let mut line = 0;
    loop {
        bytes.clear();
        source.by_ref().take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() && line > 0 {
            return Ok(line - 1);
        }
        line += 1;
        if bytes.pop() != Some(b'\n') {
            let long = bytes.len() >= MAX_LINE_BYTES;
            let fault = if long {
                format!("has more than {MAX_LINE_BYTES} bytes")
            } else {
                "does not end in a line feed".into()
            };
            return Err(Fault::line(line, format!("the line {fault}")));
        }
        if line == 1 {
            if bytes != header.as_bytes() {
                return Err(Fault::line(line, format!("the header must be {header}")));
            }
            continue;
        }
        split_cells(&mut bytes, columns, &mut cells).map_err(|detail| Fault::line(line, detail))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Fault::line(line, "the line is not well-formed UTF-8"))?;
        take(&mut Row { line, text, cells: &cells, columns, taken: 0 })?;
    }
}

/// Finds the cells of a line. A quoted one is freed of its quotes in place, and what that leaves over becomes blanks.
fn split_cells(line: &mut [u8], columns: &[&str], cells: &mut Vec<Range<usize>>) -> std::result::Result<(), String> {
    cells.clear();
    let mut start = 0;
    for column in columns {
        let fault = |detail: &str| format!("{column}: {detail}");
        if start > line.len() {
            return Err(fault("the cell is missing"));
        }
        let end = if line.get(start) == Some(&b'"') {
            let (cell, end) = unquote(line, start).map_err(fault)?;
            cells.push(cell);
            end
        } else {
            let rest = &line[start..];
            let end = rest.iter().position(|&byte| byte == b',').map_or(line.len(), |length| start + length);
            if line[start..end].contains(&b'"') {
                return Err(fault("a cell that holds a quote must be quoted"));
            }
            cells.push(start..end);
            end
        };
        start = end + 1;
    }
    if start <= line.len() {
        return Err(format!("the line has more than {} cells", columns.len()));
    }
    Ok(())
}

/// The quoted cell that opens at `open`, without its quotes, and the place of the `,` or line end after it.
fn unquote(line: &mut [u8], open: usize) -> std::result::Result<(Range<usize>, usize), &'static str> {
    let (mut from, mut to) = (open + 1, open + 1);
    let mut needed = false;
    loop {
        match (line.get(from).copied(), line.get(from + 1).copied()) {
            (None, _) => return Err("the quoted cell does not end on its line"),
            (Some(b'"'), Some(b'"')) => {
                needed = true;
                line[to] = b'"';
                from += 2;
            }
            (Some(b'"'), None | Some(b',')) => break,
            (Some(b'"'), Some(_)) => return Err("only a comma may follow a closing quote"),
            (Some(byte), _) => {
                needed |= byte == b',';
                line[to] = byte;
                from += 1;
            }
        }
        to += 1;
    }
    if !needed {
        return Err("the cell is quoted without need");
    }
    // The rest of a character that moved would not be UTF-8.
    line[to..=from].fill(b' ');
    Ok((open + 1..to, from + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, Scratch, canonical, verdict};
    use crate::definition::{Definition, cells};
    use proptest::prelude::*;

    const COLUMNS: &[&str] = &["a", "b", "c"];

    fn parse(bytes: &[u8]) -> Judged<Vec<Vec<String>>> {
        let mut rows = vec![COLUMNS.iter().map(|&column| column.to_owned()).collect::<Vec<_>>()];
        split_lines(bytes, COLUMNS, |row| {
            rows.push(COLUMNS.iter().map(|_| row.next(|cell| Ok(cell.to_owned()))).collect::<Judged<_>>()?);
            Ok(())
        })?;
        Ok(rows)
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<String>>> {
        let cell = "[,\" a\r]{0,4}|\\PC{0,12}";
        let row = prop::collection::vec(cell, COLUMNS.len());
        prop::collection::vec(row, 0..6).prop_map(|mut rows| {
            rows.insert(0, COLUMNS.iter().map(|&column| column.to_owned()).collect());
            rows
        })
    }

    /// Where, how (insert, remove, replace) and with which byte to spoil a table.
    fn edit() -> impl Strategy<Value = (prop::sample::Index, u8, u8)> {
        (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(&b",\"\n\r a\xd0\xbf\xff\0"[..]))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(rows in rows()) {
            prop_assert_eq!(parse(&canonical(&rows)), Ok(rows));
        }

        #[test]
        fn what_is_read_has_one_spelling(rows in rows(), edits in prop::collection::vec(edit(), 1..4)) {
            let mut bytes = canonical(&rows);
            for (place, edit, byte) in edits {
                let place = place.index(bytes.len() + 1);
                match edit {
                    0 => bytes.insert(place, byte),
                    1 if place < bytes.len() => { bytes.remove(place); }
                    _ => if let Some(old) = bytes.get_mut(place) { *old = byte },
                }
            }
            if let Ok(read) = parse(&bytes) {
                prop_assert_eq!(canonical(&read), bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&[b"a,b,c\n", &bytes[..]].concat());
        }
    }

    #[test]
    fn every_deviation_is_refused_on_its_line() {
        for (line, bytes) in [
            (1, &b""[..]),
            (1, b"\n"),
            (1, b"a,b,c"),
            (1, b"a,b\n"),
            (1, b"a,c,b\n"),
            (1, b"a,b,c,d\n"),
            (1, b"\xef\xbb\xbfa,b,c\n"),
            (1, b"a,b,c\r\n"),
            (1, b"\"a\",b,c\n"),
            (2, b"a,b,c\n\n"),
            (2, b"a,b,c\n1,2\n"),
            (2, b"a,b,c\n1,2,3,\n"),
            (2, b"a,b,c\n1;2;3\n"),
            (3, b"a,b,c\n1,2,3\n1,2,3"),
            (2, b"a,b,c\n1,\"2\",3\n"),
            (2, b"a,b,c\n1,\"\",3\n"),
            (2, b"a,b,c\n1,2\"2,3\n"),
            (2, b"a,b,c\n1,\"2,2\" ,3\n"),
            (2, b"a,b,c\n1,2,\"3,\n"),
            (2, b"a,b,c\n1,2,\"3\n,\"\n"),
            (2, b"a,b,c\n1,2,\"3,\"\"\n"),
            (2, b"a,b,c\n1,\xff,3\n"),
            (2, b"a,b,c\n1,\xd0,\xbf\n"),
        ] {
            let fault = parse(bytes).unwrap_err();
            let place = (fault.kind, fault.line, fault.column);
            assert_eq!(place, (TableFault::Malformed, Some(line), None), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_line_has_its_longest_length() {
        let line = |length: usize| format!("a,b,c\n,,{}\n", "x".repeat(length - 2));
        assert!(parse(line(MAX_LINE_BYTES).as_bytes()).is_ok());
        let fault = parse(line(MAX_LINE_BYTES + 1).as_bytes()).unwrap_err();
        assert!(fault.line == Some(2) && fault.detail.contains("more than 1048576 bytes"), "{fault:?}");
    }

    #[test]
    fn cells_are_taken_from_left_to_right_and_blamed_by_name() {
        let outcome = split_lines(&b"a,b,c\n1,x,y\n"[..], COLUMNS, |row| {
            row.next(cells::number)?;
            row.next(cells::number).map(drop)
        });
        let fault = outcome.unwrap_err();
        assert_eq!((fault.line, fault.column), (Some(2), Some("b")));
        assert_eq!(fault.detail, "\"x\" is not a whole number from 1 to 9007199254740991 in plain digits");
    }

    #[test]
    fn a_table_that_is_not_the_manifests_is_changed_whatever_it_holds() {
        let folder = Scratch::new();
        let table = folder.path().join("areas.csv");
        let reload = |bytes: &[u8]| {
            fs::write(&table, bytes).unwrap();
            Definition::load(folder.path()).map(drop)
        };
        Sample::definition().write(folder.path(), &[0; 32]);
        let good = fs::read(&table).unwrap();
        let changed = ("table.changed", None, None);
        assert_eq!(reload(&good), Ok(()));
        assert_eq!(verdict(reload(&good[..good.len() - 1])), changed);
        assert_eq!(verdict(reload(&[&good[..], b"\n"].concat())), changed);
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            assert_eq!(verdict(reload(&bytes)), changed, "{place}");
        }
        let error = reload(b"").unwrap_err();
        assert!(matches!(error, Error::Table { file, .. } if file == "areas.csv"));
    }

    #[test]
    fn a_table_must_be_there_and_have_the_manifests_rows() {
        let folder = Scratch::new();
        Sample::definition().write(folder.path(), &[0; 32]);
        fs::remove_file(folder.path().join("figures.csv")).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())), ("table.missing", None, None));
        fs::create_dir(folder.path().join("figures.csv")).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())), ("table.missing", None, None));

        let manifest = folder.path().join("election.json");
        fs::remove_dir(folder.path().join("figures.csv")).unwrap();
        Sample::definition().write(folder.path(), &[0; 32]);
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("\"rows\":5", "\"rows\":4")).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())), ("table.malformed", None, None));
        fs::write(&manifest, text.replace("\"rows\":5", "\"rows\":9007199254740991")).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())), ("table.malformed", None, None));
    }
    #[test]
    fn a_table_has_its_largest_size() {
        let folder = Scratch::new();
        Sample::definition().write(folder.path(), &[0; 32]);
        let manifest = folder.path().join("election.json");
        let text = fs::read_to_string(&manifest).unwrap();
        let size = fs::metadata(folder.path().join("checks.csv")).unwrap().len();
        fs::write(&manifest, text.replace(&format!("\"size\":{size}"), "\"size\":4294967296")).unwrap();
        // A file of nothing but a hole: it is refused before it is read.
        File::create(folder.path().join("checks.csv")).unwrap().set_len(MAX_TABLE_BYTES + 1).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())), ("table.malformed", None, None));
    }
}
