//! The one conversion of the core's errors into `gateway.base.errors.CoreError`.

use pyo3::PyErr;
use tallygate_core::Error;

mod imported {
    pyo3::import_exception!(gateway.base.errors, CoreError);
}

/// The Python exception for `error`: code, detail, rule, offset, file, line, column.
pub(crate) fn raise(error: Error) -> PyErr {
    let (code, detail) = (error.code(), error.to_string());
    let (mut rule, mut place, mut file, mut row, mut field) = (None, None, None, None, None);
    match error {
        Error::Statement { rule: broken, offset } => (rule, place) = (Some(broken.word()), Some(offset)),
        Error::Manifest { file: name, .. } => file = Some(name.to_owned()),
        Error::Table { file: name, line, column, .. } => (file, row, field) = (Some(name), line, column),
        Error::Tls { fault, .. } => file = Some(fault.file().to_owned()),
        Error::Request { offset, .. } => place = offset,
        Error::UnknownSigner(_)
        | Error::Signature
        | Error::Log { .. }
        | Error::Json(_)
        | Error::Argument(_)
        | Error::Fault => {}
    }
    imported::CoreError::new_err((code, detail, rule, place, file, row, field))
}
