//! The tally: what counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tallygate_core::authority::Standing;
use tallygate_core::tally as core;
use tallygate_core::{Error, Result};

use crate::definition::{Definition, Roster};
use crate::error::raise;
use crate::statement::Statement;
use crate::verify::array;

/// The tally of a log's prefix.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Tally {
    inner: Mutex<core::Tally>,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, core::Tally> {
        // A tally that has panicked says so itself, whatever it is asked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the core says of an area, without the GIL.
    fn of_area<'py>(
        &self,
        py: Python<'py>,
        say: impl FnOnce(&mut core::Tally) -> Result<Option<Vec<u8>>> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let said = py.detach(|| say(&mut self.lock())).map_err(raise)?;
        let said = said.ok_or_else(|| raise(Error::Argument("there is no area with this number")))?;
        Ok(PyBytes::new(py, &said))
    }
}

#[pymethods]
impl Tally {
    #[new]
    fn new(py: Python<'_>, definition: &Definition, roster: &Roster) -> PyResult<Self> {
        let (definition, roster) = (Arc::clone(&definition.inner), Arc::clone(&roster.inner));
        let inner = py.detach(|| core::Tally::new(definition, roster)).map_err(raise)?;
        Ok(Self { inner: Mutex::new(inner) })
    }

    fn offer(&self, py: Python<'_>, roster: &Roster) {
        let roster = Arc::clone(&roster.inner);
        py.detach(|| self.lock().offer(roster));
    }

    fn offer_unusable(&self, py: Python<'_>, sha256: &[u8]) -> PyResult<()> {
        let sha256 = *array(sha256, "hash")?;
        py.detach(|| self.lock().offer_unusable(sha256));
        Ok(())
    }

    fn apply(&self, py: Python<'_>, first: u64, statements: Vec<PyBackedBytes>) -> PyResult<usize> {
        py.detach(|| {
            let statements: Vec<&[u8]> = statements.iter().map(|statement| &**statement).collect();
            self.lock().apply_all(first, &statements)
        })
        .map_err(raise)
    }

    #[getter]
    fn size(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.lock().next_index())
    }

    #[getter]
    fn missing_rosters<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let missing = py.detach(|| self.lock().missing_rosters().to_vec());
        missing.iter().map(|missing| PyBytes::new(py, &missing.roster)).collect()
    }

    fn standing(&self, py: Python<'_>, statement: &Statement) -> PyResult<Option<&'static str>> {
        let decoded = statement.decoded().map_err(raise)?;
        Ok(py.detach(|| self.lock().standing(&decoded.body)).map(Standing::word))
    }

    fn changed_stations(&self, py: Python<'_>) -> Vec<u64> {
        py.detach(|| self.lock().take_changed())
    }

    fn version(&self, py: Python<'_>, station: u64) -> Option<u64> {
        py.detach(|| self.lock().version_of(station))
    }

    fn station<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let object = py.detach(|| self.lock().station_object(number)).map_err(raise)?;
        Ok(object.map(|object| PyBytes::new(py, &object)))
    }

    fn area<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.of_area(py, |tally| tally.area_object(number))
    }

    fn results<'py>(&self, py: Python<'py>, area: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.of_area(py, |tally| tally.results(area))
    }

    fn progress<'py>(&self, py: Python<'py>, area: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.of_area(py, |tally| tally.progress(area))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Tally size={}>", self.size(py))
    }
}

/// Base, shares by the choice's place, turnout.
type Shares = (Option<u64>, Vec<Option<u64>>, Option<u64>);

#[pyfunction]
pub(crate) fn shares(
    definition: &Definition,
    contest: u64,
    counted: u64,
    registered: (u64, u64),
    figures: Vec<(u64, u64, u64)>,
    votes: Vec<u64>,
) -> PyResult<Shares> {
    let found = core::shares(&definition.inner, contest, counted, registered, &figures, votes).map_err(raise)?;
    Ok((found.base, found.choices, found.turnout))
}
