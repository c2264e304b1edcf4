//! Signatures of members on payloads whose number is not taken yet.
//!
//! Bounded by the log: each payload that anybody has signed costs one key of 40 bytes and one word, while its statement
//! is more than 200 bytes of log; an action is kept only once a quorum has signed it, and everything goes when its
//! number is taken.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::Hash;
use crate::statement::{Action, Decision};

/// Who has signed what, in the log so far.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    quorum: usize,
    /// By number and payload: a bit for each member that has signed, in the order of their keys.
    /// `MAX_COMMISSION_KEYS` is 64.
    signatures: BTreeMap<(u64, Hash), u64>,
    /// By number and previous: the payload on which a quorum was first complete, and its action.
    complete: BTreeMap<(u64, Option<Hash>), (Hash, Action)>,
}

impl Pending {
    pub(super) fn new(quorum: usize) -> Self {
        Self { quorum, signatures: BTreeMap::new(), complete: BTreeMap::new() }
    }

    /// Notes that a member, counted from 0, has signed a payload.
    pub(super) fn sign(&mut self, member: usize, decision: &Decision, payload: Hash) {
        let signers = self.signatures.entry((decision.number, payload)).or_default();
        let before = *signers;
        *signers |= 1 << member;
        if *signers == before || signers.count_ones() as usize != self.quorum {
            return;
        }
        // Of two on which a quorum is complete, the earlier one is taken; the later one never can be.
        if let Entry::Vacant(place) = self.complete.entry((decision.number, decision.previous)) {
            place.insert((payload, decision.action.clone()));
        }
    }

    /// The payload that can be taken under this number behind `previous`; everything else under it is forgotten then.
    pub(super) fn complete(&mut self, number: u64, previous: Option<Hash>) -> Option<(Hash, Action)> {
        let found = self.complete.remove(&(number, previous))?;
        forget(&mut self.signatures, number);
        forget(&mut self.complete, number);
        Some(found)
    }
}

#[cfg(test)]
impl Pending {
    /// How many payloads are remembered.
    pub(super) fn kept(&self) -> usize {
        self.signatures.len() + self.complete.len()
    }
}

/// Drops what is under a number and those below; each entry is dropped once, whatever else is pending.
fn forget<T: Ord, V>(map: &mut BTreeMap<(u64, T), V>, number: u64) {
    while let Some(entry) = map.first_entry()
        && entry.key().0 <= number
    {
        entry.remove();
    }
}
