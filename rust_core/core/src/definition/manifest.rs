//! The three manifests: canonical JSON with exactly the fields of their format.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cells;
use super::csv::Table;
use super::fields::{Field, Object, Parsed};
use super::words::{Headline, Language, MediaType, Mode, Strictness, Words};
use crate::error::{Error, ManifestFault, Result};
use crate::jcs;
use crate::{Hash, MAX_INTEGER, statement, verify};

/// Bytes of a manifest: it holds no row of any table, and it is read whole before anything in it can be believed.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Keys of one commission: a k-of-n among people, and decision 1 is signed by k of them one by one.
pub const MAX_COMMISSION_KEYS: usize = 64;

/// Minutes that a signature may come after the close (S204): almost two years, and as ms far below 2^53.
const MAX_MINUTES: u64 = 1_000_000;

/// Bytes of an election's id: it stands in certificates, file names and the log's origin.
const MAX_ID_BYTES: usize = 40;

/// Bytes of the name of a file in `media/`: every file system and archive takes it.
const MAX_FILE_NAME_BYTES: usize = 100;

/// What a manifest says of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableEntry {
    pub(super) rows: u64,
    pub(super) size: u64,
    pub(super) sha256: Hash,
}

impl TableEntry {
    /// Rows to make room for: what the manifest says, but no more than lines of `columns` cells fit into the file.
    pub(super) fn expected_rows(&self, table: &Table) -> usize {
        let fitting = self.size / table.columns.len().max(1) as u64;
        usize::try_from(self.rows.min(fitting)).unwrap_or(0)
    }
}

/// `election.json` without its tables: what decides how votes count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The election's id: `[a-z0-9][a-z0-9-]{0,39}`.
    pub id: String,
    /// The title in one or more languages, in the order of their codes.
    pub title: Vec<(Language, String)>,
    /// Whether it is a rehearsal.
    pub mode: Mode,
    /// IANA name of the time zone that the commission sits in.
    pub timezone: String,
    /// When voting opens, ms since the Unix epoch.
    pub opens_at: u64,
    /// When voting closes where a station has no time of its own, ms since the Unix epoch.
    pub closes_at: u64,
    /// Until when results are embargoed, ms since the Unix epoch.
    pub publish_at: Option<u64>,
    /// The election's languages; names in definition and roster are in the first.
    pub languages: Vec<Language>,
    /// The source that the public sees first.
    pub headline: Headline,
    /// Who decides.
    pub commission: Commission,
    /// Tolerances and switches.
    pub rules: Rules,
}

/// The commission's keys, and how many of them must sign a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commission {
    /// Ed25519 public keys, in the order given: a member's id is the place of its key, from 1.
    pub keys: Vec<[u8; 32]>,
    /// Keys that a decision needs.
    pub quorum: usize,
}

/// The tolerances and switches of tally.md, "Rules".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Codes of the figures that each count must carry.
    pub required: Vec<u64>,
    /// Codes of the figures that each packet must carry for its voters.
    pub required_voters: Vec<u64>,
    /// How H104 judges.
    pub h104: Strictness,
    /// Ballots.
    pub h104_tolerance: u64,
    /// Voters.
    pub s201_tolerance: u64,
    /// Percent of blank and invalid ballots.
    pub s202_percent: u64,
    /// Percent of turnout below which a station is flagged.
    pub s203_low: u64,
    /// Percent of turnout, or of one choice, from which a station is flagged.
    pub s203_high: u64,
    /// Minutes from close to signature.
    pub s204_minutes: u64,
    /// Ballots between two counter readings.
    pub s210_tolerance: u64,
}

/// What the site says of itself; each may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Whom to write to.
    pub contact: String,
    /// A line above every page.
    pub notice: String,
    /// Where voters look themselves up.
    pub voter_check_url: String,
}

/// A photograph or document in `media/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Its file name.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// Bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: MediaType,
}

/// A manifest as read: the SHA-256 that names it, what it says, and the entries of the tables asked for, in their
/// order.
pub(super) struct Manifest<T, const N: usize> {
    pub(super) hash: Hash,
    pub(super) content: T,
    pub(super) tables: [TableEntry; N],
}

/// Reads `election.json`.
pub(super) fn election<const N: usize>(folder: &Path, tables: [&Table; N]) -> Result<Manifest<Election, N>> {
    read(folder, "election.json", "tallygate-definition/1", None, tables, |manifest| {
        Ok(Election {
            id: manifest.take("id")?.text_that("an id of lower-case letters, digits and dashes", is_id)?,
            title: translations(&manifest.take("title")?)?,
            mode: manifest.take("mode")?.word()?,
            timezone: manifest.take("timezone")?.text_that("a time zone's name", |text| cells::zone(text).is_ok())?,
            opens_at: manifest.take("opens_at")?.integer(0, MAX_INTEGER)?,
            closes_at: manifest.take("closes_at")?.integer(0, MAX_INTEGER)?,
            publish_at: manifest.take("publish_at")?.optional(|field| field.integer(0, MAX_INTEGER))?,
            languages: manifest.take("languages")?.distinct(Language::ALL.len(), Field::word)?,
            headline: manifest.take("headline")?.word()?,
            commission: commission(&manifest.take("commission")?)?,
            rules: rules(manifest.take("rules")?.object()?)?,
        })
    })
}

/// Reads `roster.json`, which must belong to the definition with this hash.
pub(super) fn roster<const N: usize>(folder: &Path, definition: &Hash, tables: [&Table; N]) -> Result<Manifest<(), N>> {
    read(folder, "roster.json", "tallygate-roster/1", Some(definition), tables, |_| Ok(()))
}

/// Reads `information.json`, which must belong to the definition with this hash.
pub(super) fn information<const N: usize>(
    folder: &Path,
    definition: &Hash,
    tables: [&Table; N],
) -> Result<Manifest<(Site, Vec<Medium>), N>> {
    read(folder, "information.json", "tallygate-information/1", Some(definition), tables, |manifest| {
        let mut fields = manifest.take("site")?.object()?;
        let site = Site {
            contact: fields.take("contact")?.text()?,
            notice: fields.take("notice")?.text()?,
            voter_check_url: fields.take("voter_check_url")?.text()?,
        };
        fields.finish()?;
        Ok((site, manifest.take("media")?.object()?.into_members().map(medium).collect::<Parsed<_>>()?))
    })
}

fn read<T, const N: usize>(
    folder: &Path,
    file: &'static str,
    format: &str,
    definition: Option<&Hash>,
    tables: [&Table; N],
    parse: impl FnOnce(&mut Object<'_>) -> Parsed<T>,
) -> Result<Manifest<T, N>> {
    let refused = |fault: ManifestFault, detail: String| Error::Manifest { fault, file, detail };
    let malformed = |detail: String| refused(ManifestFault::Malformed, detail);
    let bytes = read_file(&folder.join(file)).map_err(|detail| refused(ManifestFault::Missing, detail))?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(malformed(format!("has more than {MAX_MANIFEST_BYTES} bytes")));
    }
    let value = jcs::parse_canonical(&bytes).map_err(|error| malformed(error.to_string()))?;
    let fields = || -> Parsed<_> {
        let mut manifest = Field::whole(&value).object()?;
        manifest.take("format")?.exactly(format)?;
        let named = definition.map(|_| manifest.take("definition")?.hash()).transpose()?;
        let content = parse(&mut manifest)?;
        let tables = entries(&manifest.take("tables")?, tables)?;
        manifest.finish()?;
        Ok((named, content, tables))
    };
    let (named, content, tables) = fields().map_err(malformed)?;
    if let (Some(named), Some(definition)) = (named, definition)
        && named != *definition
    {
        let (named, definition) = (hex::encode(named), hex::encode(definition));
        let detail =
            format!("belongs to the definition {named}, not to {definition}; build both from one election folder");
        return Err(refused(ManifestFault::Definition, detail));
    }
    Ok(Manifest { hash: Sha256::digest(&bytes).into(), content, tables })
}

/// A file's bytes, one more than a manifest may have at most; or why it cannot be read.
fn read_file(path: &Path) -> Parsed<Vec<u8>> {
    let unreadable =
        |error: io::Error| format!("cannot be read ({error}); name the folder that `tallygate election build` wrote");
    // Opening a pipe or a device could wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a file".into());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_BYTES
        && text.starts_with(|first: char| first != '-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn translations(field: &Field<'_>) -> Parsed<Vec<(Language, String)>> {
    let translation = |(name, text): (&str, Field<'_>)| match Language::find(name) {
        Some(language) => Ok((language, text.text_that("text that is not empty", |text| !text.is_empty())?)),
        None => text.wants("called ky, kk, ru or en"),
    };
    let texts = field.object()?.into_members().map(translation).collect::<Parsed<Vec<_>>>()?;
    if texts.is_empty() { field.wants("in at least one language") } else { Ok(texts) }
}

fn commission(field: &Field<'_>) -> Parsed<Commission> {
    let mut fields = field.object()?;
    let given = fields.take("keys")?;
    // Two keys with one kid are as good as one key twice: a decision names its signer by kid.
    let kids = given.distinct(MAX_COMMISSION_KEYS, |item| item.hash().map(|key| statement::kid(&key)))?;
    let keys = given.list()?.iter().map(enrollable).collect::<Parsed<Vec<_>>>()?;
    let quorum = fields.take("quorum")?.integer(1, kids.len() as u64)?;
    fields.finish()?;
    Ok(Commission { keys, quorum: usize::try_from(quorum).map_err(|error| error.to_string())? })
}

fn enrollable(field: &Field<'_>) -> Parsed<[u8; 32]> {
    let key = field.hash()?;
    if verify::enrollable(&key) {
        Ok(key)
    } else {
        field.wants("an Ed25519 public key: a canonical point of prime order")
    }
}

fn rules(mut fields: Object<'_>) -> Parsed<Rules> {
    let codes = |field: Field<'_>| field.list()?.iter().map(|item| item.integer(1, MAX_INTEGER)).collect::<Parsed<_>>();
    let rules = Rules {
        required: codes(fields.take("required")?)?,
        required_voters: codes(fields.take("required_voters")?)?,
        h104: fields.take("h104")?.word()?,
        h104_tolerance: fields.take("h104_tolerance")?.integer(0, cells::MAX_TOLERANCE)?,
        s201_tolerance: fields.take("s201_tolerance")?.integer(0, cells::MAX_TOLERANCE)?,
        s202_percent: fields.take("s202_percent")?.integer(0, 100)?,
        s203_low: fields.take("s203_low")?.integer(0, 100)?,
        s203_high: fields.take("s203_high")?.integer(0, 100)?,
        s204_minutes: fields.take("s204_minutes")?.integer(0, MAX_MINUTES)?,
        s210_tolerance: fields.take("s210_tolerance")?.integer(0, cells::MAX_TOLERANCE)?,
    };
    fields.finish()?;
    Ok(rules)
}

fn entries<const N: usize>(field: &Field<'_>, tables: [&Table; N]) -> Parsed<[TableEntry; N]> {
    let mut fields = field.object()?;
    let found = tables.iter().map(|table| entry(&fields.take(table.name)?)).collect::<Parsed<Vec<_>>>()?;
    fields.finish()?;
    found.try_into().or_else(|_| field.wants(format_args!("of {N} tables")))
}

fn entry(field: &Field<'_>) -> Parsed<TableEntry> {
    let mut fields = field.object()?;
    let entry = TableEntry {
        rows: fields.take("rows")?.integer(0, MAX_INTEGER)?,
        size: fields.take("size")?.integer(0, MAX_INTEGER)?,
        sha256: fields.take("sha256")?.hash()?,
    };
    fields.finish()?;
    Ok(entry)
}

fn medium((name, field): (&str, Field<'_>)) -> Parsed<Medium> {
    if !is_file_name(name) {
        return field.wants("called like a file right in media/");
    }
    let mut fields = field.object()?;
    let medium = Medium {
        name: name.to_owned(),
        sha256: fields.take("sha256")?.hash()?,
        size: fields.take("size")?.integer(0, MAX_INTEGER)?,
        media_type: fields.take("type")?.word()?,
    };
    fields.finish()?;
    Ok(medium)
}

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`: it cannot lead out of its folder, hides nowhere in it, and every file system
/// spells it alike.
fn is_file_name(name: &str) -> bool {
    name.len() <= MAX_FILE_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;
    use crate::definition::testing::{Sample, Scratch, key, verdict};

    const MALFORMED: &str = "manifest.malformed";

    #[test]
    fn every_field_comes_back() {
        let definition = Sample::definition().load_definition().unwrap();
        let election = &definition.election;
        assert_eq!(
            (election.id.as_str(), election.mode, election.headline),
            ("toolia-2031", Mode::Live, Headline::Machine)
        );
        assert_eq!((election.opens_at, election.closes_at, election.publish_at), (1000, 2000, None));
        assert_eq!(election.timezone, "Asia/Bishkek");
        assert_eq!(election.languages, [Language::Kyrgyz, Language::Russian]);
        assert_eq!(election.title, [(Language::English, "Election".into()), (Language::Kyrgyz, "Шайлоо".into())]);
        assert_eq!(
            definition.commission_keys().iter().map(hex::encode).collect::<Vec<_>>(),
            [key(201), key(202), key(203)]
        );
        assert_eq!(election.commission.quorum, 2);
        let rules = Rules {
            required: vec![9, 11, 13, 100],
            required_voters: vec![],
            h104: Strictness::Soft,
            h104_tolerance: 1,
            s201_tolerance: 2,
            s202_percent: 10,
            s203_low: 5,
            s203_high: 95,
            s204_minutes: 720,
            s210_tolerance: 3,
        };
        assert_eq!(election.rules, rules);
        let embargo =
            Sample::definition().manifest("\"publish_at\":null", "\"publish_at\":5").load_definition().unwrap();
        assert_eq!(embargo.election.publish_at, Some(5));
        assert_ne!(embargo.hash, definition.hash);
    }

    #[test]
    fn the_hash_is_that_of_the_manifests_bytes() {
        let folder = Scratch::new();
        Sample::definition().write(folder.path(), &[0; 32]);
        let bytes = fs::read(folder.path().join("election.json")).unwrap();
        assert_eq!(Definition::load(folder.path()).unwrap().hash, Hash::from(Sha256::digest(&bytes)));
    }

    #[test]
    fn a_bad_value_is_refused() {
        for (old, new) in [
            ("\"tallygate-definition/1\"", "\"tallygate-definition/2\""),
            ("\"toolia-2031\"", "\"\""),
            ("\"toolia-2031\"", "\"-toolia\""),
            ("\"toolia-2031\"", "\"Toolia\""),
            ("\"toolia-2031\"", "2031"),
            ("\"machine\"", "\"both\""),
            ("\"live\"", "null"),
            ("\"Asia/Bishkek\"", "\"Asia/Bishkek/\""),
            ("\"closes_at\":2000", "\"closes_at\":null"),
            ("\"publish_at\":null", "\"publish_at\":\"\""),
            ("[\"ky\",\"ru\"]", "[]"),
            ("[\"ky\",\"ru\"]", "[\"ky\",\"ky\"]"),
            ("[\"ky\",\"ru\"]", "[\"de\"]"),
            ("[\"ky\",\"ru\"]", "\"ky\""),
            ("\"quorum\":2", "\"quorum\":0"),
            ("\"quorum\":2", "\"quorum\":4"),
            ("\"h104\":\"soft\"", "\"h104\":\"maybe\""),
            ("\"h104_tolerance\":1", "\"h104_tolerance\":1000001"),
            ("\"s202_percent\":10", "\"s202_percent\":101"),
            ("\"s204_minutes\":720", "\"s204_minutes\":1000001"),
            ("\"required_voters\":[]", "\"required_voters\":[0]"),
            ("\"required_voters\":[]", "\"required_voters\":null"),
            ("{\"en\":\"Election\",\"ky\":\"Шайлоо\"}", "{}"),
            ("\"en\":\"Election\"", "\"de\":\"Wahl\""),
            ("\"en\":\"Election\"", "\"en\":\"\""),
            ("\"en\":\"Election\"", "\"en\":\"\\n\""),
            ("@tables@", "{}"),
            ("@tables@", "@tables@,\"theme\":\"dark\""),
            ("\"headline\":\"machine\",", ""),
            ("\"mode\":\"live\",", "\"mode\":\"live\",\"model\":1,"),
        ] {
            assert_eq!(Sample::definition().manifest(old, new).verdict(), (MALFORMED, None, None), "{new}");
        }
    }

    #[test]
    fn commission_keys_are_enrollable_and_stand_once() {
        let small_order = format!("01{}", "00".repeat(31));
        for other in [key(202), key(201).to_uppercase(), "0".repeat(63), "ff".repeat(32), small_order] {
            assert_eq!(Sample::definition().manifest(&key(201), &other).verdict().0, MALFORMED, "{other}");
        }
        let keys = |count: u8| (1..=count).map(|number| format!("\"{}\"", key(number))).collect::<Vec<_>>().join(",");
        let sample = |count| {
            let given = [201, 202, 203].map(|number| format!("\"{}\"", key(number))).join(",");
            Sample::definition().manifest(&given, &keys(count))
        };
        assert!(sample(64).load_definition().is_ok());
        assert_eq!(sample(65).verdict().0, MALFORMED);
        assert_eq!(sample(0).verdict().0, MALFORMED);
    }

    #[test]
    fn table_entries_are_exact() {
        let folder = Scratch::new();
        let file = folder.path().join("election.json");
        Sample::definition().write(folder.path(), &[0; 32]);
        let text = fs::read_to_string(&file).unwrap();
        for (old, new) in [
            ("\"rows\":5", "\"rows\":-5"),
            ("\"rows\":5,", ""),
            ("\"areas\":", "\"areaz\":"),
            ("\"sha256\":\"", "\"sha256\":\"00"),
            ("\"size\":", "\"size\":9007199254740992"),
        ] {
            assert!(text.contains(old));
            fs::write(&file, text.replace(old, new)).unwrap();
            assert_eq!(verdict(Definition::load(folder.path())).0, MALFORMED, "{new}");
        }
    }

    #[test]
    fn a_manifest_is_a_canonical_file_of_bounded_size() {
        let folder = Scratch::new();
        assert_eq!(verdict(Definition::load(folder.path())).0, "manifest.missing");
        let file = folder.path().join("election.json");
        fs::create_dir(&file).unwrap();
        assert_eq!(verdict(Definition::load(folder.path())).0, "manifest.missing");
        fs::remove_dir(&file).unwrap();
        Sample::definition().write(folder.path(), &[0; 32]);
        let good = fs::read(&file).unwrap();
        for bytes in
            [&b""[..], b"[]", b"null", b"{}", &good[1..], &[&good[..], b"\n"].concat(), &[b"\xff", &good[..]].concat()]
        {
            fs::write(&file, bytes).unwrap();
            assert_eq!(verdict(Definition::load(folder.path())).0, MALFORMED);
        }
        fs::write(&file, vec![b' '; (1 << 20) + 1]).unwrap();
        let error = Definition::load(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "has more than 1048576 bytes");
    }

    #[test]
    fn rosters_and_informations_belong_to_one_definition() {
        let definition = Sample::definition().load_definition().unwrap();
        let folder = Scratch::new();
        Sample::roster().write(folder.path(), &[7; 32]);
        let error = crate::definition::Roster::load(folder.path(), &definition).unwrap_err();
        assert_eq!(error.code(), "manifest.definition");
        Sample::information().write(folder.path(), &[7; 32]);
        let error = crate::definition::Information::load(folder.path(), &definition).unwrap_err();
        assert_eq!(error.code(), "manifest.definition");
        // What is no roster at all belongs to nothing.
        let sample = Sample::roster().manifest("tallygate-roster/1", "tallygate-roster/2");
        sample.write(folder.path(), &[7; 32]);
        let error = crate::definition::Roster::load(folder.path(), &definition).unwrap_err();
        assert_eq!(error.code(), MALFORMED);
    }

    #[test]
    fn media_are_files_right_in_their_folder() {
        let sample = |old: &str, new: &str| Sample::information().manifest(old, new).verdict();
        for name in ["", ".hidden", "../up.jpg", "a/b.jpg", "a\\\\b.jpg", "a b", "Бекова.jpg", &"a".repeat(101)] {
            assert_eq!(sample("\"bekova.jpg\":", &format!("\"{name}\":")).0, MALFORMED, "{name}");
        }
        for kind in ["", "image/", "image/JPEG", "image/svg+xml", "text/html"] {
            assert_eq!(sample("\"image/jpeg\"", &format!("\"{kind}\"")).0, MALFORMED, "{kind}");
        }
        assert_eq!(sample("\"notice\":\"\"", "\"notice\":null").0, MALFORMED);
        assert_eq!(sample("\"media\":{", "\"media\":[{").0, MALFORMED);
    }
}
