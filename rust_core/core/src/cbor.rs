//! The restricted CBOR of docs/packet.md (RFC 8949): unsigned integers to 2^53−1, byte strings, text, definite arrays.
//!
//! `Reader` walks an input from left to right for a grammar that knows what comes next; the first deviation answers
//! with its rule and offset. `Item` is the same data without a grammar, for callers that show or build payloads.

use crate::MAX_INTEGER;
use crate::error::{Error, Result, Rule};

/// The longest text in a statement or a table, in bytes: a reason of about a page, in any script.
pub const MAX_TEXT: usize = 2_000;

/// The deepest nesting of arrays that `Item` takes; the grammars of docs/packet.md need 6.
pub const MAX_DEPTH: usize = 6;

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

pub(crate) fn refuse<T>(rule: Rule, offset: usize) -> Result<T> {
    Err(Error::Statement { rule, offset })
}

/// Whether `text` may stand in a statement or a table: no control characters (U+0000–001F, U+007F–009F).
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// An item's place beside its value, for rules that are judged after it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) offset: usize,
}

/// Reads items from a part of a statement; offsets count from the statement's first byte.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    statement: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `statement[at..end]`.
    pub(crate) fn new(statement: &'a [u8], at: usize, end: usize) -> Self {
        Self { statement, at, end }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// One integer that the field allows.
    pub(crate) fn uint(&mut self, allowed: std::ops::RangeInclusive<u64>) -> Result<u64> {
        let head = self.head(UINT)?;
        if allowed.contains(&head.value) { Ok(head.value) } else { refuse(Rule::Range, head.offset) }
    }

    /// Any integer of 0 … 2^53−1.
    pub(crate) fn any_uint(&mut self) -> Result<u64> {
        Ok(self.head(UINT)?.value)
    }

    /// The number of a thing: 1 or more.
    pub(crate) fn number(&mut self) -> Result<u64> {
        self.uint(1..=MAX_INTEGER)
    }

    /// An integer that the caller judges, with its place.
    pub(crate) fn placed_uint(&mut self) -> Result<At<u64>> {
        self.head(UINT)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let head = self.head(BYTES)?;
        if head.value != N as u64 {
            return refuse(Rule::Length, head.offset);
        }
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, head.offset)?);
        Ok(out)
    }

    /// A byte string of 32 bytes, or an empty one.
    pub(crate) fn optional_hash(&mut self) -> Result<At<Option<[u8; 32]>>> {
        let head = self.head(BYTES)?;
        let value = match head.value {
            0 => None,
            32 => {
                let mut out = [0; 32];
                out.copy_from_slice(self.take(32, head.offset)?);
                Some(out)
            }
            _ => return refuse(Rule::Length, head.offset),
        };
        Ok(At { value, offset: head.offset })
    }

    /// A byte string of any length; returns where its content begins and ends.
    pub(crate) fn byte_range(&mut self) -> Result<std::ops::Range<usize>> {
        let head = self.head(BYTES)?;
        let length = usize::try_from(head.value).unwrap_or(usize::MAX);
        self.take(length, head.offset)?;
        Ok(self.at - length..self.at)
    }

    /// Text of 1 to [`MAX_TEXT`] bytes without control characters.
    pub(crate) fn text(&mut self) -> Result<At<&'a str>> {
        let head = self.head(TEXT)?;
        let Ok(length @ 1..=MAX_TEXT) = usize::try_from(head.value) else {
            return refuse(Rule::Text, head.offset);
        };
        match std::str::from_utf8(self.take(length, head.offset)?) {
            Ok(text) if is_printable(text) => Ok(At { value: text, offset: head.offset }),
            _ => refuse(Rule::Text, head.offset),
        }
    }

    /// The head of an array whose count the caller judges.
    pub(crate) fn array(&mut self) -> Result<At<u64>> {
        self.head(ARRAY)
    }

    /// The head of an array of exactly `count` elements.
    pub(crate) fn tuple(&mut self, count: u64) -> Result<()> {
        let head = self.head(ARRAY)?;
        if head.value == count { Ok(()) } else { refuse(Rule::Length, head.offset) }
    }

    /// An array of at least `least` and at most `most` elements, each read by `element`.
    pub(crate) fn list<T>(
        &mut self,
        least: u64,
        most: u64,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let head = self.head(ARRAY)?;
        if !(least..=most).contains(&head.value) {
            return refuse(Rule::Length, head.offset);
        }
        // Each element takes a byte at least: a lying count reserves no more than the input could hold.
        let room = usize::try_from(head.value).unwrap_or(usize::MAX).min(self.end - self.at);
        let mut out = Vec::with_capacity(room);
        for _ in 0..head.value {
            out.push(element(self)?);
        }
        Ok(out)
    }

    /// Nothing may follow.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.at == self.end { Ok(()) } else { refuse(Rule::Trailing, self.at) }
    }

    fn take(&mut self, length: usize, offset: usize) -> Result<&'a [u8]> {
        if length > self.end - self.at {
            return refuse(Rule::Truncated, offset);
        }
        let content = &self.statement[self.at..self.at + length];
        self.at += length;
        Ok(content)
    }

    #[inline]
    fn head(&mut self, major: u8) -> Result<At<u64>> {
        let offset = self.at;
        match self.short_head(major) {
            Some(value) => Ok(At { value, offset }),
            None => self.any_head(major),
        }
    }

    /// A head of up to three bytes in its one encoding, as almost all are; None says nothing of what stands there.
    #[inline]
    fn short_head(&mut self, major: u8) -> Option<u64> {
        let major = major << 5;
        let (value, width) = match *self.statement.get(self.at..self.end)? {
            [initial, ..] if (major..major + 24).contains(&initial) => ((initial - major).into(), 1),
            [initial, low, ..] if initial == major + 24 && low >= 24 => (low.into(), 2),
            [initial, high, low, ..] if initial == major + 25 && high > 0 => {
                (u16::from_be_bytes([high, low]).into(), 3)
            }
            _ => return None,
        };
        self.at += width;
        Some(value)
    }

    fn any_head(&mut self, major: u8) -> Result<At<u64>> {
        let offset = self.at;
        if offset == self.end {
            return refuse(Rule::Truncated, offset);
        }
        let initial = self.statement[offset];
        if initial >> 5 != major {
            return refuse(Rule::Type, offset);
        }
        self.at += 1;
        let (width, least) = match initial & 0x1f {
            info @ 0..24 => return Ok(At { value: u64::from(info), offset }),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return refuse(Rule::Head, offset),
        };
        let value = self.take(width, offset)?.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if value < least {
            return refuse(Rule::Shortest, offset);
        }
        if value > MAX_INTEGER {
            return refuse(Rule::Range, offset);
        }
        Ok(At { value, offset })
    }
}

/// Room that a writer begins with, in bytes: a result of two contests fits, so that most are written without growing.
const ROOM: usize = 512;

/// Writes items in their one accepted encoding.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { out: Vec::with_capacity(ROOM) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn uint(&mut self, value: u64) {
        self.head(UINT, value);
    }

    pub(crate) fn bytes(&mut self, content: &[u8]) {
        self.head(BYTES, content.len() as u64);
        self.raw(content);
    }

    pub(crate) fn text(&mut self, content: &str) {
        self.head(TEXT, content.len() as u64);
        self.raw(content.as_bytes());
    }

    pub(crate) fn array(&mut self, count: usize) {
        self.head(ARRAY, count as u64);
    }

    /// An array of `items`, each written by `element`.
    pub(crate) fn list<T>(&mut self, items: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.array(items.len());
        for item in items {
            element(self, item);
        }
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let wide = value.to_be_bytes();
        match value {
            0..24 => self.out.push(major | wide[7]),
            24..0x100 => self.out.extend_from_slice(&[major | 24, wide[7]]),
            0x100..0x1_0000 => self.out.extend_from_slice(&[major | 25, wide[6], wide[7]]),
            0x1_0000..0x1_0000_0000 => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&wide[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&wide);
            }
        }
    }
}

/// One value of the restricted CBOR, without a grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An unsigned integer of 0 … 2^53−1.
    Uint(u64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Item>),
}

impl Item {
    /// The one encoding of this value; what may stand where is the grammar's matter.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads one value that fills `bytes`.
    ///
    /// # Errors
    /// `statement.malformed` with the rule and the offset in `bytes`; nesting beyond [`MAX_DEPTH`] is `length`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, 0, bytes.len());
        let item = Self::read(&mut reader, 0)?;
        reader.finish()?;
        Ok(item)
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Uint(value) => writer.uint(*value),
            Self::Bytes(content) => writer.bytes(content),
            Self::Text(content) => writer.text(content),
            Self::Array(items) => writer.list(items, |writer, item| item.write(writer)),
        }
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self> {
        let offset = reader.offset();
        if offset == reader.end {
            return refuse(Rule::Truncated, offset);
        }
        match reader.statement[offset] >> 5 {
            UINT => reader.any_uint().map(Self::Uint),
            BYTES => {
                let range = reader.byte_range()?;
                Ok(Self::Bytes(reader.statement[range].to_vec()))
            }
            TEXT => Ok(Self::Text(reader.text()?.value.to_owned())),
            ARRAY if depth == MAX_DEPTH => refuse(Rule::Length, offset),
            ARRAY => reader.list(0, MAX_INTEGER, |reader| Self::read(reader, depth + 1)).map(Self::Array),
            _ => refuse(Rule::Type, offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![
            (0..=MAX_INTEGER).prop_map(Item::Uint),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Item::Bytes),
            "[а-яa-z]{1,40}".prop_map(Item::Text),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| prop::collection::vec(inner, 0..8).prop_map(Item::Array))
    }

    proptest! {
        #[test]
        fn an_item_survives(original in item()) {
            prop_assert_eq!(Item::decode(&original.encode()).unwrap(), original);
        }

        #[test]
        fn what_is_accepted_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(item) = Item::decode(&bytes) {
                prop_assert_eq!(item.encode(), bytes);
            }
        }
    }

    fn refused(bytes: &[u8]) -> (Rule, usize) {
        match Item::decode(bytes).unwrap_err() {
            Error::Statement { rule, offset } => (rule, offset),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_rule_answers_at_its_item() {
        assert_eq!(refused(&[]), (Rule::Truncated, 0));
        assert_eq!(refused(&[0x81]), (Rule::Truncated, 1));
        assert_eq!(refused(&[0x82, 0x01, 0x19, 0x01]), (Rule::Truncated, 2));
        assert_eq!(refused(&[0x18, 0x17]), (Rule::Shortest, 0));
        assert_eq!(refused(&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), (Rule::Shortest, 0));
        assert_eq!(refused(&[0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0]), (Rule::Range, 0));
        assert_eq!(refused(&[0x1c]), (Rule::Head, 0));
        assert_eq!(refused(&[0x9f, 0xff]), (Rule::Head, 0));
        assert_eq!(refused(&[0xa0]), (Rule::Type, 0));
        assert_eq!(refused(&[0xf6]), (Rule::Type, 0));
        assert_eq!(refused(&[0x60]), (Rule::Text, 0));
        assert_eq!(refused(&[0x61, 0x0a]), (Rule::Text, 0));
        assert_eq!(refused(&[0x62, 0xc2, 0x85]), (Rule::Text, 0));
        assert_eq!(refused(&[0x61, 0xff]), (Rule::Text, 0));
        assert_eq!(refused(&[0x00, 0x00]), (Rule::Trailing, 1));
        assert_eq!(refused(&[0x81; 8]), (Rule::Length, 6));
        assert_eq!(refused(&[0x9a, 0xff, 0xff, 0xff, 0xff, 0x00]), (Rule::Truncated, 6));
    }
}
