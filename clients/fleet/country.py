"""An invented election, its counts and its night: what the demonstration plays, one seed the same bytes.

What lives here: `invent`, which writes an election folder as officials do (docs/election-folder.md), and
beside it what the fleet plays: the counts of every station, when each box arrives after the close, and which
of them have trouble. Like a real night it is uneven: regions differ in turnout and taste, most boxes arrive
at once, some late, some twice, some never, one has counted wrong and one contradicts itself.
"""

import csv
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from clients.fleet.country_names import (
    AGAINST_ALL,
    AGAINST_ALL_STRENGTH,
    ASSEMBLY,
    COUNTRY,
    LANGUAGES,
    NO,
    NOTICE,
    PARTIES,
    REFERENDUM,
    REGIONS,
    STATION,
    TITLE,
    YES,
    Names,
    Region,
)

ELECTION_ID: Final = "hill-country-demo-rehearsal"
SEED: Final = 2032
STATIONS: Final = 2_400
# One district may be all that there is; a lowest area has up to 1,000 stations without a warning.
FEWEST_STATIONS: Final = 20
MOST_STATIONS: Final = 30_000

OPENS_AT: Final = "2032-03-14T08:00:00+06:00"
CLOSES_AT: Final = "2032-03-14T20:00:00+06:00"
# The same, in ms since the Unix epoch: what clock.json of a rehearsal is written in.
OPENS_AT_MS: Final = 1_962_842_400_000
DAY_MINUTES: Final = 12 * 60
CLOSES_AT_MS: Final = OPENS_AT_MS + DAY_MINUTES * 60_000

# RFC 8032, section 7.1, test 1: its secret half is printed there. A rehearsal makes its own in its place.
_COMMISSION_KEY: Final = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

_FIRST_STATION: Final = 1_001
_ROOT: Final = 1
# A region's number is 11, 12, …; a district's is its region's with two digits more.
_REGION_BASE: Final = 11
_LIST_CONTEST: Final = 1
_REFERENDUM_CONTEST: Final = 2
# One station in so many is a hospital's or a barracks'.
_SPECIAL_EVERY: Final = 48

# Seconds after the close within which the rush arrives, most of it in the first third: so many for each
# station, in a country that is large enough for a rush.
_RUSH_A_STATION: Final = 28.0 / STATIONS
_SHORTEST_RUSH: Final = 5.0
# Shape of the rush (a beta distribution): a steep rise, a long tail.
_RUSH_RISE: Final = 1.5
_RUSH_TAIL: Final = 3.6
# So many seconds after it come the late ones.
_LATE_SECONDS: Final = (2.0, 7.0)
_DISPUTED_SECONDS: Final = 0.5
# Seconds until a box that has not understood its receipt sends again.
_AGAIN_SECONDS: Final = (1.0, 5.0)
# One station in so many: is late, sends twice, never arrives.
_LATE_EVERY: Final = 100
_AGAIN_EVERY: Final = 40
_SILENT_EVERY: Final = 400

# Shares of the connections that break, and of the devices whose clock is wrong by up to a day.
_CUT: Final = 0.005
_WRONG_CLOCK: Final = 0.002

_FIGURES: Final = (
    "registered",
    "identified",
    "issued",
    "issued_outside",
    "in_box",
    "in_portable_box",
    "valid",
    "blank",
    "invalid",
)

Cell: TypeAlias = str | int


class Paper(NamedTuple):
    """A ballot paper of a station as its commission has counted it by hand."""

    figures: Mapping[str, int]
    votes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Country:
    """Where everything was written, and what the night must come to.

    Attributes:
        election: the election folder.
        results: a `contest-<n>.csv` for each contest, `arrivals.csv`, `faults.toml`.
        stations: all of them, ascending.
        silent: stations whose box never arrives.
        held: the station whose box has counted the lists wrong: no sum of theirs may contain it.
        disputed: the station whose box sends a second, different result: the first stays counted.
        votes: contest → the sums of the stations that must be counted, by choice in ascending order.
        papers: contest → what the commission of the held station has counted by hand: its ballots add up.
    """

    election: Path
    results: Path
    stations: tuple[int, ...]
    silent: tuple[int, ...]
    held: int
    disputed: int
    votes: Mapping[int, tuple[int, ...]]
    papers: Mapping[int, Paper]

    @property
    def counted(self) -> int:
        """How many stations must be counted in the end, in all their contests."""
        return len(self.stations) - len(self.silent) - 1

    @property
    def arrivals(self) -> Path:
        """``station,seconds`` after the close."""
        return self.results / "arrivals.csv"

    @property
    def faults(self) -> Path:
        """Lines that break, boxes that contradict themselves."""
        return self.results / "faults.toml"


@dataclass(frozen=True, slots=True)
class _Place:
    """A district that has stations."""

    number: int
    region: Region
    names: Names
    stations: int


@dataclass(frozen=True, slots=True)
class _Station:
    number: int
    district: _Place
    type: str
    registered: int


@dataclass(frozen=True, slots=True)
class _Count:
    """What a station has counted: the figures of the voters, and for each contest its own and the votes."""

    voters: Mapping[str, int]
    papers: Mapping[int, tuple[Mapping[str, int], tuple[int, ...]]]


def invent(folder: Path, *, stations: int = STATIONS, seed: int = SEED) -> Country:
    """Writes an invented country and its night.

    Args:
        folder: gets `election/` and `results/`; it may not have them yet.
        stations: `FEWEST_STATIONS` to `MOST_STATIONS`.
        seed: another one gives other numbers; the same arguments give the same bytes.

    Raises:
        ValueError: the number of stations is out of range.
        FileExistsError: one of the two folders is there.
        OSError: something could not be written.
    """
    if not FEWEST_STATIONS <= stations <= MOST_STATIONS:
        raise ValueError(f"an invented country has {FEWEST_STATIONS:,} to {MOST_STATIONS:,} stations")
    election, results = folder / "election", folder / "results"
    election.mkdir(parents=True)
    results.mkdir()
    chance = random.Random(f"country {seed}")  # noqa: S311 - chance for show, nothing is kept secret by it
    districts = _districts(stations)
    places = list(_stations(districts, chance))
    counts = _counts(places, chance)
    numbers = [place.number for place in places]
    trouble = _trouble(numbers, chance)
    by_hand = counts[trouble.held]
    counts[trouble.held] = _miscounted(by_hand)

    _write_head(election)
    _write_areas(election, districts)
    _write_ballot(election)
    _write_stations(election, places)
    _write_counts(results, counts)
    _write_arrivals(results, numbers, trouble, chance)
    _write_faults(results, seed, trouble)
    counted = {number: count for number, count in counts.items() if number not in trouble.silent}
    return Country(
        election=election,
        results=results,
        stations=tuple(numbers),
        silent=tuple(sorted(trouble.silent)),
        held=trouble.held,
        disputed=trouble.disputed,
        votes={
            contest: _sums(
                count.papers[contest][1] for number, count in counted.items() if number != left_out
            )
            # What was counted wrong is one ballot paper; the same station's other one is right, and counts.
            for contest, left_out in ((_LIST_CONTEST, trouble.held), (_REFERENDUM_CONTEST, None))
        },
        papers={
            contest: Paper({**by_hand.voters, **figures}, votes)
            for contest, (figures, votes) in by_hand.papers.items()
        },
    )


def _sums(votes: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*votes, strict=True)))


# Geography


def _districts(stations: int) -> list[_Place]:
    """Every district with its share of the stations; in a small country some regions have fewer districts."""
    wanted = [
        (f"{_REGION_BASE + at}{place:02}", region, names, region.share / len(region.districts))
        for at, region in enumerate(REGIONS)
        for place, names in enumerate(region.districts, start=1)
    ]
    sizes = _shared(stations, [share for *_, share in wanted])
    return [
        _Place(int(number), region, names, size)
        for (number, region, names, _), size in zip(wanted, sizes, strict=True)
        if size
    ]


def _stations(districts: Sequence[_Place], chance: random.Random) -> Iterator[_Station]:
    number = _FIRST_STATION
    for district in districts:
        least, most = district.region.voters
        for _ in range(district.stations):
            special = number % _SPECIAL_EVERY == 0 and district.region.type == "ordinary"
            voters = chance.randrange(60, 320) if special else chance.randrange(least, most)
            yield _Station(number, district, "special" if special else district.region.type, voters)
            number += 1


def _shared(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainders)."""
    whole = math.fsum(weights)
    exact = [total * weight / whole for weight in weights]
    given = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda at: (given[at] - exact[at], at))
    for at in order[: total - sum(given)]:
        given[at] += 1
    return given


# Counts


def _counts(places: Sequence[_Station], chance: random.Random) -> dict[int, _Count]:
    """What each station counts; neighbours are more alike than strangers."""
    strengths = [*(party.strength for party in PARTIES), AGAINST_ALL_STRENGTH]
    moods = {region.code: _mood(region, strengths, chance) for region in REGIONS}
    local = {
        place.number: [math.exp(chance.gauss(0, 0.22)) for _ in strengths]
        for place in dict.fromkeys(place.district for place in places)
    }
    return {place.number: _count(place, moods, local[place.district.number], chance) for place in places}


@dataclass(frozen=True, slots=True)
class _Mood:
    """How a region votes: turnout, the lists' strengths, and who says yes; shares from 0 to 1."""

    turnout: float
    strengths: tuple[float, ...]
    yes: float


def _mood(region: Region, strengths: Sequence[int], chance: random.Random) -> _Mood:
    base = 0.36 if region.type == "abroad" else chance.uniform(0.5, 0.66)
    own = tuple(strength * math.exp(chance.gauss(0, 0.3)) for strength in strengths)
    return _Mood(base, own, chance.uniform(0.44, 0.68))


def _count(
    place: _Station, moods: Mapping[str, _Mood], local: Sequence[float], chance: random.Random
) -> _Count:
    mood = moods[place.district.region.code]
    turnout = min(max(mood.turnout + chance.gauss(0, 0.07), 0.12), 0.92)
    given_out = round(place.registered * turnout)
    # Who votes at home: the portable box; now and then somebody carries a paper away.
    outside = round(given_out * chance.uniform(0.0, 0.06))
    in_box = given_out - (chance.randrange(30) == 0)
    voters = {
        "registered": place.registered,
        "identified": given_out,
        "issued": given_out - outside,
        "issued_outside": outside,
        "in_box": in_box,
        "in_portable_box": min(outside, in_box),
    }
    weights = [
        strength * near * math.exp(chance.gauss(0, 0.25))
        for strength, near in zip(mood.strengths, local, strict=True)
    ]
    yes = min(max(mood.yes + chance.gauss(0, 0.08), 0.05), 0.95)
    return _Count(
        voters,
        {
            _LIST_CONTEST: _paper(in_box, weights, chance),
            _REFERENDUM_CONTEST: _paper(in_box, [yes, 1.0 - yes], chance),
        },
    )


def _paper(
    in_box: int, weights: Sequence[float], chance: random.Random
) -> tuple[Mapping[str, int], tuple[int, ...]]:
    blank = round(in_box * chance.uniform(0.0, 0.012))
    invalid = round(in_box * chance.uniform(0.0, 0.02))
    valid = in_box - blank - invalid
    return {"valid": valid, "blank": blank, "invalid": invalid}, tuple(_shared(valid, weights))


def _miscounted(count: _Count) -> _Count:
    """The count of a box whose ballots do not add up (H102): twelve more than it has."""
    figures, votes = count.papers[_LIST_CONTEST]
    wrong = {**figures, "invalid": figures["invalid"] + 12}
    return _Count(count.voters, {**count.papers, _LIST_CONTEST: (wrong, votes)})


# The night


class _Trouble(NamedTuple):
    """Stations that are late, send twice, never arrive; the held and the disputed one: none stands twice."""

    late: frozenset[int]
    again: frozenset[int]
    silent: frozenset[int]
    held: int
    disputed: int


def _trouble(numbers: Sequence[int], chance: random.Random) -> _Trouble:
    late, again, silent = (
        max(1, len(numbers) // every) for every in (_LATE_EVERY, _AGAIN_EVERY, _SILENT_EVERY)
    )
    held, disputed, *others = chance.sample(numbers, late + again + silent + 2)
    return _Trouble(
        late=frozenset(others[:late]),
        again=frozenset(others[late : late + again]),
        silent=frozenset(others[late + again :]),
        held=held,
        disputed=disputed,
    )


def _write_arrivals(folder: Path, numbers: Sequence[int], trouble: _Trouble, chance: random.Random) -> None:
    rows: list[tuple[float, int]] = []
    rush = max(_SHORTEST_RUSH, _RUSH_A_STATION * len(numbers))
    for number in numbers:
        if number in trouble.silent:
            continue
        if number in trouble.late:
            at = rush + chance.uniform(*_LATE_SECONDS)
        elif number == trouble.disputed:
            # Its second result follows up to 20 s later (clients.fleet.plan).
            at = _DISPUTED_SECONDS
        else:
            at = 0.2 + rush * chance.betavariate(_RUSH_RISE, _RUSH_TAIL)
        rows.append((at, number))
        if number in trouble.again:
            rows.append((at + chance.uniform(*_AGAIN_SECONDS), number))
    _write_table(
        folder / "arrivals.csv",
        ["station", "seconds"],
        ((number, f"{at:.2f}") for at, number in sorted(rows)),
    )


def _write_faults(folder: Path, seed: int, trouble: _Trouble) -> None:
    text = f"""\
# What goes wrong in this night besides arrivals.csv (docs/fleet.md); the same seed, the same night.
seed = {seed}

[rates]
cut = {_CUT}
clock = {_WRONG_CLOCK}

[stations]
equivocation = [{trouble.disputed}]
"""
    (folder / "faults.toml").write_text(text, encoding="utf-8", newline="\n")


# The officials' tables


def _write_head(folder: Path) -> None:
    entries: dict[str, str | int | list[str]] = {
        "id": ELECTION_ID,
        **{f"title_{language}": title for language, title in zip(LANGUAGES, TITLE, strict=True)},
        "mode": "rehearsal",
        "timezone": "Asia/Bishkek",
        "opens_at": OPENS_AT,
        "closes_at": CLOSES_AT,
        "languages": ["en", *(language for language in LANGUAGES if language != "en")],
        "headline": "machine",
        "commission_keys": [_COMMISSION_KEY],
    }
    lines = ["# An invented election for a demonstration: nothing here is real."]
    # JSON's strings and arrays of them are TOML's as well.
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    lines += ["", "[site]", f"notice = {json.dumps(NOTICE, ensure_ascii=False)}", ""]
    (folder / "election.toml").write_text("\n".join(lines), encoding="utf-8", newline="\n")


def _named(head: Sequence[str]) -> list[str]:
    return [*head, *(f"name_{language}" for language in LANGUAGES)]


def _write_areas(folder: Path, districts: Sequence[_Place]) -> None:
    rows: list[tuple[Cell, ...]] = [(_ROOT, "", "country", "", "HC", *COUNTRY)]
    for at, region in enumerate(REGIONS):
        number = _REGION_BASE + at
        own = [district for district in districts if district.region is region]
        if own:
            rows.append((number, _ROOT, "region", f"{at + 1:02}", f"HC-{region.code}", *region.names))
        for place, district in enumerate(own, start=1):
            label, code = f"{at + 1:02}.{place:02}", f"HC-{region.code}-{place}"
            rows.append((district.number, number, "district", label, code, *district.names))
    _write_table(folder / "areas.csv", _named(["area", "parent", "level", "label", "code"]), rows)


def _write_ballot(folder: Path) -> None:
    _write_table(
        folder / "contests.csv",
        _named(["contest", "kind", "seats", "method", "share_of", "threshold_percent"]),
        [
            (_LIST_CONTEST, "list", 90, "hare", "valid", 5, *ASSEMBLY),
            (_REFERENDUM_CONTEST, "referendum", 1, "majority", "votes", "", *REFERENDUM),
        ],
    )
    lists = [
        (_LIST_CONTEST, place, "list", place, party.color, *party.names)
        for place, party in enumerate(PARTIES, start=1)
    ]
    _write_table(
        folder / "choices.csv",
        _named(["contest", "choice", "kind", "label", "color"]),
        [
            *lists,
            (_LIST_CONTEST, len(lists) + 1, "against_all", len(lists) + 1, "", *AGAINST_ALL),
            (_REFERENDUM_CONTEST, 1, "yes", "", "#1f7a4d", *YES),
            (_REFERENDUM_CONTEST, 2, "no", "", "#b2671f", *NO),
        ],
    )


def _write_stations(folder: Path, places: Sequence[_Station]) -> None:
    _write_table(
        folder / "stations.csv",
        _named(["station", "area", "registered", "type", "label"]),
        (
            (
                place.number,
                place.district.number,
                place.registered,
                place.type,
                f"№ {place.number}",
                *(name.format(place.number) for name in STATION),
            )
            for place in places
        ),
    )


def _write_counts(folder: Path, counts: Mapping[int, _Count]) -> None:
    for contest, choices in ((_LIST_CONTEST, len(PARTIES) + 1), (_REFERENDUM_CONTEST, 2)):
        _write_table(
            folder / f"contest-{contest}.csv",
            ["station", *_FIGURES, *map(str, range(1, choices + 1))],
            (_row(number, count, contest) for number, count in counts.items()),
        )


def _row(number: int, count: _Count, contest: int) -> tuple[Cell, ...]:
    figures, votes = count.papers[contest]
    both = {**count.voters, **figures}
    return (number, *(both[name] for name in _FIGURES), *votes)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
