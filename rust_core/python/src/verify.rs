//! Keys and signatures.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tallygate_core::verify;
use zeroize::Zeroizing;

/// `bytes` as an array; the message of the error names the argument and never its content.
pub(crate) fn array<const N: usize>(bytes: &[u8], what: &str) -> PyResult<Zeroizing<[u8; N]>> {
    match bytes.try_into() {
        Ok(array) => Ok(Zeroizing::new(array)),
        Err(_) => Err(PyValueError::new_err(format!("{what} must have {N} bytes"))),
    }
}

#[pyfunction]
pub(crate) fn public_key<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &verify::public_key(&*array(seed, "seed")?)))
}

#[pyfunction]
pub(crate) fn verify_signature(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match (public_key.try_into(), signature.try_into()) {
        (Ok(public_key), Ok(signature)) => verify::signature(public_key, message, signature),
        _ => false,
    }
}

#[pyfunction]
pub(crate) fn verify_signatures(
    py: Python<'_>,
    batch: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>,
) -> Vec<bool> {
    py.detach(|| {
        let batch: Vec<(&[u8], &[u8], &[u8])> =
            batch.iter().map(|(key, message, signature)| (&**key, &**message, &**signature)).collect();
        verify::signatures(&batch)
    })
}

#[pyfunction]
pub(crate) fn enrollable(py: Python<'_>, public_keys: Vec<PyBackedBytes>) -> Vec<bool> {
    py.detach(|| {
        let keys: Vec<&[u8]> = public_keys.iter().map(|key| &**key).collect();
        verify::enrollable_all(&keys)
    })
}
