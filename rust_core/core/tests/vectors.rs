//! The published vectors judge this crate without Python: `tests/vectors` of the repository.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be read is a failed test")]

use serde_json::Value as Json;
use tallygate_core::note::VerifierKey;
use tallygate_core::statement::{self, decode};
use tallygate_core::{Error, merkle};

fn published(file: &str) -> Json {
    let path = format!("{}/../../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
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
    let hash = |value: &Json| -> [u8; 32] { bytes(value).try_into().unwrap() };
    for case in cases(&published("proofs.json"), "consistency") {
        let path: Vec<_> = case["path"].as_array().unwrap().iter().map(hash).collect();
        let (old, new) = (case["old"].as_u64().unwrap(), case["new"].as_u64().unwrap());
        let verdict = merkle::verify_consistency(old, &hash(&case["old_root"]), new, &hash(&case["new_root"]), &path);
        assert_eq!(verdict.err().map(|error| error.code()), case["code"].as_str(), "{}", case["name"]);
    }
}
