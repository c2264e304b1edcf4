//! What an election is: manifests (RFC 8785) and the canonical tables beside them, loaded compactly by number.
//!
//! Everything here was written by `tallygate election build`; docs/election-folder.md names the columns. A reader
//! refuses every deviation and re-canonicalises nothing: the bytes that are hashed are the bytes that are parsed.
//!
//! - `election`, `roster`, `information`: the three manifests with their tables, as other modules use them
//! - `areas`, `contests`, `stations`, `national`: one module a table, or two that belong together
//! - `manifest` and `fields`, `csv` and `cells`, `words`: the formats, from the file down to the word
//! - `compact`: how a million rows stay small

mod areas;
mod cells;
mod compact;
mod contests;
mod csv;
mod election;
mod fields;
mod information;
mod manifest;
mod national;
mod roster;
mod stations;
#[cfg(test)]
pub(crate) mod testing;
mod words;

pub use areas::{Area, MAX_AREA_DEPTH};
pub use cells::{MAX_REGISTERED, MAX_TOLERANCE, WHOLE};
pub use contests::{Choice, Contest, MAX_MARKS, MAX_SEATS, Share};
pub use csv::{MAX_LINE_BYTES, MAX_TABLE_BYTES};
pub use election::Definition;
pub use information::{Information, InformationTable};
pub use manifest::{Commission, Election, MAX_COMMISSION_KEYS, MAX_MANIFEST_BYTES, Medium, Rules, Site};
pub use national::{Check, FIRST_NATIONAL_CODE, Figure, STANDARD_FIGURES};
pub use roster::{Courier, Device, Firmware, Roster};
pub use stations::Station;
pub use words::{
    Base, ChoiceKind, ContestKind, DeviceKind, Headline, Language, MediaType, Method, Mode, Operator, Severity,
    StationKind, Strictness,
};
