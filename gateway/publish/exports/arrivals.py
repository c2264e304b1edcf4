"""arrivals.csv: when and over whose line each entry came, as this gateway says (docs/exports.md).

What lives here: `Arrivals`, where the publisher notes it as the entries come, and the copy of its beginning.
None of it is in the log: whoever reads it believes the gateway.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.base.clock import format_time
from gateway.feed.exports import ARRIVALS
from gateway.ledger.protocol import Entry
from gateway.publish.exports.writing import BOM, Output, cell, line

# The file itself says whose word it is.
COLUMNS: Final = ("index", "gateway_says_received_at", "gateway_says_route")
# Bytes that are read at once.
_CHUNK: Final = 1_048_576


class Arrivals:
    """Arrivals of every entry so far, in a temporary file without a name; a start fills it again.

    Args:
        folder: for the file.

    Attributes:
        size: how many entries are noted.

    Raises:
        OSError: of every method: the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        # Closed by `close`.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self.size = 0

    @property
    def descriptor(self) -> int:
        """Of the file: `copy` reads it, in this process or in one that has inherited it."""
        return self._file.fileno()

    def note(self, entries: Sequence[Entry]) -> None:
        """Takes the log's next entries."""
        rows = (line(str(one.index), format_time(one.received_at), cell(one.route)) for one in entries)
        self._file.write("".join(rows).encode())
        self._file.flush()
        self.size += len(entries)

    def close(self) -> None:
        """Forgets them."""
        self._file.close()


class ArrivalsCsv:
    """Writes the file."""

    name = ARRIVALS

    def __init__(self, output: Output) -> None:
        self._output = output

    def copy(self, descriptor: int, size: int) -> None:
        """Takes the arrivals of the first entries.

        Args:
            descriptor: of the file of an `Arrivals`.
            size: how many; at least as many are noted.

        Raises:
            ValueError: there are fewer.
        """
        self._output.text(BOM + line(*COLUMNS))
        left = size
        for chunk in _chunks(descriptor):
            lines = chunk.count(b"\n")
            if lines < left:
                self._output.write(chunk)
                left -= lines
                continue
            end = 0
            for _ in range(left):
                end = chunk.index(b"\n", end) + 1
            self._output.write(chunk[:end])
            return
        raise ValueError(f"{left} arrivals are not noted")


def _chunks(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        offset += len(chunk)
        yield chunk
