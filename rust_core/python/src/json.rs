//! Canonical JSON for Python values.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString, PyTuple};
use tallygate_core::Error;
use tallygate_core::jcs::{self, MAX_DEPTH, Value};

use crate::error::raise;

#[pyfunction]
pub(crate) fn canonical_json(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    jcs::write(&from_python(value, 0)?).map_err(raise)
}

fn from_python(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(raise(Error::Json("arrays and objects stand too deep within each other")));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("canonical JSON of this project has no true and false"));
    }
    if value.is_instance_of::<PyInt>() {
        return match value.extract() {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => Err(raise(Error::Json("numbers must be integers from 0 to 2^53-1"))),
        };
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::Str(text.to_cow()?.into_owned()));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return value.try_iter()?.map(|item| from_python(&item?, depth + 1)).collect::<PyResult<_>>().map(Value::List);
    }
    if let Ok(members) = value.cast::<PyDict>() {
        return members
            .iter()
            .map(|(key, member)| Ok((key.extract::<String>()?, from_python(&member, depth + 1)?)))
            .collect::<PyResult<_>>()
            .map(Value::Map);
    }
    Err(PyTypeError::new_err("canonical JSON takes None, int, str, list, tuple and dict"))
}
