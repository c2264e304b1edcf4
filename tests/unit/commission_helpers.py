"""A feed of the smallest election in which there is something to decide: for tests of tallygate-decide."""

from pathlib import Path
from typing import cast

from clients.commission import prepare
from clients.commission.decisionfile import DecisionFile
from clients.commission.effect import Effect
from clients.commission.feedlog import FeedLog
from clients.wire import statement
from clients.wire.cbor import Content
from tests.feed_writer import CLOSES_AT, RESULT, FeedWriter

# Station 8, contest 1: as the boxes have it, and nine votes from choice 7 to choice 9.
PROTOCOL: Content = (4, CLOSES_AT, b"", 0, (), ((1, ((9, 100), (11, 98), (13, 2)), (10, 81, 17)),), ())
OTHER_RESULT: Content = (*RESULT[:5], ((1, ((9, 101), (11, 98), (13, 2)), (10, 81, 17)), RESULT[5][1]), ())  # type: ignore[index]
REASONS = ("--reason", "ky=Себеп", "--reason", "en=A reason")


def disputed(folder: Path) -> FeedWriter:
    """A disputed station with a protocol, a closing time, and a decision that waits for one signature."""
    writer = FeedWriter(folder)
    writer.packet(RESULT)
    writer.packet(PROTOCOL, device=5)
    writer.packet(OTHER_RESULT)
    writer.decide(2, (11, 0, CLOSES_AT - 1000))
    writer.decide(3, (12, 11), (3,))
    writer.publish()
    return writer


def made(log: FeedLog, *action: int | str | bytes) -> DecisionFile:
    return prepare.prepare(log, action, [("en", "A reason")], CLOSES_AT)


def effect_of(log: FeedLog, *action: int | str | bytes) -> Effect:
    found = made(log, *action).effect
    assert found is not None
    return found


def feedlog_of(writer: FeedWriter) -> FeedLog:
    """The log of a writer whose log has another name than its checkpoints."""
    tally = writer.tally()
    for data in writer.log:
        tally.apply(statement.decode(data))
    return cast(FeedLog, _Folded(tally, writer.definition))


class _Folded:
    def __init__(self, tally: object, definition: object) -> None:
        self.tally = tally
        self.definition = definition
