//! A built election of invented tables (`base/`), as folders of which one file at a time is replaced.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tallygate_core::definition::{Definition, Information, Roster};
use tallygate_core::{Hash, Result};

/// One of the three manifests with its tables, each with its name and content.
struct Part {
    name: &'static str,
    manifest: (&'static str, &'static str),
    tables: &'static [(&'static str, &'static str)],
}

macro_rules! part {
    ($name:literal, $manifest:literal, [$($table:literal),+]) => {
        Part {
            name: $name,
            manifest: ($manifest, include_str!(concat!("../base/", $name, "/", $manifest))),
            tables: &[$(($table, include_str!(concat!("../base/", $name, "/", $table, ".csv")))),+],
        }
    };
}

const PARTS: [Part; 3] = [
    part!("definition", "election.json", ["areas", "contests", "choices", "stations", "figures", "checks"]),
    part!("roster", "roster.json", ["devices", "couriers", "firmware"]),
    part!("information", "information.json", ["areas", "contests", "choices", "stations", "figures", "checks"]),
];

/// A file of the election: its part and its name. An input's first byte is a place in this list; `seeds.py` has the same.
pub const FILES: [(&str, &str); 18] = [
    ("definition", "election.json"),
    ("definition", "areas"),
    ("definition", "contests"),
    ("definition", "choices"),
    ("definition", "stations"),
    ("definition", "figures"),
    ("definition", "checks"),
    ("roster", "roster.json"),
    ("roster", "devices"),
    ("roster", "couriers"),
    ("roster", "firmware"),
    ("information", "information.json"),
    ("information", "areas"),
    ("information", "contests"),
    ("information", "choices"),
    ("information", "stations"),
    ("information", "figures"),
    ("information", "checks"),
];

/// The good content of a table; None for a manifest.
pub fn original(file: (&str, &str)) -> Option<&'static str> {
    let part = PARTS.iter().find(|part| part.name == file.0)?;
    part.tables.iter().find(|(name, _)| *name == file.1).map(|(_, content)| *content)
}

/// What a part reads as.
pub enum Loaded {
    /// `election.json` and its tables.
    Definition(Box<Definition>),
    /// `roster.json` and its tables.
    Roster(Box<Roster>),
    /// `information.json` and its tables.
    Information(Box<Information>),
}

/// The election on disk.
pub struct Folder {
    path: PathBuf,
    /// The definition that roster and information belong to.
    pub definition: Definition,
}

impl Folder {
    /// Writes the whole election below this crate's target folder, where `make clean` finds it.
    pub fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/election-{}", std::process::id()));
        for part in &PARTS {
            fs::create_dir_all(path.join(part.name)).expect("the target folder can be written");
            for (name, content) in part.tables {
                write(&table(&path.join(part.name), name), content.as_bytes());
            }
        }
        write_manifest(&path, &PARTS[0], &[0; 32]);
        let definition = Definition::load(&path.join("definition")).expect("the definition in base/ is good");
        for part in &PARTS[1..] {
            write_manifest(&path, part, &definition.hash);
        }
        Self { path, definition }
    }

    /// Reads the part that `file` is of, with `content` in the file's place; its manifest names that content.
    ///
    /// # Errors
    /// What the part's reader refuses.
    pub fn load(&self, file: (&str, &str), content: &[u8]) -> Result<Loaded> {
        let part = PARTS.iter().find(|part| part.name == file.0).expect("a file of a part");
        let folder = self.path.join(part.name);
        if let Some(original) = original(file) {
            write(&table(&folder, file.1), content);
            write_manifest(&self.path, part, &self.definition.hash);
            let loaded = self.read(part.name, &folder);
            write(&table(&folder, file.1), original.as_bytes());
            write_manifest(&self.path, part, &self.definition.hash);
            loaded
        } else {
            write(&folder.join(part.manifest.0), content);
            let loaded = self.read(part.name, &folder);
            write_manifest(&self.path, part, &self.definition.hash);
            loaded
        }
    }

    fn read(&self, part: &str, folder: &Path) -> Result<Loaded> {
        Ok(match part {
            "definition" => Loaded::Definition(Box::new(Definition::load(folder)?)),
            "roster" => Loaded::Roster(Box::new(Roster::load(folder, &self.definition)?)),
            _ => Loaded::Information(Box::new(Information::load(folder, &self.definition)?)),
        })
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

fn table(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("csv")
}

/// Writes a file without emptying it first: ext4 waits for the disk when an emptied file is closed.
fn write(path: &Path, content: &[u8]) {
    let written = OpenOptions::new().write(true).create(true).truncate(false).open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.set_len(content.len() as u64)
    });
    written.expect("the target folder can be written");
}

/// Writes a part's manifest for its tables as they are on disk.
fn write_manifest(path: &Path, part: &Part, definition: &Hash) {
    let folder = path.join(part.name);
    let mut names: Vec<&str> = part.tables.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let mut entries = String::new();
    for name in names {
        let bytes = fs::read(table(&folder, name)).expect("the table was written");
        // One row a line feed, but for the header's.
        let rows = bytes.split(|byte| *byte == b'\n').count().saturating_sub(2);
        let comma = if entries.is_empty() { "" } else { "," };
        write!(
            entries,
            "{comma}\"{name}\":{{\"rows\":{rows},\"sha256\":\"{}\",\"size\":{}}}",
            hex::encode(Sha256::digest(&bytes)),
            bytes.len()
        )
        .expect("writing to a String cannot fail");
    }
    let manifest = part
        .manifest
        .1
        .trim_end()
        .replace("@tables@", &format!("{{{entries}}}"))
        .replace("@definition@", &hex::encode(definition));
    write(&folder.join(part.manifest.0), manifest.as_bytes());
}
