"""Makes a case's bytes: manifests and tables, the signed log, and the expected objects.

Takes nothing from `gateway` or `clients`: like the other vectors, the cases are a third voice. What is
copied here from a log's description into an expected object (ids, figures as the packet states them) is what
a packet says; what the tally makes of it stands in the case and was worked out by hand.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from tests.vectors import ed25519
from tests.vectors.election import COLUMNS, canonical_json, table_entry
from tests.vectors.encoding import Content, Key, Kind, Value, encode, frame, sha256, signed, signed_bytes
from tests.vectors.render import Json
from tests.vectors.tally import forms
from tests.vectors.tally.forms import AreaForm, Case, ContestForm, Entry, PacketForm, Report, StationForm

CLOSES_AT: Final = 46_800_000
# A minute after the close, unless an entry says otherwise.
SIGNED_AT: Final = CLOSES_AT + 60_000
_REPORTS: Final = {"opening": 1, "turnout": 2, "result": 3, "protocol": 4, "documents": 5}
_NONCE: Final = 0x7A11


def device_key(number: int) -> Key:
    """The key of a device; nothing here is secret."""
    return Key(f"tally: device {number}")


def member_key(number: int) -> Key:
    """The key of a member of the commission."""
    return Key(f"tally: member {number}")


def named_hash(name: str) -> bytes:
    """A hash that a case calls by a name: of firmware, of a paper, of another definition."""
    return sha256(f"tallygate vectors: tally: {name}".encode())


def figures(text: str) -> list[tuple[int, int]]:
    """``9=80 11=78`` as pairs."""
    pairs = (pair.split("=") for pair in text.split())
    return [(int(code), int(value)) for code, value in pairs]


@dataclass
class Built:
    """A case as bytes.

    Attributes:
        definition: files of the definition's folder.
        rosters: files of each roster's folder; the first stands under "".
        log: the statements.
        objects: after each expectation's size: what must be there.
    """

    definition: dict[str, bytes]
    rosters: dict[str, dict[str, bytes]]
    log: list[bytes] = field(default_factory=list)
    objects: list["Objects"] = field(default_factory=list)


@dataclass
class Objects:
    """Expected objects after so many entries.

    Attributes:
        size: entries.
        stations: each station's object; None where there is none.
        areas: objects of the areas that the case names.
        progress: of the areas that the case names.
        results: or None where the case does not name them.
    """

    size: int
    stations: dict[int, bytes | None]
    areas: dict[int, bytes]
    progress: dict[int, Json]
    results: Json


def build(case: Case) -> Built:
    """The bytes of a case."""
    return _Builder(case).built()


class _Builder:
    def __init__(self, case: Case) -> None:
        self._case = case
        election = forms.election(case.election)
        self._tables = {**election.tables, **case.tables}
        manifest: dict[str, Json] = {**json.loads(bytes(election.manifest)), **case.manifest}
        commission = manifest["commission"]
        rules = manifest["rules"]
        assert isinstance(commission, Mapping)
        assert isinstance(rules, Mapping)
        members, self._quorum = commission["members"], commission["quorum"]
        assert isinstance(members, int)
        self._manifest: dict[str, Json] = {
            **manifest,
            "format": "tallygate-definition/1",
            "rules": {**rules, **case.rules},
            "commission": {
                "keys": [member_key(number).public.hex() for number in range(1, members + 1)],
                "quorum": self._quorum,
            },
        }
        definition = self._folder("definition", "election.json", self._manifest, self._tables)
        self._hash = sha256(definition["election.json"])
        self._built = Built(definition, {})
        for name, tables in {"": {}, **case.rosters}.items():
            roster: dict[str, Json] = {"format": "tallygate-roster/1", "definition": self._hash.hex()}
            self._built.rosters[name] = self._folder(
                "roster", "roster.json", roster, {**self._tables, **tables}
            )
        self._ids: dict[str, bytes] = {}
        self._described: dict[str, tuple[Entry, Content]] = {}
        self._indexes: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}
        self._payloads: dict[str, tuple[Kind, bytes, Key]] = {}
        self._sequences: dict[int, int] = {}
        self._chain: dict[tuple[int, int], bytes] = {}
        self._decisions: dict[int, bytes] = {}

    def built(self) -> Built:
        log, snapshots = Key("tally: log").public, Key("tally: snapshots").public
        opening = (1, "tally.example/case", log, snapshots, self._roster(""), "1")
        assert isinstance(self._quorum, int)
        for member in range(1, self._quorum + 1):
            self._decide(1, opening, member_key(member))
        for entry in self._case.log:
            place = f"{self._case.name}: entry {entry.at} is misplaced"
            assert entry.keep or entry.at == len(self._built.log), place
            self._entry(entry)
        for expect in self._case.expect:
            self._built.objects.append(self._objects(expect))
        return self._built

    # --- manifests and tables

    def _folder(
        self, part: str, file: str, manifest: Mapping[str, Json], tables: Mapping[str, Sequence[str]]
    ) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for name, columns in COLUMNS[part].items():
            lines = [",".join(columns), *(self._line(line) for line in tables[name])]
            files[f"{name}.csv"] = "".join(f"{line}\n" for line in lines).encode()
        entries = {name.removesuffix(".csv"): table_entry(data) for name, data in files.items()}
        return {**files, file: canonical_json({**manifest, "tables": entries})}

    def _line(self, line: str) -> str:
        """A row: `@` is the key of its device, `@name` a named hash."""
        cells = line.split(",")
        for place, cell in enumerate(cells):
            if cell == "@":
                cells[place] = device_key(int(cells[0])).public.hex()
            elif cell.startswith("@"):
                cells[place] = named_hash(cell[1:]).hex()
        return ",".join(cells)

    def _roster(self, name: str) -> bytes:
        return sha256(self._built.rosters[name]["roster.json"])

    # --- the log

    def _entry(self, entry: Entry) -> None:
        if entry.send:
            self._indexes[entry.send] = len(self._built.log)
            self._built.log.append(self._kept[entry.send])
        elif entry.again:
            self._again(entry)
        elif entry.decision:
            action = (entry.action[0], *(self._argument(value) for value in entry.action[1:]))
            self._decide(entry.decision, action, member_key(entry.member), entry)
        else:
            self._packet(entry)

    def _argument(self, value: int | str) -> Value:
        return value if isinstance(value, int) else self._bytes(value)

    def _bytes(self, text: str) -> bytes:
        """``@name``: an entry's id; ``roster:name``, ``hash:name``: of a roster, or a named hash."""
        kind, _, name = text.partition(":")
        if kind == "roster":
            return self._roster(name)
        return named_hash(name) if kind == "hash" else self._ids[text.removeprefix("@")]

    def _decide(self, number: int, action: Content, key: Key, entry: Entry | None = None) -> None:
        before = self._decisions.get(number - 1, b"")
        content = (self._hash, before, number, CLOSES_AT, (("en", "A case."),), action)
        payload = encode(content)
        self._decisions.setdefault(number, sha256(payload))
        name = entry.name if entry and entry.name else f"decision {number}"
        self._log("decision", payload, key, name, keep=bool(entry and entry.keep))

    def _packet(self, entry: Entry) -> None:
        sequence = entry.sequence or self._sequences.get(entry.device, 0) + 1
        self._sequences[entry.device] = max(sequence, self._sequences.get(entry.device, 0))
        previous = b"" if sequence == 1 else self._chain.get((entry.device, sequence - 1), named_hash("gap"))
        if entry.previous:
            previous = self._bytes(entry.previous)
        content: Content = (
            self._bytes(entry.definition) if entry.definition else self._hash,
            entry.device,
            entry.station,
            sequence,
            previous,
            SIGNED_AT if entry.signed_at is None else entry.signed_at,
            self._report(entry),
        )
        key = device_key(entry.device)
        self._described[entry.name] = (entry, content)
        self._log("packet", encode(content), key, entry.name, keep=bool(entry.keep))
        self._chain.setdefault((entry.device, sequence), self._ids[entry.name])

    def _report(self, entry: Entry) -> Content:
        kind, report = _reported(entry)
        counts: Content = tuple(
            (int(contest), tuple(figures(text)), tuple(votes))
            for contest, (text, votes) in report.counts.items()
        )
        papers: Content = tuple(
            (named_hash(name), media, size, document, page)
            for name, media, size, document, page in report.attachments
        )
        closed_at = CLOSES_AT if report.closed_at is None else report.closed_at
        voters: Content = tuple(figures(report.voters))
        match kind:
            case "opening":
                zeros = tuple((int(contest), tuple(votes)) for contest, votes in report.zeros.items())
                return (1, report.counter, named_hash(report.firmware), zeros)
            case "turnout":
                return (2, report.as_of, tuple(figures(report.figures)))
            case "result":
                return (3, closed_at, report.origin, report.counter, voters, counts, papers)
            case "protocol":
                corrects = self._bytes(report.corrects) if report.corrects else b""
                return (4, closed_at, corrects, report.cause, voters, counts, papers)
        return (5, papers)

    def _again(self, entry: Entry) -> None:
        """The same payload with another signature: a member's own, or a device's with another nonce."""
        kind, payload, key = self._payloads[entry.again]
        if kind == "decision":
            self._log(kind, payload, member_key(entry.member), entry.name)
            return
        r = crypto_scalarmult_ed25519_base_noclamp(_NONCE.to_bytes(32, "little"))
        signature = ed25519.with_r(r, _NONCE, key, signed_bytes(kind, key.kid, payload))
        statement = frame(kind, key.kid, payload, signature)
        if entry.keep:
            self._keep(statement, entry.name)
        else:
            self._append(statement, entry.name)

    def _log(self, kind: Kind, payload: bytes, key: Key, name: str, *, keep: bool = False) -> None:
        self._payloads.setdefault(name, (kind, payload, key))
        statement = signed(kind, payload, key)
        if keep:
            self._keep(statement, name)
        else:
            self._append(statement, name)

    def _keep(self, statement: bytes, name: str) -> None:
        self._ids[name] = sha256(statement)
        self._kept[name] = statement

    def _append(self, statement: bytes, name: str) -> None:
        self._ids.setdefault(name, sha256(statement))
        self._indexes.setdefault(name, len(self._built.log))
        self._built.log.append(statement)

    # --- the expected objects

    def _objects(self, expect: forms.Expect) -> Objects:
        numbers = [int(line.partition(",")[0]) for line in self._tables["stations"]]
        unknown = {int(number) for number in expect.stations}.difference(numbers)
        assert not unknown, f"{self._case.name}: no stations {unknown}"
        stations = {
            number: self._station(number, expect.stations[str(number)])
            for number in numbers
            if str(number) in expect.stations
        }
        areas: dict[int, bytes] = {}
        # Children before their parents, whose objects hold their hashes.
        for number in sorted(map(int, expect.areas), key=self._depth, reverse=True):
            areas[number] = self._area(number, expect.areas[str(number)], stations, areas)
        return Objects(
            size=expect.size or len(self._built.log),
            stations={
                number: canonical_json(stations[number]) if number in stations else None for number in numbers
            },
            areas=areas,
            progress={int(area): dict(progress) for area, progress in expect.progress.items()},
            results=json.loads(bytes(expect.results)) if bytes(expect.results) else None,
        )

    def _depth(self, area: int) -> int:
        parents = {int(line.split(",")[0]): line.split(",")[1] for line in self._tables["areas"]}
        return 1 + self._depth(int(parents[area])) if parents[area] else 0

    def _station(self, number: int, form: StationForm) -> dict[str, Json]:
        return {
            "format": "tallygate-station/1",
            "definition": self._hash.hex(),
            "station": number,
            "version": form.version,
            "opened": form.opened,
            "cancelled": form.cancelled,
            "codes": form.codes,
            "turnout": {"identified": form.turnout.identified, "hours": form.turnout.hours},
            "counts": [
                {
                    "contest": count.contest,
                    "source": count.source,
                    "state": count.state,
                    "packets": count.packets,
                    "figures": figures(count.figures),
                    "votes": count.votes,
                }
                for count in form.counts
            ],
            "differences": form.differences,
            "packets": [
                self._written(packet) if isinstance(packet, PacketForm) else self._listed(*packet)
                for packet in form.packets
            ],
            "documents": [
                {
                    "index": paper.index,
                    "sha256": named_hash(paper.sha256).hex(),
                    "media": paper.media,
                    "size": paper.size,
                    "document": paper.document,
                    "page": paper.page,
                }
                for paper in form.documents
            ],
            "decisions": form.decisions,
        }

    def _written(self, form: PacketForm) -> Json:
        """A packet that the case writes out in full."""
        return {
            "index": form.index,
            "id": self._bytes(form.id).hex(),
            "device": form.device,
            "sequence": form.sequence,
            "report": form.report,
            "signed_at": form.signed_at,
            "codes": form.codes,
            "voters": form.voters,
            "counts": form.counts,
            "counter": form.counter,
            "corrects": self._bytes(form.corrects).hex() if form.corrects else "",
        }

    def _listed(self, name: str, codes: list[str]) -> Json:
        """A packet of which the case says the codes; the rest is what its description in the log says."""
        entry, content = self._described[name]
        kind, report = _reported(entry)
        _, device, _, sequence, _, signed_at, _ = content
        assert isinstance(device, int)
        assert isinstance(sequence, int)
        assert isinstance(signed_at, int)
        counts: list[Json] = [
            [int(contest), figures(text), votes] for contest, (text, votes) in report.counts.items()
        ]
        if kind == "opening":
            counts = [[int(contest), [], votes] for contest, votes in report.zeros.items()]
        return {
            "index": self._indexes[name],
            "id": self._ids[name].hex(),
            "device": device,
            "sequence": sequence,
            "report": _REPORTS[kind],
            "signed_at": signed_at,
            "codes": codes,
            "voters": figures(report.figures if kind == "turnout" else report.voters),
            "counts": counts,
            "counter": report.counter if kind in ("opening", "result") else None,
            "corrects": self._bytes(report.corrects).hex() if report.corrects else "",
        }

    def _area(
        self,
        number: int,
        form: AreaForm,
        stations: Mapping[int, Mapping[str, Json]],
        areas: Mapping[int, bytes],
    ) -> bytes:
        children = [
            int(line.split(",")[0]) for line in self._tables["areas"] if line.split(",")[1] == str(number)
        ]
        own = [
            int(line.split(",")[0]) for line in self._tables["stations"] if line.split(",")[1] == str(number)
        ]
        value: dict[str, Json] = {
            "format": "tallygate-area/1",
            "definition": self._hash.hex(),
            "area": number,
            "stations": form.stations,
            "opened": form.opened,
            "cancelled": form.cancelled,
            "turnout": {
                "registered": form.turnout.registered,
                "identified": form.turnout.identified,
                "stations": form.turnout.stations,
                "hours": form.turnout.hours,
            },
            "contests": [self._contest(contest) for contest in form.contests],
            "flags": form.flags,
            "areas": [[child, hashlib.sha256(areas[child]).hexdigest()] for child in children],
            "rows": [_row(station, stations.get(station)) for station in own],
        }
        return canonical_json(value)

    def _contest(self, form: ContestForm) -> Json:
        choices = sum(line.startswith(f"{form.contest},") for line in self._tables["choices"])
        value: dict[str, Json] = {
            "contest": form.contest,
            "stations": form.stations,
            "registered": form.registered,
        }
        for source, sums in (("machine", form.machine), ("protocol", form.protocol)):
            value[source] = {
                "silent": sums.silent,
                "partial": sums.partial,
                "reported": sums.reported,
                "held": sums.held,
                "disputed": sums.disputed,
                "annulled": sums.annulled,
                "counted": sums.counted,
                "registered": sums.registered,
                "figures": _sums(sums.figures),
                "votes": [0] * choices if sums.votes is None else sums.votes,
            }
        return value


def _reported(entry: Entry) -> tuple[str, Report]:
    for kind in _REPORTS:
        report = getattr(entry, kind)
        if isinstance(report, Report):
            return kind, report
    raise AssertionError(f"entry {entry.at} reports nothing")


def _sums(text: str) -> Json:
    """``9=230/2``: code, sum, stations."""
    found: list[Json] = []
    for part in text.split():
        code, _, rest = part.partition("=")
        total, _, stations = rest.partition("/")
        found.append([int(code), int(total), int(stations)])
    return found


def _row(number: int, station: Mapping[str, Json] | None) -> Json:
    """A row says what its station's object says."""
    if station is None:
        return [number, None, 0, 0, [], []]
    counts = station["counts"]
    assert isinstance(counts, list)
    return [
        number,
        station["version"],
        station["opened"],
        station["cancelled"],
        station["codes"],
        [[count[name] for name in ("contest", "source", "state", "figures", "votes")] for count in counts],
    ]
