//! Inclusion and consistency proofs: of a real tree with changed paths, and over any numbers and hashes.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tallygate_core::merkle::{self, Tree, leaf_hash};
use tallygate_core::{Hash, tiles};
use tallygate_fuzz::tree;

/// Leaves of the real tree: some levels, and sizes that are no power of two.
const LEAVES: u64 = 1_030;

static TREE: LazyLock<Tree> = LazyLock::new(|| tree(LEAVES));

/// What is done to a right path.
#[derive(Arbitrary, Debug)]
enum Change {
    Nothing,
    Replace(u8, Hash),
    Insert(u8, Hash),
    Remove(u8),
    Swap(u8, u8),
}

#[derive(Arbitrary, Debug)]
enum Input {
    Inclusion { size: u16, index: u16, change: Change },
    Consistency { old: u16, new: u16, change: Change },
    Any { numbers: [u64; 2], first: Hash, second: Hash, path: Vec<Hash> },
}

fn apply(change: &Change, path: &[Hash]) -> Vec<Hash> {
    let mut path = path.to_vec();
    let length = path.len();
    let place = |at: &u8| usize::from(*at) % length;
    match change {
        Change::Insert(at, hash) => path.insert(usize::from(*at) % (length + 1), *hash),
        Change::Replace(at, hash) if length > 0 => path[place(at)] = *hash,
        Change::Remove(at) if length > 0 => drop(path.remove(place(at))),
        Change::Swap(one, other) if length > 0 => path.swap(place(one), place(other)),
        _ => {}
    }
    path
}

fuzz_target!(|input: Input| match input {
    Input::Inclusion { size, index, change } => {
        let size = u64::from(size) % LEAVES + 1;
        let index = u64::from(index) % size;
        let right = TREE.inclusion(index, size).expect("there is such a leaf");
        let path = apply(&change, &right);
        let root = TREE.root(size).expect("there is such a tree");
        let verdict = merkle::verify_inclusion(&leaf_hash(&index.to_be_bytes()), index, size, &path, &root);
        assert_eq!(verdict.is_ok(), path == right);
    }
    Input::Consistency { old, new, change } => {
        let new = u64::from(new) % (LEAVES + 1);
        let old = u64::from(old) % (new + 1);
        let right = TREE.consistency(old, new).expect("there are such trees");
        let path = apply(&change, &right);
        let root = |size| TREE.root(size).expect("there is such a tree");
        let verdict = merkle::verify_consistency(old, &root(old), new, &root(new), &path);
        assert_eq!(verdict.is_ok(), path == right);
    }
    Input::Any { numbers: [one, other], first, second, path } => {
        let _ = merkle::verify_inclusion(&first, one, other, &path, &second);
        let _ = merkle::verify_consistency(one, &first, other, &second, &path);
        let _ = TREE.inclusion(one, other);
        let _ = TREE.consistency(one, other);
        // A span that fits into memory: the list grows with what lies between.
        let start = one >> 12;
        let _ = tiles::between(start, start + other % 100_000);
    }
});
