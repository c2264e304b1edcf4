"""``data/last-snapshot``: which number was used last, whatever has become of its files.

What lives here: `LastSnapshot`, its reading, and the one error that ends the publisher when its disk does not
do what it is told.
"""

from pathlib import Path
from typing import Literal

import msgspec

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded

# Bytes of the file: a checkpoint with the cosignatures of sixteen witnesses, and room for their escapes.
_MAX_RECORD = 65_536

# What was being done when the disk failed, as the metric names it.
Operation = Literal["start", "snapshot", "prune"]


class FeedFailedError(TallygateError):
    """The feed cannot be written: ``publish.failed``. Who catches it stops the process.

    Nothing that was published is touched by it; the next start looks at what is really on the disk.

    Attributes:
        operation: what was being done.
    """

    def __init__(self, operation: Operation, error: OSError) -> None:
        place = "" if error.filename is None else str(error.filename)
        super().__init__(
            "publish.failed",
            f"the feed cannot be written ({error.strerror or error}), and what is published stays as it is: "
            "look at the disk (full, read-only, failing, another user's files after a run as root); the next "
            "start continues where this one stopped",
            place=place,
        )
        self.operation = operation


class LastSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``data/last-snapshot``.

    Attributes:
        number: of the snapshot.
        sha256: of its file, hex.
        checkpoint: the signed head in log/checkpoint, so that it can come back byte for byte.
        clean: the publisher has ended well, with everything durable; not so while it runs.
    """

    number: int
    sha256: str
    checkpoint: str
    clean: bool = False

    def encode(self) -> bytes:
        """The file's bytes."""
        return msgspec.json.encode(self) + b"\n"


def read_record(path: Path) -> LastSnapshot | None:
    """What was published last; None: nothing.

    Raises:
        TallygateError: ``publish.record``.
        OSError: it cannot be read.
    """
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_RECORD), type=LastSnapshot)
    except FileNotFoundError:
        return None
    except (TallygateError, msgspec.MsgspecError) as error:
        raise TallygateError(
            "publish.record",
            f"this is not the record of the last snapshot ({error}): put back a copy of it, or remove it; "
            "what lies in feed/snapshots is then the record",
            place=str(path),
        ) from None
