//! Strict reading of a parsed JSON value: every member of an object is taken once, by name, and none is left over.

use super::cells;
use super::words::Words;
use crate::Hash;
use crate::jcs::Value;

/// A manifest's values, or a sentence that says which one is wrong.
pub(super) type Parsed<T> = std::result::Result<T, String>;

/// A value and where it stands, for messages: `commission.keys[2]`.
pub(super) struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// The members of an object that nobody took yet.
pub(super) struct Object<'a> {
    path: String,
    members: Vec<(&'a str, &'a Value)>,
}

impl<'a> Object<'a> {
    /// The member with this name.
    pub(super) fn take(&mut self, name: &str) -> Parsed<Field<'a>> {
        match self.members.iter().position(|(found, _)| *found == name) {
            Some(place) => Ok(Field { path: self.below(name), value: self.members.swap_remove(place).1 }),
            None => Err(format!("{} is missing", self.below(name))),
        }
    }

    /// Refuses members that were not taken.
    pub(super) fn finish(self) -> Parsed<()> {
        match self.members.first() {
            Some((name, _)) => Err(format!("{} is not a field of this format", self.below(name))),
            None => Ok(()),
        }
    }

    /// All members, where their names are no part of the format.
    pub(super) fn into_members(self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        let Self { path, members } = self;
        members.into_iter().map(move |(name, value)| (name, Field { path: below(&path, name), value }))
    }

    fn below(&self, name: &str) -> String {
        below(&self.path, name)
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'a> Field<'a> {
    /// The whole of a manifest.
    pub(super) fn whole(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The answer that something else belongs here.
    pub(super) fn wants<T>(&self, what: impl std::fmt::Display) -> Parsed<T> {
        let path = if self.path.is_empty() { "the manifest" } else { &self.path };
        Err(format!("{path} must be {what}"))
    }

    pub(super) fn object(&self) -> Parsed<Object<'a>> {
        match self.value {
            Value::Map(members) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), value)).collect();
                Ok(Object { path: self.path.clone(), members })
            }
            _ => self.wants("an object"),
        }
    }

    pub(super) fn list(&self) -> Parsed<Vec<Field<'a>>> {
        match self.value {
            Value::List(items) => {
                let place = |(place, value)| Field { path: format!("{}[{place}]", self.path), value };
                Ok(items.iter().enumerate().map(place).collect())
            }
            _ => self.wants("an array"),
        }
    }

    /// A list of one to `most` values, none of them twice.
    pub(super) fn distinct<T: PartialEq>(&self, most: usize, parse: impl Fn(&Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let items = self.list()?;
        if !(1..=most).contains(&items.len()) {
            return self.wants(format_args!("an array of 1 to {most} values"));
        }
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            let value = parse(item)?;
            if values.contains(&value) {
                return Err(format!("{} stands twice", item.path));
            }
            values.push(value);
        }
        Ok(values)
    }

    pub(super) fn integer(&self, least: u64, most: u64) -> Parsed<u64> {
        match self.value {
            Value::Int(value) if (least..=most).contains(value) => Ok(*value),
            _ => self.wants(format_args!("an integer from {least} to {most}")),
        }
    }

    /// `null`, or what `parse` takes.
    pub(super) fn optional<T>(&self, parse: impl FnOnce(&Self) -> Parsed<T>) -> Parsed<Option<T>> {
        if *self.value == Value::Null { Ok(None) } else { parse(self).map(Some) }
    }

    /// Text as in a table's cell; it may be empty.
    pub(super) fn text(&self) -> Parsed<String> {
        self.text_that("text", |_| true)
    }

    /// Text for which `holds`, which `what` says in words.
    pub(super) fn text_that(&self, what: &str, holds: impl FnOnce(&str) -> bool) -> Parsed<String> {
        match self.value {
            Value::Str(text) if cells::text(text).is_ok() && holds(text) => Ok(text.clone()),
            _ => {
                self.wants(format_args!("{what}, at most {} bytes, without control characters", crate::cbor::MAX_TEXT))
            }
        }
    }

    pub(super) fn exactly(&self, wanted: &str) -> Parsed<()> {
        match self.value {
            Value::Str(text) if text == wanted => Ok(()),
            _ => self.wants(format_args!("\"{wanted}\"")),
        }
    }

    pub(super) fn word<T: Words>(&self) -> Parsed<T> {
        self.cell(cells::word)
    }

    pub(super) fn hash(&self) -> Parsed<Hash> {
        self.cell(cells::hex32)
    }

    /// A string that is written as in a table's cell.
    fn cell<T>(&self, parse: impl FnOnce(&str) -> cells::Cell<T>) -> Parsed<T> {
        match self.value {
            Value::Str(text) => parse(text).map_err(|refusal| format!("{}: {}", self.path, refusal.detail)),
            _ => self.wants("a string"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::words::Mode;

    fn value() -> Value {
        let list = vec![Value::Int(1), Value::Int(2), Value::Int(1)];
        Value::Map(vec![
            ("a".into(), Value::Map(vec![("b".into(), Value::List(list))])),
            ("c".into(), Value::Str("live".into())),
        ])
    }

    #[test]
    fn every_member_is_taken_once() {
        let value = value();
        let mut object = Field::whole(&value).object().unwrap();
        assert_eq!(object.take("c").unwrap().word(), Ok(Mode::Live));
        assert_eq!(object.take("c").err().unwrap(), "c is missing");
        assert_eq!(object.finish(), Err("a is not a field of this format".into()));
    }

    #[test]
    fn a_refusal_says_where() {
        let value = value();
        let list = Field::whole(&value).object().unwrap().take("a").unwrap().object().unwrap().take("b").unwrap();
        assert_eq!(list.list().unwrap()[1].integer(5, 6), Err("a.b[1] must be an integer from 5 to 6".into()));
        assert_eq!(list.distinct(3, |item| item.integer(0, 9)), Err("a.b[2] stands twice".into()));
        assert_eq!(list.distinct(2, |item| item.integer(0, 9)), Err("a.b must be an array of 1 to 2 values".into()));
        assert_eq!(list.hash(), Err("a.b must be a string".into()));
        assert_eq!(Field::whole(&Value::Null).list().err().unwrap(), "the manifest must be an array");
    }
}
