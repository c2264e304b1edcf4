"""Where the files of a feed are, below its folder (docs/feed.md, "Files")."""

from typing import Final

LATEST: Final = "latest.json"
CHECKPOINT: Final = "log/checkpoint"
LOG_KEY: Final = "keys/log.vkey"
SNAPSHOT_KEY: Final = "keys/snapshot.vkey"
ATTACHMENTS: Final = "attachments"
MESSAGES: Final = "messages.json"
EXPORTS: Final = "exports"
# The note of the newest exports.
EXPORTS_LATEST: Final = f"{EXPORTS}/latest.note"

# Bytes of latest.json: ten thousand areas right below the root, or as many rows, and as many again.
MAX_LATEST: Final = 16_777_216
# Bytes of a note (docs/log.md).
MAX_NOTE: Final = 16_384

# Stations in one folder: a directory of thousands is slow to list, and to copy.
_STATIONS_A_FOLDER: Final = 1_000


def snapshot(number: int) -> str:
    """A snapshot, from 1."""
    return f"snapshots/{number}.json"


def note(number: int) -> str:
    """A snapshot's signed note."""
    return f"snapshots/{number}.note"


def changes(number: int) -> str:
    """What a snapshot has changed."""
    return f"snapshots/{number}.changes.json"


def exports(number: int) -> str:
    """The folder of the exports of a snapshot."""
    return f"{EXPORTS}/{number}"


def exports_note(number: int) -> str:
    """The signed note of a snapshot's exports."""
    return f"{EXPORTS}/{number}.note"


def schema(name: str) -> str:
    """A JSON Schema."""
    return f"schemas/{name}.schema.json"


def area(number: int, sha256: bytes) -> str:
    """An area's object."""
    return f"areas/{number}/{sha256.hex()}.json"


def station(number: int, version: int) -> str:
    """A station's object."""
    return f"stations/{number // _STATIONS_A_FOLDER}/{number}-{version}.json"


def decisions(sha256: bytes) -> str:
    """All decisions."""
    return f"decisions/{sha256.hex()}.json"


def definition(sha256: bytes) -> str:
    """The folder of election.json."""
    return f"definition/{sha256.hex()}"


def roster(sha256: bytes) -> str:
    """The folder of a roster.json."""
    return f"roster/{sha256.hex()}"


def information(sha256: bytes) -> str:
    """The folder of an information.json."""
    return f"information/{sha256.hex()}"


def attachment(sha256: bytes) -> str:
    """A paper; its medium is that of its first bytes (`gateway.base.media`)."""
    return f"{ATTACHMENTS}/{sha256.hex()}"


def log(path: str) -> str:
    """A tile or an entry bundle (`_core.tile_path`, `_core.bundle_path`)."""
    return f"log/{path}"
