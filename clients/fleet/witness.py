"""What the log of a night holds, as far as a fleet can learn it: from the published feed, or by asking.

The feed's log is read whole, and its head must be the root of what was read. Where nothing is published, each
device asks the gateway for each of its statements.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from clients import files
from clients.fleet.audit import Log
from clients.fleet.device import Keys
from clients.fleet.history import History, Record
from clients.fleet.line import Lines
from clients.wire import answers, tiles
from clients.wire.answers import Refusal
from clients.wire.errors import WireError
from clients.wire.note import Checkpoint, VerifierKey, open_checkpoint
from clients.wire.statement import MAX_STATEMENT_BYTES

# Seconds until the newest entries must be in the feed: a snapshot takes one or two.
PUBLISHED_WITHIN = 30
_LOOK_SECONDS = 0.25
# Attempts of a device to ask for its statements, and seconds between them.
_ATTEMPTS = 8
_AGAIN_SECONDS = 2.0
_NOT_LOGGED: Final = "statement.not_logged"
_MAX_NOTE_BYTES = 16_384
_MAX_BUNDLE_BYTES = tiles.TILE_WIDTH * (MAX_STATEMENT_BYTES + 2)


async def published(folder: Path, hidden: Path, log_key: VerifierKey, least: int) -> Log | None:
    """The published log, once it has so many entries; None: nothing is published here, or not in time.

    Args:
        folder: `feed/log` of the night.
        hidden: `embargo/log` of the night: bundles that nobody outside may read yet.
        log_key: the log's.
        least: entries that it must have.

    Raises:
        WireError: what is there is not the log that its head says: `note.*`, `checkpoint.*`, `bundle.*`,
            `feed.log`, `file.*`.
    """
    if not (folder / "checkpoint").exists():
        return None
    with trio.move_on_after(PUBLISHED_WITHIN):
        while True:
            checkpoint = _head(folder, log_key)
            if checkpoint.size >= least:
                return _read(folder, hidden, checkpoint)
            await trio.sleep(_LOOK_SECONDS)
    return None


def _head(folder: Path, log_key: VerifierKey) -> Checkpoint:
    return open_checkpoint(files.read(folder / "checkpoint", _MAX_NOTE_BYTES, "a checkpoint"), log_key)


def _read(folder: Path, hidden: Path, checkpoint: Checkpoint) -> Log:
    entries: list[bytes] = []
    for bundle in tiles.bundles(checkpoint.size):
        # At the hour they are moved from there to the feed.
        try:
            data = files.read(hidden / bundle.path, _MAX_BUNDLE_BYTES, "a bundle of entries")
        except WireError:
            data = files.read(folder / bundle.path, _MAX_BUNDLE_BYTES, "a bundle of entries")
        entries += tiles.decode_bundle(data, bundle.width)
    log = Log(entries)
    if log.tree.root() != checkpoint.root:
        raise WireError(
            "feed.log",
            f"its {checkpoint.size:,} entries do not have the root that its head has signed",
            file=str(folder / "checkpoint"),
        )
    return log


async def asked(
    histories: Sequence[History], keys: Mapping[int, Keys], lines: Lines, log_key: VerifierKey
) -> Mapping[bytes, int | None]:
    """Ask the gateway for every signed statement, each device for its own.

    Returns:
        Each statement's place by its id; None: it is not in the log.

    Raises:
        WireError: the gateway cannot be asked (`line.*`), or an answer proves nothing.
    """
    found: dict[bytes, int | None] = {}

    async def ask(history: History) -> None:
        chance = random.Random(f"audit {history.device}")  # noqa: S311 - not a secret
        for attempt in range(1, _ATTEMPTS + 1):
            left = [record for record in history.records if record.data and record.id not in found]
            if not left:
                return
            try:
                await _ask(history.device, left, keys[history.device], lines, log_key, chance, found)
            except WireError:
                if attempt == _ATTEMPTS:
                    raise
                await trio.sleep(_AGAIN_SECONDS * chance.uniform(0.5, 1.5))

    try:
        async with trio.open_nursery() as nursery:
            for history in histories:
                nursery.start_soon(ask, history)
    except* WireError as failed:
        raise first_of(failed) from failed
    return found


async def _ask(
    device: int,
    records: Sequence[Record],
    keys: Keys,
    lines: Lines,
    log_key: VerifierKey,
    chance: random.Random,
    found: dict[bytes, int | None],
) -> None:
    """Ask for a device's statements over one connection, as far as it lasts."""
    async with lines.dial(device, keys.certificate, keys.tls_key, chance) as line:
        for place, record in enumerate(records, 1):
            answer = await line.request(
                "GET", f"{answers.STATEMENTS}/{record.id.hex()}", last=place == len(records)
            )
            match answers.judge(answer, record.data, log_key):
                case Refusal(code) as refusal:
                    if code != _NOT_LOGGED:
                        raise WireError(code, refusal.detail)
                    found[record.id] = None
                case logged:
                    found[record.id] = logged.index
            if not line.open:
                return


def first_of(group: BaseExceptionGroup[WireError]) -> WireError:
    """One error of a group: the others are of the same cause."""
    found = group.exceptions[0]
    return first_of(found) if isinstance(found, BaseExceptionGroup) else found
