//! The roster: who may speak. Devices with their keys, couriers, and the firmware that boxes may run.

use std::collections::HashSet;
use std::path::Path;

use super::areas::Areas;
use super::cells::{self, Cell, malformed};
use super::compact::{Lists, Numbers, Texts};
use super::csv::{self, Judged, Table};
use super::election::Definition;
use super::manifest::{self, Manifest, TableEntry};
use super::words::DeviceKind;
use crate::error::Result;
use crate::{Hash, statement};

/// `devices.csv` of a roster.
const DEVICES: Table = Table { name: "devices", columns: &["device", "kind", "stations", "area", "key", "serial"] };

/// `couriers.csv` of a roster.
const COURIERS: Table = Table { name: "couriers", columns: &["courier", "area", "name"] };

/// `firmware.csv` of a roster.
const FIRMWARE: Table = Table { name: "firmware", columns: &["sha256", "name"] };

/// Stands for the area of a device that has none; areas are numbered from 1.
const NO_AREA: u64 = 0;

/// Whatever signs packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    /// Its place among the devices by number, from 0.
    pub index: usize,
    /// Its number.
    pub number: u64,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// Numbers of the stations it is assigned to, ascending; a spare and a desk have none.
    pub stations: &'a [u64],
    /// Number of a desk's area.
    pub area: Option<u64>,
    /// Its Ed25519 public key. It was checked when the roster was built, not again here.
    pub key: &'a [u8; 32],
    /// Its serial number, or empty.
    pub serial: &'a str,
}

impl Device<'_> {
    /// What its packets name their signer by: the first 8 bytes of SHA-256 of its key.
    pub fn kid(&self) -> [u8; 8] {
        statement::kid(self.key)
    }
}

/// A commission computer that uploads for boxes without a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Courier {
    /// Its number.
    pub number: u64,
    /// Number of the area whose stations it serves.
    pub area: u64,
    /// Its name.
    pub name: String,
}

/// Firmware that a box may report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// SHA-256 of its image.
    pub sha256: Hash,
    /// Its name.
    pub name: String,
}

/// A loaded roster: `roster.json` and its three tables.
#[derive(Debug)]
pub struct Roster {
    /// SHA-256 of `roster.json`.
    pub hash: Hash,
    /// The couriers, by number.
    pub couriers: Vec<Courier>,
    /// The firmware, by SHA-256.
    pub firmware: Vec<Firmware>,
    devices: Devices,
}

#[derive(Debug)]
struct Devices {
    numbers: Numbers,
    kinds: Vec<DeviceKind>,
    stations: Lists<u64>,
    areas: Vec<u64>,
    keys: Vec<[u8; 32]>,
    serials: Texts,
}

impl Roster {
    /// Reads the folder that holds `roster.json` and its tables, for `definition`.
    ///
    /// # Errors
    /// `manifest.missing`, `manifest.malformed`, `manifest.definition`, `table.missing`, `table.changed`,
    /// `table.malformed`, `table.reference`: of the manifest, else of the first table in the order devices, couriers,
    /// firmware.
    pub fn load(folder: &Path, definition: &Definition) -> Result<Self> {
        let tables = [&DEVICES, &COURIERS, &FIRMWARE];
        let Manifest { hash, tables: entries, .. } = manifest::roster(folder, &definition.hash, tables)?;
        let [device_entry, courier_entry, firmware_entry] = &entries;
        let devices = Devices::load(folder, device_entry, definition)?;
        let couriers = load_couriers(folder, courier_entry, &definition.areas)?;
        let firmware = load_firmware(folder, firmware_entry)?;
        Ok(Self { hash, couriers, firmware, devices })
    }

    /// The device with this number.
    pub fn device(&self, number: u64) -> Option<Device<'_>> {
        self.devices.get(self.devices.numbers.find(number)?)
    }

    /// The index of the device with this number, where nothing else of it is wanted.
    pub(crate) fn device_index(&self, number: u64) -> Option<usize> {
        self.devices.numbers.find(number)
    }

    /// How many devices there are.
    pub fn device_count(&self) -> usize {
        self.devices.numbers.len()
    }

    /// All devices, by number.
    pub fn devices(&self) -> impl Iterator<Item = Device<'_>> {
        (0..self.device_count()).filter_map(|index| self.devices.get(index))
    }

    /// The courier with this number.
    pub fn courier(&self, number: u64) -> Option<&Courier> {
        let place = self.couriers.binary_search_by_key(&number, |courier| courier.number).ok()?;
        self.couriers.get(place)
    }
}

impl Devices {
    fn load(folder: &Path, entry: &TableEntry, definition: &Definition) -> Result<Self> {
        let rows = entry.expected_rows(&DEVICES);
        let mut devices = Self {
            numbers: Numbers::with_capacity(rows),
            kinds: Vec::with_capacity(rows),
            stations: Lists::with_capacity(rows),
            areas: Vec::with_capacity(rows),
            keys: Vec::with_capacity(rows),
            serials: Texts::with_capacity(rows),
        };
        let mut kids = HashSet::with_capacity(rows);
        csv::read(folder, &DEVICES, entry, |row| {
            row.next(|cell| devices.numbers.push(cells::number(cell)?))?;
            let kind = row.next(cells::word)?;
            devices.kinds.push(kind);
            row.next(|cell| devices.stations.push(&stations(cell, kind, definition)?))?;
            devices.areas.push(row.next(|cell| desk_area(cell, kind, &definition.areas))?);
            devices.keys.push(row.next(|cell| new_key(cell, definition.commission_keys(), &mut kids))?);
            row.next(|cell| devices.serials.push([cells::text(cell)?]))
        })?;
        devices.stations.shrink();
        devices.serials.shrink();
        Ok(devices)
    }

    fn get(&self, index: usize) -> Option<Device<'_>> {
        Some(Device {
            index,
            number: self.numbers.get(index)?,
            kind: *self.kinds.get(index)?,
            stations: self.stations.row(index),
            area: self.areas.get(index).copied().filter(|&area| area != NO_AREA),
            key: self.keys.get(index)?,
            serial: self.serials.row(index).next()?,
        })
    }
}

fn stations(cell: &str, kind: DeviceKind, definition: &Definition) -> Cell<Vec<u64>> {
    let stations = cells::numbers(cell, "station", |number| definition.stations.find(number).is_some())?;
    if kind == DeviceKind::Desk && !stations.is_empty() {
        return Err(malformed("a desk has an area, no stations"));
    }
    Ok(stations)
}

fn desk_area(cell: &str, kind: DeviceKind, areas: &Areas) -> Cell<u64> {
    let area = cells::optional(cell, |cell| areas.number(cell))?;
    if (kind == DeviceKind::Desk) != area.is_some() {
        return Err(malformed("a desk has an area, and nothing else has one"));
    }
    Ok(area.unwrap_or(NO_AREA))
}

/// A key that nobody else has, nor one with the same kid: a packet names its signer by device and kid.
fn new_key(cell: &str, commission: &[[u8; 32]], kids: &mut HashSet<[u8; 8]>) -> Cell<[u8; 32]> {
    let key = cells::hex32(cell)?;
    if commission.contains(&key) {
        return Err(malformed("is the key of a commission member; a device makes its own"));
    }
    if !kids.insert(statement::kid(&key)) {
        return Err(malformed("is the key of another device, or has the same kid; a device makes its own"));
    }
    Ok(key)
}

fn load_couriers(folder: &Path, entry: &TableEntry, areas: &Areas) -> Result<Vec<Courier>> {
    let mut numbers = Numbers::default();
    let mut couriers = Vec::new();
    csv::read(folder, &COURIERS, entry, |row| {
        let number = row.next(|cell| {
            let number = cells::number(cell)?;
            numbers.push(number).map(|()| number)
        })?;
        let area = row.next(|cell| areas.number(cell))?;
        let name = row.next(cells::name)?.to_owned();
        couriers.push(Courier { number, area, name });
        Ok(())
    })?;
    Ok(couriers)
}

fn load_firmware(folder: &Path, entry: &TableEntry) -> Result<Vec<Firmware>> {
    let mut firmware: Vec<Firmware> = Vec::new();
    csv::read(folder, &FIRMWARE, entry, |row| -> Judged<()> {
        let sha256 = row.next(|cell| {
            let sha256 = cells::hex32(cell)?;
            match firmware.last() {
                Some(last) if last.sha256 >= sha256 => Err(malformed("the rows must ascend by SHA-256, each once")),
                _ => Ok(sha256),
            }
        })?;
        let name = row.next(cells::name)?.to_owned();
        firmware.push(Firmware { sha256, name });
        Ok(())
    })?;
    Ok(firmware)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::testing::{Sample, key, malformed, unknown};

    fn loaded() -> Roster {
        Sample::roster().load_roster(&Sample::definition().load_definition().unwrap()).unwrap()
    }

    #[test]
    fn devices_come_back_by_number() {
        let roster = loaded();
        let terminal = roster.device(2).unwrap();
        assert_eq!((terminal.index, terminal.kind, terminal.stations), (1, DeviceKind::Terminal, &[10, 11][..]));
        assert_eq!((hex::encode(terminal.key), terminal.serial, terminal.area), (key(2), "", None));
        assert_eq!(terminal.kid(), statement::kid(terminal.key));
        let desk = roster.device(3).unwrap();
        assert_eq!((desk.kind, desk.stations, desk.area), (DeviceKind::Desk, &[][..], Some(2)));
        let spare = roster.device(9).unwrap();
        assert_eq!((spare.stations, spare.serial), (&[][..], "SN-9"));
        assert_eq!(roster.devices().map(|device| device.number).collect::<Vec<_>>(), [1, 2, 3, 9]);
        assert_eq!(roster.device_count(), 4);
        assert!(roster.device(4).is_none());
    }

    #[test]
    fn couriers_and_firmware_come_back() {
        let roster = loaded();
        assert_eq!(roster.courier(4), Some(&Courier { number: 4, area: 8, name: "Район".into() }));
        assert_eq!(roster.courier(2), None);
        assert_eq!(roster.firmware[1], Firmware { sha256: [0xff; 32], name: "1.0".into() });
    }

    #[test]
    fn each_cell_has_its_form() {
        let upper = key(2).to_uppercase();
        for (table, column, cells) in [
            ("devices", "device", &["", "0", "1"][..]),
            ("devices", "kind", &["", "Box"]),
            ("devices", "stations", &["x", "11 10", " 10"]),
            // Only a desk has an area.
            ("devices", "area", &["x", "2"]),
            ("devices", "key", &["", &upper, &key(1), &key(201)]),
            ("devices", "serial", &["\u{0}"]),
            ("couriers", "courier", &["", "1"]),
            ("couriers", "area", &[""]),
            ("couriers", "name", &[""]),
            ("firmware", "sha256", &["", &"0a".repeat(32), &"09".repeat(32)]),
            ("firmware", "name", &[""]),
        ] {
            for cell in cells {
                assert_eq!(
                    Sample::roster().with(table, 3, column, cell).verdict(),
                    malformed(3, column),
                    "{column} {cell:?}"
                );
            }
        }
        assert_eq!(Sample::roster().with("devices", 4, "stations", "10").verdict(), malformed(4, "stations"));
        assert_eq!(Sample::roster().with("devices", 4, "area", "").verdict(), malformed(4, "area"));
    }

    #[test]
    fn what_is_named_must_be_known() {
        for (table, line, column, cell) in [
            ("devices", 3, "stations", "10 12"),
            ("devices", 4, "stations", "12"),
            ("devices", 4, "area", "4"),
            ("couriers", 3, "area", "4"),
        ] {
            assert_eq!(Sample::roster().with(table, line, column, cell).verdict(), unknown(line as u64, column));
        }
    }

    #[test]
    fn a_key_is_not_judged_again_but_stands_once() {
        let no_point = "ff".repeat(32);
        let definition = Sample::definition().load_definition().unwrap();
        assert!(Sample::roster().with("devices", 2, "key", &no_point).load_roster(&definition).is_ok());
        let twice = Sample::roster().with("devices", 5, "key", &key(1)).with("couriers", 2, "name", "");
        assert_eq!(twice.verdict(), malformed(5, "key"));
    }
}
