"""``tallygate verify``: this machine's ledger, log and papers, proved again from their bytes.

What lives here: `verify_night`, which reads every entry (of a running night through ``run/ledger.sock``, of a
stopped one from the file) and `Examination`, which judges them: the tree up to the signed head, the opening,
the checks of the door up to the signature under the roster in force, and the published checkpoint. A paper's
file has to have the hash that is its name; which ones are here is nobody's promise but the ledger's.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import trio

from gateway import _core
from gateway.base.clock import Clock
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded
from gateway.base.media import MAX_PAPER
from gateway.ledger.follow import Follower, follow
from gateway.ledger.opening import Opening, check_opening
from gateway.ledger.protocol import Entry, Head
from gateway.ledger.recovery import Site
from gateway.ledger.salvage import Salvaged, salvage_ledger
from gateway.ledger.sqlite import proved_ledger
from gateway.run.folder import NightFolder, read_log_name, read_ready
from gateway.sequencer.council import Unusable, read_roster

# Entries that are judged at once: at most 16 MiB, usually half a MiB.
CHUNK: Final = 1_024
# Faults that are kept with their words; the rest is counted.
MAX_FAULTS: Final = 20
# Seconds until an open log says its head: it does so at once.
_FIRST_HEAD_SECONDS: Final = 15
# Bytes of a published checkpoint with the cosignatures of sixteen witnesses (docs/log.md).
_MAX_NOTE: Final = 16_384
# The action of decision 9, which names a new roster (docs/packet.md).
_NEW_ROSTER: Final = 9

# What is being done, how far it is, how much there is to do.
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(slots=True)
class Verdict:
    """What was read and what came of it.

    Attributes:
        source: where the entries came from.
        head: the committed head that they add up to.
        log_key: the verifier key of the log.
        packets, decisions: how many entries are of which kind.
        papers: files of papers that are what their names say.
        devices: how many devices have entries.
        published: entries that the published checkpoint covers; None: nothing is published.
        missing_rosters: hashes of rosters that decisions name and that are not on this machine.
        faults: what is wrong, the first `MAX_FAULTS` of it.
        fault_count: how much is wrong.
    """

    source: Literal["running", "stopped"]
    head: Head | None = None
    log_key: str = ""
    packets: int = 0
    decisions: int = 0
    devices: int = 0
    papers: int = 0
    published: int | None = None
    missing_rosters: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def add(self, fault: str) -> None:
        """Notes something that is wrong."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


class Examination:
    """Judges the entries of one log in their order.

    Args:
        night: the folder.
        definition: the night's.
        roster: of the night's folder `roster`.
        log_key: the public key that signs checkpoints.
        verdict: is filled in.
    """

    def __init__(
        self,
        night: NightFolder,
        definition: _core.Definition,
        roster: _core.Roster,
        log_key: bytes,
        verdict: Verdict,
    ) -> None:
        self._night = night
        self._definition = definition
        self._log_key = log_key
        self._verdict = verdict
        self._tree = _core.Tree()
        # Those of the opening, until it is complete.
        self._waiting: list[bytes] = []
        self._opening: Opening | None = None
        self._authority = _core.Authority(definition, roster)
        self._devices: set[int] = set()

    def take(self, entries: Sequence[Entry]) -> None:
        """Judges the next entries."""
        statements = [entry.statement for entry in entries]
        begin = self._tree.size
        self._tree.append([_core.leaf_hash(statement) for statement in statements])
        quorum = self._definition.commission_quorum
        if begin < quorum:
            self._waiting += statements
            if len(self._waiting) < quorum:
                return
            begin, statements = 0, self._waiting
            self._open(statements[:quorum])
        at = 0
        while at < len(statements):
            at = self._judge(statements, at, begin)

    def finish(self, head: Head) -> None:
        """Judges the whole: its head, its opening, and what was published of it."""
        verdict = self._verdict
        verdict.head = head
        verdict.devices = len(self._devices)
        verdict.missing_rosters = tuple(one.hex() for one in self._authority.missing_rosters)
        if self._tree.size != head.size or self._tree.root() != head.root:
            verdict.add(f"{self._tree.size:,} entries do not add up to the signed root of {head.size:,}")
        if self._opening is None:
            verdict.add("the log does not begin with a decision 1 of this night's commission")
            return
        verdict.log_key = _core.vkey(self._opening.origin, self._log_key)
        try:
            _core.open_checkpoint(head.note.encode(), verdict.log_key)
        except CoreError as error:
            verdict.add(f"the head's checkpoint does not verify: {error}")
        self._compare_published(verdict)

    def _open(self, statements: Sequence[bytes]) -> None:
        places = [f"entry {index}" for index in range(len(statements))]
        try:
            self._opening = check_opening(statements, self._definition, self._log_key, places=places)
        except TallygateError as error:
            self._verdict.add(str(error))
            return
        if self._opening.roster != self._authority.roster.hash:
            # The night's folder `roster` has another one by now.
            found = self._find(self._opening.roster)
            if isinstance(found, _core.Roster):
                self._authority = _core.Authority(self._definition, found)
            else:
                self._verdict.add(f"the roster of decision 1 is not here: {self._opening.roster.hex()}")

    def _judge(self, statements: Sequence[bytes], at: int, begin: int) -> int:
        """Judges from place `at` up to where the roster changes, and gives the place behind it.

        The door checks a batch before the decisions in it; what it let in stands all the same, for a new
        roster holds every device of the one before.
        """
        roster = self._authority.roster
        found = _core.check_statements(statements[at:], self._definition, roster)
        for place, statement in enumerate(found, at):
            if isinstance(statement, CoreError):
                self._verdict.add(f"entry {begin + place:,}: {statement}")
            elif statement.device is not None:
                self._verdict.packets += 1
                self._devices.add(statement.device)
            else:
                self._verdict.decisions += 1
                self._apply(begin + place, statement)
                if self._authority.roster.hash != roster.hash:
                    return place + 1
        return len(statements)

    def _apply(self, index: int, decision: _core.Statement) -> None:
        match decision.content[5]:
            case (int(action), bytes() as wanted) if action == _NEW_ROSTER:
                found = self._find(wanted)
                if isinstance(found, _core.Roster):
                    self._authority.offer(found)
                elif found is not None:
                    self._authority.offer_unusable(wanted)
        self._authority.apply(index, decision)

    def _find(self, wanted: bytes) -> _core.Roster | Unusable | None:
        try:
            return read_roster(self._night.rosters / wanted.hex(), wanted, self._definition)
        except (TallygateError, OSError):
            return None

    def _compare_published(self, verdict: Verdict) -> None:
        try:
            note = read_bounded(self._night.published, _MAX_NOTE)
            published = _core.open_checkpoint(note, verdict.log_key)
        except FileNotFoundError:
            return
        except (TallygateError, OSError) as error:
            verdict.add(f"{self._night.published}: the published checkpoint is not this log's: {error}")
            return
        verdict.published = published.size
        if published.size > self._tree.size:
            verdict.add(
                f"{published.size:,} entries are published, and the ledger has {self._tree.size:,}: "
                "an old copy?"
            )
        elif self._tree.root(published.size) != published.root:
            verdict.add(f"the published log has another history (at {published.size:,} entries)")


async def verify_night(night: NightFolder, *, now: Clock, progress: Progress) -> Verdict:
    """Proves a night's ledger and log again.

    Args:
        night: the folder; whether it runs is found out.
        now: the machine's clock, for the lock of a stopped ledger.
        progress: is told what is being done.

    Returns:
        The verdict, with every fault of the entries.

    Raises:
        TallygateError: nothing could be judged: ``verify.not_open``, ``manifest.*``, ``table.*``,
            ``opening.*``, ``keys.log``, ``follow.*``, and of a stopped night all that its start would refuse.
        OSError: a file cannot be read.
    """
    progress("reading the manifests", 0, 0)
    definition = await trio.to_thread.run_sync(_core.Definition.load, night.definition)
    roster = await trio.to_thread.run_sync(_core.Roster.load, night.roster, definition)
    name = await trio.to_thread.run_sync(read_log_name, night, definition)
    try:
        async with follow(night.follow, 0, name.vkey or "") as follower:
            ready = read_ready(night.ready("ingest"))
            if name.vkey is None or (ready is not None and ready.log_key is None):
                raise _not_open(night)
            verdict = Verdict("running")
            examination = Examination(night, definition, roster, name.key, verdict)
            await _examine_running(night, follower, examination, progress)
            await trio.to_thread.run_sync(_examine_papers, night, verdict, progress)
            return verdict
    except TallygateError as error:
        if error.code != "follow.absent":
            raise
    verdict = Verdict("stopped")
    examination = Examination(night, definition, roster, name.key, verdict)
    site = Site(definition, roster.hash, name.key, night.published)
    await trio.to_thread.run_sync(partial(_examine_stopped, night, site, examination, progress, now))
    await trio.to_thread.run_sync(_examine_papers, night, verdict, progress)
    return verdict


def salvage_night(night: NightFolder, target: Path, *, now: Clock) -> Salvaged:
    """Makes a whole ledger out of a stopped night's damaged one; the damaged one is only read.

    Args:
        night: the folder.
        target: a folder that does not exist; gets the new files, to be moved over those in ``data``.
        now: the machine's clock, for the lock.

    Raises:
        TallygateError: ``manifest.*``, ``table.*``, ``keys.log``, and those of `salvage_ledger`.
        OSError: a file cannot be read or written.
    """
    definition = _core.Definition.load(night.definition)
    roster = _core.Roster.load(night.roster, definition)
    name = read_log_name(night, definition)
    site = Site(definition, roster.hash, name.key, night.published)
    return salvage_ledger(night.data, site, target, now=now)


async def _examine_running(
    night: NightFolder, follower: Follower, examination: Examination, progress: Progress
) -> None:
    """Judges what is committed now; what comes later is another verification's."""
    head = None
    with trio.move_on_after(_FIRST_HEAD_SECONDS):
        head = await anext(follower)
    if not isinstance(head, Head):
        raise _not_open(night)
    done = 0
    while done < head.size:
        chunk: list[Entry] = []
        while len(chunk) < min(CHUNK, head.size - done):
            entry = await anext(follower)
            if isinstance(entry, Entry):  # the follower lets nothing else through before the head's last one
                chunk.append(entry)
        await trio.to_thread.run_sync(examination.take, chunk)
        done += len(chunk)
        progress("proving entries", done, head.size)
    await trio.to_thread.run_sync(examination.finish, head)


def _examine_stopped(
    night: NightFolder, site: Site, examination: Examination, progress: Progress, now: Clock
) -> None:
    progress("proving the ledger's file", 0, 0)
    with proved_ledger(night.data, site, now=now) as proved:
        if proved is None:
            raise _not_open(night)
        done = 0
        for entries in proved.chunks(CHUNK):
            examination.take(entries)
            done += len(entries)
            progress("proving entries", done, proved.head.size)
        examination.finish(proved.head)


def _examine_papers(night: NightFolder, verdict: Verdict, progress: Progress) -> None:
    """Reads every stored paper; those that are coming in just now have a name with a dot."""
    try:
        names = sorted(entry.name for entry in os.scandir(night.attachments) if entry.name[0] != ".")
    except FileNotFoundError:
        return
    for done, name in enumerate(names, 1):
        place = night.attachments / name
        try:
            right = hashlib.sha256(read_bounded(place, MAX_PAPER)).hexdigest() == name
        except (TallygateError, OSError):
            right = False
        if right:
            verdict.papers += 1
        else:
            verdict.add(
                f"{place}: this is not the paper of its name: remove it, and have its box send it again"
            )
        progress("proving papers", done, len(names))


def _not_open(night: NightFolder) -> TallygateError:
    return TallygateError(
        "verify.not_open",
        "the log is not open yet, there is nothing to prove: the commission's signatures of decision 1 go "
        "into data/opening, then start the night again",
        place=str(night.root),
    )
