//! Any log of well-formed statements over the small election: the tally takes it whatever it says, in one go and in two
//! with a look in between to the same bytes; stations, rows and areas add up.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tallygate_core::definition::{Definition, Roster};
use tallygate_core::jcs::{self, Value};
use tallygate_core::tally::Tally;
use tallygate_fuzz::{Folder, Loaded, Names, Night, Step, UNUSABLE, original};

const AREAS: [u64; 5] = [1, 2, 3, 5, 8];
const STATIONS: [u64; 3] = [10, 11, 500];
const STATES: [&str; 6] = ["silent", "partial", "reported", "held", "disputed", "annulled"];

struct Election {
    definition: Arc<Definition>,
    roster: Arc<Roster>,
    moved: Arc<Roster>,
    names: Names,
}

static ELECTION: LazyLock<Election> = LazyLock::new(|| {
    let folder = Folder::new();
    let devices = ("roster", "devices");
    let table = original(devices).expect("it is a table");
    let elsewhere =
        table.replace("box,10,", "box,11,").replace("desk,,2,", "desk,,3,").replace("9,box,,", "9,box,10 500,");
    let load = |content: &str| match folder.load(devices, content.as_bytes()) {
        Ok(Loaded::Roster(roster)) => Arc::new(*roster),
        _ => panic!("the roster in base/ is good, and so is the other one"),
    };
    let (roster, moved) = (load(table), load(&elsewhere));
    let names = Names { definition: folder.definition.hash, roster: roster.hash, moved: moved.hash };
    Election { definition: Arc::new(folder.definition), roster, moved, names }
});

#[derive(Arbitrary, Debug)]
struct Input {
    steps: Vec<Step>,
    cut: u8,
}

/// Every object of a tally.
fn objects(tally: &mut Tally) -> Vec<Option<Vec<u8>>> {
    let mut objects = Vec::new();
    for area in AREAS {
        objects.extend([tally.area_object(area), tally.results(area), tally.progress(area)]);
    }
    objects.extend(STATIONS.map(|station| tally.station_object(station)));
    objects.into_iter().map(|object| object.expect("no statement is a fault of the program")).collect()
}

fn parse(object: &[u8]) -> Value {
    jcs::parse_canonical(object).expect("objects are canonical JSON")
}

fn list(value: &Value) -> &[Value] {
    let Value::List(items) = value else { panic!("a list was expected: {value:?}") };
    items
}

fn int(value: &Value) -> u64 {
    let Value::Int(number) = value else { panic!("an integer was expected: {value:?}") };
    *number
}

fn word(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Str(text) => text.clone(),
        _ => panic!("a name was expected: {value:?}"),
    }
}

type Sums = BTreeMap<String, u64>;

fn add(sums: &mut Sums, name: String, number: u64) {
    if number > 0 {
        *sums.entry(name).or_default() += number;
    }
}

/// Every number of an area's object that is a sum, by its place in words.
fn sums(value: &Value, at: &str, out: &mut Sums) {
    match value {
        Value::Int(number) => add(out, at.to_owned(), *number),
        Value::Map(members) => {
            for (name, value) in members {
                if !["area", "areas", "contest", "definition", "format", "rows"].contains(&name.as_str()) {
                    sums(value, &format!("{at}.{name}"), out);
                }
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                match item {
                    Value::Int(number) => add(out, format!("{at}.{place}"), *number),
                    Value::List(numbers) => {
                        let name = word(&numbers[0]);
                        for (place, number) in numbers[1..].iter().enumerate() {
                            add(out, format!("{at}.{name}.{place}"), int(number));
                        }
                    }
                    _ => {
                        let contest = item.get("contest").map(word).expect("what else is listed are contests");
                        sums(item, &format!("{at}.{contest}"), out);
                    }
                }
            }
        }
        Value::Null | Value::Str(_) => panic!("an area's object has no such value: {value:?}"),
    }
}

/// What the rows of an area say of its sums.
fn sums_of_rows(rows: &[Value]) -> Sums {
    let mut out = Sums::new();
    for row in rows {
        let [_, _, opened, cancelled, codes, counts] = list(row) else { panic!("a row has six elements") };
        if int(cancelled) == 1 {
            add(&mut out, ".cancelled".into(), 1);
            assert!(list(counts).is_empty());
            continue;
        }
        add(&mut out, ".stations".into(), 1);
        add(&mut out, ".opened".into(), int(opened));
        for code in list(codes) {
            add(&mut out, format!(".flags.{}.0", word(code)), 1);
        }
        for count in list(counts) {
            let [contest, source, state, figures, votes] = list(count) else { panic!("five elements") };
            let source = if int(source) == 1 { "machine" } else { "protocol" };
            let at = format!(".contests.{}.{source}", int(contest));
            let state = word(state);
            add(&mut out, format!("{at}.{state}"), 1);
            if ["reported", "disputed"].contains(&state.as_str()) {
                add(&mut out, format!("{at}.counted"), 1);
            }
            for figure in list(figures) {
                let [code, value] = list(figure) else { panic!("a figure is a pair") };
                add(&mut out, format!("{at}.figures.{}.0", int(code)), int(value));
                add(&mut out, format!("{at}.figures.{}.1", int(code)), 1);
            }
            for (place, votes) in list(votes).iter().enumerate() {
                add(&mut out, format!("{at}.votes.{place}"), int(votes));
            }
        }
    }
    out
}

fn assert_sums(tally: &mut Tally) {
    let objects: BTreeMap<u64, Value> =
        AREAS.iter().map(|&area| (area, parse(&tally.area_object(area).unwrap().unwrap()))).collect();
    let of = |area: u64| {
        let mut out = Sums::new();
        sums(&objects[&area], "", &mut out);
        out
    };
    for (&area, object) in &objects {
        let mine = of(area);
        for contest in list(object.get("contests").unwrap()) {
            for source in ["machine", "protocol"] {
                let states = STATES.map(|state| int(contest.get(source).unwrap().get(state).unwrap()));
                assert_eq!(states.iter().sum::<u64>(), int(contest.get("stations").unwrap()));
            }
        }
        let children = list(object.get("areas").unwrap());
        if children.is_empty() {
            for (name, number) in sums_of_rows(list(object.get("rows").unwrap())) {
                assert_eq!(mine.get(&name), Some(&number), "{name} of area {area}");
            }
        } else {
            let mut together = Sums::new();
            for child in children {
                for (name, number) in of(int(&list(child)[0])) {
                    add(&mut together, name, number);
                }
            }
            assert_eq!(mine, together, "area {area}");
        }
    }
}

fuzz_target!(|input: Input| {
    let election = &*ELECTION;
    let new = || {
        let mut tally = Tally::new(Arc::clone(&election.definition), Arc::clone(&election.roster)).unwrap();
        tally.offer(Arc::clone(&election.moved));
        tally.offer_unusable(UNUSABLE);
        tally
    };
    let log = Night::play(&election.names, &input.steps);
    let log: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();

    let mut whole = new();
    assert_eq!(whole.apply_all(0, &log), Ok(log.len()));
    let mut split = new();
    let (before, after) = log.split_at(usize::from(input.cut) % (log.len() + 1));
    assert_eq!(split.apply_all(0, before), Ok(before.len()));
    assert_sums(&mut split);
    for (place, statement) in after.iter().enumerate() {
        assert_eq!(split.apply_all((before.len() + place) as u64, &[statement]), Ok(1));
    }
    assert_eq!(objects(&mut whole), objects(&mut split));
    assert_sums(&mut whole);
    for object in objects(&mut whole).into_iter().flatten() {
        parse(&object);
    }
});
