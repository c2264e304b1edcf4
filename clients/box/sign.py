"""Counts become a statement: the one place where a device signs."""

from dataclasses import dataclass
from pathlib import Path

from clients.box import counts, plausible
from clients.box.countsfile import CountsError, Fault
from clients.box.folder import DeviceFolder
from clients.box.plausible import Finding
from clients.box.report import Report
from clients.box.spool import Spool
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.statement import Statement


@dataclass(frozen=True, slots=True)
class Signed:
    """A stored statement.

    Attributes:
        statement: what was signed.
        file: where its bytes are.
        new: False where the device's last statement says exactly the same already; it is this one then.
        findings: what the tally will say.
    """

    statement: Statement
    file: Path
    new: bool
    findings: list[Finding]


def sign(folder: DeviceFolder, file: Path, now: int, rehearsed: int | None = None) -> Signed:
    """Make the device's next statement of a counts file; when this returns, it is stored for good.

    A program that was stopped after storing and before telling can be run again: it gives the statement that
    is there, and signs nothing twice.

    Args:
        folder: of the device, open.
        file: the counts.
        now: ms since the Unix epoch, by the device's clock.
        rehearsed: what the statement shall say instead; in rehearsals only.

    Raises:
        CountsError: the file's faults; nothing was signed.
        WireError: `sign.live`, `folder.*`, `spool.*`; nothing was signed.
        OSError: something could not be stored; nothing may be shown, the next start finds what there is.
    """
    definition = folder.definition()
    judge_time(definition, rehearsed)
    return commit(folder, definition, counts.read(file, definition), str(file), now, rehearsed)


def judge_time(definition: Definition, rehearsed: int | None) -> None:
    """Refuse another time than the clock's outside of rehearsals.

    Raises:
        WireError: `sign.live`.
    """
    if rehearsed is not None and definition.mode != "rehearsal":
        raise WireError(
            "sign.live", f'the election "{definition.id}" is live: the time is what the device\'s clock says'
        )


def commit(
    folder: DeviceFolder,
    definition: Definition,
    given: counts.Counts,
    file: str,
    now: int,
    rehearsed: int | None = None,
) -> Signed:
    """Make the device's next statement of counts that are judged already; as `sign` otherwise.

    Args:
        folder: of the device, open.
        definition: the pinned one.
        given: the counts.
        file: where they come from, for messages.
        now: ms since the Unix epoch, by the device's clock.
        rehearsed: what the statement shall say instead; `judge_time` has let it through.

    Raises:
        CountsError: `counts.size`; nothing was signed.
        WireError: `folder.*`, `spool.*`; nothing was signed.
        OSError: as in `sign`.
    """
    spool = folder.spool()
    earlier = spool.statements
    known = bool(earlier) and (
        (earlier[-1].definition, earlier[-1].station, earlier[-1].report)
        == (definition.sha256, given.station.station, given.report)
    )
    if known:
        signed = earlier[-1]
        earlier = earlier[:-1]
        signed_at = signed.signed_at
    else:
        signed_at = now if rehearsed is None else rehearsed
    findings = plausible.judge(Report.of(given.report), given.station, definition, signed_at, list(earlier))
    if not known:
        folder.keep(given.attachments)
        signed = _append(spool, definition, given, signed_at, file)
    return Signed(signed, spool.path(signed.sequence), not known, findings)


def _append(
    spool: Spool, definition: Definition, given: counts.Counts, signed_at: int, file: str
) -> Statement:
    try:
        return spool.append(definition.sha256, given.station.station, signed_at, given.report)
    except WireError as error:
        if error.rule != "size":
            raise
        detail = f"{error.detail}: leave attachments out and name them in a report of documents"
        raise CountsError(file, [Fault("", "counts.size", detail)]) from error
