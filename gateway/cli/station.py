"""``tallygate station``: all about one station, for the operator whom its chairman has called."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click
import msgspec

from gateway.base.clock import SECOND, parse_time, system_clock, to_datetime
from gateway.cli.shared import say, say_json
from gateway.feed.messages import load
from gateway.run.advice import advise, closing_words
from gateway.run.folder import find_night
from gateway.run.station import Device, Knock, PacketLine, PublishedStation, StationStatus, look

# Packets that are shown on a terminal, the newest; --json has all.
SHOWN_PACKETS: Final = 20

_REPORTS: Final = ("", "opening", "turnout", "result", "protocol", "documents")
_SOURCES: Final = ("", "machine", "protocol")

# (label, words) of each line.
_Lines = Iterator[tuple[str, str]]


class _Report(msgspec.Struct, frozen=True):
    """What ``--json`` prints; `sentences`: what the codes and states in `station` mean."""

    station: StationStatus
    todo: tuple[str, ...]
    sentences: dict[str, str]


@click.command(epilog="Example: tallygate station night 118")
@click.argument("night", type=click.Path(path_type=Path))
@click.argument("number", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def station(night: Path, number: int, as_json: bool) -> int:
    """Show all about the station NUMBER of NIGHT: what came from it, what was refused and why, what to do.

    It only reads: what the running `ingest` tells, and what is published. Without `ingest` the rest is shown.
    """
    seen = look(find_night(night), number, system_clock)
    sentences = _sentences(seen)
    todo = advise(seen)
    if as_json:
        say_json(_Report(seen, todo, sentences))
        return 0
    for label, words in (*_place(seen), *_devices(seen), *_public(seen), *_codes(sentences)):
        say(f"{label:<13}{words}")
    for fault in seen.faults:
        say(f"warning: {fault}", err=True)
    for one in todo:
        say(f"{'to do':<13}{one}")
    if not todo:
        say(f"{'to do':<13}nothing")
    return 0


def _sentences(seen: StationStatus) -> dict[str, str]:
    """What the public reads for each code here, in English."""
    messages = load()
    codes = {one.code for one in seen.refusals}
    if seen.published is not None:
        codes |= {*seen.published.codes, *(code for one in seen.published.packets for code in one.codes)}
    found: dict[str, str] = {}
    for code in sorted(codes):
        # A country's own check: its number stands behind the dot.
        texts: Mapping[str, str] = messages.codes.get(code) or messages.codes.get(code.partition(".")[0], {})
        found[code] = texts.get("en", "no sentence of ours: docs/tally.md")
    return found


def _place(seen: StationStatus) -> _Lines:
    label = f", printed as {seen.label}" if seen.label else ""
    registered = "" if seen.registered is None else f"; {seen.registered:,} registered"
    yield "station", f"{seen.station}: {seen.name or 'no name'}{label} ({seen.kind}{registered})"
    yield "area", " › ".join(name or str(number) for number, name in seen.areas)
    cancelled = "; CANCELLED by decision 12" if seen.cancelled else ""
    yield "closes", f"{_moment(seen.closes_at, seen)} {seen.timezone}, {closing_words(seen)}{cancelled}"


def _devices(seen: StationStatus) -> _Lines:
    by = "" if seen.told else " (by the roster; decisions are not asked)"
    if not seen.devices:
        yield "devices", f"none is assigned{by}"
    for one in seen.devices:
        yield f"{one.kind} {one.device}", _device(one, seen) + by
        if one.knock is not None:
            yield "", _knock(one.knock, seen)
    for refusal in seen.refusals:
        yield "refused", f"{_moment(refusal.at, seen)} {refusal.code}, device {refusal.device}"


def _device(one: Device, seen: StationStatus) -> str:
    parts = [one.serial] if one.serial else []
    if one.revoked:
        parts.append("REVOKED")
    if seen.told:
        parts.append("nothing logged" if one.logged is None else f"logged up to its number {one.logged}")
    parts.append("nothing published" if one.published is None else f"published up to {one.published}")
    return ", ".join(parts)


def _knock(knock: Knock, seen: StationStatus) -> str:
    good = "no handshake since ingest started"
    if knock.good_at is not None:
        good = f"last good handshake {_clock(knock.good_at, seen)}"
    if knock.refused is None:
        return good
    refused = knock.refused
    return (
        f"{good}; refused {refused.times:,} × since, last {_clock(refused.at, seen)} from {refused.peer}: "
        f"{refused.result} ({refused.words})"
    )


def _public(seen: StationStatus) -> _Lines:
    published = seen.published
    if published is None:
        yield "published", "nothing yet"
        return
    yield "published", _snapshot(published)
    for count in published.counts:
        votes = " ".join(f"{votes:,}" for votes in count.votes)
        yield f"contest {count.contest}", f"{_SOURCES[count.source]}: {count.state}; votes {votes or 'none'}"
    hidden = len(published.packets) - SHOWN_PACKETS
    if hidden > 0:
        yield "packets", f"the newest {SHOWN_PACKETS} of {len(published.packets):,}"
    for packet in published.packets[-SHOWN_PACKETS:]:
        yield f"entry {packet.index}", _packet(packet, seen)
    if published.documents:
        yield "documents", f"{published.documents:,}"
    if published.decisions:
        yield "decisions", ", ".join(map(str, published.decisions))


def _snapshot(published: PublishedStation) -> str:
    words = f"snapshot {published.snapshot:,} of {published.entries:,} entries"
    if published.paused is not None:
        words += f", paused by the {published.paused.by}"
    if published.hidden:
        words += "; EMBARGO: the public sees none of this yet"
    if not published.packets:
        return f"{words}; nothing names this station"
    return f"{words}; {'opened' if published.opened else 'not opened'}"


def _packet(packet: PacketLine, seen: StationStatus) -> str:
    codes = f": {' '.join(packet.codes)}" if packet.codes else ""
    return (
        f"{_REPORTS[packet.report]}, device {packet.device} number {packet.sequence}, signed "
        f"{_moment(packet.signed_at, seen)}{codes}"
    )


def _codes(sentences: Mapping[str, str]) -> _Lines:
    for code, sentence in sentences.items():
        yield "meaning", f"{code}: {sentence}"


def _moment(at: int, seen: StationStatus) -> str:
    """An instant of the election's clock, where the station is."""
    return f"{to_datetime(at).astimezone(ZoneInfo(seen.timezone)):%Y-%m-%d %H:%M:%S}"


def _clock(at: int, seen: StationStatus) -> str:
    """An instant of real time, as long ago as it is now."""
    ago = max(0, parse_time(seen.at) - at) // SECOND
    return f"{ago} s ago" if ago < 120 else f"{ago // 60} min ago"
