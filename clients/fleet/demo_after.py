"""The hours after the count: a paper protocol that is keyed in and corrected, a dispute that is settled.

What lives here: what the demonstration's desk and its commission do, with the programs that they have. The
held station's commission has counted by hand; somebody keys its paper in with a slip that adds up, and a
second protocol replaces it. The station whose box has sent two results is settled by a decision of the
commission: the second one counts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import trio

from clients import files
from clients.fleet.country import CLOSES_AT, Country, Paper
from clients.fleet.demo_night import box_address
from clients.fleet.demo_programs import Children, ProgramError, module
from clients.wire.errors import WireError

# The contest in which the disputed station's box contradicts itself: its first (clients.fleet.plan).
CONTEST: Final = 1
# Members of the rehearsal's commission who sign: its quorum.
MEMBERS: Final = (1, 2)
# What this adds to the log: two protocols, and the members' signatures.
ENTRIES: Final = 2 + len(MEMBERS)
REASONS: Final = (
    "en=The ballots were counted again: the second result is right.",
    "ky=Бюллетендер кайра саналды: экинчи жыйынтык туура.",
    "kk=Бюллетеньдер қайта саналды: екінші нәтиже дұрыс.",
    "ru=Бюллетени пересчитаны: верен второй результат.",
)

_RESULT: Final = 3
_MAX_STATION: Final = 1024 * 1024
_STATIONS_A_FOLDER: Final = 1_000
# Votes that somebody keys in for the neighbouring list: the sums stay right, so no rule sees it.
_SLIP: Final = 9

# A page that any reader opens; what matters of a scan is that its bytes are those that were named.
_SCAN: Final = """\
%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 595]/Contents 4 0 R\
/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj
4 0 obj<</Length {length}>>stream
{content}
endstream endobj
trailer<</Root 1 0 R>>
%%EOF
"""


class _Packet(msgspec.Struct, frozen=True):
    index: int
    report: int
    counts: tuple[tuple[int, tuple[tuple[int, int], ...], tuple[int, ...]], ...]


class _Station(msgspec.Struct, frozen=True):
    packets: tuple[_Packet, ...]


class Dispute(NamedTuple):
    """A station whose box has sent two results.

    Attributes:
        station: its number.
        entry: the second one's place in the log.
        first: the votes of the first, in the contest.
        second: the votes of the second.
    """

    station: int
    entry: int
    first: tuple[int, ...]
    second: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Commission:
    """Who does it, and where.

    Attributes:
        folder: of the demonstration; gets what the programs write.
        night: the night folder.
        country: what was played.
        children: will know the programs that run.
        show: runs a program where a person sees it: what to call it, and its command; its exit status.
    """

    folder: Path
    night: Path
    country: Country
    children: Children
    show: Callable[[str, Sequence[str]], Awaitable[int]]

    async def work(self) -> Dispute:
        """Keys the paper in, and settles the dispute.

        Raises:
            ProgramError: `demo.desk`, `demo.decide`: a program has failed.
            WireError: `demo.feed`: the feed does not show the dispute.
        """
        dispute = find(self.night / "feed", self.country.disputed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._key)
            await self._decide(dispute)
        return dispute

    async def _key(self) -> None:
        desk = self.folder / "desk"
        await self._desk("init", desk, "--bundle", self.night / "devices")
        station = self.country.held
        right = self.country.papers
        slipped = {**right, CONTEST: _slipped(right[CONTEST])}
        for name, papers in (("first", slipped), ("keying", right)):
            readings = [self.folder / f"{name}-{reader}.toml" for reader in ("a", "b")]
            for path in readings:
                files.write(path, protocol(station, papers, name).encode(), files.PUBLIC_FILE)
            scan = self.folder / f"{name}.pdf"
            files.write(scan, _page(f"Station {station}, protocol").encode(), files.PUBLIC_FILE)
            read = ("--from", readings[0], "--again", readings[1], "--scan", scan)
            await self._desk("key", desk, *read, "--address", self._gateway)

    async def _decide(self, dispute: Dispute) -> None:
        feed, devices = self.night / "feed", self.night / "devices"
        file = self.folder / "decision-2.json"
        which = ("--station", dispute.station, "--contest", CONTEST, "--source", "machine")
        reasons = [word for reason in REASONS for word in ("--reason", reason)]
        prepare = _decide("prepare", feed, "choose", *which, "--entry", dispute.entry, "--out", file)
        shown = (
            f"tallygate-decide prepare NIGHT/feed choose --station {dispute.station} \N{HORIZONTAL ELLIPSIS}"
        )
        if await self.show(shown, [*prepare, *reasons]):
            raise self._failed("decide")
        for member in MEMBERS:
            sign = _decide("sign", file, "--definition", self.night / "definition", "--bundle", devices)
            await self._done("decide", [*sign, "--member", str(member), "--yes"])
        shown = "tallygate-decide submit decision-2.json --feed NIGHT/feed"
        submit = _decide("submit", file, "--bundle", devices, "--address", self._gateway, "--feed", feed)
        if await self.show(shown, submit):
            raise self._failed("decide")

    @property
    def _gateway(self) -> str:
        return box_address(self.night)

    async def _desk(self, *arguments: str | Path) -> None:
        await self._done("desk", module("clients.desk.cli", *arguments))

    async def _done(self, name: str, command: Sequence[str]) -> None:
        if await self.children.done(command, self._log(name)):
            raise self._failed(name)

    def _failed(self, name: str) -> ProgramError:
        return ProgramError(
            f"demo.{name}", f"tallygate-{name} has failed: its last words stand above", self._log(name)
        )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def find(feed: Path, station: int) -> Dispute:
    """The two results of a station, as the feed shows them.

    Raises:
        WireError: `demo.feed`: there are not two.
    """
    folder = feed / "stations" / str(station // _STATIONS_A_FOLDER)
    versions = [int(path.stem.partition("-")[2]) for path in folder.glob(f"{station}-*.json")]
    if versions:
        path = folder / f"{station}-{max(versions)}.json"
        found = msgspec.json.decode(files.read(path, _MAX_STATION, path.name), type=_Station)
        results = [
            (packet.index, votes)
            for packet in found.packets
            if packet.report == _RESULT
            for contest, _, votes in packet.counts
            if contest == CONTEST
        ]
        if len(results) == 2:
            (_, first), (entry, second) = sorted(results)
            return Dispute(station, entry, first, second)
    raise WireError("demo.feed", f"station {station} should have sent two results", file=str(folder))


def protocol(station: int, papers: Mapping[int, Paper], cause: str) -> str:
    """A paper as a counts file (docs/box.md)."""
    lines = [
        'report = "protocol"',
        f"station = {station}",
        f'cause = "{cause}"',
        f"closed_at = {CLOSES_AT}",
        "",
    ]
    for contest, paper in papers.items():
        figures = ", ".join(f"{name} = {value}" for name, value in paper.figures.items())
        lines += [f"[contests.{contest}]", f"figures = {{{figures}}}", f"votes = {list(paper.votes)}", ""]
    return "\n".join(lines)


def _slipped(paper: Paper) -> Paper:
    """Some of the first list's votes stand at the second."""
    first, second, *others = paper.votes
    slip = min(_SLIP, first)
    return Paper(paper.figures, (first - slip, second + slip, *others))


def _page(text: str) -> str:
    content = f"BT /F 16 Tf 40 540 Td (REHEARSAL) Tj 0 -24 Td ({text}) Tj ET"
    return _SCAN.format(length=len(content), content=content)


def _decide(*arguments: str | int | Path) -> list[str]:
    return module("clients.commission.cli", *map(str, arguments))
