//! Statements: decode, encode, sign.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString, PyTuple};
use tallygate_core::cbor::{Item, MAX_DEPTH};
use tallygate_core::statement::{self, Attachment, Body, Frame, Kind};
use tallygate_core::{Hash, merkle};

use crate::error::raise;
use crate::verify::array;

/// A decoded statement: its bytes, and of its content what the gateway asks for again and again. The whole content may be a dozen
/// times as large as the bytes, so it is decoded again when it is wanted.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Statement {
    bytes: Vec<u8>,
    frame: Frame,
    kind: &'static str,
    definition: Hash,
    packet: Option<PacketHead>,
}

/// What stands in every packet before its report, and the papers that it names.
struct PacketHead {
    device: u64,
    station: u64,
    sequence: u64,
    report: u64,
    attachments: Vec<Attachment>,
}

impl Statement {
    /// Keeps what is needed of a decoded statement.
    pub(crate) fn new(bytes: &[u8], decoded: statement::Statement) -> Self {
        let (kind, definition, packet) = match decoded.body {
            Body::Packet(packet) => {
                let head = PacketHead {
                    device: packet.device,
                    station: packet.station,
                    sequence: packet.sequence,
                    report: packet.report.number(),
                    attachments: packet.attachments().to_vec(),
                };
                ("packet", packet.definition, Some(head))
            }
            Body::Decision(decision) => ("decision", decision.definition, None),
        };
        Self { bytes: bytes.to_vec(), frame: decoded.frame, kind, definition, packet }
    }

    /// The statement whole, of which this keeps only a part.
    pub(crate) fn decoded(&self) -> tallygate_core::Result<statement::Statement> {
        statement::decode(&self.bytes)
    }

    pub(crate) fn is_decision(&self) -> bool {
        self.packet.is_none()
    }

    fn payload_bytes(&self) -> &[u8] {
        &self.bytes[self.frame.payload()]
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
        self.kind
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
        PyBytes::new(py, &self.frame.kid)
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.payload_bytes())
    }

    #[getter]
    fn signature<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.signature)
    }

    #[getter]
    fn signed_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.signed_bytes(&self.bytes))
    }

    #[getter]
    fn definition<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.definition)
    }

    #[getter]
    fn device(&self) -> Option<u64> {
        self.packet.as_ref().map(|packet| packet.device)
    }

    #[getter]
    fn station(&self) -> Option<u64> {
        self.packet.as_ref().map(|packet| packet.station)
    }

    #[getter]
    fn sequence(&self) -> Option<u64> {
        self.packet.as_ref().map(|packet| packet.sequence)
    }

    #[getter]
    fn report(&self) -> Option<u64> {
        self.packet.as_ref().map(|packet| packet.report)
    }

    #[getter]
    fn attachments<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u64, u64, u64, u64)> {
        let papers = self.packet.iter().flat_map(|packet| &packet.attachments);
        papers
            .map(|paper| (PyBytes::new(py, &paper.sha256), paper.media, paper.size, paper.document, paper.page))
            .collect()
    }

    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &Item::decode(self.payload_bytes()).map_err(raise)?)
    }

    fn __repr__(&self) -> String {
        match &self.packet {
            Some(packet) => format!(
                "<Statement packet device={} station={} sequence={} report={}>",
                packet.device, packet.station, packet.sequence, packet.report
            ),
            None => "<Statement decision>".to_owned(),
        }
    }
}

#[pyfunction]
pub(crate) fn decode(statement: &[u8]) -> PyResult<Statement> {
    Ok(Statement::new(statement, statement::decode(statement).map_err(raise)?))
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
    // True is an int to Python and nothing to a packet.
    if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
        return value.extract().map(Item::Uint);
    }
    if depth < MAX_DEPTH && (value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyList>()) {
        return value.try_iter()?.map(|item| from_python(&item?, depth + 1)).collect::<PyResult<_>>().map(Item::Array);
    }
    Err(PyTypeError::new_err("a statement's content is made of int, bytes, str and tuples of them"))
}
