"""Which protocol a new one replaces: found among what this desk has signed itself."""

from collections.abc import Collection, Sequence

from clients.box.report import Report
from clients.wire.errors import WireError
from clients.wire.statement import Statement

FIRST = "first"
"""The cause of a protocol that replaces none."""


def latest(signed: Sequence[Statement], station: int, contests: Collection[int]) -> Statement | None:
    """The last protocol of a station with one of these contests that no later one has replaced.

    Args:
        signed: the desk's statements in their order.
        station: its number.
        contests: those of the new protocol.
    """
    replaced: set[bytes] = set()
    for statement in reversed(signed):
        report = Report.of(statement.report)
        if report.kind != "protocol" or statement.station != station:
            continue
        if statement.id not in replaced and any(count.contest in contests for count in report.counts):
            return statement
        replaced.add(report.corrects)
    return None


def judge(cause: str, corrects: str, before: Statement | None, place: str) -> str:
    """The id (hex, or empty) that a new protocol has to name.

    Args:
        cause: one of `words.CAUSES`.
        corrects: what somebody has given, or empty.
        before: what `latest` has found.
        place: for messages.

    Raises:
        WireError: `desk.another`: a first protocol where there is one; `desk.corrects`: a later one that
            replaces nothing, or a first one that does.
    """
    if cause == FIRST:
        if corrects:
            raise WireError(
                "desk.corrects",
                "a first protocol replaces none: leave `corrects` out, or say why",
                file=place,
            )
        if before is not None:
            raise WireError(
                "desk.another",
                f"this desk has signed a protocol of station {before.station} before; two of them would "
                "dispute each other. Give the cause (keying, recount, court, better_scan), and the new one "
                "replaces it",
                file=place,
            )
        return ""
    if corrects:
        return corrects
    if before is None:
        raise WireError(
            "desk.corrects",
            "this desk has signed no protocol of this station that could be replaced: give the id of the one "
            "that is meant, which stands on the station's page; if there is none, the cause is `first`",
            file=place,
        )
    return before.id.hex()
