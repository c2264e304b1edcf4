"""The plain page of an area: what is counted, how far, and where to check it (docs/feed.md).

What lives here: `render`, a pure function from a `View` of the feed to the bytes of a page;
`render_embargoed`, of an `Embargoed` one; and the page before the first snapshot. No script, no style within
it: the page of a slow telephone, and of a strict policy.
"""

import contextlib
import re
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.base.clock import parse_time, to_datetime
from gateway.feed import layout
from gateway.feed.models import Child, Latest, Progress, Result
from gateway.feed.objects import Row, Turnout
from gateway.site.figures import ChoiceFigures, ContestFigures, contest_figures
from gateway.site.html import count, name, percent, plain, text
from gateway.site.reading import AreaSums, Embargoed, Names, View

# Seconds until the page asks again by itself; a snapshot comes every second in the busiest minutes, and a
# reader wants to finish a line.
REFRESH_SECONDS: Final = 15
# Width of a bar in its own units: hundredths of a percent.
_WHOLE: Final = 10_000
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)
# Codes that stand in a station's cell; the station's file has all of them.
_MAX_CODES: Final = 6

_STATUS: Final = {
    "pre-election": "Nothing is counted yet",
    "unofficial-partial": "Still counting",
    "unofficial-complete": "Every station has reported",
    "certified": "Certified by the commission",
    "correction": "Corrected by the commission",
    "recount": "A recount is under way",
}
_PRELIMINARY: Final = {
    "machine": "Preliminary machine count, not an official result",
    "protocol": "Preliminary count of the paper protocols, not an official result",
}
_OFFICIAL: Final = ("certified", "correction")
_WORDS: Final = {
    "silent": "waited for",
    "partial": "in part",
    "reported": "counted",
    "held": "held: its numbers contradict each other, left out of the sums",
    "disputed": "disputed: counted, and to be looked into",
    "annulled": "annulled by the commission, left out of the sums",
}
_PAUSED: Final = {
    "commission": "The commission has paused publication",
    "gate": "Publication has stopped: a check before publishing has failed",
    "operator": "The operators have paused publication",
}


def render(view: View) -> bytes:
    """The page of one area."""
    latest, names = view.latest, view.names
    up = "../" if view.way else ""
    here = names.area(view.area.area)
    heading = names.title if not view.way else here
    contests = [
        figures
        for sums in view.area.contests
        if (figures := contest_figures(names.definition, sums, latest.headline)) is not None
    ]
    parts = [
        *_top(latest, names, up),
        *_way(view, up),
        f"<h1>{name(heading)}</h1>",
        *_standing(latest, names),
        *([] if view.way else _progress(latest.progress)),
        *_turnout_so_far([view.area.turnout], view.area.stations),
        _when(latest, names),
        *(part for figures in contests for part in _contest(figures, view)),
        *_areas(view, up),
        *_stations(view, up),
        *_bottom(latest, view.sha256, up, layout.area(view.area.area, bytes.fromhex(view.area_sha256))),
    ]
    title = names.title if not view.way else f"{here} – {names.title}"
    return _document(f"{_mark(latest)}{plain(title)}", up, parts)


def render_embargoed(view: Embargoed) -> bytes:
    """The page of one area while figures are under embargo: how far it is, turnout, and until when."""
    latest, names = view.latest, view.names
    top = view.area == view.root
    up = "" if top else "../"
    here = names.area(view.area)
    parts = [
        *_top(latest, names, up),
        *([] if top else _links_above([view.root], names, up)),
        f"<h1>{name(names.title if top else here)}</h1>",
        f'<p class="notice"><strong>Results are under embargo until {_time(view.until, names)}.</strong> '
        "They come in, are counted and kept, and nobody may read them before. Until then this page says how "
        "many stations have reported, and the turnout.</p>",
        *_standing(latest, names),
    ]
    if top:
        parts += _progress(latest.progress)
        parts += _turnout_so_far([child.turnout for child in latest.children], latest.progress.stations)
        parts += [_when(latest, names), *_children(latest, names)]
    else:
        if view.child is not None:
            parts += _progress(view.child.progress)
            parts += _turnout_so_far([view.child.turnout], view.child.progress.stations)
        parts.append(_when(latest, names))
    parts += _bottom(latest, view.sha256, up, None)
    title = names.title if top else f"{here} – {names.title}"
    return _document(f"{_mark(latest)}{plain(title)}", up, parts)


def render_nothing() -> bytes:
    """The page before the first snapshot."""
    parts = [
        "<h1>No results yet</h1>",
        '<p class="notice">Nothing is published yet. This page looks again by itself.</p>',
    ]
    return _document("No results yet", "", parts)


def _mark(latest: Latest) -> str:
    return "REHEARSAL – " if latest.mode == "rehearsal" else ""


def _document(title: str, up: str, parts: list[str]) -> bytes:
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{title}</title>",
        f'<link rel="stylesheet" href="{up}style.css">',
        "</head>",
        "<body>",
        *parts,
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(lines).encode()


def _top(latest: Latest, names: Names, up: str) -> list[str]:
    parts = []
    if latest.mode == "rehearsal":
        parts.append(
            '<p class="banner"><strong>REHEARSAL</strong> These figures are invented. Nobody has voted.</p>'
        )
    if up:
        parts.append(f'<header><a href="{up}">{name(names.title)}</a></header>')
    return parts


def _way(view: View, up: str) -> list[str]:
    """The areas above this one, as links."""
    return _links_above(view.way, view.names, up) if view.way else []


def _links_above(way: Sequence[int], names: Names, up: str) -> list[str]:
    root, *between = way
    links = [f'<a href="{up}">{name(names.area(root))}</a>']
    links += [f'<a href="{number}">{name(names.area(number))}</a>' for number in between]
    return [f'<nav aria-label="Areas above">{" › ".join(links)}</nav>']


def _standing(latest: Latest, names: Names) -> list[str]:
    """What kind of count it is, and whether it goes on."""
    status = latest.status.machine if latest.headline == "machine" else latest.status.protocol
    words = _STATUS[status]
    kind = words if status in _OFFICIAL else f"{_PRELIMINARY[latest.headline]}. {words}."
    parts = [f'<p class="kind">{kind}</p>']
    if latest.paused is not None:
        reason = dict(latest.paused.reason)
        said = reason.get("en") or next(iter(reason.values()), "")
        since = _time(latest.paused.since, names)
        parts.append(
            f'<p class="notice"><strong>{_PAUSED[latest.paused.by]}</strong> since {since}. '
            f"The figures are those of before. {name(said)}</p>"
        )
    return parts


def _turnout_so_far(turnouts: Sequence[Turnout], expected: int) -> list[str]:
    """The turnout of areas together, which have so many stations."""
    stations = sum(turnout.stations for turnout in turnouts)
    if not stations:
        return []
    identified = sum(turnout.identified for turnout in turnouts)
    share = _turnout(turnouts, expected)
    of = "" if share is None else f", {percent(share)} of those registered"
    return [
        f"<p>Turnout so far: {count(identified)} people identified at {count(stations)} stations{of}.</p>"
    ]


def _when(latest: Latest, names: Names) -> str:
    return (
        f'<p class="when">Snapshot {count(latest.snapshot)}, {_time(latest.published_at, names)}. '
        f"The page renews itself every {REFRESH_SECONDS} seconds.</p>"
    )


def _progress(progress: Progress) -> list[str]:
    counted = progress.reported + progress.disputed
    share = None if progress.stations == 0 else _WHOLE * counted // progress.stations
    widths = [
        ("counted", progress.reported),
        ("disputed", progress.disputed),
        ("partial", progress.partial),
        ("held", progress.held),
    ]
    facts = [
        ("counted", counted, "stations counted"),
        ("disputed", progress.disputed, "of them disputed"),
        ("partial", progress.partial, "in part"),
        ("held", progress.held, "held back: their numbers contradict each other"),
        ("annulled", progress.annulled, "annulled"),
        ("silent", progress.silent, "still waited for"),
    ]
    said = [
        f'<li class="{kind}"><b>{count(number)}</b> {words}</li>'
        for kind, number, words in facts
        if number or kind in ("counted", "silent")
    ]
    cancelled = f", {count(progress.cancelled)} cancelled" if progress.cancelled else ""
    return [
        f'<p class="progress"><b>{count(counted)}</b> of {count(progress.stations)} stations counted '
        f"({percent(share)}){cancelled}</p>",
        _stack(widths, progress.stations),
        f'<ul class="states">{"".join(said)}</ul>',
    ]


def _contest(figures: ContestFigures, view: View) -> list[str]:
    sums, names, latest = figures.sums, view.names, view.latest
    left_out = [
        f"{count(number)} {words}"
        for number, words in ((sums.held, "held"), (sums.disputed, "disputed"), (sums.annulled, "annulled"))
        if number
    ]
    facts = [f"{count(sums.counted)} of {count(figures.stations)} stations counted", *left_out]
    if figures.turnout is not None:
        facts.append(f"turnout in these {percent(figures.turnout)}")
    ranked = sorted((one for one in figures.choices if one.choice.list is None), key=lambda one: -one.votes)
    result = None if view.way else _result(figures.contest, latest)
    rows = [_choice(figures.contest, one, names, result) for one in ranked]
    kind = "" if _is_official(latest) else f" <small>{_PRELIMINARY[latest.headline]}</small>"
    seats = '<th scope="col" class="n">Seats</th>' if result is not None and _has_seats(result) else ""
    return [
        "<section>",
        f"<h2>{name(names.contest(figures.contest))}</h2>",
        f'<p class="facts">{"; ".join(facts)}.{kind}</p>',
        *([] if result is None else _outcome(result, view)),
        '<table class="choices">',
        '<thead><tr><th scope="col">Choice</th><th scope="col" class="n">Votes</th>'
        f'<th scope="col" class="n">Share</th>{seats}</tr></thead>',
        "<tbody>",
        *rows,
        "</tbody></table>",
        "</section>",
    ]


def _is_official(latest: Latest) -> bool:
    return (latest.status.machine if latest.headline == "machine" else latest.status.protocol) in _OFFICIAL


def _result(contest: int, latest: Latest) -> Result | None:
    """What follows for a contest in the whole country, in the count that is shown."""
    source = 1 if latest.headline == "machine" else 2
    found = (one for one in latest.results if (one.contest, one.source) == (contest, source))
    return next(found, None)


def _has_seats(result: Result) -> bool:
    return any(one.seats for one in result.choices)


def _outcome(result: Result, view: View) -> list[str]:
    """What these votes would mean, in a sentence; nothing while it is open."""
    about = view.names.definition.contest(result.contest)
    choices = view.names.definition.choices(result.contest)
    named = [choice for choice in choices if choice.number in result.outcome.choices]
    who = _join([name(view.names.choice(result.contest, choice)) for choice in named])
    match result.outcome.word:
        case "none" | "open":
            return []
        case "no-quorum":
            said = "the quorum is not reached"
        case "tie":
            said = f"equal votes leave it open between {who}"
        case "run-off":
            said = f"a second round between {who}"
        case "decided":
            kinds = {choice.kind for choice in named}
            if about is not None and about.kind == "referendum":
                said = "the question is accepted" if "yes" in kinds else "the question is not accepted"
            elif "against_all" in kinds:
                said = f"nobody is elected: {who} has the most votes"
            elif not named:
                said = "nobody is elected"
            elif "list" in kinds:
                said = "the seats are shared out as below"
            else:
                said = f"elected: {who}"
    by = "By the count of all stations" if _is_official(view.latest) else "By this preliminary count"
    return [f"<p><strong>{by}:</strong> {said}.</p>"]


def _join(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _choice(contest: int, figures: ChoiceFigures, names: Names, result: Result | None) -> str:
    color = names.color(contest, figures.choice.number)
    fill = f' fill="{color}"' if _COLOR.fullmatch(color) else ""
    seats = below = ""
    if result is not None:
        own = {one.choice: one.seats for one in result.choices}.get(figures.choice.number)
        seats = f'<td class="n">{count(own or 0)}</td>' if _has_seats(result) else ""
        failed = (figures.choice.number, "failed") in result.thresholds
        below = " <small>below the threshold</small>" if failed else ""
    return (
        f'<tr><th scope="row">{name(names.choice(contest, figures.choice))}{below}'
        f'<svg class="bar" viewBox="0 0 {_WHOLE} 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{min(figures.share or 0, _WHOLE)}" height="10"{fill}/></svg></th>'
        f'<td class="n">{count(figures.votes)}</td><td class="n">{percent(figures.share)}</td>{seats}</tr>'
    )


def _stack(parts: list[tuple[str, int]], whole: int) -> str:
    """One bar of several lengths."""
    at, pieces = 0, []
    for kind, number in parts:
        width = _WHOLE * number // whole if whole else 0
        pieces.append(f'<rect class="{kind}" x="{at}" width="{width}" height="10"/>')
        at += width
    return (
        f'<svg class="stack" viewBox="0 0 {_WHOLE} 10" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(pieces)}</svg>"
    )


def _areas(view: View, up: str) -> list[str]:
    """The areas right below this one."""
    if not view.area.areas:
        return []
    level = view.names.definition.area(view.area.areas[0][0])
    rows = [_area(view, number, up) for number, _ in view.area.areas]
    contests = view.area.contests
    about = f"Ahead in: {name(view.names.contest(contests[0].contest))}." if contests else ""
    return [
        "<section>",
        f"<h2>By {text(level.level) if level is not None and level.level else 'area'}</h2>",
        f'<p class="facts">{about}</p>',
        '<table class="areas">',
        '<thead><tr><th scope="col">Area</th><th scope="col" class="n">Counted</th>'
        '<th scope="col" class="n">Turnout so far</th><th scope="col">Ahead</th></tr></thead>',
        "<tbody>",
        *rows,
        "</tbody></table>",
        "</section>",
    ]


def _area(view: View, number: int, up: str) -> str:
    found = view.children.get(number)
    link = f'<th scope="row"><a href="{up}area/{number}">{name(view.names.area(number))}</a></th>'
    if found is None:
        return f"<tr>{link}<td></td><td></td><td></td></tr>"
    first = _first_contest(view, found)
    counted = "–" if first is None else f"{count(first.sums.counted)} of {count(first.stations)}"
    return (
        f'<tr>{link}<td class="n" data-label="Counted">{counted}</td>'
        f'<td class="n" data-label="Turnout so far">{percent(_turnout([found.turnout], found.stations))}</td>'
        f'<td data-label="Ahead">{_ahead(first, view.names)}</td></tr>'
    )


def _children(latest: Latest, names: Names) -> list[str]:
    """The root's areas under an embargo."""
    if not latest.children:
        return []
    rows = [_child(child, names) for child in latest.children]
    return [
        "<section>",
        '<table class="areas">',
        '<thead><tr><th scope="col">Area</th><th scope="col" class="n">Counted</th>'
        '<th scope="col" class="n">Turnout so far</th></tr></thead>',
        "<tbody>",
        *rows,
        "</tbody></table>",
        "</section>",
    ]


def _child(child: Child, names: Names) -> str:
    progress = child.progress
    counted = f"{count(progress.reported + progress.disputed)} of {count(progress.stations)}"
    return (
        f'<tr><th scope="row"><a href="area/{child.area}">{name(names.area(child.area))}</a></th>'
        f'<td class="n" data-label="Counted">{counted}</td>'
        f'<td class="n" data-label="Turnout so far">{percent(_turnout([child.turnout], progress.stations))}'
        "</td></tr>"
    )


def _turnout(turnouts: Sequence[Turnout], expected: int) -> int | None:
    """Identified ÷ registered over the expected stations, in hundredths of a percent, from the morning on."""
    registered = sum(turnout.registered[0] for turnout in turnouts)
    known = sum(turnout.registered[1] for turnout in turnouts)
    if known != expected or not registered or not any(turnout.stations for turnout in turnouts):
        return None
    return _WHOLE * sum(turnout.identified for turnout in turnouts) // registered


def _first_contest(view: View, area: AreaSums) -> ContestFigures | None:
    if not area.contests:
        return None
    return contest_figures(view.names.definition, area.contests[0], view.latest.headline)


def _ahead(figures: ContestFigures | None, names: Names) -> str:
    """Who has the most votes, if one has."""
    ranked = () if figures is None else [one for one in figures.choices if one.choice.list is None]
    most = max((one.votes for one in ranked), default=0)
    first = [one for one in ranked if one.votes == most]
    if figures is None or most == 0 or len(first) != 1:
        return "–"
    return f"{name(names.choice(figures.contest, first[0].choice))} {percent(first[0].share)}"


def _stations(view: View, up: str) -> list[str]:
    """The stations of a lowest area."""
    if not view.area.rows:
        return []
    return [
        "<section>",
        "<h2>By station</h2>",
        '<table class="stations">',
        '<thead><tr><th scope="col">Station</th><th scope="col">State</th></tr></thead>',
        "<tbody>",
        *(_station(row, view, up) for row in view.area.rows),
        "</tbody></table>",
        "</section>",
    ]


def _station(row: Row, view: View, up: str) -> str:
    shown = name(view.names.station(row.station))
    if row.version is not None:
        shown = f'<a href="{up}{layout.station(row.station, row.version)}">{shown}</a>'
    source = 1 if view.latest.headline == "machine" else 2
    found = [one for one in row.counts if one.source == source]
    lines = [
        f'<span class="{one.state}">'
        + (f"{name(view.names.contest(one.contest))}: " if len(found) > 1 else "")
        + f"{_WORDS[one.state]}</span>"
        for one in found
    ]
    if row.cancelled:
        lines = ["cancelled by the commission"]
    elif not lines:
        lines = ["open; " + _WORDS["silent"] if row.opened else _WORDS["silent"]]
    codes = ", ".join(row.codes[:_MAX_CODES]) + (" …" if len(row.codes) > _MAX_CODES else "")
    marked = f" <small>{codes}</small>" if codes else ""
    return (
        f'<tr><th scope="row"><span class="label">{name(_label(row.station, view))}</span> {shown}</th>'
        f"<td>{'<br>'.join(lines)}{marked}</td></tr>"
    )


def _label(station: int, view: View) -> str:
    found = view.names.definition.station(station)
    return str(station) if found is None or not found.label else found.label


def _bottom(latest: Latest, sha256: str, up: str, figures: str | None) -> list[str]:
    """Where everything on this page comes from, and how to check it."""
    number = latest.snapshot
    links = [
        (layout.LATEST, "newest snapshot"),
        (layout.snapshot(number), f"this snapshot, {count(number)}"),
        (layout.note(number), "its signature"),
        *([] if figures is None else [(figures, "the figures of this page")]),
        (layout.decisions(bytes.fromhex(latest.decisions.sha256)), "decisions of the commission"),
        (
            f"{layout.definition(bytes.fromhex(latest.definition))}/election.json",
            "definition of the election",
        ),
        (layout.CHECKPOINT, "head of the public log"),
    ]
    items = "".join(f'<li><a href="{up}{path}">{words}</a></li>' for path, words in links)
    return [
        "<footer>",
        "<h2>Check it yourself</h2>",
        "<p>Every figure here follows from signed statements of the polling stations, which stand in a "
        f"public log of {count(latest.log.size)} entries. Copy the feed, and recompute everything with the "
        "observers' program, which shares no code with this server:</p>",
        f"<pre>tallygate-observe verify feed --definition {latest.definition}</pre>",
        "<p>Take the definition's hash from the commission's own announcement, not from here.</p>",
        f"<ul>{items}</ul>",
        f'<p class="when">Log <bdi>{text(latest.log.origin)}</bdi>; SHA-256 of this snapshot '
        f"<code>{sha256}</code>.</p>",
        "</footer>",
    ]


def _time(at: str, names: Names) -> str:
    """A time of the feed in the election's own zone, in an element that programs understand."""
    moment = to_datetime(parse_time(at))
    # It is shown, not relied on: UTC without such a zone, or where a decision's year is beyond the calendar.
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        moment = moment.astimezone(ZoneInfo(names.definition.timezone))
    return f'<time datetime="{at}">{moment:%Y-%m-%d %H:%M:%S} {text(str(moment.tzinfo))}</time>'
