//! Tiles and entry bundles: the log as static files (C2SP tlog-tiles).

use crate::Hash;
use crate::error::{Error, LogFault, Result};
use crate::merkle::Tree;
use crate::statement::MAX_STATEMENT;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// The most entries that one call names the tiles of: four nights of a country of the size of the world. It bounds the
/// memory that a size costs which nobody has checked.
pub const MAX_SPAN: u64 = 1 << 28;

/// Levels of the tree between a tile and the one above: 256 = 2^8.
const TILE_HEIGHT: u32 = 8;

/// One tile, or the bundle of the same entries: `width` of 256 means full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// 0 for tiles of leaf hashes, 1 for hashes of those tiles …
    pub level: u32,
    /// Its place in the level.
    pub number: u64,
    /// 1 … 256 hashes.
    pub width: u64,
}

impl Tile {
    /// Where it stands below the log's folder: `tile/<L>/<N>[.p/<W>]`.
    ///
    /// # Errors
    /// `argument.range` for a width outside 1 … 256.
    pub fn path(&self) -> Result<String> {
        Ok(format!("tile/{}/{}", self.level, place(self.number, self.width)?))
    }

    /// The tile's bytes: its hashes, one after another.
    ///
    /// # Errors
    /// `argument.range` where the tree does not hold them yet, or the level or width is none.
    pub fn content(&self, tree: &Tree) -> Result<Vec<u8>> {
        let beyond = Error::Argument("there is no such tile");
        if !(1..=TILE_WIDTH).contains(&self.width) {
            return Err(beyond);
        }
        let level = self.level.checked_mul(TILE_HEIGHT).ok_or(beyond.clone())?;
        let first = self.number.checked_mul(TILE_WIDTH).ok_or(beyond)?;
        Ok(tree.nodes(level, first, self.width)?.concat())
    }
}

/// The tiles that a log of `new` entries has and one of `old` entries had not, lowest level first: what a publisher writes.
/// Those of level 0 name the entry bundles too.
///
/// # Errors
/// `argument.range` where `old` is above `new`, or more than [`MAX_SPAN`] below it.
pub fn between(old: u64, new: u64) -> Result<Vec<Tile>> {
    match new.checked_sub(old) {
        None => return Err(Error::Argument("the old size is above the new one")),
        Some(span) if span > MAX_SPAN => return Err(Error::Argument("the two sizes lie too far apart")),
        Some(_) => {}
    }
    let mut out = Vec::new();
    let (mut before, mut after, mut level) = (old, new, 0);
    while after > before {
        for number in before / TILE_WIDTH..=(after - 1) / TILE_WIDTH {
            let width = (after - number * TILE_WIDTH).min(TILE_WIDTH);
            out.push(Tile { level, number, width });
        }
        // Only full tiles have a hash in the level above.
        before /= TILE_WIDTH;
        after /= TILE_WIDTH;
        level += 1;
    }
    Ok(out)
}

/// Where an entry bundle stands below the log's folder: `tile/entries/<N>[.p/<W>]`.
///
/// # Errors
/// `argument.range` for a width outside 1 … 256.
pub fn bundle_path(number: u64, width: u64) -> Result<String> {
    Ok(format!("tile/entries/{}", place(number, width)?))
}

/// An entry bundle: for each statement its length as 16 bits, high byte first, then its bytes.
///
/// # Errors
/// `bundle.malformed` for other than 1 … 256 statements, or one that is empty or above 16,384 bytes.
pub fn encode_bundle(statements: &[&[u8]]) -> Result<Vec<u8>> {
    if !(1..=TILE_WIDTH).contains(&(statements.len() as u64)) {
        return malformed_bundle();
    }
    let mut out = Vec::with_capacity(statements.iter().map(|statement| statement.len() + 2).sum());
    for statement in statements {
        match u16::try_from(statement.len()) {
            Ok(length) if length > 0 && statement.len() <= MAX_STATEMENT => {
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => return malformed_bundle(),
        }
        out.extend_from_slice(statement);
    }
    Ok(out)
}

/// The `width` statements of an entry bundle.
///
/// # Errors
/// `bundle.malformed` where it holds anything else.
pub fn decode_bundle(bundle: &[u8], width: u64) -> Result<Vec<&[u8]>> {
    if !(1..=TILE_WIDTH).contains(&width) {
        return malformed_bundle();
    }
    let mut rest = bundle;
    let mut out = Vec::new();
    for _ in 0..width {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { return malformed_bundle() };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > MAX_STATEMENT || length > after.len() {
            return malformed_bundle();
        }
        let (statement, after) = after.split_at(length);
        out.push(statement);
        rest = after;
    }
    if rest.is_empty() { Ok(out) } else { malformed_bundle() }
}

/// The hashes of a tile's bytes.
///
/// # Errors
/// `tile.malformed` where the bytes are not `width` hashes.
pub fn decode_tile(tile: &[u8], width: u64) -> Result<Vec<Hash>> {
    let (hashes, rest) = tile.as_chunks::<32>();
    if (1..=TILE_WIDTH).contains(&width) && hashes.len() as u64 == width && rest.is_empty() {
        Ok(hashes.to_vec())
    } else {
        Err(Error::log(LogFault::TileMalformed, "the tile does not hold as many hashes as its name says"))
    }
}

fn malformed_bundle<T>() -> Result<T> {
    Err(Error::log(LogFault::BundleMalformed, "the entry bundle does not hold the statements that its name says"))
}

/// `x001/x234/067`, and `.p/<W>` where it is not full.
fn place(number: u64, width: u64) -> Result<String> {
    if !(1..=TILE_WIDTH).contains(&width) {
        return Err(Error::Argument("a tile is 1 to 256 hashes wide"));
    }
    let mut out = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        out = format!("x{:03}/{out}", rest % 1000);
        rest /= 1000;
    }
    Ok(if width < TILE_WIDTH { format!("{out}.p/{width}") } else { out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |number, width| Tile { level: 2, number, width }.path().unwrap();
        assert_eq!(path(1_234_067, 256), "tile/2/x001/x234/067");
        assert_eq!(path(0, 1), "tile/2/000.p/1");
        assert_eq!(path(1000, 256), "tile/2/x001/000");
        assert_eq!(bundle_path(999, 255).unwrap(), "tile/entries/999.p/255");
        for width in [0, 257] {
            assert!(bundle_path(0, width).is_err() && Tile { level: 0, number: 0, width }.path().is_err());
        }
    }

    #[test]
    fn at_256_the_level_above_begins() {
        let paths =
            |old, new| -> Vec<_> { between(old, new).unwrap().iter().map(|tile| tile.path().unwrap()).collect() };
        let tiles = paths(0, 256);
        assert_eq!(tiles, ["tile/0/000", "tile/1/000.p/1"]);
        let tiles = paths(255, 257);
        assert_eq!(tiles, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
        assert_eq!(between(256, 256).unwrap(), []);
        assert!(between(2, 1).is_err() && between(0, MAX_SPAN + 1).is_err());
    }

    proptest! {
        #[test]
        fn tiles_written_step_by_step_are_all_tiles(steps in prop::collection::vec(0..400_u64, 1..6)) {
            let mut written = std::collections::BTreeSet::new();
            let mut size = 0;
            for step in steps {
                written.extend(between(size, size + step).unwrap());
                size += step;
            }
            for tile in between(0, size).unwrap() {
                prop_assert!(written.contains(&tile));
            }
        }

        #[test]
        fn every_tile_holds_its_hashes(size in 1..1200_u64) {
            let mut tree = Tree::default();
            (0..size).for_each(|index| tree.append(leaf_hash(&index.to_be_bytes())));
            for tile in between(0, size).unwrap() {
                let content = tile.content(&tree).unwrap();
                prop_assert_eq!(decode_tile(&content, tile.width).unwrap().len() as u64, tile.width);
                prop_assert!(decode_tile(&content, tile.width - 1).is_err());
            }
        }

        #[test]
        fn a_bundle_survives(statements in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..20)) {
            let slices: Vec<&[u8]> = statements.iter().map(Vec::as_slice).collect();
            let bundle = encode_bundle(&slices).unwrap();
            prop_assert_eq!(decode_bundle(&bundle, slices.len() as u64).unwrap(), slices.clone());
            prop_assert!(decode_bundle(&bundle, slices.len() as u64 + 1).is_err());
            prop_assert!(decode_bundle(&bundle[..bundle.len() - 1], slices.len() as u64).is_err());
        }

        #[test]
        fn what_is_accepted_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..64), width in 0..5_u64) {
            if let Ok(statements) = decode_bundle(&bytes, width) {
                prop_assert_eq!(encode_bundle(&statements).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn statements_that_cannot_be_are_not_bundled() {
        assert!(encode_bundle(&[]).is_err());
        assert!(encode_bundle(&[b""]).is_err());
        let long = vec![0; MAX_STATEMENT + 1];
        assert!(encode_bundle(&[&long]).is_err());
        assert!(decode_bundle(&[&[0x40, 0x01], &long[..]].concat(), 1).is_err());
        assert!(decode_bundle(&[&[0x40, 0x00], &long[1..]].concat(), 1).is_ok());
        assert!(encode_bundle(&[b"a".as_slice(); 257]).is_err());
        assert!(decode_bundle(&[0, 0], 1).is_err());
    }
}
