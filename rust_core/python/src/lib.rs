//! `gateway._core`: the binding of `tallygate-core`. Conversions and nothing else; one file for each part of the core.
//!
//! Values are frozen, so that they may be shared between threads; the GIL is released around batches and loading. Batches run on
//! rayon's threads, which a fork does not take along: a process that has used them starts another program, it does not fork.
#![forbid(unsafe_code)]
#![allow(clippy::needless_pass_by_value, reason = "what comes from Python arrives as values")]

mod authority;
mod boxport;
mod definition;
mod error;
mod json;
mod log;
mod statement;
mod tally;
mod verify;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use super::{PyResult, authority, boxport, definition, json, log, statement, tally, verify};
    use pyo3::prelude::*;

    #[pymodule_export]
    use authority::Authority;
    #[pymodule_export]
    use boxport::{Peer, Request, TlsConfig, TlsConnection};
    #[pymodule_export]
    use definition::{
        Area, Check, Choice, Contest, Courier, Definition, Device, Figure, Information, Roster, Station,
        check_statements,
    };
    #[pymodule_export]
    use json::canonical_json;
    #[pymodule_export]
    use log::{
        Checkpoint, NoteSigner, Tree, bundle_path, decode_bundle, decode_tile, encode_bundle, format_receipt,
        leaf_hash, open_checkpoint, open_note, tile_path, tiles_between, verify_consistency, verify_inclusion,
        verify_receipt, vkey,
    };
    #[pymodule_export]
    use statement::{Statement, decode, encode_payload, sign};
    #[pymodule_export]
    use tally::{Tally, shares};
    #[pymodule_export]
    use verify::{enrollable, public_key, verify_signature, verify_signatures};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
