"""Entries of a log, read and checked in several processes: bundles, statements, signatures.

What lives here: what is done with one bundle (`check_bundle`), and `entries`, which gives those of many
bundles in their order while other processes check ahead.

A process knows the one key that all rosters of the feed have under a number, not which of them was in force:
a signature holds or does not whoever asks, and whether its signer may speak at this place of the log is asked
by whoever folds the log (`replay`). A number with several keys is left to that place too.
"""

import marshal
import multiprocessing
import os
import signal
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, NamedTuple, TypeAlias, cast

from clients.observer.verdict import CannotCheckError, DifferenceError, Folder, read
from clients.wire import feed, keys, statement, tiles
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from clients.wire.merkle import leaf_hash
from clients.wire.roster import Roster
from clients.wire.statement import MAX_STATEMENT_BYTES, Kind, Statement
from clients.wire.tiles import TILE_WIDTH, Bundle

# A full bundle of the largest statements, each behind its length.
MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (MAX_STATEMENT_BYTES + 2)
# Below it processes of our own cost more than they save: each takes a third of a second to start.
_MANY_BUNDLES: Final = 16
# Bundles a process that are checked ahead: enough work while a snapshot is looked at, and some megabytes.
_AHEAD: Final = 8
_DEVICE_BYTES: Final = 8

_Packed: TypeAlias = (
    "tuple[bytes, Kind, bytes, bytes, bytes, bytes, Content, bool]"
    " | tuple[bytes, str, str, str | None, int | None]"
)


class Keys(NamedTuple):
    """Public keys, packed so that a process can be given those of a million devices.

    Attributes:
        devices: numbers of 8 bytes each, in the machine's order, ascending.
        keys: the key of each.
        commission: by kid.
    """

    devices: bytes
    keys: bytes
    commission: Mapping[bytes, bytes]

    @classmethod
    def of(cls, commission: Mapping[bytes, bytes], rosters: Iterable[Roster]) -> "Keys":
        """Those of a commission and of rosters; a device with several keys is left out."""
        known: dict[int, bytes] = {}
        several: set[int] = set()
        for roster in rosters:
            for number, device in roster.devices.items():
                if known.setdefault(number, device.key) != device.key:
                    several.add(number)
        numbers = sorted(known.keys() - several)
        packed = memoryview(bytearray(_DEVICE_BYTES * len(numbers))).cast("Q")
        for place, number in enumerate(numbers):
            packed[place] = number
        return cls(packed.tobytes(), b"".join(known[number] for number in numbers), dict(commission))


class Entry(NamedTuple):
    """One entry of the log.

    Attributes:
        path: of the bundle that it was read from.
        leaf: its hash in the tree.
        statement: decoded; None: see `refusal`.
        verified: whether its signature is by the only key that its signer has; False: the signer is not known
            or has several, and no signature was looked at.
        refusal: why no log may have this entry, or None.
    """

    path: str
    leaf: bytes
    statement: Statement | None
    verified: bool = False
    refusal: WireError | None = None

    def refused(self, index: int, error: WireError) -> DifferenceError:
        """The difference that a log has this entry at this place."""
        offset = "" if error.offset is None else f", byte {error.offset}"
        rule = "" if error.rule is None else f" (rule {error.rule})"
        return DifferenceError(error.code, f"{error.detail}{rule}", self.path, f"entry {index}{offset}")


class Signers:
    """Looks for the keys of signers."""

    def __init__(self, known: Keys) -> None:
        self._numbers = memoryview(known.devices).cast("Q")
        self._keys = known.keys
        self._commission = known.commission

    def key(self, signed: Statement) -> bytes | None:
        """The only key that its signer has, if the statement names it."""
        if signed.kind == "decision":
            return self._commission.get(signed.kid)
        place = bisect_left(self._numbers, signed.device)
        if place == len(self._numbers) or self._numbers[place] != signed.device:
            return None
        key = self._keys[place * keys.KEY_BYTES : (place + 1) * keys.KEY_BYTES]
        return key if keys.kid(key) == signed.kid else None


def read_bundle(folder: Folder, bundle: Bundle) -> tuple[str, list[bytes]]:
    """The statements of a bundle; of the full one, where the narrower file has made way for it.

    Returns:
        The path of the file, and the statements.

    Raises:
        DifferenceError: it is missing or malformed.
        CannotCheckError: it cannot be read.
    """
    path = f"{feed.LOG}/{bundle.path}"
    width = bundle.width
    if width < TILE_WIDTH and not (folder / path).exists():
        whole = f"{feed.LOG}/{Bundle(bundle.number, TILE_WIDTH).path}"
        if (folder / whole).exists():
            path, width = whole, TILE_WIDTH
    data = read(folder, path, MAX_BUNDLE_BYTES, "an entry bundle")
    try:
        return path, tiles.decode_bundle(data, width)[: bundle.width]
    except WireError as error:
        raise DifferenceError(error.code, error.detail, path, f"byte {error.offset}") from error


def check_bundle(folder: Folder, bundle: Bundle, signers: Signers) -> Iterator[Entry]:
    """Read one bundle and check each of its entries.

    Args:
        folder: the feed's.
        bundle: the bundle.
        signers: who may have signed.

    Raises:
        DifferenceError: as `read_bundle`.
        CannotCheckError: as `read_bundle`.
    """
    path, held = read_bundle(folder, bundle)
    for data in held:
        leaf = leaf_hash(data)
        try:
            signed = statement.decode(data)
            key = signers.key(signed)
            if key is not None:
                statement.verify(signed, key)
        except WireError as error:
            yield Entry(path, leaf, None, refusal=error)
        else:
            yield Entry(path, leaf, signed, verified=key is not None)


def entries(
    folder: Folder, bundles: Sequence[Bundle], known: Keys, processes: int
) -> Generator[Entry, None, None]:
    """The entries of bundles, in their order; close the generator to end its processes.

    Args:
        folder: the feed's.
        bundles: ascending.
        known: who may have signed.
        processes: how many may run beside this one; few bundles are read in this one.

    Raises:
        DifferenceError: as `check_bundle`, where the bundle's turn comes.
        CannotCheckError: as `check_bundle`; `observer.process`: a process has died.
    """
    if processes < 1 or len(bundles) < _MANY_BUNDLES:
        signers = Signers(known)
        for bundle in bundles:
            yield from check_bundle(folder, bundle, signers)
        return
    pool = ProcessPoolExecutor(
        processes,
        # Neither threads nor memory of a large parent are taken along.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(folder, known),
    )
    try:
        waiting: deque[Future[bytes]] = deque()
        for bundle in bundles:
            waiting.append(pool.submit(_work, bundle))
            if len(waiting) > _AHEAD * processes:
                yield from _finished(waiting.popleft())
        while waiting:
            yield from _finished(waiting.popleft())
    except BrokenProcessPool as error:
        raise CannotCheckError(
            "observer.process", "a process that checked statements has died: is there enough memory?"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def usable_processes() -> int:
    """How many processes are of use on this machine beside the one that folds: a core each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finished(future: "Future[bytes]") -> Iterator[Entry]:
    read_from, packed = cast("tuple[str, list[_Packed]]", marshal.loads(future.result()))  # noqa: S302  ours
    return (_unpack(read_from, entry) for entry in packed)


# What a process was given at its start.
_given: tuple[Folder, Signers] | None = None


def _begin(folder: Folder, known: Keys) -> None:
    """A process's start: Ctrl-C is its parent's matter, and it never outlives the parent."""
    global _given
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _given = folder, Signers(known)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(bundle: Bundle) -> bytes:
    """One bundle's entries. marshal: nested tuples in a tenth of a statement's time."""
    assert _given is not None, "a process begins with _begin"  # noqa: S101
    folder, signers = _given
    checked = list(check_bundle(folder, bundle, signers))
    return marshal.dumps((checked[0].path, [_pack(entry) for entry in checked]))


def _pack(entry: Entry) -> _Packed:
    signed, refusal = entry.statement, entry.refusal
    if signed is None:
        if refusal is None:
            raise AssertionError("an entry is a statement or refused")
        return entry.leaf, refusal.code, refusal.detail, refusal.rule, refusal.offset
    parts = (signed.kind, signed.kid, signed.payload, signed.signature, signed.id, signed.content)
    return entry.leaf, *parts, entry.verified


def _unpack(path: str, packed: "_Packed") -> Entry:
    if len(packed) == 5:
        leaf, code, detail, rule, offset = packed
        return Entry(path, leaf, None, refusal=WireError(code, detail, rule=rule, offset=offset))
    leaf, kind, kid, payload, signature, id_, content, verified = packed
    return Entry(path, leaf, Statement(kind, kid, payload, signature, id_, content), verified)
