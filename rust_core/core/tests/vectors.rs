//! The published vectors judge this crate without Python: `tests/vectors` of the repository.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be read is a failed test")]

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tallygate_core::authority::{Authority, Choice, Facts, Ruling};
use tallygate_core::definition::{Definition, Roster};
use tallygate_core::note::VerifierKey;
use tallygate_core::statement::{self, Source, decode};
use tallygate_core::{Error, Hash, merkle};

fn path(file: &str) -> PathBuf {
    format!("{}/../../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR")).into()
}

fn published(file: &str) -> Json {
    serde_json::from_slice(&std::fs::read(path(file)).unwrap()).unwrap()
}

fn cases<'a>(document: &'a Json, list: &str) -> &'a [Json] {
    let cases = document[list].as_array().unwrap();
    assert!(!cases.is_empty(), "{list}");
    cases
}

/// Text, or pieces of it; a piece that repeats is written once.
fn joined(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(pieces) => pieces.iter().map(joined).collect(),
        repeated => joined(&repeated["repeat"]).repeat(usize::try_from(repeated["times"].as_u64().unwrap()).unwrap()),
    }
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(joined(value)).unwrap()
}

fn hash(value: &Json) -> Hash {
    bytes(value).try_into().unwrap()
}

#[test]
fn good_statements_are_read_and_written_again() {
    for case in cases(&published("statements.json"), "good") {
        let encoded = bytes(&case["statement"]);
        let decoded = decode(&encoded).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert_eq!(decoded.body.encode(), encoded[decoded.frame.payload()], "{}", case["name"]);
        assert_eq!(hex::encode(statement::id(&encoded)), case["id"].as_str().unwrap(), "{}", case["name"]);
        assert_eq!(hex::encode(merkle::leaf_hash(&encoded)), case["leaf_hash"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[test]
fn malformed_statements_break_the_published_rule_at_the_published_offset() {
    for case in cases(&published("statements.json"), "malformed") {
        match decode(&bytes(&case["statement"])) {
            Err(Error::Statement { rule, offset }) => {
                let wanted = (case["rule"].as_str(), case["offset"].as_u64());
                assert_eq!((Some(rule.word()), Some(offset as u64)), wanted, "{}", case["name"]);
            }
            other => panic!("{}: {other:?}", case["name"]),
        }
    }
}

#[test]
fn verifier_keys_get_their_verdicts() {
    for case in cases(&published("verifier_keys.json"), "keys") {
        let code = VerifierKey::parse(&joined(&case["vkey"])).err().map(|error| error.code());
        assert_eq!(code, case["code"].as_str(), "{}", case["name"]);
    }
}

#[test]
fn consistency_proofs_get_their_verdicts() {
    for case in cases(&published("proofs.json"), "consistency") {
        let path: Vec<_> = case["path"].as_array().unwrap().iter().map(hash).collect();
        let (old, new) = (case["old"].as_u64().unwrap(), case["new"].as_u64().unwrap());
        let verdict = merkle::verify_consistency(old, &hash(&case["old_root"]), new, &hash(&case["new_root"]), &path);
        assert_eq!(verdict.err().map(|error| error.code()), case["code"].as_str(), "{}", case["name"]);
    }
}

/// The packets of a case that may be chosen.
struct Choosable<'a>(&'a Json);

impl Facts for Choosable<'_> {
    fn choosable(&self, choice: &Choice) -> Option<Hash> {
        let named = [choice.station, choice.contest, source_number(choice.source)].map(Json::from);
        let fits = |packet: &&Json| packet.as_array().unwrap()[..3] == named && hash(&packet[3]) == choice.id;
        self.0.as_array().unwrap().iter().find(fits).map(|packet| hash(&packet[4]))
    }
}

fn source_number(source: Source) -> u64 {
    match source {
        Source::Machine => 1,
        Source::Protocol => 2,
    }
}

/// The tiny election's commission before any decision, with every roster that is there.
fn commission() -> (Arc<Definition>, Authority) {
    let definition = Arc::new(Definition::load(&path("election/definition")).unwrap());
    let roster = Arc::new(Roster::load(&path("election/roster"), &definition).unwrap());
    let mut authority = Authority::new(Arc::clone(&definition), roster);
    for folder in std::fs::read_dir(path("authority/rosters")).unwrap() {
        let folder = folder.unwrap();
        match Roster::load(&folder.path(), &definition) {
            Ok(roster) => authority.offer(Arc::new(roster)),
            Err(error) if ["manifest.missing", "table.missing", "table.changed"].contains(&error.code()) => {}
            Err(_) => authority.offer_unusable(hash(&folder.file_name().to_str().unwrap().into())),
        }
    }
    (definition, authority)
}

/// What follows at the end of a case's log, in the form that it is published in.
fn state(definition: &Definition, authority: &Authority, case: &Json, definitions: &Json) -> Vec<(&'static str, Json)> {
    let stations: Vec<u64> = definition.stations().map(|station| station.number).collect();
    let devices: Vec<u64> = case["stations"].as_array().unwrap().iter().map(|pair| pair[0].as_u64().unwrap()).collect();
    let hashes = definitions.as_object().unwrap().values();
    let accepted = hashes.filter(|named| hash(named) != definition.hash && authority.accepts(&hash(named)));
    let missing = authority.missing_rosters().iter().map(|one| json!([hex::encode(one.roster), one.entry]));
    let taken = (1..=authority.taken_count()).map(|number| {
        let taken = authority.taken(number).unwrap();
        json!([hex::encode(taken.payload), taken.entry, taken.standing().word()])
    });
    let reassigned = |station: &u64| {
        let devices = authority.reassigned(*station);
        let devices: Vec<_> = devices.into_iter().map(|(device, on)| json!([device, u64::from(on)])).collect();
        (!devices.is_empty()).then(|| json!([station, devices]))
    };
    let about = |station: &u64| {
        let numbers = authority.about_station(*station);
        (!numbers.is_empty()).then(|| json!([station, numbers]))
    };
    let mut rulings = Vec::new();
    for station in definition.stations() {
        for &contest in station.contests {
            for source in [Source::Machine, Source::Protocol] {
                let number = source_number(source);
                match authority.ruling(station.number, contest, source) {
                    None => {}
                    Some(Ruling::Annulled) => rulings.push(json!([station.number, contest, number, null])),
                    Some(Ruling::Chosen(id)) => {
                        rulings.push(json!([station.number, contest, number, hex::encode(id)]));
                    }
                }
            }
        }
    }
    let list = |items: &mut dyn Iterator<Item = Json>| Json::Array(items.collect());
    vec![
        ("taken", list(&mut taken.into_iter())),
        ("open", u64::from(authority.is_open()).into()),
        ("speakers", hex::encode(authority.speakers().hash).into()),
        ("assignments", hex::encode(authority.assignments().hash).into()),
        ("missing", list(&mut missing.into_iter())),
        ("paused", u64::from(authority.is_paused()).into()),
        ("status", json!([authority.status(Source::Machine), authority.status(Source::Protocol)])),
        ("definitions", list(&mut accepted.cloned())),
        ("closes_at", list(&mut stations.iter().map(|station| json!([station, authority.closes_at(*station)])))),
        ("stations", list(&mut devices.iter().map(|device| json!([device, authority.stations(*device)])))),
        ("reassigned", list(&mut stations.iter().filter_map(reassigned))),
        ("revoked", list(&mut devices.iter().filter_map(|&one| authority.revoked_at(one).map(|at| json!([one, at]))))),
        ("cancelled", list(&mut stations.iter().filter(|one| authority.is_cancelled(**one)).map(|one| json!(one)))),
        ("rulings", Json::Array(rulings)),
        ("about", list(&mut stations.iter().filter_map(about))),
    ]
}

#[test]
fn decisions_are_taken_and_judged() {
    let document = published("authority/decisions.json");
    for case in cases(&document, "cases") {
        let (definition, mut authority) = commission();
        let others: Vec<_> = case["others"].as_array().unwrap().iter().map(|pair| (hash(&pair[0]), &pair[1])).collect();
        let mut log = Vec::new();
        for (index, place) in case["log"].as_array().unwrap().iter().enumerate() {
            let data = bytes(&document["statements"][usize::try_from(place.as_u64().unwrap()).unwrap()]);
            log.push(decode(&data).unwrap());
            authority.apply(index as u64, &log[index], &Choosable(&case["choosable"])).unwrap();
        }
        for (member, found) in state(&definition, &authority, case, &document["definitions"]) {
            assert_eq!(found, case[member], "{}: {member}", case["name"]);
        }
        for (payload, standing) in others {
            let statement = log.iter().find(|statement| statement.body.payload_hash() == payload).unwrap();
            let found = authority.standing(&statement.body).unwrap().word();
            assert_eq!(Some(found), standing.as_str(), "{}", case["name"]);
        }
    }
}
