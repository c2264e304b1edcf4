//! The commission: which of its decisions are taken, void and in effect, and what follows from them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};
use tallygate_core::Hash;
use tallygate_core::authority::{self as core, Choice, Facts, Ruling, Standing};
use tallygate_core::statement::Source;

use crate::definition::{Definition, Roster};
use crate::error::raise;
use crate::statement::Statement;
use crate::verify::array;

/// Which decisions of a log are taken, void and in effect.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Authority {
    inner: Mutex<core::Authority>,
}

impl Authority {
    fn lock(&self) -> MutexGuard<'_, core::Authority> {
        // Nothing waits while it holds the lock. The core does not panic between two changes, so a poisoned lock
        // guards a whole value.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A packet that may be chosen, as Python gives it: station, contest, source, statement id, definition.
type Named = (u64, u64, u64, PyBackedBytes, PyBackedBytes);

/// The packets that may be chosen, each with the definition that it names.
struct Choosable(Vec<(Choice, Hash)>);

impl Facts for Choosable {
    fn choosable(&self, choice: &Choice) -> Option<Hash> {
        self.0.iter().find(|(known, _)| known == choice).map(|(_, definition)| *definition)
    }
}

fn read_source(number: u64) -> PyResult<Source> {
    match number {
        1 => Ok(Source::Machine),
        2 => Ok(Source::Protocol),
        _ => Err(PyValueError::new_err("a source is 1 (machine) or 2 (protocol)")),
    }
}

fn hash(bytes: &[u8]) -> PyResult<Hash> {
    array(bytes, "hash").map(|hash| *hash)
}

#[pymethods]
impl Authority {
    #[new]
    fn new(definition: &Definition, roster: &Roster) -> Self {
        let inner = core::Authority::new(Arc::clone(&definition.inner), Arc::clone(&roster.inner));
        Self { inner: Mutex::new(inner) }
    }

    fn offer(&self, roster: &Roster) {
        self.lock().offer(Arc::clone(&roster.inner));
    }

    fn offer_unusable(&self, sha256: &[u8]) -> PyResult<()> {
        self.lock().offer_unusable(hash(sha256)?);
        Ok(())
    }

    #[pyo3(signature = (index, statement, choosable=None))]
    fn apply(&self, index: u64, statement: &Statement, choosable: Option<Vec<Named>>) -> PyResult<bool> {
        if !statement.is_decision() {
            return Ok(false);
        }
        let choice = |(station, contest, number, id, definition): Named| {
            Ok((Choice { station, contest, source: read_source(number)?, id: hash(&id)? }, hash(&definition)?))
        };
        let facts = Choosable(choosable.into_iter().flatten().map(choice).collect::<PyResult<_>>()?);
        let decoded = statement.decoded().map_err(raise)?;
        let applied = self.lock().apply(index, &decoded, &facts).map_err(raise)?;
        Ok(!applied.changed.is_empty())
    }

    fn taken<'py>(&self, py: Python<'py>, number: u64) -> Option<(Bound<'py, PyBytes>, u64, &'static str)> {
        let authority = self.lock();
        let taken = authority.taken(number)?;
        Some((PyBytes::new(py, &taken.payload), taken.entry, taken.standing().word()))
    }

    fn standing(&self, statement: &Statement) -> PyResult<Option<&'static str>> {
        let decoded = statement.decoded().map_err(raise)?;
        Ok(self.lock().standing(&decoded.body).map(Standing::word))
    }

    #[getter]
    fn open(&self) -> bool {
        self.lock().is_open()
    }

    #[getter]
    fn roster(&self) -> Roster {
        Roster { inner: Arc::clone(self.lock().speakers()) }
    }

    #[getter]
    fn missing_rosters<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.lock().missing_rosters().iter().map(|missing| PyBytes::new(py, &missing.roster)).collect()
    }

    #[getter]
    fn assignments(&self) -> Roster {
        Roster { inner: Arc::clone(self.lock().assignments()) }
    }

    #[getter]
    fn paused(&self) -> bool {
        self.lock().is_paused()
    }

    fn closes_at(&self, station: u64) -> Option<u64> {
        self.lock().closes_at(station)
    }

    fn stations(&self, device: u64) -> Vec<u64> {
        self.lock().stations(device)
    }

    fn reassigned(&self, station: u64) -> Vec<(u64, bool)> {
        self.lock().reassigned(station)
    }

    fn revoked_at(&self, device: u64) -> Option<u64> {
        self.lock().revoked_at(device)
    }

    fn is_cancelled(&self, station: u64) -> bool {
        self.lock().is_cancelled(station)
    }

    fn accepts(&self, definition: &[u8]) -> PyResult<bool> {
        Ok(self.lock().accepts(&hash(definition)?))
    }

    fn ruling<'py>(
        &self,
        py: Python<'py>,
        station: u64,
        contest: u64,
        source: u64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.lock().ruling(station, contest, read_source(source)?).map(|ruling| match ruling {
            Ruling::Annulled => PyString::new(py, "annulled").into_any(),
            Ruling::Chosen(id) => PyBytes::new(py, &id).into_any(),
        }))
    }

    fn status(&self, source: u64) -> PyResult<Option<u64>> {
        Ok(self.lock().status(read_source(source)?))
    }

    fn about_station(&self, station: u64) -> Vec<u64> {
        self.lock().about_station(station)
    }

    fn __repr__(&self) -> String {
        let authority = self.lock();
        format!("<Authority decisions={} open={}>", authority.taken_count(), authority.is_open())
    }
}
