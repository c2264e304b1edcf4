//! The Merkle tree over the ledger (RFC 6962, section 2.1): roots, inclusion and consistency proofs for every size.

use sha2::{Digest as _, Sha256};

use crate::error::{Error, LogFault, Result};
use crate::{Hash, MAX_INTEGER, cores, statement};

/// The hash of a log entry: SHA-256(0x00 ‖ statement).
pub fn leaf_hash(statement: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(statement).finalize().into()
}

/// Statements that are worth another core: hashing one twice takes a microsecond or two.
const WORTH_A_CORE: usize = 64;

/// The id and the leaf hash of each statement, on all cores.
pub fn hash_statements(statements: &[&[u8]]) -> Vec<(Hash, Hash)> {
    cores::map(statements, WORTH_A_CORE, |bytes| (statement::id(bytes), leaf_hash(bytes)))
}

/// The hash of two neighbours: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}

/// An append-only tree in memory: 64 bytes a leaf, O(1) amortised to append, O(log n) for a root or a proof of any size so far.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the root of the complete subtree over leaves i·2^k … (i+1)·2^k − 1.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            let count = row.len();
            if count % 2 == 1 {
                return;
            }
            hash = node_hash(&row[count - 2], &row[count - 1]);
        }
    }

    /// Forgets all leaves from index `size` on: what was appended for a batch that did not commit.
    ///
    /// # Errors
    /// `argument.range` where the tree is smaller than that.
    pub fn truncate(&mut self, size: u64) -> Result<()> {
        self.within(size)?;
        for (level, row) in self.levels.iter_mut().enumerate() {
            row.truncate(place(size >> level));
        }
        self.levels.retain(|row| !row.is_empty());
        Ok(())
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    /// `argument.range` where the tree is smaller than that.
    pub fn root(&self, size: u64) -> Result<Hash> {
        self.within(size)?;
        if size == 0 {
            return Ok(empty_root());
        }
        Ok(self.range(0, size))
    }

    /// The audit path of leaf `index` in the tree of `size` leaves, the leaf's sibling first (RFC 6962, section 2.1.1).
    ///
    /// # Errors
    /// `argument.range` where `size` is beyond the tree or `index` is not below `size`.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>> {
        self.within(size)?;
        if index >= size {
            return Err(Error::Argument("the index is not below the size"));
        }
        let (mut begin, mut end) = (0, size);
        let mut path = Vec::new();
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(begin, middle));
                begin = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree of `old` leaves is a prefix of that of `new` leaves (RFC 6962, section 2.1.2); empty for equal sizes and from 0.
    ///
    /// # Errors
    /// `argument.range` where `new` is beyond the tree or `old` above `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>> {
        self.within(new)?;
        if old > new {
            return Err(Error::Argument("the old size is above the new one"));
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        let (mut begin, mut end) = (0, new);
        let mut path = Vec::new();
        // Ends where the old tree is one whole subtree; its own root is needed unless the verifier holds it.
        while end != old {
            let middle = begin + split(end - begin);
            if old <= middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(begin, middle));
                begin = middle;
            }
        }
        if begin > 0 {
            path.push(self.range(begin, end));
        }
        path.reverse();
        Ok(path)
    }

    /// `count` complete subtree roots of height `level`, from the one with number `first` on: what a tile is made of.
    ///
    /// # Errors
    /// `argument.range` where the tree does not hold them yet.
    pub fn nodes(&self, level: u32, first: u64, count: u64) -> Result<&[Hash]> {
        let beyond = Error::Argument("the tree does not hold these hashes yet");
        let row = self.levels.get(level as usize).map_or(&[][..], Vec::as_slice);
        let end = first.checked_add(count).ok_or(beyond.clone())?;
        row.get(place(first)..place(end)).ok_or(beyond)
    }

    fn within(&self, size: u64) -> Result<()> {
        if size <= self.size() { Ok(()) } else { Err(Error::Argument("the tree is smaller than that")) }
    }

    /// The root over leaves begin … end − 1, where `begin` is a multiple of the power of two not below the length.
    fn range(&self, begin: u64, end: u64) -> Hash {
        let length = end - begin;
        if length.is_power_of_two() {
            let level = length.trailing_zeros();
            return self.levels[level as usize][place(begin >> level)];
        }
        let middle = begin + split(length);
        node_hash(&self.range(begin, middle), &self.range(middle, end))
    }
}

/// The largest power of two strictly below `length` (at least 2).
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// An index into memory; what does not fit is beyond any tree in memory, and the look-up fails.
fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn malformed<T>() -> Result<T> {
    Err(Error::log(LogFault::ProofMalformed, "the proof has not the length that these sizes need"))
}

fn mismatch<T>() -> Result<T> {
    Err(Error::log(LogFault::ProofMismatch, "the proof does not lead to the root"))
}

/// Checks an audit path (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// `proof.malformed` where no proof of that length can be for these sizes, `proof.mismatch` where it leads elsewhere.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<()> {
    if index >= size || size > MAX_INTEGER {
        return malformed();
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return malformed();
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        malformed()
    } else if hash == *root {
        Ok(())
    } else {
        mismatch()
    }
}

/// Checks that the tree of `old` leaves with `old_root` is a prefix of that of `new` leaves with `new_root` (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// `proof.malformed` where no proof of that length can be for these sizes, `proof.mismatch` where it leads elsewhere.
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> Result<()> {
    if old > new || new > MAX_INTEGER {
        return malformed();
    }
    if old == 0 || old == new {
        if !path.is_empty() {
            return malformed();
        }
        let wanted = if old == 0 { empty_root() } else { *new_root };
        let empty_new = new > 0 || *new_root == empty_root();
        return if *old_root == wanted && empty_new { Ok(()) } else { mismatch() };
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node % 2 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let mut rest = path.iter();
    // A power of two is a whole subtree: its root is the start, and the proof does not repeat it.
    let start = if old.is_power_of_two() {
        old_root
    } else {
        match rest.next() {
            Some(hash) => hash,
            None => return malformed(),
        }
    };
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if last == 0 {
            return malformed();
        }
        if node % 2 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        malformed()
    } else if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        mismatch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962, section 2.1, word for word.
    fn reference(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let mut middle = 1;
                while middle * 2 < leaves.len() {
                    middle *= 2;
                }
                node_hash(&reference(&leaves[..middle]), &reference(&leaves[middle..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    fn tree(leaves: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.append(*leaf);
        }
        tree
    }

    #[test]
    fn every_proof_of_every_small_size_verifies() {
        let leaves = leaves(70);
        let tree = tree(&leaves);
        for size in 0..=leaves.len() {
            let root = tree.root(size as u64).unwrap();
            assert_eq!(root, reference(&leaves[..size]));
            for index in 0..size {
                let path = tree.inclusion(index as u64, size as u64).unwrap();
                verify_inclusion(&leaves[index], index as u64, size as u64, &path, &root).unwrap();
                let other = verify_inclusion(&leaves[(index + 1) % 70], index as u64, size as u64, &path, &root);
                assert_eq!(other.unwrap_err().code(), "proof.mismatch");
            }
            for old in 0..=size {
                let old_root = tree.root(old as u64).unwrap();
                let path = tree.consistency(old as u64, size as u64).unwrap();
                verify_consistency(old as u64, &old_root, size as u64, &root, &path).unwrap();
                let mut longer = path.clone();
                longer.push([0; 32]);
                let refused = verify_consistency(old as u64, &old_root, size as u64, &root, &longer);
                assert_eq!(refused.unwrap_err().code(), "proof.malformed");
                if old > 0 && old < size {
                    let shorter = &path[..path.len() - 1];
                    assert!(verify_consistency(old as u64, &old_root, size as u64, &root, shorter).is_err());
                    assert!(verify_consistency(old as u64, &[0; 32], size as u64, &root, &path).is_err());
                }
            }
        }
    }

    #[test]
    fn statements_are_hashed_in_their_order() {
        let statements: Vec<Vec<u8>> = (0..100_usize).map(|count| vec![7; count]).collect();
        let slices: Vec<&[u8]> = statements.iter().map(Vec::as_slice).collect();
        let one_by_one: Vec<_> = slices.iter().map(|bytes| (statement::id(bytes), leaf_hash(bytes))).collect();
        assert_eq!(hash_statements(&slices), one_by_one);
        assert!(hash_statements(&[]).is_empty());
    }

    #[test]
    fn no_log_is_larger_than_an_integer_may_be() {
        let hash = [1; 32];
        for size in [MAX_INTEGER, MAX_INTEGER + 1, u64::MAX] {
            let same = verify_consistency(size, &hash, size, &hash, &[]).err().map(|error| error.code());
            assert_eq!(same, (size > MAX_INTEGER).then_some("proof.malformed"));
            let path = vec![hash; 64 - (size - 1).leading_zeros() as usize];
            let root = path.iter().fold(hash, |below, sibling| node_hash(&below, sibling));
            let first = verify_inclusion(&hash, 0, size, &path, &root).err().map(|error| error.code());
            assert_eq!(first, (size > MAX_INTEGER).then_some("proof.malformed"));
        }
    }

    #[test]
    fn an_empty_log_has_the_empty_root_on_both_sides() {
        let verdict = |old, new| verify_consistency(0, &old, 0, &new, &[]).err().map(|error| error.code());
        assert_eq!(verdict(empty_root(), empty_root()), None);
        assert_eq!(verdict(empty_root(), [1; 32]), Some("proof.mismatch"));
        assert_eq!(verdict([1; 32], [1; 32]), Some("proof.mismatch"));
    }

    #[test]
    fn a_truncated_tree_is_the_smaller_tree() {
        let leaves = leaves(300);
        for size in [0, 1, 2, 3, 127, 128, 255, 256, 257, 299, 300] {
            let mut cut = tree(&leaves);
            cut.truncate(size).unwrap();
            assert_eq!(cut.levels, tree(&leaves[..usize::try_from(size).unwrap()]).levels);
        }
        assert!(tree(&leaves).truncate(301).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_a_path_is_found(size in 2..500_u64, index in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
            let leaves = leaves(usize::try_from(size).unwrap());
            let tree = tree(&leaves);
            let index = index.index(leaves.len());
            let mut path = tree.inclusion(index as u64, size).unwrap();
            let bit = bit.index(path.len() * 256);
            path[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
            let root = tree.root(size).unwrap();
            prop_assert!(verify_inclusion(&leaves[index], index as u64, size, &path, &root).is_err());
        }
    }
}
