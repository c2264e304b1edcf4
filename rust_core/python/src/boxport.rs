//! The box port: TLS and HTTP of one connection, sans I/O.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tallygate_core::http;
use tallygate_core::tls::{self, Config, Connection, Files, StaleCrl, State};

use crate::error::raise;

/// Who the client's certificate says it is.
#[pyclass(frozen, eq, module = "gateway._core")]
#[derive(PartialEq)]
pub(crate) struct Peer {
    inner: tls::Peer,
}

#[pymethods]
impl Peer {
    #[getter]
    fn role(&self) -> &'static str {
        self.inner.role.name()
    }

    #[getter]
    fn id(&self) -> u64 {
        self.inner.id
    }

    #[getter]
    fn serial<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.serial)
    }

    #[getter]
    fn not_after(&self) -> u64 {
        self.inner.not_after
    }

    fn __repr__(&self) -> String {
        format!("<Peer {} {}>", self.inner.role.name(), self.inner.id)
    }
}

/// One request, with a short body.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Request {
    head: http::Head,
    body: Option<Py<PyBytes>>,
}

#[pymethods]
impl Request {
    #[getter]
    fn method(&self) -> &'static str {
        self.head.method.name()
    }

    #[getter]
    fn path(&self) -> &str {
        &self.head.path
    }

    #[getter]
    fn content_type(&self) -> Option<&str> {
        self.head.content_type.as_deref()
    }

    #[getter]
    fn content_length(&self) -> Option<u64> {
        self.head.content_length
    }

    #[getter]
    fn body(&self) -> Option<&Py<PyBytes>> {
        self.body.as_ref()
    }

    #[getter]
    fn keep_alive(&self) -> bool {
        self.head.keep_alive
    }

    fn __repr__(&self) -> String {
        format!("<Request {} {}>", self.head.method.name(), self.head.path)
    }
}

/// Certificate, key, CA and CRL of a box port.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct TlsConfig {
    inner: Arc<Config>,
}

#[pymethods]
impl TlsConfig {
    #[new]
    #[pyo3(signature = (*, certificate, key, ca, crl, election, crl_stale, now))]
    #[allow(clippy::too_many_arguments, reason = "each is a keyword")]
    fn new(
        py: Python<'_>,
        certificate: &[u8],
        key: &[u8],
        ca: &[u8],
        crl: &[u8],
        election: &str,
        crl_stale: &str,
        now: u64,
    ) -> PyResult<Self> {
        let stale = match crl_stale {
            "keep" => StaleCrl::Keep,
            "refuse" => StaleCrl::Refuse,
            _ => return Err(PyValueError::new_err("crl_stale is `keep` or `refuse`")),
        };
        // Without the GIL: a list of a hundred thousand serials takes 160 ms.
        let config = py.detach(|| Config::new(Files { certificate, key, ca, crl }, election, stale, now));
        Ok(Self { inner: Arc::new(config.map_err(raise)?) })
    }

    #[getter]
    fn ca<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.ca())
    }

    #[getter]
    fn certificate_not_after(&self) -> u64 {
        self.inner.certificate_not_after()
    }

    #[getter]
    fn ca_not_after(&self) -> u64 {
        self.inner.ca_not_after()
    }

    #[getter]
    fn crl_number<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.crl_number())
    }

    #[getter]
    fn crl_next_update(&self) -> u64 {
        self.inner.crl_next_update()
    }

    fn is_revoked(&self, serial: &[u8]) -> bool {
        self.inner.is_revoked(serial)
    }
}

/// One connection.
#[pyclass(module = "gateway._core")]
pub(crate) struct TlsConnection {
    inner: Connection,
    peer: Option<Py<Peer>>,
}

#[pymethods]
impl TlsConnection {
    #[new]
    #[pyo3(signature = (config, *, max_body))]
    fn new(config: &TlsConfig, max_body: usize) -> PyResult<Self> {
        Ok(Self { inner: Connection::new(Arc::clone(&config.inner), max_body).map_err(raise)?, peer: None })
    }

    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<(&'static str, Bound<'py, PyBytes>)> {
        // With the GIL: a handshake holds it for 100 µs at most. Released, it came back only after another thread's turn: 5 ms
        // where that one runs Python, and no gain where it runs SQLite.
        let (state, out) = self.inner.feed(data).map_err(raise)?;
        Ok((word(state), PyBytes::new(py, &out)))
    }

    fn eof<'py>(&mut self, py: Python<'py>) -> (&'static str, Bound<'py, PyBytes>) {
        let (state, out) = self.inner.eof();
        (word(state), PyBytes::new(py, &out))
    }

    #[getter]
    fn peer(&mut self, py: Python<'_>) -> PyResult<Option<Py<Peer>>> {
        if self.peer.is_none() {
            self.peer = self.inner.peer().map(|peer| Py::new(py, Peer { inner: peer.clone() })).transpose()?;
        }
        Ok(self.peer.as_ref().map(|peer| peer.clone_ref(py)))
    }

    #[getter]
    fn shown(&self) -> Option<Peer> {
        self.inner.shown().map(|peer| Peer { inner: peer.clone() })
    }

    #[getter]
    fn failure(&self) -> Option<&'static str> {
        self.inner.failure().map(tls::Failure::word)
    }

    #[getter]
    fn failure_detail(&self) -> Option<&str> {
        self.inner.failure_detail()
    }

    fn request(&mut self, py: Python<'_>) -> PyResult<Request> {
        let http::Request { head, body } = self.inner.request().map_err(raise)?;
        Ok(Request { head, body: body.map(|body| PyBytes::new(py, &body).unbind()) })
    }

    fn accept_body<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.inner.accept_body().map_err(raise)?))
    }

    fn body<'py>(&mut self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let (part, last) = self.inner.body().map_err(raise)?;
        Ok((PyBytes::new(py, &part), last))
    }

    fn respond<'py>(&mut self, py: Python<'py>, head: &[u8], body: &[u8], close: bool) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.respond(head, body, close))
    }

    fn close<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.close())
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::More => "more",
        State::Request => "request",
        State::Body => "body",
        State::Closed => "closed",
        State::Failed => "failed",
    }
}
