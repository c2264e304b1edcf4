"""What a decision file is judged by and shown with: a feed, or the definition alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click

from clients.box.folder import definition_folder, located
from clients.commission import feedlog, listing, telling
from clients.commission.decisionfile import DecisionFile
from clients.commission.effect import Effect, effect_of
from clients.commission.feedlog import FeedLog
from clients.commission.prepare import is_taken, unpublished
from clients.observer.verdict import Folder
from clients.observer.verify_command import watched
from clients.terminal import say, warn
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import MANIFEST, Roster


def read_log(feed: Folder, pinned: bytes | None, *, quiet: bool) -> FeedLog:
    """A feed's log, with a bar on a terminal for a long one.

    Raises:
        WireError: as `feedlog.read`.
    """
    with watched(quiet=quiet) as progress:
        return feedlog.read(feed, pinned, progress)


def load_definition(folder: Path) -> Definition:
    """The definition in a folder, or in `definition` in it.

    Raises:
        WireError: `manifest.*`, `table.*`.
    """
    source = definition_folder(folder)
    with located(source):
        return Definition.load(source)


def load_roster(folder: Path, definition: Definition) -> Roster:
    """The roster in a folder, or in `roster` in it.

    Raises:
        WireError: `manifest.*`, `table.*`.
    """
    inner = folder / "roster"
    source = inner if not (folder / MANIFEST).exists() and (inner / MANIFEST).exists() else folder
    with located(source):
        return Roster.load(source, definition)


@dataclass(frozen=True, slots=True)
class Ground:
    """A definition, and the log of a feed if there is one.

    Attributes:
        definition: the election's.
        log: None: nobody can say what a decision would change now.
    """

    definition: Definition
    log: FeedLog | None

    @classmethod
    def of(cls, feed: Folder | None, definition: Path | None, devices: Path | None, *, quiet: bool) -> Self:
        """What the options name; a rehearsal's `devices` stand beside its definition.

        Raises:
            click.UsageError: nothing is named.
            WireError: as `read_log` and `load_definition`.
        """
        if feed is not None:
            log = read_log(feed, None, quiet=quiet)
            return cls(log.definition, log)
        if definition is None and devices is None:
            raise click.UsageError(
                "give --feed FEED, or --definition D where there is none: things are shown by their names."
            )
        return cls(load_definition(definition or (devices or Path()).parent), None)

    def offer(self, folder: Path | None) -> None:
        """A roster that a decision names, and that the feed has when it is taken and not before.

        Raises:
            WireError: as `load_roster`.
        """
        if folder is not None and self.log is not None:
            self.log.authority.offer(load_roster(folder, self.definition))

    def read(self, file: Path) -> DecisionFile:
        """A decision file, judged.

        Raises:
            WireError: `decision.*`, `file.*`.
        """
        own = DecisionFile.read(file)
        with located(file):
            own.judge(self.definition)
        return own


@dataclass(frozen=True, slots=True)
class Look:
    """A decision as it stands now.

    Attributes:
        taken: the log has taken it.
        effect: computed now; None: see the warnings.
        warnings: sentences.
    """

    taken: bool
    effect: Effect | None
    warnings: tuple[str, ...]


def look(own: DecisionFile, ground: Ground, earlier: Sequence[DecisionFile] = ()) -> Look:
    """Judge a decision by the feed as it is now.

    Args:
        own: judged.
        ground: what it is judged by.
        earlier: decisions before it that may not be published yet, in their order.

    Raises:
        WireError: it can never be taken (`decision.number`, `decision.previous`), or would be void
            (`decision.void`).
    """
    log, number = ground.log, own.decision.number
    if log is None:
        if own.effect is None:
            return Look(False, None, ())
        return Look(False, None, ("the effect is the one that was prepared: --feed FEED computes it anew",))
    if is_taken(log, own.decision):
        return Look(True, None, (f"decision {number} is taken already: more signatures change nothing",))
    warnings = [
        f"another decision {number} waits for signatures, and only one can be taken: {one.says}"
        for one in listing.pending(log, own.decision)
    ]
    waiting = unpublished(log, earlier)
    behind = own.prepared is not None and bool(own.prepared.after)
    if behind and log.authority.taken_count + len(waiting) < number - 1:
        warnings.append(
            f"decision {number - 1} before it is not published yet, and the effect is what this file says: "
            "--after with that decision's file computes it anew"
        )
        return Look(False, None, tuple(warnings))
    try:
        effect = effect_of(log.tally, log.definition, own.decision, waiting)
    except WireError as error:
        if error.code != "roster.missing":
            raise
        warnings.append("the effect is the one prepared: its roster is not in the feed yet (sign --roster)")
        return Look(False, None, tuple(warnings))
    if effect != own.effect:
        warnings.append("the effect is another one now than when the decision was prepared")
    return Look(False, effect, tuple(warnings))


def tell(own: DecisionFile, definition: Definition, effect: Effect | None, warnings: tuple[str, ...]) -> None:
    """Show a decision to people: from its payload, not from its text."""
    shown = own.effect if effect is None else effect
    for line in (
        *telling.decision_lines(own.decision, definition),
        *(() if shown is None else telling.effect_lines(shown, definition)),
        *telling.record_lines(own.decision),
        *telling.file_lines(own, definition),
    ):
        say(*line)
    for sentence in warnings:
        warn(sentence)
