//! Canonical JSON (RFC 8785), restricted to objects, arrays, strings, null and integers 0 … 2^53−1.
//!
//! What is left out (floats, negatives, booleans) is what implementations disagree about, so nothing here needs it.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::MAX_INTEGER;
use crate::error::{Error, Result};

/// Arrays and objects inside each other: a manifest needs 4, an area object 6.
pub const MAX_DEPTH: usize = 32;

/// A value that canonical JSON of this project can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// An integer of 0 … 2^53−1.
    Int(u64),
    /// A string.
    Str(String),
    /// An array.
    List(Vec<Value>),
    /// An object, in the order of its keys as UTF-16 code units (RFC 8785, section 3.2.3); `write` sorts.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The member of an object, or None (also when this is no object).
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The one canonical encoding of `value`.
///
/// # Errors
/// `json.malformed` for an integer above 2^53−1, an object with a key that stands twice, or more than [`MAX_DEPTH`] levels.
pub fn write(value: &Value) -> Result<Vec<u8>> {
    let mut out = String::new();
    write_value(value, 0, &mut out)?;
    Ok(out.into_bytes())
}

/// Reads canonical JSON and refuses every other encoding of the same value.
///
/// # Errors
/// `json.malformed`: not JSON, not canonical, or a value outside the restriction.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value> {
    let json: Json = serde_json::from_slice(bytes).map_err(|_| Error::Json("this is not JSON"))?;
    let value = from_json(json)?;
    if write(&value)? == bytes { Ok(value) } else { Err(Error::Json("the JSON is not in canonical form (RFC 8785)")) }
}

fn from_json(json: Json) -> Result<Value> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Number(number) => match number.as_u64() {
            Some(int) if int <= MAX_INTEGER => Ok(Value::Int(int)),
            _ => Err(Error::Json("numbers must be integers from 0 to 2^53-1")),
        },
        Json::String(text) => Ok(Value::Str(text)),
        Json::Array(items) => items.into_iter().map(from_json).collect::<Result<_>>().map(Value::List),
        Json::Object(members) => members
            .into_iter()
            .map(|(key, member)| Ok((key, from_json(member)?)))
            .collect::<Result<_>>()
            .map(Value::Map),
        Json::Bool(_) => Err(Error::Json("true and false are not used; write a word or a number")),
    }
}

fn write_value(value: &Value, depth: usize, out: &mut String) -> Result<()> {
    match value {
        Value::List(_) | Value::Map(_) if depth == MAX_DEPTH => {
            return Err(Error::Json("arrays and objects stand too deep within each other"));
        }
        Value::Null => out.push_str("null"),
        Value::Int(int) if *int <= MAX_INTEGER => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{int}");
        }
        Value::Int(_) => return Err(Error::Json("numbers must be integers from 0 to 2^53-1")),
        Value::Str(text) => write_string(text, out),
        Value::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_value(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Value::Map(members) => {
            let mut sorted: Vec<&(String, Value)> = members.iter().collect();
            sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(Error::Json("a key stands twice in one object"));
            }
            out.push('{');
            for (place, (key, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_value(member, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < '\u{20}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..=MAX_INTEGER).prop_map(Value::Int),
            any::<String>().prop_map(Value::Str)
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| Value::Map(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(original in value()) {
            let bytes = write(&original).unwrap();
            let read = parse_canonical(&bytes).unwrap();
            prop_assert_eq!(write(&read).unwrap(), bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_canonical(&bytes);
        }
    }

    #[test]
    fn keys_are_ordered_as_utf16() {
        // U+1F600 is D83D DE00 in UTF-16 and so sorts before U+FB33, unlike in UTF-8.
        let value = Value::Map(vec![("\u{fb33}".into(), Value::Int(1)), ("\u{1f600}".into(), Value::Int(2))]);
        assert_eq!(write(&value).unwrap(), "{\"\u{1f600}\":2,\"\u{fb33}\":1}".as_bytes());
    }

    #[test]
    fn nesting_has_a_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse_canonical(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 127, 128, 100_000] {
            assert_eq!(parse_canonical(nested(depth).as_bytes()).unwrap_err().code(), "json.malformed");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for text in [
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":1}",
            "[1, 2]",
            "[1.0]",
            "[1e3]",
            "[-1]",
            "[-0]",
            "[01]",
            "true",
            "[\"\\u0041\"]",
            "[\"\\/\"]",
            "[9007199254740992]",
            "[\"\\u000A\"]",
            "",
            " 1",
            "1\n",
            "[1,]",
            "\"\\ud800\"",
        ] {
            assert_eq!(parse_canonical(text.as_bytes()).unwrap_err().code(), "json.malformed", "{text}");
        }
    }

    #[test]
    fn the_published_cases_get_their_verdicts() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/canonical_json.json");
        let published: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = published["cases"].as_array().unwrap();
        assert!(cases.len() > 50);
        for case in cases {
            let text = match (&case["text"], &case["text_hex"]) {
                (Json::String(text), _) => text.clone().into_bytes(),
                (_, Json::String(digits)) => hex::decode(digits).unwrap(),
                // A value that cannot be written has no text.
                _ => continue,
            };
            let code = parse_canonical(&text).err().map(|error| error.code());
            assert_eq!(code, case["code"].as_str(), "{}", case["name"]);
        }
    }
}
