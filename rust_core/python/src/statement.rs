//! Statements: decode, encode, sign.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};
use tallygate_core::cbor::{Item, MAX_DEPTH};
use tallygate_core::merkle;
use tallygate_core::statement::{self, Body, Kind};

use crate::error::raise;
use crate::verify::array;

/// A decoded statement.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Statement {
    bytes: Vec<u8>,
    inner: statement::Statement,
}

impl Statement {
    pub(crate) fn new(bytes: Vec<u8>, inner: statement::Statement) -> Self {
        Self { bytes, inner }
    }

    fn packet(&self) -> Option<&statement::Packet> {
        match &self.inner.body {
            Body::Packet(packet) => Some(packet),
            Body::Decision(_) => None,
        }
    }

    fn payload_bytes(&self) -> &[u8] {
        &self.bytes[self.inner.payload()]
    }
}

#[pymethods]
impl Statement {
    #[getter]
    fn encoded<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.inner.body.kind() {
            Kind::Packet => "packet",
            Kind::Decision => "decision",
        }
    }

    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &statement::id(&self.bytes))
    }

    #[getter]
    fn leaf_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &merkle::leaf_hash(&self.bytes))
    }

    #[getter]
    fn kid<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.kid)
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.payload_bytes())
    }

    #[getter]
    fn signature<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.signature)
    }

    #[getter]
    fn signed_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.signed_bytes(&self.bytes))
    }

    #[getter]
    fn definition<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let definition = match &self.inner.body {
            Body::Packet(packet) => &packet.definition,
            Body::Decision(decision) => &decision.definition,
        };
        PyBytes::new(py, definition)
    }

    #[getter]
    fn device(&self) -> Option<u64> {
        self.packet().map(|packet| packet.device)
    }

    #[getter]
    fn station(&self) -> Option<u64> {
        self.packet().map(|packet| packet.station)
    }

    #[getter]
    fn sequence(&self) -> Option<u64> {
        self.packet().map(|packet| packet.sequence)
    }

    #[getter]
    fn report(&self) -> Option<u64> {
        self.packet().map(|packet| packet.report.number())
    }

    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &Item::decode(self.payload_bytes()).map_err(raise)?)
    }

    fn __repr__(&self) -> String {
        match &self.inner.body {
            Body::Packet(packet) => format!(
                "<Statement packet device={} station={} sequence={} report={}>",
                packet.device,
                packet.station,
                packet.sequence,
                packet.report.number()
            ),
            Body::Decision(decision) => {
                format!("<Statement decision number={} action={}>", decision.number, decision.action.number())
            }
        }
    }
}

#[pyfunction]
pub(crate) fn decode(statement: &[u8]) -> PyResult<Statement> {
    let inner = statement::decode(statement).map_err(raise)?;
    Ok(Statement::new(statement.to_vec(), inner))
}

#[pyfunction]
pub(crate) fn encode_payload(kind: &str, content: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    statement::encode_payload(read_kind(kind)?, &from_python(content, 0)?).map_err(raise)
}

#[pyfunction]
pub(crate) fn sign(kind: &str, content: &Bound<'_, PyAny>, seed: &[u8]) -> PyResult<Vec<u8>> {
    let payload = from_python(content, 0)?.encode();
    statement::sign(read_kind(kind)?, &payload, &*array(seed, "seed")?).map_err(raise)
}

fn read_kind(kind: &str) -> PyResult<Kind> {
    match kind {
        "packet" => Ok(Kind::Packet),
        "decision" => Ok(Kind::Decision),
        _ => Err(PyTypeError::new_err("a statement is a \"packet\" or a \"decision\"")),
    }
}

fn to_python<'py>(py: Python<'py>, item: &Item) -> PyResult<Bound<'py, PyAny>> {
    Ok(match item {
        Item::Uint(value) => value.into_pyobject(py)?.into_any(),
        Item::Bytes(content) => PyBytes::new(py, content).into_any(),
        Item::Text(content) => PyString::new(py, content).into_any(),
        Item::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| to_python(py, item)).collect::<PyResult<_>>()?;
            PyTuple::new(py, items)?.into_any()
        }
    })
}

fn from_python(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Item> {
    if let Ok(content) = value.cast::<PyBytes>() {
        return Ok(Item::Bytes(content.as_bytes().to_vec()));
    }
    if let Ok(content) = value.cast::<PyString>() {
        return Ok(Item::Text(content.to_cow()?.into_owned()));
    }
    if value.is_instance_of::<PyInt>() {
        return value.extract().map(Item::Uint);
    }
    if depth < MAX_DEPTH && (value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyList>()) {
        return value.try_iter()?.map(|item| from_python(&item?, depth + 1)).collect::<PyResult<_>>().map(Item::Array);
    }
    Err(PyTypeError::new_err("a statement's content is made of int, bytes, str and tuples of them"))
}
