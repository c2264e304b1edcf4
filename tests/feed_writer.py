"""A small publisher for tests, written from docs/feed.md: it can stop between two files, and it can lie.

The election is that of `tests.unit.wire_election`: box 1 at the stations 8 and 11, desk 5, three members of
whom two decide.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

from nacl.signing import SigningKey

from clients.observer.tally import Tally
from clients.wire import note, statement, tiles
from clients.wire.cbor import Content
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.note import Checkpoint, VerifierKey
from clients.wire.roster import Roster
from clients.wire.text import base64_text
from tests.unit import wire_election
from tests.unit.wire_election import BOX, DESK, MEMBERS, Election

ORIGIN: Final = "log.example/example-2027"
LOG_KEY: Final = SigningKey(b"\x21" * 32)
SNAPSHOT_KEY: Final = SigningKey(b"\x22" * 32)
CLOSES_AT: Final = 1_800_043_200_000
PUBLISHED_AT: Final = "2027-01-15T20:00:{:02d}.000Z"
WORDS: Final = (
    "pre-election",
    "unofficial-partial",
    "unofficial-complete",
    "certified",
    "correction",
    "recount",
)
SOURCES: Final = {1: "machine", 2: "protocol"}

Json: TypeAlias = "int | str | Sequence[Json] | Mapping[str, Json] | None"
Latest: TypeAlias = dict[str, Json]
File: TypeAlias = tuple[str, bytes]

# A result of station 8: contest 1 with three choices, contest 2 with two.
RESULT: Final[Content] = (
    3,
    CLOSES_AT,
    1,
    100,
    ((3, 100),),
    ((1, ((9, 100), (11, 98), (13, 2)), (10, 90, 8)), (2, ((9, 100), (11, 97), (13, 3)), (60, 37))),
    (),
)


def canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FeedWriter:
    """A log and the feed of it.

    Attributes:
        root: holds `feed`, and `definition`, `roster` and `information` as they were built.
        feed: the feed's folder.
        log: the entries that the tally takes.
        public: the entries that tiles and heads are made of: the same list, but for a liar.
    """

    def __init__(self, root: Path, *, opened: bool = True) -> None:
        self.root = root
        self.feed = root / "feed"
        self.feed.mkdir(parents=True)
        election = Election(root)
        _write_media(election)
        self.definition, self.roster, self.information = election.load()
        self.log: list[bytes] = []
        self.public = self.log
        self.number = 0
        self.rosters: dict[str, Path] = {self.roster.sha256.hex(): root / "roster"}
        self._before: str | None = None
        self.head = self.tally()
        self._folded = 0
        self._previous: dict[tuple[int, int], bytes] = {}
        self._decided: dict[int, bytes] = {}
        if opened:
            action = (
                1,
                ORIGIN,
                bytes(LOG_KEY.verify_key),
                bytes(SNAPSHOT_KEY.verify_key),
                self.roster.sha256,
            )
            self.decide(1, (*action, "tallygate test"))

    def tally(self) -> Tally:
        return Tally(self.definition, self.roster, self._later_rosters())

    def _later_rosters(self) -> list[Roster]:
        return [Roster.load(folder, self.definition) for folder in list(self.rosters.values())[1:]]

    # --- the log

    def packet(self, report: Content, *, device: int = 1, station: int = 8, sequence: int = 0) -> bytes:
        """Sign a packet and append it; without `sequence` it follows the device's last one."""
        last = max((place for own, place in self._previous if own == device), default=0)
        sequence = sequence or last + 1
        previous = b"" if sequence == 1 else self._previous.get((device, sequence - 1), bytes(32))
        key = BOX if device == 1 else DESK
        content = (self.definition.sha256, device, station, sequence, previous, CLOSES_AT + sequence, report)
        data = statement.sign("packet", content, key)
        self._previous.setdefault((device, sequence), hashlib.sha256(data).digest())
        self.log.append(data)
        return data

    def decide(
        self, number: int, action: Content, members: Sequence[int] = (1, 2), *, reason: str = "Бул."
    ) -> None:
        """Sign a decision by some members, an entry each."""
        previous = self._decided.get(number - 1, bytes(32) if number > 1 else b"")
        content = (self.definition.sha256, previous, number, CLOSES_AT + number, (("ky", reason),), action)
        for member in members:
            data = statement.sign("decision", content, MEMBERS[member - 1])
            self.log.append(data)
            self._decided[number] = hashlib.sha256(statement.decode(data).payload).digest()

    # --- snapshots

    def publish(
        self,
        *,
        size: int | None = None,
        paused: Json = None,
        lie: Callable[[Latest], None] | None = None,
        key: SigningKey = SNAPSHOT_KEY,
    ) -> None:
        """Write the next snapshot of the first `size` entries, all by default.

        Args:
            size: entries.
            paused: the member.
            lie: changes the snapshot before it is signed.
            key: signs the note.
        """
        for path, data in self.steps(size=size, paused=paused, lie=lie, key=key):
            self.put(path, data)

    def put(self, path: str, data: bytes) -> None:
        target = self.feed / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def steps(
        self,
        *,
        size: int | None = None,
        paused: Json = None,
        lie: Callable[[Latest], None] | None = None,
        key: SigningKey = SNAPSHOT_KEY,
    ) -> Iterator[File]:
        """The files of the next snapshot in the order in which they are written."""
        size = len(self.log) if size is None else size
        while self._folded < size:
            self.head.apply(statement.decode(self.log[self._folded]))
            self._folded += 1
        self.number += 1
        # A liar's public log is shown whole, whatever the tally was made of.
        shown = self.log[:size] if self.public is self.log else self.public
        tree = Tree(leaf_hash(entry) for entry in shown)
        yield from self._fixed()
        objects = dict(self._objects())
        decisions = self._decisions(size)
        yield from objects.items()
        yield f"decisions/{digest(decisions)}.json", decisions
        yield from self._log_files(tree)
        head = Checkpoint(ORIGIN, tree.size, tree.root())
        yield "log/checkpoint", note.sign(head.text, ORIGIN, LOG_KEY)
        latest = self._latest(head, decisions, paused)
        if lie is not None:
            lie(latest)
        data = canonical(latest)
        lines = (
            "tallygate-snapshot/1",
            ORIGIN,
            self.number,
            digest(data),
            self._before or "-",
            tree.size,
            base64_text(head.root),
        )
        signed = note.sign("".join(f"{line}\n" for line in lines), f"{ORIGIN}/snapshot", key)
        self._before = digest(data)
        yield f"snapshots/.{self.number}.json.0123456789abcdef.tmp", data
        yield f"snapshots/{self.number}.json", data
        yield f"snapshots/{self.number}.note", signed
        yield "latest.json", data

    def _fixed(self) -> Iterator[File]:
        folders = [("definition", self.definition.sha256.hex(), self.root / "definition")]
        folders += [("information", self.information.sha256.hex(), self.root / "information")]
        folders += [("roster", sha256, folder) for sha256, folder in self.rosters.items()]
        for kind, sha256, folder in folders:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    yield f"{kind}/{sha256}/{file.relative_to(folder)}", file.read_bytes()
        for path, name, key in (
            ("keys/log.vkey", ORIGIN, LOG_KEY),
            ("keys/snapshot.vkey", f"{ORIGIN}/snapshot", SNAPSHOT_KEY),
        ):
            yield path, f"{VerifierKey(name, bytes(key.verify_key))}\n".encode()

    def _objects(self) -> Iterator[File]:
        for number in sorted(self.definition.stations):
            data = self.head.station(number)
            if data is not None:
                yield f"stations/{number // 1000}/{number}-{self.head.version(number)}.json", data
        for area in sorted(self.definition.areas):
            data = self.head.area(area)
            yield f"areas/{area}/{digest(data)}.json", data

    def _log_files(self, tree: Tree) -> Iterator[File]:
        entries = self.public[: tree.size]
        for tile in tiles.tiles(tree.size):
            yield f"log/{tile.path}", tiles.tile_bytes(tree, tile)
        for bundle in tiles.bundles(tree.size):
            first = bundle.number * tiles.TILE_WIDTH
            yield f"log/{bundle.path}", tiles.bundle_bytes(entries[first : first + bundle.width])

    def _decisions(self, size: int) -> bytes:
        listed: dict[bytes, dict[str, Json]] = {}
        for index, entry in enumerate(self.log[:size]):
            signed = statement.decode(entry)
            if signed.kind == "packet":
                continue
            one = listed.setdefault(
                signed.payload,
                {
                    "action": _hexed(signed.action),
                    "decided_at": signed.decided_at,
                    "entries": [],
                    "number": signed.number,
                    "payload": digest(signed.payload),
                    "reason": _hexed(signed.reason),
                    "signers": [],
                    "state": self.head.authority.standing(signed),
                },
            )
            cast(list[Json], one["entries"]).append(index)
            signer = self.definition.commission[signed.kid].hex()
            one["signers"] = sorted({*cast(list[str], one["signers"]), signer})
        ordered = sorted(
            listed.values(), key=lambda one: (cast(int, one["number"]), cast(list[int], one["entries"])[0])
        )
        definition = self.definition.sha256.hex()
        return canonical({"decisions": ordered, "definition": definition, "format": "tallygate-decisions/1"})

    def _latest(self, head: Checkpoint, decisions: bytes, paused: Json) -> Latest:
        root = self.head.area(self.head.root)
        tally = json.loads(root)
        return {
            "format": "tallygate-snapshot/1",
            "election": self.definition.id,
            "mode": self.definition.mode,
            "definition": self.definition.sha256.hex(),
            "roster": self.head.authority.assignments.sha256.hex(),
            "information": self.information.sha256.hex(),
            "snapshot": self.number,
            "previous": self._before,
            "published_at": PUBLISHED_AT.format(self.number % 60),
            "status": {word: self._status(source, tally["contests"]) for source, word in SOURCES.items()},
            "headline": self.definition.headline,
            "paused": paused,
            "embargo_until": None,
            "decisions": {"count": len(json.loads(decisions)["decisions"]), "sha256": digest(decisions)},
            "log": {"origin": ORIGIN, "root": base64_text(head.root), "size": head.size},
            "software": {"source": "ab" * 32, "version": "0.1.0"},
            "progress": self.head.progress(self.head.root),
            "root": {"area": self.head.root, "sha256": digest(root)},
            "tally": tally,
            "results": self.head.results(),
            "children": [
                {
                    "area": area,
                    "progress": self.head.progress(area),
                    "sha256": sha256,
                    "turnout": json.loads(self.head.area(area))["turnout"],
                }
                for area, sha256 in tally["areas"]
            ],
        }

    def _status(self, source: int, contests: list[dict[str, dict[str, int]]]) -> str:
        decided = self.head.authority.status(source)
        if decided is not None:
            return WORDS[decided]
        sums = [contest[SOURCES[source]] for contest in contests]
        stations = [cast(int, contest["stations"]) for contest in contests]
        if all(own["silent"] + own["annulled"] == number for own, number in zip(sums, stations, strict=True)):
            return WORDS[0]
        return WORDS[1 if any(own["silent"] + own["partial"] + own["held"] for own in sums) else 2]


def _write_media(election: Election) -> None:
    """Pictures, and an information that names them."""
    folder = election.root / "information" / "media"
    folder.mkdir()
    media: dict[str, wire_election.Json] = {}
    for name, kind in (("first.png", "image/png"), ("school-8.jpg", "image/jpeg")):
        data = f"a picture: {name}".encode()
        (folder / name).write_bytes(data)
        media[name] = {"sha256": digest(data), "size": len(data), "type": kind}
    election.write_information(wire_election.INFORMATION, media=media)


def _hexed(content: Content) -> list[Json]:
    return [
        item.hex() if isinstance(item, bytes) else _hexed(item) if isinstance(item, tuple) else item
        for item in content
    ]
