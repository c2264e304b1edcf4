//! Writes loaded tables again from their values: what a strict reader accepts must come out as the bytes that went in.

use tallygate_core::definition::{Definition, Information, InformationTable, Roster, STANDARD_FIGURES, Share};

use crate::Loaded;

/// The table `name` of what was loaded, in the canonical form of docs/election-folder.md; None for a manifest.
pub fn rewrite(loaded: &Loaded, name: &str, definition: &Definition) -> Option<String> {
    let rows = match loaded {
        Loaded::Definition(loaded) => definition_rows(loaded, name)?,
        Loaded::Roster(loaded) => roster_rows(loaded, name)?,
        Loaded::Information(loaded) => information_rows(loaded, name, definition)?,
    };
    let line = |row: Vec<String>| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    Some(rows.into_iter().map(line).collect())
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn joined(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

fn definition_rows(definition: &Definition, name: &str) -> Option<Vec<Vec<String>>> {
    Some(match name {
        "areas" => definition
            .areas()
            .map(|area| {
                let number = area.number.to_string();
                vec![
                    number,
                    optional(area.parent),
                    area.level.into(),
                    area.label.into(),
                    area.code.into(),
                    area.name.into(),
                ]
            })
            .collect(),
        "contests" => contest_rows(definition),
        "choices" => choice_rows(definition),
        "stations" => station_rows(definition),
        "figures" => definition
            .figures
            .iter()
            .map(|figure| vec![figure.code.to_string(), figure.figure.clone(), figure.name.clone()])
            .collect(),
        "checks" => check_rows(definition),
        _ => return None,
    })
}

fn contest_rows(definition: &Definition) -> Vec<Vec<String>> {
    let share = |share: Option<Share>| {
        [optional(share.map(|share| share.hundredths)), optional(share.map(|share| share.of.word()))]
    };
    let row = |contest: &tallygate_core::definition::Contest| {
        let mut cells = vec![
            contest.number.to_string(),
            contest.kind.word().into(),
            optional(contest.area),
            contest.seats.to_string(),
            contest.marks.to_string(),
            contest.preferences.to_string(),
            contest.method.word().into(),
            contest.share_of.word().into(),
        ];
        cells.extend(share(contest.threshold));
        let area = contest.threshold_area.as_ref();
        cells.extend([optional(area.map(|(percent, _)| percent)), optional(area.map(|(_, level)| level))]);
        cells.push(optional(contest.seat_cap));
        cells.extend(share(contest.quorum));
        cells.push(contest.name.clone());
        cells
    };
    definition.contests().iter().map(row).collect()
}

fn choice_rows(definition: &Definition) -> Vec<Vec<String>> {
    let of_contest = |contest: u64| {
        definition.choices(contest).map(move |choice| {
            let numbers = [contest.to_string(), choice.number.to_string(), choice.kind.word().into()];
            [&numbers[..], &[optional(choice.list), choice.label.into(), choice.name.into()]].concat()
        })
    };
    definition.contests().iter().flat_map(|contest| of_contest(contest.number)).collect()
}

fn station_rows(definition: &Definition) -> Vec<Vec<String>> {
    definition
        .stations()
        .map(|station| {
            let area = definition.area(station.area).expect("a station's area is there");
            assert_eq!(definition.children(area.index).len(), 0);
            vec![
                station.number.to_string(),
                area.number.to_string(),
                optional(station.registered),
                station.kind.word().into(),
                if station.expects_box { "yes" } else { "no" }.into(),
                station.closes_at.to_string(),
                station.timezone.into(),
                joined(station.contests),
                station.label.into(),
                station.name.into(),
            ]
        })
        .collect()
}

fn check_rows(definition: &Definition) -> Vec<Vec<String>> {
    let figure = |code: &u64| {
        let standard = code.checked_sub(1).and_then(|place| STANDARD_FIGURES.get(usize::try_from(place).ok()?));
        match (standard, definition.figure(*code)) {
            (Some(name), None) => (*name).to_owned(),
            (None, Some(national)) => national.figure.clone(),
            _ => panic!("the code {code} names no figure, or two"),
        }
    };
    let sum = |codes: &[u64]| codes.iter().map(figure).collect::<Vec<_>>().join("+");
    definition
        .checks
        .iter()
        .map(|check| {
            let (severity, op) = (check.severity.word().to_owned(), check.op.word().to_owned());
            vec![
                check.number.to_string(),
                severity,
                sum(&check.left),
                op,
                sum(&check.right),
                check.tolerance.to_string(),
            ]
        })
        .collect()
}

fn roster_rows(roster: &Roster, name: &str) -> Option<Vec<Vec<String>>> {
    Some(match name {
        "devices" => roster
            .devices()
            .map(|device| {
                let (kind, key) = (device.kind.word().to_owned(), hex::encode(device.key));
                let stations = joined(device.stations);
                vec![device.number.to_string(), kind, stations, optional(device.area), key, device.serial.into()]
            })
            .collect(),
        "couriers" => roster
            .couriers
            .iter()
            .map(|courier| vec![courier.number.to_string(), courier.area.to_string(), courier.name.clone()])
            .collect(),
        "firmware" => {
            roster.firmware.iter().map(|firmware| vec![hex::encode(firmware.sha256), firmware.name.clone()]).collect()
        }
        _ => return None,
    })
}

fn information_rows(information: &Information, name: &str, definition: &Definition) -> Option<Vec<Vec<String>>> {
    let numbered = |table: &InformationTable, numbers: &mut dyn Iterator<Item = u64>| {
        numbers
            .filter_map(|number| Some((number, table.row(number)?)))
            .map(|(number, cells)| [number.to_string()].into_iter().chain(cells.map(str::to_owned)).collect())
            .collect()
    };
    let areas = &mut definition.areas().map(|area| area.number);
    let contests = &mut definition.contests().iter().map(|contest| contest.number);
    Some(match name {
        "areas" => numbered(&information.areas, areas),
        "contests" => numbered(&information.contests, contests),
        "choices" => contests
            .flat_map(|contest| definition.choices(contest).map(move |choice| (contest, choice.number)))
            .filter_map(|(contest, choice)| Some((contest, choice, information.choices.choice(contest, choice)?)))
            .map(|(contest, choice, cells)| {
                [contest.to_string(), choice.to_string()].into_iter().chain(cells.map(str::to_owned)).collect()
            })
            .collect(),
        "stations" => numbered(&information.stations, &mut definition.stations().map(|station| station.number)),
        "figures" => numbered(&information.figures, &mut definition.figures.iter().map(|figure| figure.code)),
        "checks" => numbered(&information.checks, &mut definition.checks.iter().map(|check| check.number)),
        _ => return None,
    })
}
