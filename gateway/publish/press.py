"""From entries to files: everything of `publish` that takes its time, to be called in threads.

What lives here: `Press`, which feeds the builder of snapshots with the log's entries, continues the chain of
an earlier run, and hands drafts to the feed. `fold`, `look_for_rosters` and `draft` belong to one thread at a
time, `write` and `prune` to another one meanwhile: what they share is the draft that goes from hand to hand.

A start reads the whole log again and believes nothing that was derived from it. At the size of the last
snapshot it compares that snapshot's files with what the log gives, and writes again what is missing.
"""

import base64
import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

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
from gateway.publish.attachments import Papers
from gateway.publish.changes import changes_of
from gateway.publish.exports.arrivals import Arrivals
from gateway.publish.information import InformationSwitch, Shown
from gateway.publish.logfiles import LogFiles
from gateway.publish.pause import PauseSwitch
from gateway.publish.protocol import Builder, Draft, GateError
from gateway.publish.pruning import Pruner
from gateway.publish.record import FeedFailedError, Operation
from gateway.publish.sheet import Arrival, Named, NightSite, Sheet, State, state_of
from gateway.publish.tables import Tables
from gateway.publish.writer import Feed, Published
from gateway.sequencer.council import Unusable, read_roster

# Entries that are folded in one go, and replayed between two writings of their tiles: at most 64 MiB.
CHUNK: Final = 4_096


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
        room: whether the disk has room for more than heartbeats.

    Attributes:
        published: the number of the newest snapshot; None: there is none.
        resumed: the log was read up to the last snapshot: drafts can be made.
        arrivals: of every entry that is folded.
        papers: that the entries name.
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
        room: Callable[[], bool],
    ) -> None:
        self._site = site
        self._feed = feed
        self._tables = tables
        self._log = log
        self._metrics = metrics
        self._timer = timer
        self._real = real
        self._room = room
        self._operator = PauseSwitch(site.pause, log)
        self._shown = Shown(site.information, site.information_folder)
        self._switch = InformationSwitch(self._shown, site.shown, site.informations, site.definition, log)
        self._pruner = Pruner(feed)
        self._files = LogFiles(site.spool)
        self.arrivals: Final = Arrivals(site.spool)
        self.papers: Final = Papers()
        self._builder: Builder | None = None
        # Entries that the builder has not got: until decision 1 is whole, or a roster is found.
        self._waiting: list[Entry] = []
        self._vkey = ""
        self._past: Published | None = None
        self._compare = True
        self._last: Latest | None = None
        self._refused: Paused | None = None
        self._told_missing: frozenset[bytes] = frozenset()
        self._arrivals: deque[Arrival] = deque()
        self._state: State | None = None
        # Every code that a station has had, and how many have it now.
        self._flags: dict[str, int] = {}
        # As of the last fold: entries, and whether the commission's pause is in effect.
        self._folded = 0
        self._commission_paused = False
        # As of the last look: that of a snapshot which would be made now.
        self._no_room = False
        self._embargoed = False
        self.published: int | None = None
        self.resumed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()
        self.arrivals.close()

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
            self._tables.put_schemas()
            found = self.look_for_information()
            if found is None:
                self._tables.put_information(*self._shown)
            else:
                self._shown = found
            self._tables.put_messages(self._site.definition, self._shown.information)
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
    def hidden(self) -> bool:
        """Whether the newest snapshot is under embargo."""
        return self._last is not None and self._last.embargo_until is not None

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
        builder = site.make_builder(roster)
        builder.show(self._shown.information.hash)
        return builder

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
                self.arrivals.note(chunk[:taken])
            self.papers.note(chunk[0].index, statements[:taken])
            if self.resumed:
                self._arrivals.extend(Arrival(entry.index, entry.received_at) for entry in chunk[:taken])
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
        cut = self._files.cut(builder.tree, 0, full_only=True, hidden_from=self._hidden_from(builder))
        with self._failing("start"), closing(cut) as files:
            self._feed.restore(files, compare=self._compare)

    def _hidden_from(self, builder: Builder) -> int | None:
        """Where the embargo of the last snapshot begins."""
        return builder.first_count if self.hidden else None

    def _resume(self, builder: Builder) -> None:
        """Continues from the last snapshot, whose entries are taken; mends what it names."""
        self.resumed = True
        past, last = self._past, self._last
        if past is None or past.latest is None or last is None:
            with self._failing("start"):
                self._pruner.adopt(self._timer())
            self._state = State(0, None, "", None, embargoed=False)
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
            named = Named()
            restored += self._restore_log(builder, past)
            restored += self._feed.restore(named.noting(builder.objects()), compare=self._compare)
            named.tell(self._pruner, self._timer())
            self._pruner.adopt(self._timer())
        self._state = state_of(last)
        self._embargoed = self.hidden
        if restored:
            self._log("publish.restored", snapshot=last.snapshot, files=restored)
        self._log("publish.resumed", snapshot=last.snapshot, entries=builder.size)

    def _restore_log(self, builder: Builder, past: Published) -> int:
        """Mends tiles, bundles and checkpoint; one that is ahead of the snapshot stays."""
        cut = self._files.cut(builder.tree, 0, hidden_from=self._hidden_from(builder))
        with closing(cut) as files:
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

    # --- What people say beside the log ---

    def look(self, now: int) -> bool:
        """Looks at the operator's pause, the disk and the clock; whether a snapshot may be due because of it.

        Args:
            now: the election's clock, ms.
        """
        before = (self._operator.on, self._operator.reason, self._no_room, self._embargoed)
        self._operator.look()
        self._no_room = not self._room()
        if self._builder is not None and self.resumed:
            self._embargoed = self._builder.embargoed(now)
        self._metrics.no_room.set(self._no_room)
        if self._last is None:  # no snapshot says it yet
            self._metrics.paused.labels("operator").set(self._operator.on)
        return before != (self._operator.on, self._operator.reason, self._no_room, self._embargoed)

    def look_for_information(self) -> Shown | None:
        """What is to be shown instead of the present texts and pictures, in the feed already; None: nothing.

        It may take its time, and may be called while snapshots are made; `show` it then.
        """
        found = None if self._no_room else self._switch.look()
        if found is None:
            return None
        try:
            self._tables.put_information(*found)
            self._tables.put_messages(self._site.definition, found.information)
        except (TallygateError, OSError) as error:
            self._switch.refuse(error)
            return None
        return found

    def show(self, shown: Shown) -> None:
        """Has snapshots name this information from now on."""
        self._shown = shown
        if self._builder is not None:
            self._builder.show(shown.information.hash)
        self._log("information.shown", information=shown.information.hash.hex())

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
        self.look(published_at)
        now = format_time(published_at)
        draft: Draft | None = None
        paused = self._standstill(now)
        # The builder knows of the commission's pause, which stands before the operator's.
        if paused is None and (self._commission_paused or not self._operator.on):
            try:
                draft = builder.draft(number, previous, published_at, head)
            except GateError as error:
                self._refuse(error, now)
        if draft is None:
            paused = self._standstill(now) or self._operator.shown(self._last_pause, now)
        self._state = self._state_at(head)
        if draft is None and paused is not None and previous is not None:
            draft = self._repeat(builder, number, previous, published_at, paused)
        if draft is None:
            return None
        draft = dataclasses.replace(draft, changes=changes_of(draft, self._last))
        cut = None
        if draft.checkpoint is not None:
            with self._failing("snapshot"):
                cut = self._files.cut(builder.tree, draft.old_size, hidden_from=draft.hidden_from)
        return Sheet(draft, cut)

    def _repeat(
        self, builder: Builder, number: int, previous: bytes, published_at: int, paused: Paused
    ) -> Draft | None:
        """The heartbeat of a pause by gate or operator; None: not even that can be answered for."""
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
        draft, named = sheet.draft, Named()
        with self._failing("snapshot"):
            if draft.lifts:
                self._lift()
            self._feed.publish(draft, named.noting(sheet.cut or ()))
        for file in draft.files:
            named.add(file)
        named.tell(self._pruner, self._timer())
        self._tell_pause(draft.snapshot)
        self._tell_embargo(draft.snapshot)
        self._last = draft.snapshot
        self._show_flags(draft.flags)
        self.published = draft.number
        self._observe(draft.size, clock)
        self._metrics.snapshot_timestamp.set(self._real() / SECOND)
        self._show()

    def _lift(self) -> None:
        moved = self._feed.lift()
        if moved or self.hidden:
            self._pruner.lifted(self._timer())
            self._log("publish.lifted", files=moved)

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

    @property
    def newest(self) -> Latest | None:
        """The newest published snapshot."""
        return self._last

    @property
    def _last_pause(self) -> Paused | None:
        return None if self._last is None else self._last.paused

    def _state_at(self, head: Head) -> State:
        information = self._shown.information.hash.hex()
        if self._refused is not None or self._told_missing or self._no_room:
            return State(None, "gate", "", information, self.hidden)
        if self._commission_paused:
            return State(None, "commission", "", information, self.hidden)
        if self._operator.on:
            return State(None, "operator", self._operator.reason, information, self.hidden)
        return State(head.size, None, "", information, self._embargoed)

    def _standstill(self, now: str) -> Paused | None:
        """Why the publisher itself lets nothing out; None: it does."""
        if self._refused is not None:
            return self._refused
        if self._told_missing:
            names = ", ".join(one.hex() for one in sorted(self._told_missing))
            sentence = f"A decision names the roster {names}, which the publisher has not got."
        elif self._no_room:
            sentence = "The publisher's disk is almost full; figures follow as soon as there is room."
        else:
            return None
        last = self._last_pause
        since = last.since if last is not None and last.by == "gate" else now
        return Paused("gate", (("en", sentence),), since)

    def _refuse(self, error: GateError, since: str) -> None:
        """Notes that the gate has closed; it stays closed until a restart."""
        self._log("gate.failed", rule=error.rule, area=error.area, station=error.station, words=error.detail)
        self._metrics.gate_failures.labels(error.rule).inc()
        self._metrics.paused.labels("gate").set(1)
        sentence = "The publisher found a fault in its own figures and stopped before they were published."
        self._refused = Paused("gate", (("en", f"{sentence} Rule: {error.rule}."),), since)

    def _tell_pause(self, latest: Latest) -> None:
        before = self._last_pause
        if latest.paused is not None and (before is None or before.by != latest.paused.by):
            self._log("publish.paused", by=latest.paused.by, snapshot=latest.snapshot)
        elif latest.paused is None and before is not None:
            self._log("publish.unpaused", snapshot=latest.snapshot)

    def _tell_embargo(self, latest: Latest) -> None:
        if latest.embargo_until is not None and not self.hidden:
            self._log("publish.embargoed", snapshot=latest.snapshot, until=latest.embargo_until)

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
        metrics.embargoed.set(self.hidden)
        if latest.tally is not None:
            self._show_flags(latest.tally.flags)

    def _show_flags(self, flags: Sequence[tuple[str, int]]) -> None:
        self._flags |= dict.fromkeys(self._flags, 0) | dict(flags)
        for code, stations in self._flags.items():
            self._metrics.flagged.labels(code).set(stations)


def seconds_since(at: int, clock: ElectionClock) -> float:
    """Seconds of real time since an instant of the election's clock, at the speed that it has now."""
    return max(0, clock() - at) / SECOND / clock.speed


def _key_of(vkey: str) -> bytes:
    """The public key in a verifier key (docs/log.md): behind name, key id and the byte of its type."""
    return base64.b64decode(vkey.split("+", 2)[2])[1:]
