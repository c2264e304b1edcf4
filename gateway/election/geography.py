"""Areas and stations: the tree, its leaves, and which contests are held where."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.election.cells import Cells, Known
from gateway.election.faults import Code, Faults
from gateway.election.limits import LANGUAGES, MAX_AREA_DEPTH, MAX_REGISTERED, MAX_STATIONS_AN_AREA
from gateway.election.media import MediaNames
from gateway.election.model import Area, Contest, Settings, Station
from gateway.election.numbering import Numbering
from gateway.election.tables import Spec, Table, per_language

AREAS = Spec(
    file="areas.csv",
    columns=("area", "parent", "level", "label", "code", *per_language("name")),
    required=("area", "level"),
    one_of=per_language("name"),
    rows_required=True,
)

STATIONS_SHOWN = (
    *per_language("address"),
    *per_language("route"),
    *("latitude", "longitude", "photo", "panorama"),
)
"""Columns of stations that only the website shows."""

STATIONS = Spec(
    file="stations.csv",
    columns=(
        *("station", "area", "registered", "type", "box", "closes_at", "timezone", "contests", "label"),
        *per_language("name"),
        *STATIONS_SHOWN,
        "route",  # the one in the first language
    ),
    required=("station", "area"),
    one_of=per_language("name"),
    rows_required=True,
)

STATION_TYPES = ("ordinary", "special", "abroad", "mobile")
YES_NO = ("yes", "no")

_FIRST_SHOWN = STATIONS.columns.index(STATIONS_SHOWN[0])
_ROUTE = STATIONS_SHOWN.index("route_ky")

_NO_PARENT = 0
_NAMED_IN_CYCLE = 6
"""Areas of a circle that a message names before it cuts the list."""


def read_areas(folder: Path, numbering: Numbering, faults: Faults) -> tuple[list[Area], Known]:
    """Read areas.csv and judge the tree.

    Returns:
        The areas in the order of the file, with parent 0 also where it is not known; and their numbers.
    """
    cells = Cells(AREAS.file, faults)
    table = Table(folder, AREAS, faults, label_for=numbering.label_for("area"))
    labels = numbering.tables.get(AREAS.file)
    known = Known("area", Code.UNKNOWN_AREA, labels)
    areas: list[Area] = []
    parent_cells: list[tuple[int, str]] = []
    for line, (area, parent, level, label, code, ky, kk, ru, en) in table.rows():
        number = cells.own(area, line, "area", known)
        level = cells.level(level, line, "level")
        label = cells.text(label or (area if labels is not None else ""), line, "label")
        code = cells.text(code, line, "code")
        names = cells.names((ky, kk, ru, en), line)
        if number is not None:
            areas.append(Area(number, _NO_PARENT, level, label, code, names))
            parent_cells.append((line, parent))
    known.complete = table.complete
    parents = Known("area", Code.UNKNOWN_PARENT, labels)
    parents.lines, parents.complete = known.lines, known.complete
    resolved = [
        cells.reference(parent, line, "parent", parents) if parent else _NO_PARENT
        for line, parent in parent_cells
    ]
    if table.complete:
        _judge_tree([area.area for area in areas], resolved, known, cells)
    return [
        area._replace(parent=parent or _NO_PARENT) for area, parent in zip(areas, resolved, strict=True)
    ], known


def _judge_tree(numbers: Sequence[int], parents: Sequence[int | None], known: Known, cells: Cells) -> None:
    """One root, and every way up ends there within the depth that readers allow."""
    roots = [number for number, parent in zip(numbers, parents, strict=True) if parent == _NO_PARENT]
    for number in roots[1:]:
        first = known.lines[roots[0]]
        detail = f"the parent is empty, in line {first} too: exactly one area, the whole country, has none"
        cells.fault(Code.TWO_ROOTS, detail, known.lines[number], "parent")
    if numbers and not roots:
        detail = "every area has a parent: leave the parent of exactly one, the whole country, empty"
        cells.fault(Code.NO_ROOT, detail, known.lines[numbers[0]], "parent")
    above = dict(zip(numbers, parents, strict=True))
    # An area whose parent is not known counts as a top of its own: that fault is reported already.
    depths: dict[int, int] = {}
    for number in numbers:
        way: dict[int, None] = {}
        node: int | None = number
        while node and node not in depths and node not in way:
            way[node] = None
            node = above[node]
        if node and node in way:
            places = list(way)
            circle = places[places.index(node) :]
            least = min(circle)
            start = circle.index(least)
            named = [*circle[start:], *circle[:start], least]
            shown = [str(area) for area in named[:_NAMED_IN_CYCLE]] + ["…"] * (len(named) > _NAMED_IN_CYCLE)
            detail = f"the areas {' > '.join(shown)} hold each other in a circle: give one another parent"
            cells.fault(Code.CYCLE, detail, known.lines[least], "parent")
            depths.update(dict.fromkeys(way, 0))  # tops too, so that one circle is one fault
            continue
        depth = depths[node] if node else -1
        for place in reversed(way):
            depth += 1
            depths[place] = depth
            if depth == MAX_AREA_DEPTH + 1:
                detail = f"the area is more than {MAX_AREA_DEPTH} levels below the root"
                cells.fault(Code.AREA_DEPTH, detail, known.lines[place], "parent")


def contests_by_area(areas: Sequence[Area], contests: Sequence[Contest]) -> dict[int, tuple[int, ...]]:
    """The contests held in each area: its own, those of every area above it, and those held everywhere.

    The tree must be sound.
    """
    everywhere = [contest.contest for contest in contests if not contest.area]
    own: dict[int, list[int]] = {}
    for contest in contests:
        if contest.area:
            own.setdefault(contest.area, []).append(contest.contest)
    above = {area.area: area.parent for area in areas}
    held: dict[int, tuple[int, ...]] = {_NO_PARENT: tuple(sorted(everywhere))}
    for area in areas:
        way: list[int] = []
        node = area.area
        while node not in held:
            way.append(node)
            node = above[node]
        contests_here = held[node]
        for place in reversed(way):
            if place in own:
                contests_here = tuple(sorted({*contests_here, *own[place]}))
            held[place] = contests_here
    return held


def read_stations(
    folder: Path,
    settings: Settings,
    areas: Known,
    contests: Known,
    held: Mapping[int, tuple[int, ...]],
    media: MediaNames,
    numbering: Numbering,
    faults: Faults,
) -> tuple[list[Station], Known]:
    """Read stations.csv.

    Args:
        folder: the election folder.
        settings: of the election; its closing time and zone are the defaults.
        areas: the numbers of the areas.
        contests: the numbers of the contests.
        held: the contests of each area; empty if that cannot be told after faults.
        media: gathers the pictures that are named.
        numbering: what ``--number`` numbered.
        faults: where to note what is wrong.

    Returns:
        The stations in the order of the file (area 0 after a fault), and their numbers.
    """
    cells = Cells(STATIONS.file, faults)
    table = Table(folder, STATIONS, faults, label_for=numbering.label_for("station"))
    labels = numbering.tables.get(STATIONS.file)
    known = Known("station", Code.UNKNOWN_STATION, labels)
    stations: list[Station] = []
    every_contest = tuple(sorted(contests.lines))
    explicit = {"*": every_contest}
    first = LANGUAGES.index(settings.languages[0]) if settings.languages else 0
    times = {"": settings.closes_at}
    local: list[int] = []
    for line, row in table.rows():
        station, area, registered, kind, box, closes, zone, chosen, label, ky, kk, ru, en = row[:_FIRST_SHOWN]
        number = cells.own(station, line, "station", known)
        if area:
            place = cells.reference(area, line, "area", areas) or 0
        else:
            place = 0
            detail = "the cell is empty: name the area that the station stands in"
            cells.fault(Code.STATION_WITHOUT_AREA, detail, line, "area")
        voters = (
            cells.number(registered, line, "registered", low=0, high=MAX_REGISTERED) if registered else None
        )
        kind = cells.word(kind, line, "type", STATION_TYPES, "ordinary") or ""
        box = cells.word(box, line, "box", YES_NO, "yes") or ""
        closes_at = times.get(closes)
        if closes_at is None and (closes_at := cells.time(closes, line, "closes_at")) is not None:
            times[closes] = closes_at
        if closes and closes_at is not None and closes_at <= settings.opens_at:
            detail = "the station closes before the election opens: check the date and the offset from UTC"
            cells.fault(Code.CLOSES_BEFORE_OPENS, detail, line, "closes_at")
        if zone and zone != settings.timezone:
            zone = cells.timezone(zone, line, "timezone")
            if not closes and settings.timezone:
                local.append(line)
        if chosen:
            voted = explicit.get(chosen, ())
            if not voted:
                before = faults.errors
                voted = cells.references(chosen, line, "contests", contests)
                if faults.errors == before:
                    explicit[chosen] = voted
        else:
            voted = held.get(place, ())
            if not voted and place in held:
                detail = "no contest is held here: widen a contest's area or name contests in this cell"
                cells.fault(Code.STATION_WITHOUT_CONTEST, detail, line, "contests")
        label = cells.text(label or (station if labels is not None else ""), line, "label")
        names = cells.names((ky, kk, ru, en), line)
        shown = row[_FIRST_SHOWN:]
        shown = _shown(cells, shown, line, media, first) if any(shown) else ()
        if number is not None:
            stations.append(
                Station(
                    number, place, voters, kind, box == "yes", closes_at or 0, zone or settings.timezone,
                    voted, label, names, shown,
                )
            )  # fmt: skip
    known.complete = table.complete
    if local:
        detail = (
            f"{len(local)} stations in another time zone have no closing time of their own: they close at "
            "the "
            "same moment as the election, whatever their clocks show"
        )
        cells.fault(Code.LOCAL_CLOSING, detail, local[0], "timezone")
    return stations, known


def _shown(cells: Cells, shown: tuple[str, ...], line: int, media: MediaNames, first: int) -> tuple[str, ...]:
    """The columns that only the website shows; ``route`` alone is the one in the first language."""
    *texts, latitude, longitude, photo, panorama, route = shown
    if route and not texts[_ROUTE + first]:
        texts[_ROUTE + first] = route
    return (
        *(cells.text(text, line, column) for text, column in zip(texts, STATIONS_SHOWN, strict=False)),
        cells.degrees(latitude, line, "latitude", 90),
        cells.degrees(longitude, line, "longitude", 180),
        media.picture(cells, photo, line, "photo"),
        media.picture(cells, panorama, line, "panorama"),
    )


def judge_places(areas: Sequence[Area], stations: Sequence[Station], known: Known, faults: Faults) -> None:
    """An area holds areas or stations, never both; lowest areas are neither empty nor crowded."""
    cells = Cells(AREAS.file, faults)
    holds = Counter(station.area for station in stations)
    inner = {area.parent for area in areas}
    for area in areas:
        count = holds[area.area]
        line = known.lines[area.area]
        if area.area in inner:
            if count:
                detail = (
                    f"area {area.area} holds areas and {count} stations: move the stations to one of these"
                )
                cells.fault(Code.MIXED_AREA, detail, line, "area")
        elif not count:
            cells.fault(Code.EMPTY_AREA, f"area {area.area} holds neither areas nor stations", line, "area")
        elif count > MAX_STATIONS_AN_AREA:
            detail = (
                f"area {area.area} holds {count} stations; above {MAX_STATIONS_AN_AREA} each report "
                "rewrites a "
                "large page: divide it if the geography allows"
            )
            cells.fault(Code.CROWDED_AREA, detail, line, "area")


def judge_contests_used(
    contests: Sequence[Contest], stations: Sequence[Station], known: Known, file: str, faults: Faults
) -> None:
    """Every contest is held at some station."""
    used: set[int] = set()
    for voted in {station.contests for station in stations}:
        used.update(voted)
    for contest in contests:
        if contest.contest not in used:
            detail = f"contest {contest.contest} is held at no station: check its area"
            faults.add(
                Code.CONTEST_WITHOUT_STATIONS,
                detail,
                file=file,
                line=known.lines[contest.contest],
                column="area",
            )
