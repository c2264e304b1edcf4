"""What holds of the tally for every log: nothing stale, nothing lost, no number that JSON cannot carry."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from clients.observer.tally import Tally
from clients.observer.tally.shares import share
from clients.observer.tally.station import SILENT, Stations, station_object
from clients.observer.tally.turnout import MAX_HOURS, hours
from clients.wire import jcs, statement
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.statement import Statement
from clients.wire.text import MAX_NUMBER
from tests.unit.test_tally_vectors import Loaded, load
from tests.vectors.tally.build import build, device_key, member_key, named_hash
from tests.vectors.tally.forms import Case

CLOSES_AT = 46_800_000
STATIONS = (10, 11, 12)
SECOND = [
    *("1,box,10,,@,", "2,box,,,@,", "3,box,11 12,,@,", "4,box,11,,@,", "5,terminal,11,,@,"),
    *("6,desk,,2,@,", "7,desk,,1,@,", "8,terminal,10 11 12,,@,"),
]


@cache
def election() -> Loaded:
    """The election `country` with a quorum of one and a second roster."""
    case = Case(
        name="properties",
        why="",
        election="country",
        manifest={"commission": {"members": 2, "quorum": 1}},
        tables={"checks": ["1,hard,lost,<=,issued,1", "2,soft,in_box,=,valid,3"], "firmware": ["@F1,1.0"]},
        rosters={"second": {"devices": SECOND, "firmware": []}},
        log=[],
        expect=[],
    )
    with TemporaryDirectory() as folder:
        return load(build(case), Path(folder) / "built")


def sign(kind: statement.Kind, content: Content, seed: bytes) -> Statement:
    return statement.decode(statement.sign(kind, content, SigningKey(seed)))


# Many times what is usual, so that packets pass, and every border and overflow.
values = st.sampled_from([0, 5, 10, 5, 10, 10, 1_000_000, 1_000_001, MAX_NUMBER])
usual = st.sampled_from([((9, 10), (11, 10), (13, 0)), ((5, 10), (9, 10), (11, 10), (13, 0))])
figures = st.one_of(
    usual,
    usual,
    st.dictionaries(
        st.sampled_from([0, 1, 2, 3, 5, 6, 9, 11, 12, 13, 14, 15, 16, 77]), values, min_size=1
    ).map(lambda own: tuple(sorted(own.items()))),
)
times = st.sampled_from([0, 36_000_000, 39_600_000, CLOSES_AT, CLOSES_AT + 1, MAX_NUMBER])
PRESIDENT = st.one_of(st.sampled_from([(5, 5), (4, 6)]), st.lists(values, min_size=1, max_size=3).map(tuple))
COUNCIL = st.one_of(
    st.sampled_from([(5, 5, 3, 0, 0), (6, 4, 20, 0, 1)]), st.lists(values, min_size=5, max_size=5).map(tuple)
)


@st.composite
def counts(draw: st.DrawFn) -> Content:
    contests = draw(st.sampled_from([(1,), (1,), (1, 2), (1, 2), (2,), (1, 3)]))
    return tuple(
        (contest, draw(figures), draw(COUNCIL if contest == 2 else PRESIDENT)) for contest in contests
    )


papers = st.lists(st.just((bytes(32), 1, 10, 1, 1)), max_size=2).map(tuple)


@st.composite
def reports(draw: st.DrawFn, ids: Sequence[bytes]) -> Content:
    voters = draw(st.one_of(st.just(()), figures))
    match draw(
        st.sampled_from(["opening", "turnout", "result", "result", "protocol", "protocol", "documents"])
    ):
        case "opening":
            zeros = draw(st.sampled_from([(), ((1, (0, 0)),), ((1, (0, 1)),)]))
            return (1, draw(values), named_hash(draw(st.sampled_from(["F1", "F2"]))), zeros)
        case "turnout":
            return (2, draw(times), draw(st.one_of(st.just(((3, 10),)), figures)))
        case "result":
            return (3, draw(times), 1, draw(values), voters, draw(counts()), draw(papers))
        case "protocol":
            corrects = draw(st.sampled_from([b"", b"", bytes(32), *ids]))
            return (4, draw(times), corrects, 1, voters, draw(counts()), draw(papers))
    return (5, ((bytes(32), 2, 7, 6, 0),))


@st.composite
def packets(draw: st.DrawFn, definition: Definition, ids: Sequence[bytes]) -> Statement:
    device = draw(st.integers(1, 7))
    sequence = draw(st.integers(1, 4))
    previous = draw(st.sampled_from([bytes(32), *ids])) if sequence > 1 else b""
    other = named_hash("other")
    content: Content = (
        draw(st.sampled_from([definition.sha256] * 6 + [other])),
        device,
        draw(st.sampled_from([10, 10, 11, 12, 12, 99])),
        sequence,
        previous,
        draw(times),
        draw(reports(ids)),
    )
    return sign("packet", content, device_key(device).seed)


# Who speaks of what when nothing is wrong; device 4 is a spare box.
POSTS = [
    (1, 10),
    (1, 10),
    (2, 11),
    (2, 11),
    (3, 12),
    (3, 12),
    (4, 10),
    (5, 10),
    (5, 12),
    (6, 12),
    (7, 12),
    (7, 10),
]


@st.composite
def sensible_reports(draw: st.DrawFn, device: int, station: int, ids: Sequence[bytes]) -> Content:
    """What a device of this kind says: counts that pass, or nearly."""
    if device == 5:
        return (2, draw(times), ((3, draw(st.integers(0, 30))),))
    contests: list[Content] = [(1, draw(usual), draw(st.sampled_from([(5, 5), (5, 5), (4, 6), (5, 6)])))]
    if station == 12:
        votes = draw(st.sampled_from([(5, 5, 3, 0, 0), (5, 5, 3, 0, 0), (6, 4, 20, 0, 1)]))
        contests.append((2, draw(usual), votes))
    if device in (6, 7):
        corrects = draw(st.sampled_from([b"", b"", *ids[-3:]]))
        part = draw(st.sampled_from([contests, contests, contests[-1:]]))
        return (4, CLOSES_AT, corrects, 1, (), tuple(part), draw(papers))
    if draw(st.integers(0, 3)) == 0:
        return (1, 0, named_hash(draw(st.sampled_from(["F1", "F1", "F2"]))), ())
    return (3, CLOSES_AT, 1, 10 * len(contests), (), tuple(contests), ())


class Writer:
    """Makes the packets of devices that keep their chains, and forget them now and then."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._last: dict[int, tuple[int, bytes]] = {}
        self.ids: list[bytes] = []

    def packet(self, draw: st.DrawFn) -> Statement:
        device, station = draw(st.sampled_from(POSTS))
        sequence, previous = self._last.get(device, (0, b""))
        # Every sixth again under the sequence before it.
        again = sequence == 1 and draw(st.integers(0, 5)) == 0
        content: Content = (
            draw(st.sampled_from([self._definition.sha256] * 8 + [named_hash("other")])),
            device,
            station,
            1 if again else sequence + 1,
            b"" if again else previous,
            CLOSES_AT + 1,
            draw(sensible_reports(device, station, self.ids)),
        )
        made = sign("packet", content, device_key(device).seed)
        if not again:
            self._last[device] = (sequence + 1, made.id)
        return made


@st.composite
def actions(draw: st.DrawFn, loaded: Loaded, ids: Sequence[bytes], number: int) -> Content:
    station = draw(st.sampled_from([10, 11, 12]))
    device = draw(st.integers(1, 8))
    match draw(st.integers(2, 13)):
        case 2:
            return (2, device)
        case 3:
            return (3, device, station, draw(st.integers(0, 7)))
        case 4:
            return (4, draw(st.sampled_from([0, station])), draw(st.integers(0, 2)))
        case 5:
            chosen = draw(st.sampled_from([bytes(32), *ids]))
            return (5, station, draw(st.integers(1, 2)), draw(st.integers(1, 2)), chosen)
        case 8:
            return (8, 1, draw(st.integers(0, 5)))
        case 9:
            return (9, draw(st.sampled_from([roster.sha256 for roster in loaded.rosters.values()])))
        case 10:
            return (10, named_hash("other"))
        case 11:
            return (11, draw(st.sampled_from([0, station])), draw(times))
        case 12:
            return (12, station)
        case 13:
            return (13, draw(st.integers(1, max(1, number))))
    return (draw(st.sampled_from([6, 7])),)


def opening(loaded: Loaded) -> Statement:
    action = (1, "tally.example/case", bytes(32), bytes(32), loaded.rosters[""].sha256, "1")
    return sign("decision", (loaded.definition.sha256, b"", 1, 0, (("en", "x"),), action), member_key(1).seed)


@st.composite
def logs(draw: st.DrawFn) -> list[Statement]:
    """An opening, then packets (sensible ones and others, some in the wrong order) and decisions."""
    loaded = election()
    log = [opening(loaded)]
    writer = Writer(loaded.definition)
    number, previous = 1, hashlib.sha256(log[0].payload).digest()
    for kind in draw(
        st.lists(st.sampled_from(["sensible", "sensible", "any", "decision"]), min_size=12, max_size=40)
    ):
        if kind == "decision":
            number += 1
            action = draw(actions(loaded, writer.ids, number))
            content = (loaded.definition.sha256, previous, number, 0, (("en", "x"),), action)
            entry = sign("decision", content, member_key(1).seed)
            previous = hashlib.sha256(entry.payload).digest()
        else:
            entry = (
                writer.packet(draw) if kind == "sensible" else draw(packets(loaded.definition, writer.ids))
            )
            if entry.id in writer.ids:
                continue
            writer.ids.append(entry.id)
        log.append(entry)
        if kind == "sensible" and log[-2].kind == "packet" and draw(st.integers(0, 3)) == 0:
            log[-2:] = log[:-3:-1]
    return log


def objects(tally: Tally) -> dict[str, bytes | None]:
    return {
        **{f"area {area}": tally.area(area) for area in (1, 2, 3)},
        **{f"station {station}": tally.station(station) for station in STATIONS},
    }


def parsed(data: bytes) -> dict[str, object]:
    value = jcs.parse(data)
    assert isinstance(value, Mapping)
    return dict(value)


def unversioned(tally: Tally, station: int) -> dict[str, object]:
    view = tally._views.get(station, SILENT)
    return parsed(jcs.write(station_object(tally._definition.sha256, station, 0, view)))


@settings(max_examples=60)
@given(logs())
def test_nothing_is_stale_and_versions_are_the_last_change(log: list[Statement]) -> None:
    loaded = election()
    tally = loaded.tally()
    before = {station: unversioned(tally, station) for station in STATIONS}
    versions: dict[int, int] = {}
    for index, entry in enumerate(log):
        tally.apply(entry)
        anew = Stations(loaded.definition, tally._book, tally.authority)
        for station in STATIONS:
            assert anew.view(station) == tally._views.get(station, SILENT), (index, station)
            now = unversioned(tally, station)
            if now != before[station]:
                versions[station] = index
            before[station] = now
        assert {station: tally.version(station) for station in STATIONS} == {
            station: versions.get(station) for station in STATIONS
        }


@settings(max_examples=60)
@given(logs(), st.data())
def test_the_same_prefix_gives_the_same_bytes_whenever_objects_are_asked_for(
    log: list[Statement], data: st.DataObject
) -> None:
    asked, silent = election().tally(), election().tally()
    for entry in log:
        asked.apply(entry)
        silent.apply(entry)
        if data.draw(st.booleans()):
            objects(asked)
    assert objects(asked) == objects(silent)


def rows_of(tally: Tally, area: int) -> list[list[object]]:
    """The rows of an area and of those below it."""
    value = parsed(tally.area(area))
    rows = cast(list[list[object]], value["rows"])
    for child, sha256 in cast(list[tuple[int, str]], value["areas"]):
        assert hashlib.sha256(tally.area(child)).hexdigest() == sha256
        rows = [*rows, *rows_of(tally, child)]
    return rows


def recount(
    definition: Definition, rows: Sequence[Sequence[object]], contest: int, source: int
) -> dict[str, object]:
    """One contest's sums from rows alone."""
    states = dict.fromkeys(("silent", "partial", "reported", "held", "disputed", "annulled"), 0)
    registered = [0, 0]
    sums: dict[int, list[int]] = {}
    votes = [0] * len(definition.choices[contest])
    for row in rows:
        station = definition.stations[cast(int, row[0])]
        if contest not in station.contests or row[3]:
            continue
        inner = cast(list[tuple[int, int, str, list[list[int]], list[int]]], row[5])
        own = next((entry for entry in inner if (entry[0], entry[1]) == (contest, source)), None)
        states[own[2] if own else "silent"] += 1
        if own is None or own[2] not in ("reported", "disputed"):
            continue
        if station.registered is not None:
            registered = [registered[0] + station.registered, registered[1] + 1]
        for code, value in own[3]:
            before = sums.get(code, [0, 0])
            sums[code] = [before[0] + value, before[1] + 1]
        votes = [total + value for total, value in zip(votes, own[4], strict=True)]
    return {
        **states,
        "counted": states["reported"] + states["disputed"],
        "registered": registered,
        "figures": [[code, *own] for code, own in sorted(sums.items())],
        "votes": votes,
    }


@settings(max_examples=60)
@given(logs())
def test_sums_are_those_of_the_rows_and_no_content_breaks_them(log: list[Statement]) -> None:
    loaded = election()
    tally = loaded.tally()
    for entry in log:
        tally.apply(entry)
    jcs.write(tally.results())
    for area in (1, 2, 3):
        value = parsed(tally.area(area))
        rows = rows_of(tally, area)
        expected = [row for row in rows if not row[3]]
        assert value["stations"] == len(expected)
        assert value["cancelled"] == len(rows) - len(expected)
        assert value["opened"] == sum(cast(int, row[2]) for row in expected)
        codes = [code for row in expected for code in cast(list[str], row[4])]
        assert value["flags"] == [[code, codes.count(code)] for code in sorted(set(codes))]
        for contest in cast(list[dict[str, object]], value["contests"]):
            number = cast(int, contest["contest"])
            for source, word in ((1, "machine"), (2, "protocol")):
                assert contest[word] == recount(loaded.definition, rows, number, source)
        progress = cast(dict[str, int], tally.progress(area))
        states = ("reported", "held", "disputed", "annulled", "partial", "silent")
        assert sum(progress[state] for state in states) == progress["stations"] == len(expected)
        for row in rows:
            data = tally.station(cast(int, row[0]))
            if data is None:
                assert row[1:] == [None, 0, 0, [], []]
                continue
            own = parsed(data)
            assert row[1:5] == [own["version"], own["opened"], own["cancelled"], own["codes"]]


def test_a_missing_roster_stops_the_tally_before_its_entry() -> None:
    loaded = election()
    tally = Tally(loaded.definition, loaded.rosters[""])
    first = opening(loaded)
    tally.apply(first)
    before = objects(tally)
    previous = hashlib.sha256(first.payload).digest()
    action = (9, loaded.rosters["second"].sha256)
    content: Content = (loaded.definition.sha256, previous, 2, 0, (("en", "x"),), action)
    entry = sign("decision", content, member_key(1).seed)
    for _ in range(2):
        with pytest.raises(WireError, match="get it, and start again") as caught:
            tally.apply(entry)
        assert caught.value.code == "roster.missing"
    assert (tally.size, objects(tally)) == (1, before)


def test_an_unusable_roster_is_void() -> None:
    loaded = election()
    unusable = loaded.rosters["second"].sha256
    tally = Tally(loaded.definition, loaded.rosters[""], unusable_rosters=[unusable])
    first = opening(loaded)
    tally.apply(first)
    previous = hashlib.sha256(first.payload).digest()
    content: Content = (loaded.definition.sha256, previous, 2, 0, (("en", "x"),), (9, unusable))
    tally.apply(sign("decision", content, member_key(1).seed))
    assert tally.authority.speakers is loaded.rosters[""]
    assert all(tally.version(station) is None for station in STATIONS)


@pytest.mark.parametrize(
    ("part", "base", "expected"),
    [
        (1, None, None),
        (0, 0, None),
        (5, 0, None),
        (0, 7, 0),
        (1, 3, 3_333),
        (2, 3, 6_667),
        # Half a hundredth goes up: 1/20,000 is 0.5, 3/20,000 is 1.5.
        (1, 20_000, 1),
        (3, 20_000, 2),
        (9_999, 20_000_001, 5),
        (7, 7, 10_000),
        (MAX_NUMBER, MAX_NUMBER, 10_000),
        (MAX_NUMBER, 1, MAX_NUMBER),
    ],
)
def test_shares_are_rounded_half_up(part: int, base: int | None, expected: int | None) -> None:
    assert share(part, base) == expected


def with_times(tmp_path: Path, opens_at: int, closes_at: int) -> Definition:
    case = Case(
        name="hours",
        why="",
        manifest={"opens_at": opens_at, "closes_at": closes_at},
        tables={"stations": [f"10,1,,ordinary,yes,{closes_at},UTC,1,,Ten"], "devices": []},
        log=[],
        expect=[],
    )
    return load(build(case), tmp_path / "built").definition


@pytest.mark.parametrize(
    ("opens_at", "closes_at", "number", "last"),
    [
        (0, 3_600_000, 1, 3_600_000),
        (0, 3_600_001, 2, 7_200_000),
        # Closed before it opened: the first full hour is at or after the closing.
        (7_200_000, 0, 1, 10_800_000),
        (0, MAX_NUMBER, MAX_HOURS, MAX_HOURS * 3_600_000),
        # The first hour would be above 2^53-1.
        (MAX_NUMBER, MAX_NUMBER, 0, None),
        (MAX_NUMBER - 3_600_000, MAX_NUMBER, 1, MAX_NUMBER),
        (MAX_NUMBER - 3_600_001, MAX_NUMBER, 1, MAX_NUMBER - 1),
    ],
)
def test_hours_end_at_the_closing_and_at_the_limits(
    tmp_path: Path, opens_at: int, closes_at: int, number: int, last: int | None
) -> None:
    found = hours(with_times(tmp_path, opens_at, closes_at))
    assert (len(found), found[-1] if found else None) == (number, last)
