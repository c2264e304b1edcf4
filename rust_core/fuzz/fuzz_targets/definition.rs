//! Any bytes as one file of a built election: the first byte says which manifest or table.
//!
//! A table that is accepted is written again from what was loaded, and must be the same bytes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tallygate_core::Error;
use tallygate_fuzz::{FILES, Folder, Loaded, mutate, original, rewrite};

/// The file that an input's first byte selects.
fn file(selector: u8) -> (&'static str, &'static str) {
    FILES[usize::from(selector) % FILES.len()]
}

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

// Three times in four a cell or a row is changed instead of bytes, twice of the good table: most of what the corpus
// holds after a while is refused early on.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let Some((selector, content)) = data[..size].split_first() else { return fuzzer_mutate(data, size, max_size) };
    let table = match seed % 4 {
        0 => None,
        1 => std::str::from_utf8(content).ok(),
        _ => original(file(*selector)),
    };
    match table.and_then(|table| mutate(table, seed)) {
        Some(changed) if changed.len() < max_size => {
            data[1..=changed.len()].copy_from_slice(changed.as_bytes());
            changed.len() + 1
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((selector, content)) = bytes.split_first() else { return };
    let file = file(*selector);
    match FOLDER.load(file, content) {
        Ok(loaded) => {
            if let Loaded::Definition(definition) = &loaded {
                let root = definition.root().expect("a geography has a root");
                let reaches_root =
                    |index| definition.ancestors(index).last().is_some_and(|top| top.index == root.index);
                assert!(definition.areas().all(|area| area.index == root.index || reaches_root(area.index)));
            }
            if let Some(rows) = rewrite(&loaded, file.1, &FOLDER.definition) {
                let header = content.iter().position(|byte| *byte == b'\n').expect("a table has a header") + 1;
                assert_eq!(rows.as_bytes(), &content[header..]);
            }
        }
        // Nothing is missing, and every manifest names its tables as they are unless it is the file that was changed.
        Err(error @ (Error::Manifest { .. } | Error::Table { .. })) => {
            assert!(error.code() != "manifest.missing" && error.code() != "table.missing");
            assert!(error.code() != "table.changed" || file.1.contains('.'));
        }
        Err(other) => panic!("{other:?}"),
    }
});
