"""What this program says that it is: its version, and the hash of the files that are installed."""

import hashlib
from pathlib import Path
from typing import Final

import gateway
from gateway import _core
from gateway.feed.models import Software

# What runs; caches that the interpreter writes itself are not part of it.
_SUFFIXES: Final = frozenset({".py", ".pyi", ".so"})


def installed() -> Software:
    """Reads every file of the package `gateway` (docs/feed.md, "software").

    Raises:
        OSError: one cannot be read.
    """
    root = Path(gateway.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
        if path.suffix in _SUFFIXES:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{sha256} {path.relative_to(root).as_posix()}\n".encode())
    return Software(digest.hexdigest(), _core.__version__)
