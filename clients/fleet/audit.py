"""The audit behind a play: the devices' own histories against the log.

Every delivered statement is in the log exactly once, where its receipts say; every receipt proves it, and its
head is one that the log of today extends; what was refused for ever is not in it; what was never answered is
in it or not; and no statement of these devices is in it that they have not signed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clients.fleet.history import History, Record
from clients.wire import receipt, statement
from clients.wire.errors import WireError
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.note import VerifierKey

# Faults that a report lists one by one; of more, the number says enough.
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Something that must not be.

    Attributes:
        code: `audit.…`.
        device: whose statement it is.
        sequence: of the statement; 0: of none in particular.
        detail: a sentence.
    """

    code: str
    device: int
    sequence: int
    detail: str


@dataclass(slots=True)
class Audit:
    """What an audit has found.

    Attributes:
        log: `feed`: the published log was read; `asked`: the gateway was asked for each statement; `none`:
            neither could be done.
        size: entries of the log; None where it was not read.
        delivered: statements that are delivered, each of which was looked for.
        receipts: that were verified.
        unacknowledged_in: statements that were sent, never answered, and are in the log.
        unacknowledged_out: the same, not in it.
        refused: statements that were refused for ever, each of which was looked for.
        faults: the first of what must not be.
        more: how many there are besides.
    """

    log: str
    size: int | None = None
    delivered: int = 0
    receipts: int = 0
    unacknowledged_in: int = 0
    unacknowledged_out: int = 0
    refused: int = 0
    faults: list[AuditFault] = field(default_factory=list)
    more: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.more

    def fault(self, code: str, device: int, sequence: int, detail: str) -> None:
        """Add one."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(AuditFault(code, device, sequence, detail))
        else:
            self.more += 1


class Log:
    """A log that was read whole.

    Attributes:
        entries: its statements, in order.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = entries
        self.tree = Tree(map(leaf_hash, entries))
        self._places: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, entry in enumerate(entries):
            self._places[hashlib.sha256(entry).digest()].append(index)

    def places(self, statement_id: bytes) -> Sequence[int]:
        """Where a statement is."""
        return self._places.get(statement_id, ())

    def ids(self) -> Iterator[tuple[bytes, int]]:
        """Every statement's id with its first place."""
        return ((statement_id, places[0]) for statement_id, places in self._places.items())


def of_log(histories: Sequence[History], log: Log, log_key: VerifierKey) -> Audit:
    """Judge by the whole log.

    Args:
        histories: of every device of the fleet.
        log: the published one, its head verified.
        log_key: what receipts are verified with.
    """
    audit = Audit("feed", len(log.entries))
    known: set[bytes] = set()
    roots: dict[int, bytes] = {}
    for history, record in _signed(histories, audit):
        known.add(record.id)
        places = log.places(record.id)
        _judge(audit, history.device, record, places)
        for promise in record.promises:
            size = promise.size
            root = _verify(audit, history.device, record, promise.receipt, promise.index, log_key)
            if root is not None and size > len(log.entries):
                audit.fault("audit.size", history.device, record.sequence, _of_size(size, len(log.entries)))
            elif root is not None:
                if size not in roots:
                    roots[size] = log.tree.root(size)
                if roots[size] != root:
                    detail = (
                        f"the head of {size} entries in its receipt is not one of this log: it has forked"
                    )
                    audit.fault("audit.fork", history.device, record.sequence, detail)
    _judge_foreign(audit, {history.kid: history.device for history in histories}, known, log)
    return audit


def of_answers(
    histories: Sequence[History], answers: Mapping[bytes, int | None], log_key: VerifierKey
) -> Audit:
    """Judge by what the gateway answers for each statement: it cannot show doubled and foreign ones.

    Args:
        histories: of every device of the fleet.
        answers: each signed statement's place by its id; None: it is not in the log.
        log_key: what receipts are verified with.
    """
    audit = Audit("asked")
    for history, record in _signed(histories, audit):
        place = answers[record.id]
        _judge(audit, history.device, record, () if place is None else (place,))
        for promise in record.promises:
            _verify(audit, history.device, record, promise.receipt, promise.index, log_key)
    return audit


def impossible(error: WireError) -> Audit:
    """What is found where no log can be read and nobody can be asked."""
    audit = Audit("none")
    audit.fault("audit.impossible", 0, 0, str(error))
    return audit


def _signed(histories: Sequence[History], audit: Audit) -> Iterator[tuple[History, Record]]:
    for history in histories:
        for code in history.distrusted:
            detail = f"the gateway has given this device something that proves nothing [{code}]"
            audit.fault("audit.untrue", history.device, 0, detail)
        for record in history.records:
            if record.data:
                yield history, record


def _judge(audit: Audit, device: int, record: Record, places: Sequence[int]) -> None:
    number = record.sequence
    if record.promises:
        audit.delivered += 1
        promised = {promise.index for promise in record.promises}
        if not places:
            audit.fault("audit.lost", device, number, f"promised at {min(promised)}, and not in the log")
        elif len(places) > 1:
            shown = ", ".join(map(str, places))
            audit.fault("audit.doubled", device, number, f"it is in the log at {shown}")
        elif promised != set(places):
            shown = ", ".join(map(str, sorted(promised)))
            audit.fault("audit.moved", device, number, f"promised at {shown}, and in the log at {places[0]}")
    elif record.refused:
        audit.refused += 1
        if places:
            detail = f"refused for ever with {record.refused}, and in the log at {places[0]}"
            audit.fault("audit.refused", device, number, detail)
    elif places:
        audit.unacknowledged_in += 1
    else:
        audit.unacknowledged_out += 1


def _verify(
    audit: Audit, device: int, record: Record, data: bytes, index: int, log_key: VerifierKey
) -> bytes | None:
    """The root that a receipt is about, if it proves the statement at its place."""
    try:
        place, checkpoint = receipt.verify(data, record.data, log_key)
    except WireError as error:
        audit.fault("audit.receipt", device, record.sequence, str(error))
        return None
    if place != index:
        audit.fault("audit.receipt", device, record.sequence, f"it is for {place}, not for {index}")
        return None
    audit.receipts += 1
    return checkpoint.root


def _of_size(size: int, entries: int) -> str:
    return f"its receipt is of a log of {size} entries, and there are {entries}"


def _judge_foreign(audit: Audit, kids: Mapping[bytes, int], known: set[bytes], log: Log) -> None:
    for statement_id, place in log.ids():
        if statement_id in known:
            continue
        try:
            found = statement.decode(log.entries[place])
        except WireError as error:
            audit.fault("audit.entry", 0, 0, f"entry {place} is no statement: {error}")
            continue
        device = kids.get(found.kid) if found.kind == "packet" else None
        if device is not None:
            detail = f"entry {place} is signed with this device's key, and it has not signed it"
            audit.fault("audit.foreign", device, found.sequence, detail)
