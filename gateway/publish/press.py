"""From entries to files: everything of `publish` that takes its time, to be called in threads.

What lives here: `Press`, which feeds the builder of snapshots with the log's entries, continues the chain of
an earlier run, and hands drafts to the feed. `fold`, `look_for_rosters` and `draft` belong to one thread at a
time, `write` and `prune` to another one meanwhile: what they share is the draft that goes from hand to hand.

A start reads the whole log again and believes nothing that was derived from it. At the size of the last
snapshot it compares that snapshot's files with what the log gives, and writes again what is missing.
"""

import base64
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from gateway import _core
from gateway.base.clock import SECOND, Clock, ElectionClock, format_time
from gateway.base.errors import CoreError, TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import PAUSED_BY, PublishMetrics
from gateway.feed.models import Latest, Paused
from gateway.feed.reading import note_name, note_text, read_latest
from gateway.ledger.opening import check_opening
from gateway.ledger.protocol import Entry, Head
from gateway.publish.logfiles import Cut, LogFiles
from gateway.publish.protocol import Builder, Draft, FeedFile, GateError
from gateway.publish.pruning import Pruner
from gateway.publish.record import FeedFailedError, Operation
from gateway.publish.tables import Tables
from gateway.publish.writer import Feed, Published
from gateway.sequencer.council import Unusable, read_roster

# Entries that are folded in one go, and replayed between two writings of their tiles: at most 64 MiB.
CHUNK: Final = 4_096


@dataclass(frozen=True, slots=True)
class NightSite:
    """What the publisher has to know of its night.

    Attributes:
        definition: the night's.
        definition_folder: where it is.
        roster: of the folder `roster`.
        roster_folder: that folder.
        information: the night's.
        information_folder: where it is.
        rosters: the folder of later ones, each by its hash; it need not exist.
        spool: a folder for temporary files.
        snapshot_seed: the private key that signs snapshots.
        make_builder: makes a builder for the roster that decision 1 names.
    """

    definition: _core.Definition
    definition_folder: Path
    roster: _core.Roster
    roster_folder: Path
    information: _core.Information
    information_folder: Path
    rosters: Path
    spool: Path
    snapshot_seed: bytes
    make_builder: Callable[[_core.Roster], Builder]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A snapshot on its way to the disk, and the log's files that its checkpoint needs; `Press.write` it.

    It holds a temporary file: use it as a context manager.
    """

    draft: Draft
    cut: Cut | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.cut is not None:
            self.cut.close()


class _Arrival(NamedTuple):
    """An entry that is in no snapshot yet: its index, and when the ledger took it (election's clock, ms)."""

    entry: int
    at: int


class State(NamedTuple):
    """What a snapshot would be made of; a new one is due where this differs from the last one's.

    Attributes:
        size: entries of the log; None while publication is paused, when they do not matter.
        paused: by whom.
    """

    size: int | None
    paused: str | None


class Press:
    """One run of the publisher over one log; a context manager, for it holds a temporary file.

    Args:
        site: the night.
        feed: its feed.
        tables: the feed's copies of manifests and keys.
        log: is told of rosters, pauses and what had to be mended.
        metrics: get every figure.
        timer: seconds from some start.
        real: the machine's clock, ms.

    Attributes:
        published: the number of the newest snapshot; None: there is none.
        resumed: the log was read up to the last snapshot: drafts can be made.
    """

    def __init__(
        self,
        site: NightSite,
        feed: Feed,
        tables: Tables,
        *,
        log: Log,
        metrics: PublishMetrics,
        timer: Callable[[], float],
        real: Clock,
    ) -> None:
        self._site = site
        self._feed = feed
        self._tables = tables
        self._log = log
        self._metrics = metrics
        self._timer = timer
        self._real = real
        self._pruner = Pruner(feed)
        self._files = LogFiles(site.spool)
        self._builder: Builder | None = None
        # Entries that the builder has not got: until decision 1 is whole, or a roster is found.
        self._waiting: list[Entry] = []
        self._vkey = ""
        self._past: Published | None = None
        self._compare = True
        self._last: Latest | None = None
        self._refused: Paused | None = None
        self._told_missing: frozenset[bytes] = frozenset()
        self._arrivals: deque[_Arrival] = deque()
        self._state: State | None = None
        # Every code that a station has had, and how many have it now.
        self._flags: dict[str, int] = {}
        # As of the last fold: entries, and whether the commission's pause is in effect.
        self._folded = 0
        self._commission_paused = False
        self.published: int | None = None
        self.resumed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    # --- The start ---

    def recover(self) -> None:
        """Completes what the run before has left; needs no ledger.

        Raises:
            TallygateError: ``publish.record``, ``publish.snapshot``, ``feed.malformed``.
            FeedFailedError: the disk.
        """
        with self._failing("start"):
            self._past = self._feed.recover()
            self._compare = not self._feed.begin()
            self._tables.put_definition(self._site.definition, self._site.definition_folder)
            self._tables.put_information(self._site.information, self._site.information_folder)
            published_at = self._feed.published_at()
        if self._past is not None:
            self.published = self._past.record.number
            self._metrics.snapshot_timestamp.set(published_at)
            if self._past.latest is not None:
                self._last = read_latest(self._past.latest)
            self._show()

    def follow(self, vkey: str) -> None:
        """The verifier key of the log that is followed."""
        self._vkey = vkey

    def meet(self, head: Head) -> None:
        """The ledger's head, before its entries are folded.

        Raises:
            TallygateError: ``publish.behind``: more was published.
        """
        if self._last is not None and head.size < self._last.log.size:
            raise TallygateError(
                "publish.behind",
                f"{self._last.log.size:,} entries are published and the ledger has {head.size:,}: an old "
                "copy of it runs. Stop ingest and find the newest one (docs/ledger.md, ledger.behind)",
            )

    @property
    def folded(self) -> int:
        """How many entries are folded."""
        return self._folded

    @property
    def waits_for_roster(self) -> bool:
        """Whether the log cannot be read on for want of a roster."""
        return bool(self._told_missing)

    # --- Folding ---

    def fold(self, entries: Sequence[Entry]) -> None:
        """Takes the log's next entries.

        Raises:
            TallygateError: ``opening.*``, ``keys.snapshot``, ``roster.missing``, ``feed.malformed``,
                ``server.fault``.
            FeedFailedError: the disk.
        """
        self._waiting += entries
        if self._builder is None:
            if len(self._waiting) < self._site.definition.commission_quorum:
                return
            self._builder = self._open()
        self._go_on(self._builder)

    def look_for_rosters(self) -> None:
        """Looks again for a roster that is missing; raises what `fold` does."""
        if self._builder is not None:
            self._go_on(self._builder)

    def _open(self) -> Builder:
        """Judges decision 1, and makes the builder for the roster that it names."""
        site = self._site
        first = [entry.statement for entry in self._waiting[: site.definition.commission_quorum]]
        places = [f"entry {index}" for index in range(len(first))]
        log_key = _key_of(self._vkey)
        opening = check_opening(first, site.definition, log_key, places=places)
        if opening.snapshot_key != _core.public_key(site.snapshot_seed):
            raise TallygateError(
                "keys.snapshot",
                "decision 1 names another key for snapshots than keys/snapshot.key: put that one back from "
                "its safe copy, readers take no other",
            )
        roster = self._read_roster(opening.roster)
        if not isinstance(roster, _core.Roster):
            raise TallygateError(
                "roster.missing",
                f"the log was opened with the roster {opening.roster.hex()}, the night's is another: put "
                "the folder of that one here, under this name",
                place=str(site.rosters),
            )
        with self._failing("start"):
            self._tables.put_roster(roster, self._roster_folder(roster.hash))
            self._tables.put_keys(opening.origin, log_key, opening.snapshot_key)
        return site.make_builder(roster)

    def _go_on(self, builder: Builder) -> None:
        """Gives the builder what waits, up to where a roster is missing."""
        target = 0 if self._last is None else self._last.log.size
        while self._waiting:
            if not self.resumed and builder.size == target:
                self._resume(builder)
            most = CHUNK if self.resumed else min(CHUNK, target - builder.size)
            chunk = self._waiting[:most]
            statements = [entry.statement for entry in chunk]
            taken = builder.take(builder.size, statements)
            with self._failing("start" if not self.resumed else "snapshot"):
                self._files.take(statements[:taken])
            if self.resumed:
                self._arrivals.extend(_Arrival(entry.index, entry.received_at) for entry in chunk[:taken])
            else:
                self._restore_full(builder)
            del self._waiting[:taken]
            if taken < len(chunk) and not self._offer(builder):
                break
        self._tell_missing(builder)
        if not self.resumed and builder.size == target:
            self._resume(builder)
        self._folded, self._commission_paused = builder.size, builder.paused

    def _restore_full(self, builder: Builder) -> None:
        """Looks after the full tiles so far, so that a long log is not kept until its end."""
        with self._failing("start"), closing(self._files.cut(builder.tree, 0, full_only=True)) as files:
            self._feed.restore(files, compare=self._compare)

    def _resume(self, builder: Builder) -> None:
        """Continues from the last snapshot, whose entries are taken; mends what it names."""
        self.resumed = True
        past, last = self._past, self._last
        if past is None or past.latest is None or last is None:
            with self._failing("start"):
                self._pruner.adopt(self._timer())
            self._state = State(0, None)
            return
        with self._failing("start"):
            restored = self._restore_note(last, past.latest)
        try:
            builder.resume(past.latest)
        except GateError as error:
            # What was published stays, and nothing of what the log gives now is put beside it.
            self._refuse(error, last.published_at)
            self._state = None
            return
        with self._failing("start"):
            paths: list[str] = []
            restored += self._restore_log(builder, past)
            restored += self._feed.restore(_noting(builder.objects(), paths), compare=self._compare)
            self._pruner.named(paths, self._timer())
            self._pruner.adopt(self._timer())
        self._state = State(
            None if last.paused else last.log.size, None if last.paused is None else last.paused.by
        )
        if restored:
            self._log("publish.restored", snapshot=last.snapshot, files=restored)
        self._log("publish.resumed", snapshot=last.snapshot, entries=builder.size)

    def _restore_log(self, builder: Builder, past: Published) -> int:
        """Mends tiles, bundles and checkpoint; one that is ahead of the snapshot stays."""
        with closing(self._files.cut(builder.tree, 0)) as files:
            restored = self._feed.restore(files, compare=self._compare)
        found = self._feed.checkpoint()
        try:
            if found is not None and _core.open_checkpoint(found, self._vkey).size >= builder.size:
                return restored
        except CoreError:
            pass
        self._feed.put_checkpoint(past.record.checkpoint)
        return restored + 1

    def _restore_note(self, last: Latest, data: bytes) -> int:
        """Signs the last snapshot's note again if it is lost or damaged: the same bytes."""
        signer = _core.NoteSigner(note_name(last.log.origin), self._site.snapshot_seed)
        note = signer.sign(note_text(last, data)).encode()
        if self._feed.note(last.snapshot) == note:
            return 0
        self._feed.put_note(last.snapshot, note)
        return 1

    # --- Rosters ---

    def _offer(self, builder: Builder) -> bool:
        """Offers the rosters that the next entry waits for; whether there was one."""
        offered = False
        for wanted in builder.missing_rosters:
            found = self._read_roster(wanted)
            if isinstance(found, _core.Roster):
                with self._failing("start"):
                    self._tables.put_roster(found, self._roster_folder(wanted))
                builder.offer(found)
                self._log("roster.offered", roster=wanted.hex(), devices=found.device_count)
            elif found is not None:
                with self._failing("start"):
                    self._tables.put_unusable_roster(wanted, self._site.rosters / wanted.hex())
                builder.offer_unusable(wanted)
                self._log("roster.refused", roster=wanted.hex(), words=found.words)
            offered = offered or found is not None
        return offered

    def _roster_folder(self, wanted: bytes) -> Path:
        """Where a roster is: the night's own, or one that the log was opened with before or got later."""
        site = self._site
        return site.roster_folder if wanted == site.roster.hash else site.rosters / wanted.hex()

    def _read_roster(self, wanted: bytes) -> _core.Roster | Unusable | None:
        if wanted == self._site.roster.hash:
            return self._site.roster
        try:
            return read_roster(self._roster_folder(wanted), wanted, self._site.definition)
        except FileNotFoundError:
            return None
        except (TallygateError, OSError) as error:
            if wanted not in self._told_missing:
                self._log("roster.refused", roster=wanted.hex(), words=str(error))
            return None

    def _tell_missing(self, builder: Builder) -> None:
        missing = frozenset(builder.missing_rosters)
        for one in sorted(missing - self._told_missing):
            self._log("roster.missing", roster=one.hex(), place=str(self._site.rosters / one.hex()))
        self._told_missing = missing
        self._metrics.missing_rosters.set(len(missing))

    # --- Snapshots ---

    def due(self, head: Head) -> bool:
        """Whether a snapshot would say something new; `head` is the newest that is known."""
        return self.ready(head) and self._state != self._state_at(head)

    def ready(self, head: Head) -> bool:
        """Whether a snapshot can be made: just the head's entries are folded, or some wait for a roster."""
        return self.resumed and (self._folded == head.size or bool(self._told_missing))

    def draft(self, head: Head, published_at: int) -> Sheet | None:
        """The next snapshot.

        Args:
            head: of exactly the entries that were folded; while a roster is missing, of more.
            published_at: the election's clock, ms.

        Returns:
            None: there is nothing to publish yet.

        Raises:
            CoreError: ``server.fault``.
        """
        builder = self._builder
        if builder is None or not self.resumed:
            return None
        record = self._feed.last
        number = 1 if record is None else record.number + 1
        previous = None if record is None else bytes.fromhex(record.sha256)
        draft: Draft | None = None
        if self._refused is None and not self._told_missing:
            try:
                draft = builder.draft(number, previous, published_at, head)
            except GateError as error:
                self._refuse(error, format_time(published_at))
        paused = self._refused or self._missing_pause(published_at)
        self._state = self._state_at(head)
        if draft is None and paused is not None and previous is not None:
            draft = self._repeat(builder, number, previous, published_at, paused)
        if draft is None:
            return None
        cut = None
        if draft.checkpoint is not None:
            with self._failing("snapshot"):
                cut = self._files.cut(builder.tree, draft.old_size)
        return Sheet(draft, cut)

    def _repeat(
        self, builder: Builder, number: int, previous: bytes, published_at: int, paused: Paused
    ) -> Draft | None:
        """The heartbeat of a pause by the gate; None: not even that can be answered for."""
        try:
            return builder.repeat(number, previous, published_at, paused)
        except GateError as error:
            self._refuse(error, format_time(published_at))
        except ValueError:  # no snapshot was let through by this gate
            pass
        return None

    def write(self, sheet: Sheet, clock: ElectionClock) -> None:
        """Writes a snapshot, and says so in the metrics.

        Args:
            sheet: the last that was drafted.
            clock: the election's, for the lag.

        Raises:
            FeedFailedError: the disk.
        """
        draft, paths = sheet.draft, [file.path for file in sheet.draft.files]
        with self._failing("snapshot"):
            self._feed.publish(draft, _noting(sheet.cut or (), paths))
        self._pruner.named(paths, self._timer())
        self._tell_pause(draft.snapshot)
        self._last = draft.snapshot
        self.published = draft.number
        self._observe(draft.size, clock)
        self._metrics.snapshot_timestamp.set(self._real() / SECOND)
        self._show()

    def prune(self) -> None:
        """Removes what no snapshot of the last ten minutes refers to, some of it.

        Raises:
            FeedFailedError: the disk.
        """
        with self._failing("prune"):
            self._pruner.prune(self._timer())

    def finish(self) -> None:
        """Ends well: what was written is durable, and the next start need not compare it.

        Raises:
            FeedFailedError: the disk.
        """
        with self._failing("snapshot"):
            # A run that has not compared everything leaves that to the next one.
            if (self.resumed and self._refused is None) or not self._compare:
                self._feed.end()

    def age(self) -> float:
        """Seconds of real time since the newest snapshot was published; infinite: there is none."""
        at = self._feed.published_at()
        return max(0.0, self._real() / SECOND - at) if at else math.inf

    def oldest_unpublished(self) -> int | None:
        """When the ledger took the oldest entry that is in no snapshot (election's clock, ms)."""
        try:
            return self._arrivals[0].at
        except IndexError:
            return None

    def _state_at(self, head: Head) -> State:
        paused = self._refused is not None or bool(self._told_missing)
        word = "gate" if paused else "commission" if self._commission_paused else None
        return State(None if word else head.size, word)

    def _missing_pause(self, published_at: int) -> Paused | None:
        if not self._told_missing:
            return None
        if self._last is not None and self._last.paused is not None and self._last.paused.by == "gate":
            return self._last.paused
        names = ", ".join(one.hex() for one in sorted(self._told_missing))
        sentence = f"A decision names the roster {names}, which the publisher has not got."
        return Paused("gate", (("en", sentence),), format_time(published_at))

    def _refuse(self, error: GateError, since: str) -> None:
        """Notes that the gate has closed; it stays closed until a restart."""
        self._log("gate.failed", rule=error.rule, area=error.area, station=error.station, words=error.detail)
        self._metrics.gate_failures.labels(error.rule).inc()
        self._metrics.paused.labels("gate").set(1)
        sentence = "The publisher found a fault in its own figures and stopped before they were published."
        self._refused = Paused("gate", (("en", f"{sentence} Rule: {error.rule}."),), since)

    def _tell_pause(self, latest: Latest) -> None:
        before = None if self._last is None else self._last.paused
        if latest.paused is not None and before is None:
            self._log("publish.paused", by=latest.paused.by, snapshot=latest.snapshot)
        elif latest.paused is None and before is not None:
            self._log("publish.unpaused", snapshot=latest.snapshot)

    @contextmanager
    def _failing(self, operation: Operation) -> Iterator[None]:
        """Turns an error of the disk into the one that ends the publisher, with log and metric."""
        try:
            yield
        except OSError as error:
            failed = FeedFailedError(operation, error)
            self._log("publish.failed", op=operation, words=str(failed))
            self._metrics.failures.labels(operation).inc()
            raise failed from error

    def _observe(self, size: int, clock: ElectionClock) -> None:
        while self._arrivals and self._arrivals[0].entry < size:
            self._metrics.lag.observe(seconds_since(self._arrivals.popleft().at, clock))

    def _show(self) -> None:
        """Sets the gauges to the newest snapshot."""
        latest, metrics = self._last, self._metrics
        if latest is None:
            return
        metrics.snapshot_number.set(latest.snapshot)
        metrics.entries.set(latest.log.size)
        by = None if latest.paused is None else latest.paused.by
        for who in PAUSED_BY:
            metrics.paused.labels(who).set(who == by)
        for state, stations in msgspec.structs.asdict(latest.progress).items():
            if state != "stations":
                metrics.stations.labels(state).set(stations)
        self._flags |= dict.fromkeys(self._flags, 0) | dict(latest.tally.flags)
        for code, stations in self._flags.items():
            metrics.flagged.labels(code).set(stations)


def seconds_since(at: int, clock: ElectionClock) -> float:
    """Seconds of real time since an instant of the election's clock, at the speed that it has now."""
    return max(0, clock() - at) / SECOND / clock.speed


def _key_of(vkey: str) -> bytes:
    """The public key in a verifier key (docs/log.md): behind name, key id and the byte of its type."""
    return base64.b64decode(vkey.split("+", 2)[2])[1:]


def _noting(files: Iterable[FeedFile], paths: list[str]) -> Iterator[FeedFile]:
    """The files, whose paths are noted as they go by."""
    for file in files:
        paths.append(file.path)
        yield file
