"""Random decisions in both tallies: the same bytes, and what is undone or never taken leaves no trace."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from hypothesis import given, settings

from clients.wire import statement
from gateway import _core
from tests.unit.decision_logs import FAULTS, Decided, decided_logs, written
from tests.unit.tally_logs import AREAS, STATIONS, Log, Scene
from tests.unit.test_tally_core import assert_same, core, everything, everything_observed, observed

Said: TypeAlias = dict[str, object]
Reader: TypeAlias = Callable[[Scene, Sequence[bytes]], Said]


def read_core(scene: Scene, statements: Sequence[bytes]) -> Said:
    tally = core(scene)
    assert tally.apply(0, statements) == len(statements)
    return everything(tally)


def read_observed(scene: Scene, statements: Sequence[bytes]) -> Said:
    tally = observed(scene)
    for data in statements:
        tally.apply(statement.decode(data))
    return everything_observed(tally)


READERS = pytest.mark.parametrize("read", [read_core, read_observed])


@contextmanager
def scene_of(log: Log) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as root:
        yield Scene(Path(root), log)


@given(decided=decided_logs())
@settings(max_examples=80)
def test_both_say_the_same_after_every_decision(decided: Decided) -> None:
    with scene_of(decided.log) as scene:
        log = written(scene, decided.orders)
        mine, theirs = core(scene), observed(scene)
        for place, data in enumerate(log.statements):
            assert mine.apply(place, [data]) == 1
            theirs.apply(statement.decode(data))
            if place not in log.decided and place + 1 < len(log.statements):
                continue
            assert_same(everything(mine), everything_observed(theirs))
            for decision in log.decided:
                signed = log.statements[decision]
                assert mine.standing(_core.decode(signed)) == theirs.authority.standing(
                    statement.decode(signed)
                )


@READERS
@given(decided=decided_logs())
@settings(max_examples=50)
def test_with_every_decision_undone_the_totals_are_those_of_a_log_without(
    read: Reader, decided: Decided
) -> None:
    with scene_of(decided.log) as scene:
        log = written(scene, decided.orders, undone=True)
        assert traceless(read(scene, log.statements)) == traceless(read(scene, log.without_decisions()))


@READERS
@given(decided=decided_logs(FAULTS))
@settings(max_examples=50)
def test_what_is_never_taken_changes_no_byte(read: Reader, decided: Decided) -> None:
    with scene_of(decided.log) as scene:
        log = written(scene, decided.orders)
        assert_same(read(scene, log.statements), read(scene, log.without_decisions()))


def traceless(said: Said) -> Said:
    """All that is said, but for versions, hashes of what holds them, and stations that look untouched."""
    left: Said = {"results": said["results"]}
    for number in STATIONS:
        left[f"station {number}"] = _station(cast("bytes | None", said[f"station {number}"]))
    for number in AREAS:
        left[f"progress {number}"] = said[f"progress {number}"]
        area = json.loads(cast(bytes, said[f"area {number}"]))
        area["areas"] = [child for child, _ in area["areas"]]
        area["rows"] = [[station, *rest] for station, _, *rest in area["rows"]]
        left[f"area {number}"] = area
    return left


def _station(data: bytes | None) -> object:
    if data is None:
        return None
    station = json.loads(data)
    del station["version"]
    untouched = not (station["packets"] or station["decisions"] or station["cancelled"] or station["counts"])
    return None if untouched else station
