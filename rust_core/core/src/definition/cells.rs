//! What one canonical cell may hold: numbers, words, text, lists, hex. Each parser accepts one spelling of a value.

use super::words::Words;
use crate::cbor::{MAX_TEXT, is_printable};
use crate::error::TableFault;
use crate::{Hash, MAX_INTEGER};

/// Voters of one station; rule H100 holds all figures to the same bound, so that sums stay below 2^53.
pub const MAX_REGISTERED: u32 = 1_000_000;

/// Ballots by which a check or rule may be off; no figure is larger (rule H100).
pub const MAX_TOLERANCE: u64 = 1_000_000;

/// Hundredths of a percent in a whole.
pub const WHOLE: u32 = 10_000;

/// Bytes of a time zone's name: the longest IANA name has 32.
const MAX_ZONE_BYTES: usize = 64;

/// Characters of a level's or figure's name, as for an election's id.
const MAX_NAME_BYTES: usize = 40;

/// Characters of a refused cell that a message repeats.
const SHOWN_CHARS: usize = 40;

/// Digits of 2^53−1; so many cannot overflow 64 bits.
const MAX_DIGITS: usize = 16;

/// Why a cell was refused; the reader adds file, line and column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: TableFault,
    pub(super) detail: String,
}

/// What a cell parser answers.
pub(super) type Cell<T> = Result<T, Refusal>;

/// The cell is not in the form that its column wants.
pub(super) fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal { kind: TableFault::Malformed, detail: detail.into() }
}

/// The cell names a thing that is not there.
pub(super) fn unknown(what: &str, named: impl std::fmt::Display) -> Refusal {
    Refusal { kind: TableFault::Reference, detail: format!("there is no {what} {named}") }
}

/// A refused cell as a message may repeat it: short, and without anything that a terminal would obey.
fn shown(cell: &str) -> String {
    let mut short: String = cell.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if cell.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}

/// An integer in its one decimal form: no sign, no leading zeros.
pub(super) fn integer(cell: &str, least: u64, most: u64) -> Cell<u64> {
    let digits = cell.as_bytes();
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..])
        && digits.len() <= MAX_DIGITS
        && digits.iter().all(u8::is_ascii_digit);
    if canonical {
        let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        if (least..=most).contains(&value) {
            return Ok(value);
        }
    }
    Err(malformed(format!("\"{}\" is not a whole number from {least} to {most} in plain digits", shown(cell))))
}

/// The number of a thing: 1 to 2^53−1.
pub(super) fn number(cell: &str) -> Cell<u64> {
    integer(cell, 1, MAX_INTEGER)
}

/// An integer that fits 32 bits.
pub(super) fn small(cell: &str, least: u32, most: u32) -> Cell<u32> {
    let value = integer(cell, u64::from(least), u64::from(most))?;
    u32::try_from(value).map_err(|_| malformed("the number is too large"))
}

/// Hundredths of a percent, more than none.
pub(super) fn share(cell: &str) -> Cell<u32> {
    small(cell, 1, WHOLE)
}

/// An empty cell, or what `parse` takes.
pub(super) fn optional<'a, T>(cell: &'a str, parse: impl FnOnce(&'a str) -> Cell<T>) -> Cell<Option<T>> {
    if cell.is_empty() { Ok(None) } else { parse(cell).map(Some) }
}

/// A cell that is filled exactly when `other`, the column it belongs to, is.
pub(super) fn filled_with<'a, T>(
    cell: &'a str,
    filled: bool,
    other: &str,
    parse: impl FnOnce(&'a str) -> Cell<T>,
) -> Cell<Option<T>> {
    if filled == cell.is_empty() {
        return Err(malformed(format!("must be filled exactly when {other} is")));
    }
    optional(cell, parse)
}

/// One of a list of words.
pub(super) fn word<T: Words>(cell: &str) -> Cell<T> {
    T::find(cell).ok_or_else(|| {
        let words: Vec<&str> = T::ALL.iter().map(|known| known.word()).collect();
        malformed(format!("\"{}\" is none of {}", shown(cell), words.join(", ")))
    })
}

/// `yes` or `no`.
pub(super) fn yes_no(cell: &str) -> Cell<bool> {
    match cell {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(malformed(format!("\"{}\" is neither yes nor no", shown(cell)))),
    }
}

/// Text that may be empty.
pub(super) fn text(cell: &str) -> Cell<&str> {
    if cell.len() > MAX_TEXT {
        return Err(malformed(format!("the text has {} bytes, more than {MAX_TEXT}", cell.len())));
    }
    // Exactly U+0000-001F and U+007F-009F: Unicode's category Cc never grows.
    if !is_printable(cell) {
        return Err(malformed(format!("\"{}\" holds a control character", shown(cell))));
    }
    Ok(cell)
}

/// Text that must not be empty.
pub(super) fn name(cell: &str) -> Cell<&str> {
    if cell.is_empty() { Err(malformed("must not be empty")) } else { text(cell) }
}

/// The name of a level of the geography: `[a-z][a-z0-9_-]{0,39}`.
pub(super) fn level(cell: &str) -> Cell<&str> {
    symbol(cell, b"_-")
}

/// The name of a figure: `[a-z][a-z0-9_]{0,39}`.
pub(super) fn figure(cell: &str) -> Cell<&str> {
    symbol(cell, b"_")
}

fn symbol<'a>(cell: &'a str, marks: &[u8]) -> Cell<&'a str> {
    let fits = cell.starts_with(|first: char| first.is_ascii_lowercase())
        && cell.len() <= MAX_NAME_BYTES
        && cell.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || marks.contains(&byte));
    if fits {
        Ok(cell)
    } else {
        Err(malformed(format!("\"{}\" is not a name of lower-case letters, digits and underscores", shown(cell))))
    }
}

/// The name of an IANA time zone, by its form: `[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*`, at most 64 bytes.
pub(super) fn zone(cell: &str) -> Cell<&str> {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    if cell.len() <= MAX_ZONE_BYTES && cell.split('/').all(is_part) {
        Ok(cell)
    } else {
        Err(malformed(format!("\"{}\" is not the name of a time zone, like Asia/Bishkek", shown(cell))))
    }
}

/// 32 bytes in 64 lower-case hexadecimal digits.
pub(super) fn hex32(cell: &str) -> Cell<Hash> {
    let mut bytes = [0; 32];
    // The decoder also takes upper case.
    if hex::decode_to_slice(cell, &mut bytes).is_err() || cell.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(malformed(format!("\"{}\" is not 64 lower-case hexadecimal digits", shown(cell))));
    }
    Ok(bytes)
}

/// Strictly ascending numbers joined by one space, each of a `known` thing; an empty cell is an empty list.
pub(super) fn numbers(cell: &str, what: &str, known: impl Fn(u64) -> bool) -> Cell<Vec<u64>> {
    let mut list = Vec::new();
    if cell.is_empty() {
        return Ok(list);
    }
    for part in cell.split(' ') {
        let next = number(part)?;
        if list.last().is_some_and(|&last| last >= next) {
            return Err(malformed("the numbers must ascend, each once"));
        }
        if !known(next) {
            return Err(unknown(what, next));
        }
        list.push(next);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::words::Method;

    #[test]
    fn an_integer_has_one_spelling() {
        assert_eq!(integer("0", 0, 5), Ok(0));
        assert_eq!(number("9007199254740991"), Ok(MAX_INTEGER));
        for cell in [
            "",
            "0",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "1,200",
            "1_000",
            "0x1",
            "９",
            "9007199254740992",
            "99999999999999999999",
        ] {
            assert!(number(cell).is_err(), "{cell}");
        }
        assert!(integer("6", 0, 5).is_err());
        assert_eq!(share("10000"), Ok(10_000));
        assert!(share("0").is_err() && share("10001").is_err());
    }

    #[test]
    fn text_is_bounded_and_without_controls() {
        assert_eq!(text(""), Ok(""));
        assert_eq!(text("Бишкек\u{2028}\u{a0}"), Ok("Бишкек\u{2028}\u{a0}"));
        assert!(text(&"a".repeat(MAX_TEXT)).is_ok());
        assert!(text(&"a".repeat(MAX_TEXT + 1)).is_err());
        for control in ['\0', '\t', '\r', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert!(text(&control.to_string()).is_err(), "{control:?}");
        }
        assert!(name("").is_err());
    }

    #[test]
    fn names_and_zones_follow_their_forms() {
        assert!(level("region-2_b").is_ok() && figure("papers_2").is_ok());
        for cell in ["", "2a", "_a", "A", "a b", "ä", &"a".repeat(41)] {
            assert!(level(cell).is_err(), "{cell}");
        }
        assert!(figure("a-b").is_err());
        assert!(["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"].iter().all(|cell| zone(cell).is_ok()));
        for cell in ["", "/", "Asia/", "/Asia", "Asia//Osh", "Asia Osh", &"a".repeat(65)] {
            assert!(zone(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn hexadecimal_digits_are_lower_case() {
        assert_eq!(hex32(&"0a".repeat(32)), Ok([10; 32]));
        for cell in ["", "0A", &"0A".repeat(32), &"0a".repeat(31), &"0g".repeat(32)] {
            assert!(hex32(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn lists_ascend_and_name_known_things() {
        let known = |number| number < 10;
        assert_eq!(numbers("", "area", known), Ok(vec![]));
        assert_eq!(numbers("1 3 9", "area", known), Ok(vec![1, 3, 9]));
        for cell in [" ", "1  3", " 1", "1 ", "3 1", "1 1", "1,3"] {
            assert_eq!(numbers(cell, "area", known).unwrap_err().kind, TableFault::Malformed, "{cell}");
        }
        let refusal = Refusal { kind: TableFault::Reference, detail: "there is no area 10".into() };
        assert_eq!(numbers("1 10", "area", known), Err(refusal));
    }

    #[test]
    fn a_message_repeats_a_cell_without_harm() {
        assert_eq!(shown("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(shown(&"я".repeat(41)), format!("{}…", "я".repeat(40)));
        assert!(word::<Method>("Hare").unwrap_err().detail.contains("plurality, majority, hare"));
        assert!(filled_with("", true, "quorum", share).is_err() && filled_with("1", false, "quorum", share).is_err());
        assert_eq!(filled_with("", false, "quorum", share), Ok(None));
    }
}
