//! The log: tree, tiles, notes, receipts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tallygate_core::note::{self, VerifierKey};
use tallygate_core::tiles::{self, Tile};
use tallygate_core::{Hash, merkle, receipt};

use crate::error::raise;
use crate::verify::array;

fn hash(bytes: &[u8]) -> PyResult<Hash> {
    array(bytes, "hash").map(|hash| *hash)
}

fn hashes(path: &[PyBackedBytes]) -> PyResult<Vec<Hash>> {
    path.iter().map(|bytes| hash(bytes)).collect()
}

fn to_python<'py>(py: Python<'py>, hashes: &[Hash]) -> Vec<Bound<'py, PyBytes>> {
    hashes.iter().map(|hash| PyBytes::new(py, hash)).collect()
}

/// An append-only Merkle tree in memory.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct Tree {
    inner: Mutex<merkle::Tree>,
}

impl Tree {
    fn lock(&self) -> MutexGuard<'_, merkle::Tree> {
        // The core does not panic between two changes of a tree, so a poisoned lock guards a whole one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Tree {
    #[new]
    fn new() -> Self {
        Self { inner: Mutex::default() }
    }

    #[getter]
    fn size(&self) -> u64 {
        self.lock().size()
    }

    fn append(&self, py: Python<'_>, leaf_hashes: Vec<PyBackedBytes>) -> PyResult<()> {
        let leaves = hashes(&leaf_hashes)?;
        py.detach(|| {
            let mut tree = self.lock();
            for leaf in leaves {
                tree.append(leaf);
            }
        });
        Ok(())
    }

    fn append_verified(
        &self,
        py: Python<'_>,
        statements: Vec<PyBackedBytes>,
        ids: Vec<PyBackedBytes>,
        leaf_hashes: Vec<PyBackedBytes>,
    ) -> PyResult<Option<usize>> {
        if ids.len() != statements.len() || leaf_hashes.len() != statements.len() {
            return Err(PyValueError::new_err("each statement needs its id and its leaf hash"));
        }
        Ok(py.detach(|| {
            let statements: Vec<&[u8]> = statements.iter().map(|statement| &**statement).collect();
            let hashes = merkle::hash_statements(&statements);
            let agrees = |((id, leaf), (given_id, given_leaf)): (&(Hash, Hash), (&PyBackedBytes, &PyBackedBytes))| {
                **given_id == id[..] && **given_leaf == leaf[..]
            };
            let differs = hashes.iter().zip(ids.iter().zip(&leaf_hashes)).position(|pair| !agrees(pair));
            if differs.is_none() {
                let mut tree = self.lock();
                for (_, leaf) in &hashes {
                    tree.append(*leaf);
                }
            }
            differs
        }))
    }

    fn truncate(&self, size: u64) -> PyResult<()> {
        self.lock().truncate(size).map_err(raise)
    }

    #[pyo3(signature = (size=None))]
    fn root<'py>(&self, py: Python<'py>, size: Option<u64>) -> PyResult<Bound<'py, PyBytes>> {
        let tree = self.lock();
        let root = tree.root(size.unwrap_or_else(|| tree.size())).map_err(raise)?;
        Ok(PyBytes::new(py, &root))
    }

    fn inclusion<'py>(&self, py: Python<'py>, index: u64, size: u64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let path = self.lock().inclusion(index, size).map_err(raise)?;
        Ok(to_python(py, &path))
    }

    fn consistency<'py>(&self, py: Python<'py>, old: u64, new: u64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let path = self.lock().consistency(old, new).map_err(raise)?;
        Ok(to_python(py, &path))
    }

    fn tile<'py>(&self, py: Python<'py>, level: u32, number: u64, width: u64) -> PyResult<Bound<'py, PyBytes>> {
        let content = Tile { level, number, width }.content(&self.lock()).map_err(raise)?;
        Ok(PyBytes::new(py, &content))
    }
}

#[pyfunction]
pub(crate) fn leaf_hash<'py>(py: Python<'py>, statement: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &merkle::leaf_hash(statement))
}

#[pyfunction]
pub(crate) fn verify_inclusion(
    leaf_hash: &[u8],
    index: u64,
    size: u64,
    path: Vec<PyBackedBytes>,
    root: &[u8],
) -> PyResult<()> {
    merkle::verify_inclusion(&hash(leaf_hash)?, index, size, &hashes(&path)?, &hash(root)?).map_err(raise)
}

#[pyfunction]
pub(crate) fn verify_consistency(
    old: u64,
    old_root: &[u8],
    new: u64,
    new_root: &[u8],
    path: Vec<PyBackedBytes>,
) -> PyResult<()> {
    merkle::verify_consistency(old, &hash(old_root)?, new, &hash(new_root)?, &hashes(&path)?).map_err(raise)
}

#[pyfunction]
pub(crate) fn tiles_between(old: u64, new: u64) -> PyResult<Vec<(u32, u64, u64)>> {
    let tiles = tiles::between(old, new).map_err(raise)?;
    Ok(tiles.into_iter().map(|tile| (tile.level, tile.number, tile.width)).collect())
}

#[pyfunction]
pub(crate) fn tile_path(level: u32, number: u64, width: u64) -> PyResult<String> {
    Tile { level, number, width }.path().map_err(raise)
}

#[pyfunction]
pub(crate) fn bundle_path(number: u64, width: u64) -> PyResult<String> {
    tiles::bundle_path(number, width).map_err(raise)
}

#[pyfunction]
pub(crate) fn encode_bundle(statements: Vec<PyBackedBytes>) -> PyResult<Vec<u8>> {
    let statements: Vec<&[u8]> = statements.iter().map(|statement| &**statement).collect();
    tiles::encode_bundle(&statements).map_err(raise)
}

#[pyfunction]
pub(crate) fn decode_bundle<'py>(py: Python<'py>, bundle: &[u8], width: u64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let statements = tiles::decode_bundle(bundle, width).map_err(raise)?;
    Ok(statements.into_iter().map(|statement| PyBytes::new(py, statement)).collect())
}

#[pyfunction]
pub(crate) fn decode_tile<'py>(py: Python<'py>, tile: &[u8], width: u64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    Ok(to_python(py, &tiles::decode_tile(tile, width).map_err(raise)?))
}

#[pyfunction]
pub(crate) fn vkey(name: &str, public_key: &[u8]) -> PyResult<String> {
    let key = VerifierKey::new(name, *array(public_key, "public key")?).map_err(raise)?;
    Ok(key.to_string())
}

/// Signs notes under one name with one Ed25519 key.
#[pyclass(frozen, module = "gateway._core")]
pub(crate) struct NoteSigner {
    inner: note::Signer,
}

#[pymethods]
impl NoteSigner {
    #[new]
    fn new(name: &str, seed: &[u8]) -> PyResult<Self> {
        let inner = note::Signer::new(name, &*array(seed, "seed")?).map_err(raise)?;
        Ok(Self { inner })
    }

    #[getter]
    fn vkey(&self) -> String {
        self.inner.verifier().to_string()
    }

    fn sign(&self, text: &str) -> PyResult<String> {
        self.inner.sign(text).map_err(raise)
    }

    fn sign_checkpoint(&self, size: u64, root: &[u8]) -> PyResult<String> {
        self.inner.sign_checkpoint(size, hash(root)?).map_err(raise)
    }

    fn __repr__(&self) -> String {
        format!("<NoteSigner {}>", self.inner.verifier().name())
    }
}

/// The signed head of a log.
#[pyclass(frozen, eq, module = "gateway._core")]
#[derive(PartialEq)]
pub(crate) struct Checkpoint {
    inner: note::Checkpoint,
}

#[pymethods]
impl Checkpoint {
    #[new]
    fn new(origin: &str, size: u64, root: &[u8]) -> PyResult<Self> {
        Ok(Self { inner: note::Checkpoint::new(origin, size, hash(root)?).map_err(raise)? })
    }

    #[getter]
    fn origin(&self) -> &str {
        &self.inner.origin
    }

    #[getter]
    fn size(&self) -> u64 {
        self.inner.size
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.root)
    }

    #[getter]
    fn text(&self) -> String {
        self.inner.text()
    }

    fn __repr__(&self) -> String {
        format!("<Checkpoint {} size={}>", self.inner.origin, self.inner.size)
    }
}

#[pyfunction]
pub(crate) fn open_note(note: &[u8], vkey: &str) -> PyResult<String> {
    let key = VerifierKey::parse(vkey).map_err(raise)?;
    Ok(note::open(note, &key).map_err(raise)?.to_owned())
}

#[pyfunction]
pub(crate) fn open_checkpoint(note: &[u8], vkey: &str) -> PyResult<Checkpoint> {
    let key = VerifierKey::parse(vkey).map_err(raise)?;
    Ok(Checkpoint { inner: note::Checkpoint::open(note, &key).map_err(raise)? })
}

#[pyfunction]
pub(crate) fn format_receipt(index: u64, path: Vec<PyBackedBytes>, note: &str) -> PyResult<String> {
    receipt::format(index, &hashes(&path)?, note).map_err(raise)
}

#[pyfunction]
pub(crate) fn verify_receipt(receipt: &[u8], statement: &[u8], vkey: &str) -> PyResult<(u64, Checkpoint)> {
    let key = VerifierKey::parse(vkey).map_err(raise)?;
    let (index, inner) = receipt::verify(receipt, statement, &key).map_err(raise)?;
    Ok((index, Checkpoint { inner }))
}
