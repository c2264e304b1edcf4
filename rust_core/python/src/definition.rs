//! Manifests and their tables, loaded once and shared by number.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tallygate_core::definition as core;
use tallygate_core::verify::check_all;

use crate::error::raise;
use crate::statement::Statement;

/// A node of the geography.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Area {
    number: u64,
    parent: Option<u64>,
    level: String,
    label: String,
    code: String,
    name: String,
}

impl From<core::Area<'_>> for Area {
    fn from(area: core::Area<'_>) -> Self {
        Self {
            number: area.number,
            parent: area.parent,
            level: area.level.to_owned(),
            label: area.label.to_owned(),
            code: area.code.to_owned(),
            name: area.name.to_owned(),
        }
    }
}

/// What is voted on.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Contest {
    number: u64,
    kind: &'static str,
    area: Option<u64>,
    seats: u32,
    marks: u32,
    preferences: u32,
    method: &'static str,
    share_of: &'static str,
    threshold: Option<(u32, &'static str)>,
    threshold_area: Option<(u32, String)>,
    seat_cap: Option<u32>,
    quorum: Option<(u32, &'static str)>,
    name: String,
}

impl From<&core::Contest> for Contest {
    fn from(contest: &core::Contest) -> Self {
        let share = |share: &core::Share| (share.hundredths, share.of.word());
        Self {
            number: contest.number,
            kind: contest.kind.word(),
            area: contest.area,
            seats: contest.seats,
            marks: contest.marks,
            preferences: contest.preferences,
            method: contest.method.word(),
            share_of: contest.share_of.word(),
            threshold: contest.threshold.as_ref().map(share),
            threshold_area: contest.threshold_area.clone(),
            seat_cap: contest.seat_cap,
            quorum: contest.quorum.as_ref().map(share),
            name: contest.name.clone(),
        }
    }
}

/// What can be voted for.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Choice {
    number: u64,
    kind: &'static str,
    list: Option<u64>,
    label: String,
    name: String,
}

impl From<core::Choice<'_>> for Choice {
    fn from(choice: core::Choice<'_>) -> Self {
        Self {
            number: choice.number,
            kind: choice.kind.word(),
            list: choice.list,
            label: choice.label.to_owned(),
            name: choice.name.to_owned(),
        }
    }
}

/// A polling station.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Station {
    number: u64,
    area: u64,
    registered: Option<u32>,
    kind: &'static str,
    expects_box: bool,
    closes_at: u64,
    timezone: String,
    contests: Vec<u64>,
    label: String,
    name: String,
}

impl From<core::Station<'_>> for Station {
    fn from(station: core::Station<'_>) -> Self {
        Self {
            number: station.number,
            area: station.area,
            registered: station.registered,
            kind: station.kind.word(),
            expects_box: station.expects_box,
            closes_at: station.closes_at,
            timezone: station.timezone.to_owned(),
            contests: station.contests.to_vec(),
            label: station.label.to_owned(),
            name: station.name.to_owned(),
        }
    }
}

/// A country's own protocol line.
#[allow(clippy::struct_field_names, reason = "the column is named so")]
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Figure {
    code: u64,
    figure: String,
    name: String,
}

/// A country's own equation; `left` and `right` are codes of figures.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Check {
    number: u64,
    severity: &'static str,
    left: Vec<u64>,
    op: &'static str,
    right: Vec<u64>,
    tolerance: u64,
}

/// What decides how votes count, frozen.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Definition {
    pub(crate) inner: Arc<core::Definition>,
}

#[pymethods]
impl Definition {
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        let inner = py.detach(|| core::Definition::load(&folder)).map_err(raise)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.hash)
    }

    #[getter]
    fn id(&self) -> &str {
        &self.inner.election.id
    }

    #[getter]
    fn title(&self) -> BTreeMap<&'static str, &str> {
        self.inner.election.title.iter().map(|(language, text)| (language.word(), text.as_str())).collect()
    }

    #[getter]
    fn mode(&self) -> &'static str {
        self.inner.election.mode.word()
    }

    #[getter]
    fn timezone(&self) -> &str {
        &self.inner.election.timezone
    }

    #[getter]
    fn opens_at(&self) -> u64 {
        self.inner.election.opens_at
    }

    #[getter]
    fn closes_at(&self) -> u64 {
        self.inner.election.closes_at
    }

    #[getter]
    fn publish_at(&self) -> Option<u64> {
        self.inner.election.publish_at
    }

    #[getter]
    fn languages(&self) -> Vec<&'static str> {
        self.inner.election.languages.iter().map(|language| language.word()).collect()
    }

    #[getter]
    fn headline(&self) -> &'static str {
        self.inner.election.headline.word()
    }

    #[getter]
    fn commission_keys<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.inner.commission_keys().iter().map(|key| PyBytes::new(py, key)).collect()
    }

    #[getter]
    fn commission_quorum(&self) -> usize {
        self.inner.election.commission.quorum
    }

    #[getter]
    fn areas(&self) -> Vec<Area> {
        self.inner.areas().map(Area::from).collect()
    }

    #[getter]
    fn contests(&self) -> Vec<Contest> {
        self.inner.contests().iter().map(Contest::from).collect()
    }

    #[getter]
    fn figures(&self) -> Vec<Figure> {
        let figure = |figure: &core::Figure| Figure {
            code: figure.code,
            figure: figure.figure.clone(),
            name: figure.name.clone(),
        };
        self.inner.figures.iter().map(figure).collect()
    }

    #[getter]
    fn checks(&self) -> Vec<Check> {
        let check = |check: &core::Check| Check {
            number: check.number,
            severity: check.severity.word(),
            left: check.left.clone(),
            op: check.op.word(),
            right: check.right.clone(),
            tolerance: check.tolerance,
        };
        self.inner.checks.iter().map(check).collect()
    }

    #[getter]
    fn station_count(&self) -> usize {
        self.inner.station_count()
    }

    fn area(&self, number: u64) -> Option<Area> {
        self.inner.area(number).map(Area::from)
    }

    fn stations_in(&self, area: u64) -> Option<u32> {
        self.inner.stations_in(area)
    }

    fn holds(&self, area: u64, station: u64) -> bool {
        self.inner.holds(area, station)
    }

    fn contest(&self, number: u64) -> Option<Contest> {
        self.inner.contest(number).map(Contest::from)
    }

    fn choices(&self, contest: u64) -> Vec<Choice> {
        self.inner.choices(contest).map(Choice::from).collect()
    }

    fn station(&self, number: u64) -> Option<Station> {
        self.inner.station(number).map(Station::from)
    }

    fn stations(&self) -> Vec<Station> {
        self.inner.stations().map(Station::from).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Definition {} stations={}>", self.inner.election.id, self.inner.station_count())
    }
}

/// A ballot box, identification terminal or desk.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Device {
    number: u64,
    kind: &'static str,
    stations: Vec<u64>,
    area: Option<u64>,
    key: Py<PyBytes>,
    serial: String,
}

/// A commission computer that uploads for boxes without a line.
#[pyclass(frozen, get_all, module = "gateway._core")]
pub(crate) struct Courier {
    number: u64,
    area: u64,
    name: String,
}

/// Who may speak.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Roster {
    pub(crate) inner: Arc<core::Roster>,
}

#[pymethods]
impl Roster {
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf, definition: &Definition) -> PyResult<Self> {
        let definition = &*definition.inner;
        let inner = py.detach(|| core::Roster::load(&folder, definition)).map_err(raise)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.hash)
    }

    #[getter]
    fn device_count(&self) -> usize {
        self.inner.device_count()
    }

    #[getter]
    fn couriers(&self) -> Vec<Courier> {
        let courier = |courier: &core::Courier| Courier {
            number: courier.number,
            area: courier.area,
            name: courier.name.clone(),
        };
        self.inner.couriers.iter().map(courier).collect()
    }

    #[getter]
    fn firmware<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, &str)> {
        let firmware = self.inner.firmware.iter();
        firmware.map(|firmware| (PyBytes::new(py, &firmware.sha256), firmware.name.as_str())).collect()
    }

    fn device(&self, py: Python<'_>, number: u64) -> Option<Device> {
        self.inner.device(number).map(|device| device_of(py, &device))
    }

    fn devices(&self, py: Python<'_>) -> Vec<Device> {
        self.inner.devices().map(|device| device_of(py, &device)).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Roster devices={}>", self.inner.device_count())
    }
}

fn device_of(py: Python<'_>, device: &core::Device<'_>) -> Device {
    Device {
        number: device.number,
        kind: device.kind.word(),
        stations: device.stations.to_vec(),
        area: device.area,
        key: PyBytes::new(py, device.key).unbind(),
        serial: device.serial.to_owned(),
    }
}

/// What is only shown.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Information {
    inner: core::Information,
}

#[pymethods]
impl Information {
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf, definition: &Definition) -> PyResult<Self> {
        let definition = &*definition.inner;
        let inner = py.detach(|| core::Information::load(&folder, definition)).map_err(raise)?;
        Ok(Self { inner })
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.hash)
    }

    fn area(&self, number: u64) -> Option<BTreeMap<&'static str, &str>> {
        shown(&self.inner.areas, number)
    }

    fn contest(&self, number: u64) -> Option<BTreeMap<&'static str, &str>> {
        shown(&self.inner.contests, number)
    }

    fn choice(&self, contest: u64, choice: u64) -> Option<BTreeMap<&'static str, &str>> {
        let table = &self.inner.choices;
        table.choice(contest, choice).map(|cells| table.columns().iter().copied().zip(cells).collect())
    }

    fn station(&self, number: u64) -> Option<BTreeMap<&'static str, &str>> {
        shown(&self.inner.stations, number)
    }

    fn figure(&self, code: u64) -> Option<BTreeMap<&'static str, &str>> {
        shown(&self.inner.figures, code)
    }

    fn check(&self, number: u64) -> Option<BTreeMap<&'static str, &str>> {
        shown(&self.inner.checks, number)
    }
}

fn shown(table: &core::InformationTable, number: u64) -> Option<BTreeMap<&'static str, &str>> {
    table.row(number).map(|cells| table.columns().iter().copied().zip(cells).collect())
}

#[pyfunction]
pub(crate) fn check_statements(
    py: Python<'_>,
    statements: Vec<PyBackedBytes>,
    definition: &Definition,
    roster: &Roster,
) -> PyResult<Vec<Py<PyAny>>> {
    let signers = (&*definition.inner, &*roster.inner);
    let verdicts = py.detach(|| {
        let batch: Vec<&[u8]> = statements.iter().map(|statement| &**statement).collect();
        check_all(&batch, &signers, Statement::new)
    });
    let verdict = |verdict: tallygate_core::Result<Statement>| match verdict {
        Ok(statement) => Ok(Py::new(py, statement)?.into_any()),
        Err(error) => Ok(raise(error).into_value(py).into_any()),
    };
    verdicts.into_iter().map(verdict).collect()
}
