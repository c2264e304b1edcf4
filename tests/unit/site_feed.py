"""A feed made by hand for pages: figures and names as a test wants them, hashes as they must be."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.feed import layout
from gateway.feed.models import (
    Child,
    DecisionsRef,
    Latest,
    LogHead,
    Paused,
    Progress,
    RootRef,
    Software,
    Status,
    StatusWord,
)
from gateway.feed.objects import Area, Code, ContestSums, Row, RowCount, Sums, Turnout
from tests.unit.wire_election import DEFINITION, ELECTION, INFORMATION, Election, Json, Tables

ROOT, REGION, DISTRICT, OTHER = 1, 2, 3, 10
NO_SUMS = Sums(0, 0, 0, (), 0, 0, (0, 0), 0, 1, (0, 0, 0))


def sums(
    votes: Sequence[int], *, stations: int = 2, counted: int = 1, held: int = 0, disputed: int = 0
) -> Sums:
    """Sums of a contest that is counted at some stations; the rest is silent."""
    return Sums(
        annulled=0,
        counted=counted,
        disputed=disputed,
        figures=((9, 2 * sum(votes), counted), (11, sum(votes), counted)),
        held=held,
        partial=0,
        registered=(4 * sum(votes), counted),
        reported=counted - disputed,
        silent=stations - counted - held,
        votes=tuple(votes),
    )


def contest(number: int, machine: Sums, stations: int = 2) -> ContestSums:
    nothing = msgspec.structs.replace(NO_SUMS, silent=stations, votes=(0,) * len(machine.votes))
    return ContestSums(number, machine, nothing, (1200, 1), stations)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class SiteFeed:
    """A folder with one snapshot of the election in `tests.unit.wire_election`.

    Args:
        root: an empty folder.
        definition: its tables, where a test has names of its own.
        information: likewise.
        manifest: of the definition.
    """

    def __init__(
        self,
        root: Path,
        *,
        definition: Tables = DEFINITION,
        information: Tables = INFORMATION,
        manifest: Mapping[str, Json] = ELECTION,
    ) -> None:
        (root / "election").mkdir()
        election = Election(root / "election")
        election.write_definition(definition, dict(manifest))
        election.write_information(information)
        self.root = root / "feed"
        self.root.mkdir()
        self.named = election.named
        folder = root / "election"
        self.information = sha256((folder / "information" / "information.json").read_bytes())
        for kind, name in (("definition", self.named), ("information", self.information)):
            (self.root / kind).mkdir()
            (folder / kind).rename(self.root / kind / name)
        self.votes = (5, 30, 10)
        self.objects: dict[int, str] = {}

    def write(self, path: str, value: msgspec.Struct) -> str:
        data = msgspec.json.encode(value)
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return sha256(data)

    def area(
        self,
        number: int,
        contests: Sequence[ContestSums],
        *,
        areas: Sequence[int] = (),
        rows: Sequence[Row] = (),
        stations: int = 1,
    ) -> Area[Row]:
        made = Area(
            area=number,
            areas=tuple((one, self.objects[one]) for one in areas),
            cancelled=0,
            contests=tuple(contests),
            definition=self.named,
            flags=(),
            format="tallygate-area/1",
            opened=stations,
            rows=tuple(rows),
            stations=stations,
            turnout=Turnout((), 400, (1200, stations), stations),
        )
        self.objects[number] = sha256(msgspec.json.encode(made))
        self.write(layout.area(number, bytes.fromhex(self.objects[number])), made)
        return made

    def publish(
        self,
        number: int = 1,
        *,
        status: StatusWord = "unofficial-partial",
        paused: Paused | None = None,
        codes: Sequence[Code] = (),
        mode: str = "live",
    ) -> Latest:
        """Writes the objects and the snapshot that names them."""
        second = contest(2, sums((7, 3), stations=1), 1)
        counts = (
            RowCount(1, 1, "reported", ((9, 90), (11, 45)), self.votes),
            RowCount(2, 1, "reported", ((9, 20), (11, 10)), (7, 3)),
        )
        first = contest(1, sums(self.votes, stations=1), 1)
        self.area(DISTRICT, (first, second), rows=[Row(8, 3, 1, 0, tuple(codes), counts)])
        self.area(REGION, (first, second), areas=[DISTRICT])
        silent = contest(1, sums((0, 0, 0), stations=1, counted=0), 1)
        self.area(OTHER, (silent,), rows=[Row(11, None, 0, 0, (), ())])
        root = self.area(ROOT, (contest(1, sums(self.votes)), second), areas=[REGION, OTHER], stations=2)
        progress = Progress(0, 0, 0, 0, 2, 0, 1, 1, 2)
        latest = Latest(
            children=tuple(Child(one, progress, self.objects[one], root.turnout) for one in (REGION, OTHER)),
            decisions=DecisionsRef(1, "dd" * 32),
            definition=self.named,
            election="example-2027",
            embargo_until=None,
            format="tallygate-snapshot/1",
            headline="machine",
            information=self.information,
            log=LogHead("log.example", "A" * 43 + "=", 17),
            mode="rehearsal" if mode == "rehearsal" else "live",
            paused=paused,
            previous=None if number == 1 else "cc" * 32,
            progress=progress,
            published_at="2027-01-15T20:00:05.250Z",
            results=(),
            root=RootRef(ROOT, self.objects[ROOT]),
            roster="ee" * 32,
            snapshot=number,
            software=Software("ff" * 32, "0.1.0"),
            status=Status(status, "pre-election"),
            tally=root,
        )
        self.write(layout.LATEST, latest)
        return latest
