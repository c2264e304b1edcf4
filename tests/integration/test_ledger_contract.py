"""What every store of the ledger promises. Another store joins by one more maker in `STORES`."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger.protocol import (
    Attachment,
    Entry,
    Last,
    Ledger,
    LedgerFailedError,
    Logged,
    Named,
    Outcome,
    Refusal,
    Refused,
    Submission,
)
from tests.faults.night import OPENED_AT, QUOTA, Night, packet, submit, twin

Maker = Callable[[Night], Ledger]

STORES: dict[str, Maker] = {"sqlite": lambda night: night.open(refusals_kept=5)}


class Store:
    """A night and the ledger on it, to be closed and opened again."""

    def __init__(self, root: Path, make: Maker, *, opening: bool = True) -> None:
        self.night = Night(root, opening=opening)
        self._make = make
        self.ledger = make(self.night)

    def again(self) -> Ledger:
        self.ledger.close()
        self.ledger = self._make(self.night)
        return self.ledger

    def standings(self, batch: list[Submission]) -> list[str]:
        """Appends, checks every receipt, and gives the standing or the refusal's code of each."""
        return [
            self._judge(one, answer) for one, answer in zip(batch, self.ledger.append(batch), strict=True)
        ]

    def _judge(self, one: Submission, answer: Outcome) -> str:
        if isinstance(answer, Refused):
            return answer.code
        self.check(one.statement, answer)
        return answer.standing

    def check(self, statement: _core.Statement, answer: Logged) -> None:
        receipt = answer.receipt.text().encode()
        index, checkpoint = _core.verify_receipt(receipt, statement.encoded, self.night.vkey)
        assert index == answer.receipt.index
        head = self.ledger.head()
        assert head is not None
        assert checkpoint == _core.open_checkpoint(head.note.encode(), self.night.vkey)
        assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
        assert self.ledger.entries(index, index + 1)[0].statement == statement.encoded


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "night", STORES[request.param])
    yield made
    made.ledger.close()


@pytest.fixture(params=sorted(STORES))
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "unopened", STORES[request.param], opening=False)
    yield made
    made.ledger.close()


def test_the_opening_is_the_first_entries(store: Store) -> None:
    head = store.ledger.head()
    assert head is not None
    assert head.size == 2
    assert store.ledger.vkey == store.night.vkey
    expected = [
        Entry(index, statement, OPENED_AT, "opening")
        for index, statement in enumerate(store.night.opening_signatures())
    ]
    assert store.ledger.entries(0, 10) == expected
    assert store.standings([submit(_core.decode(expected[1].statement), "commission:2")]) == ["duplicate"]


def test_before_the_opening_nothing_is_taken(unopened: Store) -> None:
    assert unopened.ledger.head() is None
    assert unopened.ledger.vkey is None
    assert unopened.standings([submit(packet(1, 1)), submit(unopened.night.decision(2, 1))]) == [
        "log.not_open",
        "log.not_open",
    ]
    assert unopened.ledger.entries(0, 10) == []
    assert unopened.ledger.receipt(packet(1, 1).id) is None
    assert unopened.again().head() is None
    unopened.night.write_opening(unopened.night.opening_signatures())
    head = unopened.again().head()
    assert head is not None
    assert head.size == 2


def test_statements_stand_in_the_order_of_their_batch(store: Store) -> None:
    batch = [submit(packet(device, 1), f"box:{device}") for device in range(1, 30)]
    assert store.standings(batch) == ["accepted"] * 29
    entries = store.ledger.entries(2, 100)
    assert [entry.statement for entry in entries] == [one.statement.encoded for one in batch]
    assert [(entry.received_at, entry.route) for entry in entries] == [
        (one.received_at, one.route) for one in batch
    ]
    assert store.ledger.entries(5, 7) == entries[3:5]
    assert store.ledger.entries(31, 40) == []
    assert store.ledger.entries(7, 5) == []


def test_an_empty_batch_changes_nothing(store: Store) -> None:
    before = store.ledger.head()
    assert store.ledger.append([]) == []
    assert store.ledger.head() == before


def test_a_known_statement_keeps_its_place(store: Store) -> None:
    one, other = packet(1, 1), packet(2, 1)
    assert store.standings([submit(one), submit(one), submit(other), submit(one)]) == [
        "accepted",
        "duplicate",
        "accepted",
        "duplicate",
    ]
    before = store.ledger.head()
    again = store.ledger.append([submit(other, "courier:7"), submit(one)])
    assert [answer.receipt.index for answer in again if isinstance(answer, Logged)] == [3, 2]
    assert store.ledger.head() == before
    found = store.ledger.receipt(one.id)
    assert found is not None
    assert (found.index, found.note) == (2, before.note if before else "")
    assert store.ledger.receipt(bytes(32)) is None


def test_four_payloads_under_one_sequence_are_proof_enough(store: Store) -> None:
    assert store.standings([submit(packet(1, 5, 0))]) == ["accepted"]
    assert store.standings([submit(packet(1, 5, 1)), submit(packet(1, 5, 2))]) == ["conflict", "conflict"]
    batch = [submit(packet(1, 5, 3)), submit(packet(1, 5, 4)), submit(packet(1, 5, 3))]
    assert store.standings(batch) == ["conflict", "limit.device", "duplicate"]
    fifth = store.ledger.append([submit(packet(1, 5, 4), "courier:1")])[0]
    assert isinstance(fifth, Refused)
    assert (fifth.code, fifth.retry) == ("limit.device", "never")
    # Another sequence and another device are not touched by it.
    assert store.standings([submit(packet(1, 6, 4)), submit(packet(2, 5, 4))]) == ["accepted", "accepted"]
    assert store.again().append([submit(packet(1, 5, 4))]) == [fifth]


def test_one_payload_under_several_signatures_is_no_conflict(store: Store) -> None:
    one = packet(1, 1)
    assert store.standings([submit(one), submit(twin(one, 1))]) == ["accepted", "accepted"]
    assert store.standings([submit(twin(one, 2)), submit(packet(1, 1, 9))]) == ["accepted", "conflict"]
    assert store.standings([submit(twin(one, 3)), submit(packet(1, 1, 8)), submit(packet(1, 1, 7))]) == [
        "accepted",
        "conflict",
        "conflict",
    ]
    # Four payloads are there: a fifth is refused, another signature of the first is not.
    assert store.standings([submit(packet(1, 1, 6)), submit(twin(one, 4))]) == ["limit.device", "accepted"]


def test_a_quota_counts_the_new_entries_of_a_device_and_route(store: Store) -> None:
    mine = [submit(packet(1, number), "box:1", 3) for number in (1, 2, 3)]
    assert store.standings(mine) == ["accepted"] * 3
    fourth = packet(1, 4)
    refused = store.ledger.append([submit(fourth, "box:1", 3)])[0]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry) == ("limit.device", "later")
    # Nobody can use up a box's own: another route has its own, and so has another device on this one.
    assert store.standings([submit(packet(2, 1), "box:1", 3), submit(fourth, "courier:1", 3)]) == [
        "accepted",
        "accepted",
    ]
    # A known id always gets its receipt, and a larger quota is a later.
    assert store.standings([submit(fourth, "box:1", 3), *mine]) == ["duplicate"] * 4
    assert store.standings([submit(packet(1, 5), "box:1", 4)]) == ["accepted"]
    assert store.standings([submit(packet(1, number), "box:1", 6) for number in (6, 7, 8)]) == [
        "accepted",
        "accepted",
        "limit.device",
    ]


def test_a_device_has_so_many_bytes_about_one_station(store: Store) -> None:
    packets = [packet(1, number) for number in range(1, 6)]
    quota = sum(len(one.encoded) for one in packets[:3])
    more = quota + len(packets[3].encoded)
    batch = [submit(one, "box:1", QUOTA, quota) for one in packets[:4]]
    assert store.standings(batch) == ["accepted"] * 3 + ["limit.device"]
    refused = store.ledger.append([batch[3]])[0]
    assert isinstance(refused, Refused)
    assert (refused.retry, "station_bytes_per_device" in refused.detail) == ("later", True)
    for _ in range(2):
        # Over no other certificate either; about another station and of another device as before.
        assert store.standings([submit(packets[3], "courier:1", QUOTA, quota)]) == ["limit.device"]
        assert store.standings(batch[:3]) == ["duplicate"] * 3
        store.again()
    other = [packet(1, 9, station=8), packet(2, 1)]
    assert store.standings([submit(one, "box:1", QUOTA, quota) for one in other]) == ["accepted"] * 2
    assert store.standings([submit(packets[3], "box:1", QUOTA, more)]) == ["accepted"]
    assert store.standings([submit(packets[4], "box:1", QUOTA, more)]) == ["limit.device"]


_SENT = st.lists(
    st.tuples(
        st.sampled_from((1, 1, 1, 2)), st.sampled_from((7, 7, 7, 8)), st.integers(8, 16), st.booleans()
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=_SENT,
    quota=st.sampled_from((3_000, 17_000, 33_000)),
    cuts=st.sets(st.integers(0, 60)),
    restarts=st.sets(st.integers(0, 60), max_size=3),
)
def test_bytes_are_counted_as_if_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[tuple[int, int, int, bool]],
    quota: int,
    cuts: set[int],
    restarts: set[int],
) -> None:
    """Whatever the batches, restarts and routes, and whether a device has enough to be added up or not."""
    store = Store(tmp_path_factory.mktemp("bytes"), STORES["sqlite"])
    held: Counter[tuple[int, int]] = Counter()
    waiting: list[Submission] = []
    expected: list[str] = []
    for place, (device, station, papers, carried) in enumerate(sent):
        attachments = tuple((bytes([paper]) * 32, 1, 1_000, 1, 1) for paper in range(papers))
        one = packet(device, place + 1, attachments=attachments, station=station)
        fits = held[device, station] + len(one.encoded) <= quota
        held[device, station] += len(one.encoded) if fits else 0
        waiting.append(submit(one, "courier:1" if carried else f"box:{device}", QUOTA, quota))
        expected.append("accepted" if fits else "limit.device")
        if place in cuts or place in restarts or place == len(sent) - 1:
            assert store.standings(waiting) == expected
            waiting, expected = [], []
        if place in restarts:
            store.again()
    store.ledger.close()


def test_decisions_have_no_quota_and_no_conflict(store: Store) -> None:
    decisions = [store.night.decision(2, 1, f"Reason {number}.") for number in range(300)]
    assert store.standings([submit(one, "commission:1") for one in decisions]) == ["accepted"] * 300
    # Decision numbers and members are not sequences and devices.
    assert store.ledger.last(1) is None
    assert store.standings([submit(packet(1, 2), "box:1", 1)]) == ["accepted"]


def test_the_decisions_of_a_log(store: Store, unopened: Store) -> None:
    assert unopened.ledger.decisions() == []
    opening = store.ledger.entries(0, 2)
    assert store.ledger.decisions() == opening
    mixed = [
        submit(packet(1, 1)),
        submit(store.night.decision(3, 2), "commission:2"),
        submit(packet(1, 2)),
        submit(store.night.decision(2, 3), "commission:3"),
        submit(store.night.decision(2, 1), "commission:1"),
    ]
    store.ledger.append(mixed)
    entries = store.ledger.entries(0, 10)
    assert store.ledger.decisions() == [entries[index] for index in (0, 1, 3, 5, 6)]
    assert store.again().decisions() == [entries[index] for index in (0, 1, 3, 5, 6)]


def test_no_index_is_below_zero(store: Store) -> None:
    """The caller's fault is not the end of the ledger."""
    with pytest.raises(ValueError, match="index"):
        store.ledger.entries(-1, 3)
    assert len(store.ledger.entries(0, 3)) == 2


def test_the_last_packet_of_a_device(store: Store) -> None:
    assert store.ledger.last(1) is None
    seven = packet(1, 7)
    store.ledger.append([submit(packet(1, 3)), submit(seven), submit(packet(1, 7, 9)), submit(packet(2, 9))])
    assert store.ledger.last(1) == Last(7, seven.id)
    assert store.again().last(1) == Last(7, seven.id)


def test_papers_that_logged_packets_name(store: Store) -> None:
    first, second = b"\x01" * 32, b"\x02" * 32
    papers = ((first, 1, 1_000, 1, 1), (second, 3, 20, 2, 1), (first, 1, 1_000, 5, 2))
    store.ledger.append(
        [submit(packet(1, 1, attachments=papers)), submit(packet(2, 1, attachments=papers[:1]))]
    )
    assert store.ledger.named(first) == [Named(1, 7, 1, 1_000), Named(2, 7, 1, 1_000)]
    assert store.ledger.named(second) == [Named(1, 7, 3, 20)]
    assert store.ledger.named(bytes(32)) == []
    stored = Attachment(first, 1_000, 1, OPENED_AT)
    assert store.ledger.attachment(first) is None
    store.ledger.store_attachment(stored)
    store.ledger.store_attachment(Attachment(first, 1_000, 1, OPENED_AT + 5))
    assert store.ledger.attachment(first) == stored
    assert store.again().attachment(first) == stored


def test_bytes_of_stored_papers_by_device(store: Store) -> None:
    first, second = b"\x01" * 32, b"\x02" * 32
    # The first is named by both, and by one of them for two stations; nobody names the third.
    papers = ((first, 1, 1_000, 1, 1), (second, 3, 20, 2, 1))
    store.ledger.append(
        [
            submit(packet(1, 1, attachments=papers)),
            submit(packet(1, 2, attachments=papers[:1], station=8)),
            submit(packet(2, 1, attachments=papers[:1])),
        ]
    )
    assert store.ledger.stored_bytes() == {}
    store.ledger.store_attachment(Attachment(first, 1_000, 1, OPENED_AT))
    store.ledger.store_attachment(Attachment(bytes(32), 7, 1, OPENED_AT))
    assert store.ledger.stored_bytes() == {1: 1_000, 2: 1_000}
    store.ledger.store_attachment(Attachment(second, 20, 3, OPENED_AT))
    assert store.again().stored_bytes() == {1: 1_020, 2: 1_000}


def test_refusals_are_found_by_their_devices(store: Store) -> None:
    def refusal(number: int, device: int | None) -> Refusal:
        return Refusal(OPENED_AT + number, "statement.signature", device, bytes([number]) * 32, b"")

    found = [refusal(1, 1), refusal(2, None), refusal(3, 2), refusal(4, 1), refusal(5, 256)]
    for one in found:
        store.ledger.refuse(one)
    store.ledger.write_refusals()
    for _ in range(2):
        assert store.ledger.refusals_of([1], 10) == [found[3], found[0]]
        assert store.ledger.refusals_of([1, 2], 2) == [found[3], found[2]]
        assert store.ledger.refusals_of([256], 10) == [found[4]]
        assert store.ledger.refusals_of([3], 10) == []
        assert store.ledger.refusals_of([], 10) == []
        store.again()


def test_refusals_are_written_with_the_next_batch_up_to_a_quota(store: Store) -> None:
    def refusal(number: int) -> Refusal:
        return Refusal(OPENED_AT + number, "statement.signature", number or None, bytes(32), b"\xd2" * number)

    store.ledger.refuse(refusal(0))
    assert store.ledger.refusals(10) == []
    store.ledger.append([submit(packet(1, 1))])
    assert store.ledger.refusals(10) == [refusal(0)]
    for number in range(1, 5):
        store.ledger.refuse(refusal(number))
    store.ledger.append([submit(packet(1, 1))])
    assert store.ledger.refusals(10) == [refusal(0)], "a batch that writes nothing writes no refusal"
    store.ledger.refuse(refusal(100))
    kept = store.again().refusals(10)
    assert [one.at - OPENED_AT for one in kept] == [100, 4, 3, 2, 1]
    assert len(kept[0].excerpt) == 64
    assert store.ledger.refusals(2) == kept[:2]


BAD_REFUSALS: dict[str, dict[str, object]] = {
    "a device beyond": {"device": 2**63},
    "a device below": {"device": -1},
    "no number": {"device": "7"},
    "a time beyond": {"at": 2**63},
    "a time below": {"at": -1},
    "half a pair": {"code": "statement.\ud800"},
    "no code": {"code": None},
    "a long code": {"code": "x" * 49},
    "a code in other letters": {"code": "statement.é"},
    "no hash": {"sha256": None},
    "a short hash": {"sha256": bytes(31)},
    "a long hash": {"sha256": bytes(33)},
    "no excerpt": {"excerpt": None},
    "an excerpt that is text": {"excerpt": "x"},
}


@pytest.mark.parametrize("what", sorted(BAD_REFUSALS))
def test_a_refusal_that_cannot_be_stored_is_the_callers_fault(store: Store, what: str) -> None:
    """It must not meet the honest batch that would have taken it along."""
    good: dict[str, object] = {
        "at": OPENED_AT,
        "code": "limit.device",
        "device": 1,
        "sha256": bytes(32),
        "excerpt": b"",
    }
    make: Callable[..., Refusal] = Refusal
    with pytest.raises(ValueError, match="refusal"):
        store.ledger.refuse(make(**(good | BAD_REFUSALS[what])))
    store.ledger.refuse(make(**good))
    assert store.standings([submit(packet(1, 1))]) == ["accepted"]
    assert store.again().refusals(10) == [make(**good)]


def test_a_batch_takes_only_so_many_refusals_along(store: Store) -> None:
    for number in range(150):
        store.ledger.refuse(Refusal(OPENED_AT + number, "limit.device", 1, bytes(32), b""))
    newest = []
    for sequence in (1, 2, 3, 4):
        store.ledger.append([submit(packet(1, sequence))])
        newest.append(store.ledger.refusals(1)[0].at - OPENED_AT)
    assert newest == [63, 127, 149, 149]


def test_refusals_are_written_alone_where_somebody_asks_for_it(store: Store, unopened: Store) -> None:
    for one in (store, unopened):
        before, entries = one.ledger.head(), one.ledger.entries(0, 10)
        one.ledger.write_refusals()
        for number in range(5):
            one.ledger.refuse(Refusal(OPENED_AT + number, "log.not_open", 1, bytes(32), b""))
        one.ledger.write_refusals()
        one.ledger.write_refusals()
        kept = one.ledger.refusals(10)
        assert [refusal.at - OPENED_AT for refusal in kept] == [4, 3, 2, 1, 0]
        assert (one.ledger.head(), one.ledger.entries(0, 10)) == (before, entries)
        assert one.again().refusals(10) == kept
        assert one.ledger.head() == before


def test_one_route_does_not_take_all_the_room(store: Store) -> None:
    """Whoever floods the gateway must not hide what happens to the others."""
    first = Refusal(OPENED_AT, "statement.signature", 1, bytes(32), b"")
    store.ledger.refuse(first, "box:1")
    for number in range(5_000):
        store.ledger.refuse(Refusal(OPENED_AT + number, "statement.malformed", 2, bytes(32), b""), "box:2")
    store.ledger.append([submit(packet(1, 1))])
    store.ledger.write_refusals()
    assert store.ledger.refusals(1)[0].at - OPENED_AT < 4_999
    # What is written waits no longer.
    store.ledger.refuse(first, "box:2")
    store.ledger.write_refusals()
    assert store.ledger.refusals(1) == [first]


def test_refusals_survive_a_batch_that_fails(store: Store) -> None:
    refused = Refusal(OPENED_AT, "limit.device", 1, bytes(32), b"")
    store.ledger.refuse(refused)
    with pytest.raises(ValueError, match="route"):
        store.ledger.append([submit(packet(1, 1), "")])
    assert store.ledger.refusals(10) == []
    store.ledger.append([submit(packet(1, 1))])
    assert store.ledger.refusals(10) == [refused]


def test_what_the_door_should_not_have_let_through_is_the_callers_fault(store: Store) -> None:
    before = store.ledger.head()
    stranger = _core.decode(
        _core.sign("decision", (bytes(32), b"\x09" * 32, 2, 1, (("en", "x"),), (6,)), b"\x77" * 32)
    )
    for bad in (
        submit(packet(2, 1), ""),
        submit(packet(2, 1), "é"),
        submit(packet(2, 1), "x" * 65),
        submit(stranger),
    ):
        with pytest.raises(ValueError, match=r"route|member"):
            store.ledger.append([submit(packet(1, 1)), bad])
    assert store.ledger.head() == before
    assert store.ledger.receipt(packet(1, 1).id) is None
    assert store.standings([submit(packet(1, 1))]) == ["accepted"]


def test_everything_is_there_after_a_restart(store: Store) -> None:
    for sequence in range(1, 20):
        store.ledger.append([submit(packet(device, sequence)) for device in range(1, sequence + 1)])
    head, entries = store.ledger.head(), store.ledger.entries(0, 1_000)
    ledger = store.again()
    assert ledger.head() == head
    assert ledger.entries(0, 1_000) == entries
    assert store.standings([submit(packet(5, 19)), submit(packet(5, 20))]) == ["duplicate", "accepted"]


def test_a_closed_ledger_answers_nothing(store: Store) -> None:
    ledger = store.ledger
    store.again()
    for call in (
        ledger.head,
        lambda: ledger.append([]),
        lambda: ledger.last(1),
        lambda: ledger.entries(0, 1),
        ledger.write_refusals,
    ):
        with pytest.raises(LedgerFailedError):
            call()
    ledger.close()


def test_every_head_extends_the_one_before(store: Store) -> None:
    tree = _core.Tree()
    heads = []
    for sequence in range(1, 8):
        store.ledger.append([submit(packet(device, sequence)) for device in range(1, 4)])
        heads.append(store.ledger.head())
    tree.append([_core.leaf_hash(entry.statement) for entry in store.ledger.entries(0, 100)])
    for head in heads:
        assert head is not None
        assert tree.root(head.size) == head.root


def test_one_owner(store: Store) -> None:
    with pytest.raises(TallygateError) as caught:
        STORES["sqlite"](store.night)
    assert caught.value.code == "ledger.owned"
    assert "process" in caught.value.detail
