//! The definition: what decides how votes count, frozen. Its SHA-256 is in every packet.

use std::path::Path;

use super::areas::{self, Area, Areas};
use super::contests::{self, Choice, Contest, Contests};
use super::manifest::{self, Election, Manifest};
use super::national::{self, Check, Figure};
use super::stations::{self, Station, Stations};
use crate::Hash;
use crate::error::Result;

/// A loaded definition: `election.json` and its six tables. Things are looked up by number; areas and stations also
/// have an index, their place by number, for tables that run beside these.
#[derive(Debug)]
pub struct Definition {
    /// SHA-256 of `election.json`.
    pub hash: Hash,
    /// What `election.json` says beside its tables.
    pub election: Election,
    /// The country's own protocol lines, by code.
    pub figures: Vec<Figure>,
    /// The country's own equations, by number.
    pub checks: Vec<Check>,
    pub(super) areas: Areas,
    pub(super) contests: Contests,
    pub(super) stations: Stations,
    /// By the areas' index: the stations below each.
    stations_in: Vec<u32>,
}

impl Definition {
    /// Reads the folder that holds `election.json` and its tables.
    ///
    /// # Errors
    /// `manifest.missing`, `manifest.malformed`, `table.missing`, `table.changed`, `table.malformed`,
    /// `table.reference`: of the manifest, else of the first table in the order areas, contests, choices, stations,
    /// figures, checks.
    pub fn load(folder: &Path) -> Result<Self> {
        let tables = [
            &areas::TABLE,
            &contests::TABLE,
            &contests::CHOICES,
            &stations::TABLE,
            &national::FIGURES,
            &national::CHECKS,
        ];
        let Manifest { hash, content: election, tables: entries } = manifest::election(folder, tables)?;
        let [area_entry, contest_entry, choice_entry, station_entry, figure_entry, check_entry] = &entries;
        let areas = Areas::load(folder, area_entry)?;
        let mut contests = Contests::load(folder, contest_entry, &areas)?;
        contests.load_choices(folder, choice_entry)?;
        let stations = Stations::load(folder, station_entry, &areas, &contests)?;
        let figures = national::load_figures(folder, figure_entry)?;
        let checks = national::load_checks(folder, check_entry, &figures)?;
        let stations_in = stations.count_by_area(&areas);
        Ok(Self { hash, election, figures, checks, areas, contests, stations, stations_in })
    }

    /// The commission's public keys; a member's id is the place of its key, from 1.
    pub fn commission_keys(&self) -> &[[u8; 32]] {
        &self.election.commission.keys
    }

    /// The root of the geography; every loaded definition has one.
    pub fn root(&self) -> Option<Area<'_>> {
        self.areas.get(self.areas.root())
    }

    /// The area with this number.
    pub fn area(&self, number: u64) -> Option<Area<'_>> {
        self.areas.get(self.areas.find(number)?)
    }

    /// The area with this index.
    pub fn area_at(&self, index: usize) -> Option<Area<'_>> {
        self.areas.get(index)
    }

    /// All areas, by number.
    pub fn areas(&self) -> impl Iterator<Item = Area<'_>> {
        (0..self.areas.len()).filter_map(|index| self.areas.get(index))
    }

    /// The areas that hold the area with this index: its parent first, the root last.
    pub fn ancestors(&self, index: usize) -> impl Iterator<Item = Area<'_>> {
        self.areas.upwards(index).skip(1).filter_map(|index| self.areas.get(index))
    }

    /// The areas right below the area with this index, by number.
    pub fn children(&self, index: usize) -> impl ExactSizeIterator<Item = usize> {
        self.areas.children(index).iter().map(|&child| child as usize)
    }

    /// How many stations the area with this number holds, right below it or further down.
    pub fn stations_in(&self, area: u64) -> Option<u32> {
        self.stations_in.get(self.areas.find(area)?).copied()
    }

    /// Whether the area with this number holds the station, right below it or further down.
    pub fn holds(&self, area: u64, station: u64) -> bool {
        let (Some(area), Some(station)) = (self.areas.find(area), self.station(station)) else { return false };
        self.areas.upwards(station.area_index).any(|index| index == area)
    }

    /// The contest with this number.
    pub fn contest(&self, number: u64) -> Option<&Contest> {
        self.contests.all().get(self.contests.find(number)?)
    }

    /// All contests, by number.
    pub fn contests(&self) -> &[Contest] {
        self.contests.all()
    }

    /// The choices of a contest in the order of votes: by number; none for a contest that is not there.
    pub fn choices(&self, contest: u64) -> impl ExactSizeIterator<Item = Choice<'_>> {
        self.contests.choices(contest)
    }

    /// The station with this number.
    pub fn station(&self, number: u64) -> Option<Station<'_>> {
        self.station_at(self.stations.find(number)?)
    }

    /// The index of the station with this number, where nothing else of it is wanted.
    pub fn station_index(&self, number: u64) -> Option<usize> {
        self.stations.find(number)
    }

    /// The station with this index.
    pub fn station_at(&self, index: usize) -> Option<Station<'_>> {
        self.stations.get(index, &self.areas)
    }

    /// How many stations there are.
    pub fn station_count(&self) -> usize {
        self.stations.len()
    }

    /// All stations, by number.
    pub fn stations(&self) -> impl Iterator<Item = Station<'_>> {
        (0..self.stations.len()).filter_map(|index| self.station_at(index))
    }
    /// The country's own protocol line with this code.
    pub fn figure(&self, code: u64) -> Option<&Figure> {
        let place = self.figures.binary_search_by_key(&code, |figure| figure.code).ok()?;
        self.figures.get(place)
    }

    /// The country's own equation with this number.
    pub fn check(&self, number: u64) -> Option<&Check> {
        let place = self.checks.binary_search_by_key(&number, |check| check.number).ok()?;
        self.checks.get(place)
    }
}
