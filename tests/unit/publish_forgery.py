"""Bytes between tally and gate, forged: what the tests of the gate share."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from gateway.base.clock import format_time
from gateway.feed import layout
from gateway.feed.models import Paused
from gateway.publish.gate import Candidate, Gate
from gateway.publish.protocol import FeedFile, GateError
from tests.unit.feed_helpers import Publisher, root_of

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"


class Node:
    """A place in JSON, written to and read with brackets alone."""

    def __init__(self, value: Json) -> None:
        self.value = value

    def __getitem__(self, key: str | int) -> Node:
        if isinstance(self.value, dict):
            return Node(self.value[str(key)])
        assert isinstance(self.value, list)
        return Node(self.value[int(key)])

    def __setitem__(self, key: str | int, new: Json | Node) -> None:
        new = new.value if isinstance(new, Node) else new
        if isinstance(self.value, dict):
            self.value[str(key)] = new
        else:
            assert isinstance(self.value, list)
            self.value[int(key)] = new

    def __int__(self) -> int:
        assert isinstance(self.value, int)
        return self.value

    def more(self, key: str | int) -> None:
        self[key] = int(self[key]) + 1

    def pop(self) -> None:
        self.items.pop()

    @property
    def items(self) -> list[Json]:
        assert isinstance(self.value, list)
        return self.value


def canonical(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class Forgery:
    """A candidate taken apart; what is changed in it gets hashes and names that fit, up to the root."""

    def __init__(self, candidate: Candidate, published: Publisher) -> None:
        self.candidate = candidate
        self.published = published
        before = published_areas(published)
        self.areas = {area: Node(json.loads(known.data)) for area, known in before.items()}
        new = {int(node["area"]): node for node in map(loaded, candidate.areas)}
        self.new = set(new)
        self.areas.update(new)
        self.stations = {int(node["station"]): node for node in map(loaded, candidate.stations)}
        self.latest = Node(json.loads(candidate.latest))
        self.listing = None if candidate.decisions is None else Node(json.loads(candidate.decisions.data))

    def area(self, number: int) -> Node:
        """An area's object, which is then written anew."""
        self.new.add(number)
        return self.areas[number]

    def row(self, area: int, place: int) -> Node:
        return self.area(area)["rows"][place]

    def sealed(self) -> Candidate:
        """The candidate with what was changed."""
        files = []
        for number in sorted(self.new, reverse=True):  # areas 2, 3 and 4 stand below 1
            node = self.areas[number]
            for place in range(len(node["areas"].items)):
                child = node["areas"][place]
                if int(child[0]) in self.new:
                    child[1] = hashlib.sha256(canonical(self.areas[int(child[0])].value)).hexdigest()
            files.append(file(layout.area, number, node))
        root = self.areas[1]
        self.latest["tally"] = root
        self.latest["root"]["sha256"] = hashlib.sha256(canonical(root.value)).hexdigest()
        for place in range(len(self.latest["children"].items)):
            child = self.latest["children"][place]
            area = self.areas[int(child["area"])]
            child["sha256"] = hashlib.sha256(canonical(area.value)).hexdigest()
            child["turnout"] = copy.deepcopy(area["turnout"].value)
        decisions = self.candidate.decisions
        if self.listing is not None:
            data = canonical(self.listing.value)
            decisions = FeedFile(layout.decisions(hashlib.sha256(data).digest()), data)
            self.latest["decisions"]["sha256"] = hashlib.sha256(data).hexdigest()
        stations = [
            FeedFile(layout.station(number, int(node["version"])), canonical(node.value))
            for number, node in self.stations.items()
        ]
        return replace(
            self.candidate,
            areas=files,
            stations=stations,
            decisions=decisions,
            latest=canonical(self.latest.value),
        )


def loaded(file: FeedFile) -> Node:
    return Node(json.loads(file.data))


def file(path: Callable[[int, bytes], str], number: int, node: Node) -> FeedFile:
    data = canonical(node.value)
    return FeedFile(path(number, hashlib.sha256(data).digest()), data)


def published_areas(published: Publisher) -> dict[int, FeedFile]:
    """The areas' objects that the last snapshot names, found from its root as a reader does."""
    if not published.drafts:
        return {}
    found: dict[int, FeedFile] = {}
    waiting = [(1, root_of(published.drafts[-1].snapshot).sha256)]
    while waiting:
        number, sha256 = waiting.pop()
        path = layout.area(number, bytes.fromhex(sha256))
        found[number] = FeedFile(path, published.files[path])
        waiting += [(child, below) for child, below in json.loads(found[number].data)["areas"]]
    return found


DeepFault: TypeAlias = Callable[[Forgery], None]
Fault: TypeAlias = Callable[[Candidate], Candidate]


def caught(
    published: Publisher, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Candidate], Candidate]
) -> GateError:
    """What the gate says to a draft with a fault; nothing of the fault is left in its memory."""
    judge = Gate.judge
    with monkeypatch.context() as patch:
        patch.setattr(Gate, "judge", lambda gate, candidate: judge(gate, fault(candidate)))
        with pytest.raises(GateError) as refused:
            published.draft()
    with pytest.raises(GateError) as again:
        published.draft()
    assert again.value is refused.value
    if published.previous is not None:
        last = published.drafts[-1]
        paused = Paused("gate", (("en", str(refused.value)),), format_time(published.now))
        draft = published.builder.repeat(published.number, published.previous, published.now, paused)
        assert draft.snapshot.root == last.snapshot.root
        assert (draft.old_size, draft.size, draft.checkpoint, draft.files) == (last.size, last.size, None, [])
    return refused.value


def deep(published: Publisher, fault: DeepFault) -> Fault:
    def forged(candidate: Candidate) -> Candidate:
        forgery = Forgery(candidate, published)
        fault(forgery)
        return forgery.sealed()

    return forged


def latest(change: Callable[[Node], None]) -> Fault:
    def forged(candidate: Candidate) -> Candidate:
        node = Node(json.loads(candidate.latest))
        change(node)
        return replace(candidate, latest=canonical(node.value))

    return forged
