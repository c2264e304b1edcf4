"""Signatures brought to gateways that refuse, break off, lie, or are not there."""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from clients.commission import submit
from clients.commission.decisionfile import DecisionFile, Signature
from clients.commission.submit import Sent
from clients.wire import receipt, statement
from clients.wire.answers import Logged, Refusal
from clients.wire.errors import WireError
from clients.wire.site import Address
from tests.boxport_client import Site
from tests.feed_writer import FeedWriter
from tests.lying_gateway import End, Say, TestLog, http, logged, lying, problem, server_context
from tests.unit.wire_election import MEMBERS

NOBODY = Address("127.0.0.1", 1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> DecisionFile:
    """Of three members."""
    writer = FeedWriter(tmp_path_factory.mktemp("night"))
    previous = statement.decode(writer.log[0])
    content = (writer.definition.sha256, bytes(32), 2, 5, (("en", "So."),), (6,))
    assert previous.number == 1
    own = DecisionFile.new(writer.definition, statement.encode_payload("decision", content), None, None)
    for member in MEMBERS:
        own = own.signed_by(member, writer.definition)
    return own


class Run:
    """Runs `submit` against ports of the test's own."""

    def __init__(self, site: Site, file: DecisionFile, folder: Path, log: TestLog) -> None:
        self.site = site
        self.file = file
        self.folder = folder / "receipts"
        self.log = log
        self.failed: list[str] = []
        self.bodies: list[int] = []

    def __call__(self, *ports: Say | None) -> list[Sent]:
        """What became of the signatures; None is an address at which nobody is."""
        found: list[Sent] = []
        raised: list[WireError] = []
        context = self.site.context(self.site.identity("commission", 1))
        context.check_hostname = True

        async def over(left: tuple[Say | None, ...], addresses: list[Address]) -> None:
            if not left:
                sending = submit.submit(self.file, self.folder, self.log.vkey, addresses, context, self._tell)
                try:
                    found.extend(await sending)
                except WireError as error:  # not through the ports' nurseries
                    raised.append(error)
            elif left[0] is None:
                await over(left[1:], [*addresses, NOBODY])
            else:
                async with lying(server_context(self.site), left[0]) as (address, seen):
                    await over(left[1:], [*addresses, address])
                    self.bodies.append(len(seen.bodies))

        run: Callable[[], Awaitable[None]] = lambda: over(ports, [])  # noqa: E731
        trio.run(run)
        for error in raised:
            raise error
        return found

    def _tell(self, _: Address, error: WireError) -> None:
        self.failed.append(error.code)

    def good(self, body: bytes) -> tuple[bytes, End]:
        return logged(self.log.receipt(body)), "open"


@pytest.fixture
def run(site: Site, file: DecisionFile, tmp_path: Path) -> Run:
    return Run(site, file, tmp_path, TestLog())


def codes(sent: list[Sent]) -> list[str | int]:
    return [one.answer.index if isinstance(one.answer, Logged) else one.answer.code for one in sent]


def test_all_are_taken_over_one_line(run: Run) -> None:
    sent = run(run.good)
    assert codes(sent) == [0, 1, 2]
    assert run.failed == []
    for one, signature in zip(sent, run.file.signatures, strict=True):
        assert one.receipt is not None
        assert one.receipt.with_suffix(".cose").read_bytes() == signature.data
        index, _ = receipt.verify(one.receipt.read_bytes(), signature.data, run.log.vkey)
        assert codes([one]) == [index]
    # Again: the same places, and nothing new in the log.
    assert codes(run(run.good)) == [0, 1, 2]
    assert len(run.log.entries) == 3


def test_the_next_address_takes_over(run: Run) -> None:
    answered: list[bytes] = []

    def breaks(body: bytes) -> tuple[bytes, End]:
        answered.append(body)
        return run.good(body) if len(answered) == 1 else (b"", "reset")

    assert codes(run(None, breaks, run.good)) == [0, 1, 2]
    assert run.failed == ["line.unreachable", "line.broken"]
    assert run.bodies == [2, 2]


def test_a_refusal_for_now_and_one_for_ever(run: Run) -> None:
    second = run.file.signatures[1].data

    def later(body: bytes) -> tuple[bytes, End]:
        return problem("limit.device", "later"), "open"

    def never(body: bytes) -> tuple[bytes, End]:
        return (problem("statement.signature", "never", 422), "open") if body == second else run.good(body)

    assert codes(run(later, never, run.good)) == [0, "statement.signature", 1]
    assert run.bodies == [0, 3, 3]
    assert codes(run(later)) == ["limit.device"] * 3


def test_nobody_answers(run: Run) -> None:
    sent = run(None, None)
    assert codes(sent) == ["line.unreachable"] * 3
    assert all(one.receipt is None for one in sent)


def test_receipts_of_another_log_prove_nothing(run: Run) -> None:
    other = TestLog(2)
    sent = run(lambda body: (logged(other.receipt(body)), "open"))
    assert codes(sent) == ["note.signature"] * 3 or codes(sent) == ["note.unsigned"] * 3
    assert list(run.folder.iterdir()) == []


def test_an_answer_that_is_none(run: Run) -> None:
    assert (
        codes(run(lambda _: (http(200, b"fine", {"Content-Type": "text/html"}), "open")))
        == ["line.answer"] * 3
    )


def test_a_statement_with_two_places(run: Run) -> None:
    run(run.good)
    run.log.entries.clear()
    run.log = TestLog()
    run.log.receipt(b"something else")
    with pytest.raises(WireError, match=r"the places 0 and 1.*receipt\.moved"):
        run(run.good)


def test_a_damaged_receipt_is_got_again(run: Run) -> None:
    run(run.good)
    damaged = run.folder / "member-2.receipt"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    run(run.good)
    index, _ = receipt.verify(damaged.read_bytes(), run.file.signatures[1].data, run.log.vkey)
    assert index == 1


def test_receipts_of_another_decision_stay(run: Run) -> None:
    """A file of the same name, prepared anew: what the log has of the first one can still be proved."""
    run(run.good)
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    own = run.file.decision
    content = (own.definition, own.previous, own.number, 6, own.reason, own.action)
    signed = tuple(
        Signature(member, statement.sign("decision", content, key).hex())
        for member, key in enumerate(MEMBERS, 1)
    )
    run.file = dataclasses.replace(run.file, signatures=signed)
    with pytest.raises(WireError, match=r"another decision.*file\.exists"):
        run(run.good)
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before
    assert len(run.log.entries) == 3


def test_waiting_for_the_feed(tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now == 2 * submit.LOOK_SECONDS:
            writer.publish()

    def wait(entry: int, seconds: float) -> bool:
        return submit.is_published(writer.feed, entry, seconds=seconds, clock=lambda: now, sleep=sleep)

    assert not wait(1, submit.LOOK_SECONDS)
    assert wait(1, 10.0)
    assert now == 2 * submit.LOOK_SECONDS
    assert not wait(2, 1.0)


def test_refusals_are_shown(run: Run) -> None:
    [first, *_] = run(lambda _: (problem("identity.role", "never", 403), "open"))
    assert isinstance(first.answer, Refusal)
    assert first.answer.detail == "the words of identity.role"
