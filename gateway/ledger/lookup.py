"""What a batch has to know of the log before it is judged, in as few statements as possible.

What lives here: duplicates, conflicts and quotas looked up for a whole batch at once. Each step of SQLite
gives the GIL away and has to wait for it again, so a statement answers one row: JSON, which is "[]" for a
batch of nothing but new statements. How many entries a device has over each route is asked once and then
kept up; how many bytes it has about each station only of one that has entries enough to reach its quota.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import apsw
import msgspec

from gateway import _core
from gateway.base.errors import CoreError
from gateway.ledger.judge import Known, may_fill, payload
from gateway.ledger.protocol import Submission
from gateway.ledger.schema import Row, rows, value

_T = TypeVar("_T")

# Things that one statement looks for; lists are filled up to a power of two, so that eight prepared
# statements serve every batch.
_MOST_WANTED: Final = 128
# Devices whose entries are counted in memory, 300 bytes each; a night has some 50,000.
_MOST_COUNTED: Final = 131_072

FIND_IDS: Final = "SELECT json_group_array(json_array(hex(id), idx)) FROM entry WHERE id IN ({})"
# The same packet again has the same device and sequence: most batches find nothing here and are done. Kind 1.
FIND_PACKETS: Final = (
    "SELECT json_group_array(json_array(signer, sequence, hex(id), idx)) FROM entry INDEXED BY entry_signer "
    "WHERE kind = 1 AND (signer, sequence) IN (VALUES {})"
)
COUNT_ENTRIES: Final = (
    "SELECT json_group_array(json_array(signer, route, entries)) FROM ("
    "SELECT signer, route, count(*) AS entries FROM entry INDEXED BY entry_signer "
    "WHERE kind = 1 AND signer IN ({}) GROUP BY signer, route)"
)
OF_DEVICE: Final = "SELECT statement FROM entry INDEXED BY entry_signer WHERE kind = 1 AND signer = ?"
FIND_STATEMENTS: Final = "SELECT signer, sequence, statement FROM entry WHERE idx IN ({})"


class Lookup:
    """Looks up in one connection, under its owner's mutex."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._counted: set[int] = set()
        self._entries: dict[tuple[int, str], int] = {}
        # Of the counted devices: entries over all routes; and whose bytes are added up, by station.
        self._totals: Counter[int] = Counter()
        self._summed: set[int] = set()
        self._bytes: dict[tuple[int, int], int] = {}

    def places(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """The index of each id that the log holds.

        Raises:
            apsw.Error: whatever SQLite meets.
        """
        found: dict[bytes, int] = {}
        for part in _parts(ids):
            text = self._json(_statement(FIND_IDS, "?", len(part)), part)
            found |= {_unhex(identity): index for identity, index in _decode(text, list[tuple[str, int]])}
        return found

    def known(self, batch: Sequence[Submission]) -> tuple[dict[bytes, int], Known]:
        """The index of each statement that the log holds, and what the others' judgement depends on.

        Raises:
            apsw.Error: whatever SQLite meets.
        """
        pairs: list[tuple[int, int]] = []
        others: list[bytes] = []
        for submission in batch:
            statement = submission.statement
            device, sequence = statement.device, statement.sequence
            if device is None or sequence is None:
                others.append(statement.id)
            else:
                pairs.append((device, sequence))
        places = self.places(others)
        beside: dict[tuple[int, int], list[int]] = {}
        for part in _parts(pairs):
            bindings = tuple(cell for pair in part for cell in pair)
            text = self._json(_statement(FIND_PACKETS, "(?,?)", len(part)), bindings)
            for device, sequence, identity, index in _decode(text, list[tuple[int, int, str, int]]):
                places[_unhex(identity)] = index
                beside.setdefault((device, sequence), []).append(index)
        self._count({device for device, _ in pairs})
        self._sum(batch)
        payloads = self._payloads(batch, places, beside) if beside else {}
        return places, Known(payloads, self._entries, self._bytes)

    def committed(self, fresh: Iterable[Submission]) -> None:
        """Counts what the log now holds besides."""
        for one in fresh:
            statement = one.statement
            device, station = statement.device, statement.station
            if device is not None and device in self._counted:
                key = device, one.route
                self._entries[key] = self._entries.get(key, 0) + 1
                self._totals[device] += 1
            if device is not None and station is not None and device in self._summed:
                about = device, station
                self._bytes[about] = self._bytes.get(about, 0) + len(statement.encoded)

    def _count(self, devices: set[int]) -> None:
        missing = devices - self._counted
        if not missing:
            return
        if len(self._counted) + len(missing) > _MOST_COUNTED:
            self._counted.clear()
            self._entries.clear()
            self._totals.clear()
            self._summed.clear()
            self._bytes.clear()
            missing = devices
        for part in _parts(list(missing)):
            text = self._json(_statement(COUNT_ENTRIES, "?", len(part)), part)
            for device, route, entries in _decode(text, list[tuple[int, str, int]]):
                self._entries[device, route] = entries
                self._totals[device] += entries
            self._counted.update(part)

    def _sum(self, batch: Sequence[Submission]) -> None:
        """Adds up the bytes of those devices of the batch that may reach their quota with it."""
        coming: Counter[int] = Counter()
        quotas: dict[int, int] = {}
        for one in batch:
            device, quota = one.statement.device, one.station_bytes
            if device is not None and quota is not None and device not in self._summed:
                coming[device] += 1
                quotas[device] = min(quota, quotas.get(device, quota))
        for device, quota in quotas.items():
            if may_fill(self._totals[device] + coming[device], quota):
                for row in rows(self._connection, OF_DEVICE, (device,)):
                    match row:
                        case (bytes() as encoded,):
                            about = device, _station(encoded)
                            self._bytes[about] = self._bytes.get(about, 0) + len(encoded)
                        case _:
                            raise apsw.CorruptError("an entry's statement has changed")
                self._summed.add(device)

    def _payloads(
        self, batch: Sequence[Submission], places: dict[bytes, int], beside: dict[tuple[int, int], list[int]]
    ) -> dict[tuple[int, int], set[bytes]]:
        """The payloads that the log holds under the sequence of a new packet; seldom any."""
        wanted: set[int] = set()
        for submission in batch:
            statement = submission.statement
            if statement.device is not None and statement.sequence is not None and statement.id not in places:
                wanted.update(beside.get((statement.device, statement.sequence), ()))
        payloads: dict[tuple[int, int], set[bytes]] = {}
        for part in _parts(list(wanted)):
            for row in rows(self._connection, _statement(FIND_STATEMENTS, "?", len(part)), part):
                match row:
                    case (int() as device, int() as sequence, bytes() as encoded):
                        payloads.setdefault((device, sequence), set()).add(payload(encoded))
                    case _:
                        raise apsw.CorruptError("an entry's columns have changed")
        return payloads

    def _json(self, sql: str, bindings: Row) -> str:
        found = value(self._connection, sql, bindings)
        if not isinstance(found, str):
            raise apsw.CorruptError("SQLite does not answer in JSON")
        return found


def _station(encoded: bytes) -> int:
    """The station that a packet of the log names."""
    try:
        station = _core.decode(encoded).station
    except CoreError as error:
        raise apsw.CorruptError(f"an entry is no statement any more: {error}") from error
    if station is None:
        raise apsw.CorruptError("a packet has become a decision")
    return station


def _parts(things: Sequence[_T]) -> Iterator[tuple[_T, ...]]:
    """All of them, in lots whose lengths are powers of two; the last thing fills a lot up."""
    for at in range(0, len(things), _MOST_WANTED):
        part = tuple(things[at : at + _MOST_WANTED])
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))


@functools.cache
def _statement(sql: str, one: str, count: int) -> str:
    return sql.format(",".join([one] * count))


def _decode(text: str, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.MsgspecError as error:
        raise apsw.CorruptError(f"SQLite answers something else than was stored: {error}") from error


def _unhex(identity: str) -> bytes:
    try:
        return bytes.fromhex(identity)
    except ValueError as error:
        raise apsw.CorruptError("SQLite answers an id that is none") from error
