"""Logs of packets with decisions between them, good ones and bad ones, as Hypothesis draws them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from clients.wire import statement
from clients.wire.cbor import Content
from gateway import _core
from tests.unit.tally_logs import (
    OTHER,
    Action,
    Again,
    Decision,
    Drawing,
    Log,
    Scene,
    actions,
    logs,
    one,
    up_to,
)
from tests.unit.wire_election import MEMBERS

Fault: TypeAlias = Literal["", "number", "taken", "previous", "few", "twice", "foreign"]
FAULTS: tuple[Fault, ...] = ("number", "taken", "previous", "few", "twice", "foreign")
STRAY = b"\x77" * 32
# Decision 1 of a scene is signed by three.
OPENING = 3


@dataclass(frozen=True)
class Order:
    """What members sign after so many packets.

    Attributes:
        after: how many entries of the log without decisions stand before it.
        action: what is ordered; packets are places of the log's steps.
        fault: why it is not taken; empty: it is.
        replayed: whether the same bytes come a second time.
    """

    after: int
    action: Action
    fault: Fault = ""
    replayed: bool = False


@dataclass(frozen=True)
class Decided:
    """A log of packets, and what the commission orders meanwhile."""

    log: Log
    orders: tuple[Order, ...]


class Commission:
    """Makes the statements of decisions: of the next number, or of one that nobody can take."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._quorum = scene.log.quorum
        self._signed = 0
        self.number = 1
        self._chain = hashlib.sha256(statement.decode(scene.statements[0]).payload).digest()

    def order(self, action: Action, fault: Fault = "") -> list[bytes]:
        """A quorum's signatures, or fewer; every payload is another one."""
        self._signed += 1
        number = {"number": self.number + 2, "taken": self.number}.get(fault, self.number + 1)
        previous = STRAY if fault in ("previous", "taken") else self._chain
        content: Content = (
            OTHER if fault == "foreign" else self._scene.definition,
            previous if number > 1 else b"",
            number,
            self._signed,
            (("en", "a reason"),),
            self._scene._action(action),
        )
        members = list(range(self._quorum))
        if fault in ("few", "twice"):
            members.pop()
        signed = [_core.sign("decision", content, bytes(MEMBERS[member])) for member in members]
        if fault == "twice":
            signed += [_resigned(data) for data in signed]
        if not fault:
            self.number = number
            self._chain = hashlib.sha256(_core.encode_payload("decision", content)).digest()
        return signed


def _resigned(data: bytes) -> bytes:
    """The payload with other bytes as signature: the tally does not look at it, whoever calls it has."""
    return data[:-1] + bytes([data[-1] ^ 1])


@dataclass(frozen=True)
class Written:
    """The statements of `Decided`.

    Attributes:
        statements: all of them, in order.
        decided: places of those that are decisions, but for decision 1.
    """

    statements: list[bytes]
    decided: list[int]

    def without_decisions(self) -> list[bytes]:
        """The same packets at the same indexes; what stands between them can never do anything."""
        idle = list(self.statements)
        for place in self.decided:
            content = (OTHER, STRAY, 2 + place, 5, (("en", "nothing"),), (6,))
            idle[place] = _core.sign("decision", content, bytes(MEMBERS[0]))
        return idle


def written(scene: Scene, orders: Sequence[Order], undone: bool = False) -> Written:
    """The log with its decisions.

    Args:
        scene: the packets.
        orders: by `after`.
        undone: whether every number is undone at the end, the highest first.
    """
    commission = Commission(scene)
    found = Written(scene.statements[:OPENING], [])
    packets = scene.statements[OPENING:]

    def decide(entries: list[bytes]) -> None:
        found.decided.extend(range(len(found.statements), len(found.statements) + len(entries)))
        found.statements.extend(entries)

    for place in range(len(packets) + 1):
        for order in orders:
            if order.after == place or (order.after > place == len(packets)):
                signed = commission.order(order.action, order.fault)
                decide(signed + signed[:1] if order.replayed else signed)
        found.statements.extend(packets[place : place + 1])
    if undone:
        for number in range(commission.number, 1, -1):
            decide(commission.order((13, number)))
    return found


@st.composite
def packet_logs(draw: DrawFn) -> Log:
    """A log without decisions: in their places stands what `Scene` leaves out."""
    log = draw(logs())
    steps = tuple(
        Again(place) if isinstance(step, Decision) else step for place, step in enumerate(log.steps)
    )
    return replace(log, steps=steps)


@st.composite
def decided_logs(draw: DrawFn, faults: Sequence[Fault] = ("", "", "", "", *FAULTS)) -> Decided:
    """Packets, and decisions between them: good ones and bad ones; many of them undo another."""
    log = draw(packet_logs())
    drawing = Drawing({}, list(log.steps))
    # A packet is there before it is chosen, most of the time.
    last = len(log.steps)
    places = sorted(draw(st.lists(one(0, last // 2, last, last), min_size=3, max_size=14)))
    orders: list[Order] = []
    for after in places:
        fault = draw(one(*faults))
        taken = 1 + sum(not order.fault for order in orders)
        undoes = taken > 1 and draw(up_to(2)) == 0
        action = (13, draw(up_to(taken, 2))) if undoes else draw(actions(drawing))
        orders.append(Order(after, action, fault, replayed=draw(one(False, False, False, True))))
    return Decided(log, tuple(orders))
