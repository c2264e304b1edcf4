"""Canonical tables and manifests: one spelling for every value, so that the same election has the same bytes.

A table: UTF-8 without BOM, a header, LF after every line, ``,`` between cells, a cell quoted only if it holds
``,`` or ``"`` (RFC 4180). A manifest: RFC 8785. Readers refuse anything else.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from gateway import _core

Json: TypeAlias = "int | str | Sequence[Json] | dict[str, Json] | None"

_ROWS_AT_ONCE = 10_000
"""Rows joined for one write: a few megabytes."""


def quoted(text: str) -> str:
    """A text cell."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text else text


def line(*cells: int | str | None) -> str:
    """A row without its line feed; None is an empty cell."""
    return ",".join(
        [quoted(cell) if isinstance(cell, str) else "" if cell is None else str(cell) for cell in cells]
    )


def numbers(several: Iterable[int]) -> str:
    """A cell that holds several numbers."""
    return " ".join(map(str, several))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[str]) -> dict[str, Json]:
    """Write a table and give what its manifest says of it.

    Args:
        path: the new file.
        columns: the header.
        rows: what `line` makes, sorted by the key columns.
    """
    digest = hashlib.sha256()
    count = size = 0
    lines = [",".join(columns)]
    left: Iterator[str] = iter(rows)
    with path.open("xb") as file:
        while lines:
            data = ("\n".join(lines) + "\n").encode()
            digest.update(data)
            file.write(data)
            size += len(data)
            count += len(lines)
            lines = list(islice(left, _ROWS_AT_ONCE))
    return {"rows": count - 1, "sha256": digest.hexdigest(), "size": size}


def write_manifest(path: Path, manifest: dict[str, Json]) -> bytes:
    """Write a manifest and give its SHA-256."""
    data = _core.canonical_json(manifest)
    path.write_bytes(data)
    return hashlib.sha256(data).digest()
