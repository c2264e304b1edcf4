//! Election folders for tests: small and whole, to be broken one cell at a time.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use super::{Definition, Information, Roster};
use crate::error::{Error, Result};

/// Where an error is, for comparison: code, line, column.
pub(crate) type Verdict = (&'static str, Option<u64>, Option<&'static str>);

/// A folder that goes away with its value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tallygate-core-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed must not hide what a test says.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The one canonical spelling of these rows.
pub(crate) fn canonical<R: AsRef<[S]>, S: AsRef<str>>(rows: &[R]) -> Vec<u8> {
    let mut out = String::new();
    for row in rows {
        for (place, cell) in row.as_ref().iter().map(AsRef::as_ref).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let quote = if cell.contains([',', '"']) { "\"" } else { "" };
            write!(out, "{comma}{quote}{}{quote}", cell.replace('"', "\"\"")).unwrap();
        }
        out.push('\n');
    }
    out.into_bytes()
}

/// The public key of the device or commission member with this number, in hexadecimal.
pub(crate) fn key(number: u8) -> String {
    hex::encode(SigningKey::from_bytes(&[number; 32]).verifying_key().to_bytes())
}

/// A manifest and its tables before they are written.
#[derive(Clone)]
pub(crate) struct Sample {
    file: &'static str,
    manifest: String,
    tables: Vec<(&'static str, Vec<Vec<String>>)>,
}

/// Stands in a sample's manifest for its tables, and for the definition's hash.
const TABLES: &str = "@tables@";
const DEFINITION: &str = "@definition@";

impl Sample {
    fn new(file: &'static str, manifest: &str, tables: &[(&'static str, &str)]) -> Self {
        let tables = tables
            .iter()
            .map(|(name, text)| {
                let rows = text.lines().map(|line| line.trim().split('|').map(str::to_owned).collect()).collect();
                (*name, rows)
            })
            .collect();
        Self { file, manifest: manifest.replace('\n', ""), tables }
    }

    pub(crate) fn definition() -> Self {
        let manifest = r#"{"closes_at":2000,"commission":{"keys":["@201@","@202@","@203@"],"quorum":2},
"format":"tallygate-definition/1","headline":"machine","id":"toolia-2031","languages":["ky","ru"],"mode":"live","opens_at":1000,
"publish_at":null,"rules":{"h104":"soft","h104_tolerance":1,"required":[9,11,13,100],"required_voters":[],"s201_tolerance":2,
"s202_percent":10,"s203_high":95,"s203_low":5,"s204_minutes":720,"s210_tolerance":3},"tables":@tables@,
"timezone":"Asia/Bishkek","title":{"en":"Election","ky":"Шайлоо"}}"#;
        let manifest = [201, 202, 203]
            .iter()
            .fold(manifest.to_owned(), |text, &member| text.replace(&format!("@{member}@"), &key(member)));
        Self::new(
            "election.json",
            &manifest,
            &[
                (
                    "areas",
                    "area|parent|level|label|code|name
                     1||country|||Тоолия
                     2|5|region|Р-2|to-2|Түндүк, облус
                     3|1|region|||Түштүк
                     5|1|zone|||Чыгыш
                     8|2|district|01.01||\"Жаңы\" район",
                ),
                (
                    "contests",
                    "contest|kind|area|seats|marks|preferences|method|share_of|threshold|threshold_of|threshold_area\
                     |threshold_area_level|seat_cap|quorum|quorum_of|name
                     1|choose||1|1|0|majority|votes||||||3000|registered|Президент
                     2|list||90|1|3|hare|valid|500|valid|50|region|6500|||Кеңеш
                     7|referendum|2|1|1|0|plurality|in_box||||||||Суроо",
                ),
                (
                    "choices",
                    "contest|choice|kind|list|label|name
                     1|1|candidate||1|А. Алиев
                     1|2|against_all|||Баарына каршы
                     2|1|list||01|Алга
                     2|2|candidate|3||Б. Бекова
                     2|3|list||02|Биримдик
                     7|1|yes|||Ооба
                     7|2|no|||Жок",
                ),
                (
                    "stations",
                    "station|area|registered|type|box|closes_at|timezone|contests|label|name
                     10|3|1200|ordinary|yes|2000|Asia/Bishkek|1 2|УИК 10|№ 1 мектеп
                     11|8||abroad|no|2500|Europe/Moscow|1 2 7||Элчилик
                     500|8|0|special|yes|2000|Asia/Bishkek|1 2||Оорукана",
                ),
                ("figures", "code|figure|name\n100|papers|Кагаздар\n205|papers_outside|Сырттагы кагаздар"),
                (
                    "checks",
                    "check|severity|left|op|right|tolerance
                     1|hard|ballots_received|=|issued+spoiled+papers|0
                     4|soft|papers_outside|<=|papers|5",
                ),
            ],
        )
    }

    pub(crate) fn roster() -> Self {
        let devices = format!(
            "device|kind|stations|area|key|serial
             1|box|10||{}|SN-1
             2|terminal|10 11||{}|
             3|desk||2|{}|
             9|box|||{}|SN-9",
            key(1),
            key(2),
            key(3),
            key(9)
        );
        let firmware = format!("sha256|name\n{}|2.0\n{}|1.0", "0a".repeat(32), "ff".repeat(32));
        Self::new(
            "roster.json",
            r#"{"definition":"@definition@","format":"tallygate-roster/1","tables":@tables@}"#,
            &[("devices", &devices), ("couriers", "courier|area|name\n1|1|Борбор\n4|8|Район"), ("firmware", &firmware)],
        )
    }

    pub(crate) fn information() -> Self {
        let manifest = r#"{"definition":"@definition@","format":"tallygate-information/1",
"media":{"bekova.jpg":{"sha256":"@sha256@","size":5,"type":"image/jpeg"}},
"site":{"contact":"a@toolia.example","notice":"","voter_check_url":""},"tables":@tables@}"#;
        Self::new(
            "information.json",
            &manifest.replace("@sha256@", &"0b".repeat(32)),
            &[
                ("areas", "area|name_ky|name_kk|name_ru|name_en\n1|Тоолия|||Toolia\n8|||Район|"),
                ("contests", "contest|name_ky|name_kk|name_ru|name_en\n1||||President"),
                (
                    "choices",
                    "contest|choice|name_ky|name_kk|name_ru|name_en|party|color|photo|biography_ky|biography_kk|biography_ru\
                     |biography_en|programme_ky|programme_kk|programme_ru|programme_en|link|fund_income|fund_spent
                     1|2||||Against all||||||||||||||
                     2|1||||Forward||#1f6fb2|||||||||||1000|900
                     2|2||||B. Bekova|Биримдик||bekova.jpg||||Teacher|||||https://b.example/||",
                ),
                (
                    "stations",
                    "station|name_ky|name_kk|name_ru|name_en|address_ky|address_kk|address_ru|address_en|route_ky|route_kk|route_ru\
                     |route_en|latitude|longitude|photo|panorama
                     11||||Embassy|||ул. Большая Ордынка, 64||||||55.7392|37.6251||",
                ),
                ("figures", "code|name_ky|name_kk|name_ru|name_en\n205||||Papers outside"),
                ("checks", "check|text_ky|text_kk|text_ru|text_en\n4||||More papers outside than papers"),
            ],
        )
    }

    /// The same with another cell; lines count from 1, the header.
    pub(crate) fn with(mut self, table: &str, line: usize, column: &str, cell: &str) -> Self {
        let rows = self.rows(table);
        let place = rows[0].iter().position(|name| name == column).unwrap();
        rows[line - 1][place] = cell.to_owned();
        self
    }

    /// The same with other rows.
    pub(crate) fn edit(mut self, table: &str, edit: impl FnOnce(&mut Vec<Vec<String>>)) -> Self {
        edit(self.rows(table));
        self
    }

    /// The same with another manifest; what is replaced must be there.
    pub(crate) fn manifest(mut self, old: &str, new: &str) -> Self {
        assert!(self.manifest.contains(old), "{old}");
        self.manifest = self.manifest.replace(old, new);
        self
    }

    fn rows(&mut self, table: &str) -> &mut Vec<Vec<String>> {
        let (_, rows) = self.tables.iter_mut().find(|(name, _)| *name == table).unwrap();
        rows
    }

    /// Writes manifest and tables; `definition` is the hash that the manifest names.
    pub(crate) fn write(&self, folder: &Path, definition: &crate::Hash) {
        let mut entries: Vec<String> = self
            .tables
            .iter()
            .map(|(name, rows)| {
                let bytes = canonical(rows);
                fs::write(folder.join(format!("{name}.csv")), &bytes).unwrap();
                let sha256 = hex::encode(Sha256::digest(&bytes));
                format!("\"{name}\":{{\"rows\":{},\"sha256\":\"{sha256}\",\"size\":{}}}", rows.len() - 1, bytes.len())
            })
            .collect();
        entries.sort();
        let manifest = self
            .manifest
            .replace(TABLES, &format!("{{{}}}", entries.join(",")))
            .replace(DEFINITION, &hex::encode(definition));
        fs::write(folder.join(self.file), manifest).unwrap();
    }

    pub(crate) fn load_definition(&self) -> Result<Definition> {
        let folder = Scratch::new();
        self.write(folder.path(), &[0; 32]);
        Definition::load(folder.path())
    }

    pub(crate) fn load_roster(&self, definition: &Definition) -> Result<Roster> {
        let folder = Scratch::new();
        self.write(folder.path(), &definition.hash);
        Roster::load(folder.path(), definition)
    }

    pub(crate) fn load_information(&self, definition: &Definition) -> Result<Information> {
        let folder = Scratch::new();
        self.write(folder.path(), &definition.hash);
        Information::load(folder.path(), definition)
    }

    /// How the reader of this kind of manifest refuses it.
    pub(crate) fn verdict(&self) -> Verdict {
        let definition = Self::definition();
        match self.file {
            "election.json" => verdict(self.load_definition()),
            "roster.json" => verdict(self.load_roster(&definition.load_definition().unwrap())),
            _ => verdict(self.load_information(&definition.load_definition().unwrap())),
        }
    }
}

/// Code and place of a refusal.
pub(crate) fn verdict<T>(result: Result<T>) -> Verdict {
    let error = result.err().expect("must be refused");
    match &error {
        Error::Table { line, column, .. } => (error.code(), *line, *column),
        _ => (error.code(), None, None),
    }
}

/// The verdict that a cell breaks its column's form.
pub(crate) fn malformed(line: u64, column: &'static str) -> Verdict {
    ("table.malformed", Some(line), Some(column))
}

/// The verdict that a cell names an unknown thing.
pub(crate) fn unknown(line: u64, column: &'static str) -> Verdict {
    ("table.reference", Some(line), Some(column))
}
