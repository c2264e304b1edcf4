"""Manifests and tables: an election that reads well, and each deviation with its code, file, line, column."""

import hashlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from clients.wire import keys
from clients.wire.definition import STANDARD_FIGURES, Choice, Station
from clients.wire.errors import WireError
from tests.unit.wire_election import (
    BOX,
    DEFINITION,
    DESK,
    ELECTION,
    INFORMATION,
    MEDIA,
    MEMBERS,
    ROSTER,
    SITE,
    Election,
    Json,
    Place,
    public,
    rewrite,
    with_line,
)


@pytest.fixture
def election(tmp_path: Path) -> Election:
    return Election(tmp_path)


class TestGood:
    def test_the_definition(self, election: Election) -> None:
        definition, _, _ = election.load()
        assert definition.sha256.hex() == election.named
        assert (definition.id, definition.mode, definition.headline) == ("example-2027", "live", "machine")
        assert definition.title == {"en": "An example", "ky": "Мисал"}
        assert definition.languages == ("ky", "en")
        assert (definition.opens_at, definition.publish_at) == (1_800_000_000_000, None)
        assert definition.commission_keys == tuple(bytes(key.verify_key) for key in MEMBERS)
        assert definition.commission == {keys.kid(key): key for key in definition.commission_keys}
        assert definition.quorum == 2
        assert (definition.rules.required, definition.rules.s204_minutes) == ((9, 11, 13), 720)
        assert definition.areas[1].parent is None
        assert definition.areas[3].name == 'Район, биринчи "А"'
        assert (definition.contests[1].threshold, definition.contests[1].threshold_area_level) == (
            500,
            "region",
        )
        assert (definition.contests[2].area, definition.contests[2].quorum_of) == (2, "registered")
        assert [choice.choice for choice in definition.choices[1]] == [1, 7, 9]
        assert definition.choices[1][0] == Choice(1, 1, "candidate", 7, "101", "Биринчи талапкер")
        assert definition.stations[8] == Station(
            8, 3, 1200, "ordinary", True, 1_800_043_200_000, "Asia/Bishkek", (1, 2), "УИК 8", "Мектеп"
        )
        assert (definition.stations[11].registered, definition.stations[11].box) == (None, False)
        assert definition.figures[100].figure == "observers"
        assert definition.checks[1].right == (5, 6, 8)
        assert definition.checks[2].left == (105,)

    def test_the_roster(self, election: Election) -> None:
        _, roster, _ = election.load()
        assert (
            roster.sha256 == hashlib.sha256((election.root / "roster" / "roster.json").read_bytes()).digest()
        )
        assert roster.devices[1].stations == (8, 11)
        assert roster.devices[1].kid == keys.kid(bytes(BOX.verify_key))
        assert (roster.devices[5].kind, roster.devices[5].area) == ("desk", 3)
        assert roster.couriers[1].area == 2
        assert list(roster.firmware.values()) == ["1.0", "1.1"]

    def test_the_information(self, election: Election) -> None:
        _, _, information = election.load()
        assert information.site == SITE
        assert information.media["first.png"].size == 1000
        assert information.areas[1] == {"name_ky": "Мисал", "name_en": "Example"}
        assert information.choices[1, 7]["photo"] == "first.png"
        assert information.choices[2, 1] == {}
        assert information.stations[8]["address_en"] == "Main street, 1"
        assert information.figures[100] == {"name_en": "Observers"}
        assert information.checks[1] == {"text_en": "Ballots add up"}

    def test_tables_that_are_only_headers(self, election: Election) -> None:
        bare = {name: lines[:2] if name in ("areas",) else lines[:1] for name, lines in DEFINITION.items()}
        election.write_definition(bare)
        election.write_roster({name: lines[:1] for name, lines in ROSTER.items()})
        election.write_information({name: lines[:1] for name, lines in INFORMATION.items()})
        definition, roster, information = election.load()
        assert (len(definition.areas), len(definition.stations), len(roster.devices)) == (1, 0, 0)
        assert len(information.choices) == 0

    def test_nothing_can_be_changed(self, election: Election) -> None:
        definition, _, _ = election.load()
        with pytest.raises(TypeError):
            definition.areas[99] = definition.areas[1]  # type: ignore[index]


def malformed(name: str, line: int | None, column: str | None) -> Place:
    return "table.malformed", f"{name}.csv", line, column


def unknown(name: str, line: int, column: str) -> Place:
    return "table.reference", f"{name}.csv", line, column


CONTEST = "1,list,,75,1,3,hare,votes,500,registered,50,region,,,,Парламент"
STATION = "8,3,1200,ordinary,yes,1800043200000,Asia/Bishkek,1 2,УИК 8,Мектеп"


def cells(line: str, place: int, value: str) -> str:
    """The line with one cell (from 0) replaced."""
    parts = line.split(",")
    parts[place] = value
    return ",".join(parts)


FORMS = [
    # The table as a whole.
    ("areas", 1, "area,parent,level,label,name,code", malformed("areas", 1, None)),
    ("areas", 1, "\ufeffarea,parent,level,label,code,name", malformed("areas", 1, None)),
    ("areas", 1, "area;parent;level;label;code;name", malformed("areas", 1, None)),
    ("areas", 2, "1,,country,,,Мисал,", malformed("areas", 2, None)),
    ("areas", 2, "1,,country,,Мисал", malformed("areas", 2, None)),
    ("areas", 2, "", malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,"Мисал"', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,"Мисал', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,Ми"сал', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,"Ми""сал', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,"Ми,сал"x', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,,"Ми,сал" ', malformed("areas", 2, None)),
    ("areas", 2, '1,,country,,"",Мисал', malformed("areas", 2, None)),
    ("areas", 2, "1,,country,,,Мисал\r", malformed("areas", 2, "name")),
    ("areas", 2, "1,,country,,,", malformed("areas", 2, "name")),
    ("areas", 2, "1,,country,,,a\x7f", malformed("areas", 2, "name")),
    ("areas", 2, "1,,country,a\tb,,a", malformed("areas", 2, "label")),
    ("areas", 2, "1,,country,,\u0085,a", malformed("areas", 2, "code")),
    ("areas", 2, "1,,country,,," + "я" * 1001, malformed("areas", 2, "name")),
    # Areas.
    *(
        ("areas", 2, f"{text},,country,,,a", malformed("areas", 2, "area"))
        for text in ("", "0", "01", "+1", "-1", " 1", "1 ")
    ),
    *(
        ("areas", 2, f"{text},,country,,,a", malformed("areas", 2, "area"))
        for text in ("1.0", "1e3", "1_0", "١", "9007199254740992")
    ),
    ("areas", 3, "1,1,region,01,ocd-1,Биринчи", malformed("areas", 3, "area")),
    ("areas", 3, "3,1,region,01,ocd-1,Биринчи", malformed("areas", 4, "area")),
    ("areas", 3, "2,,region,01,,Биринчи", malformed("areas", 3, "parent")),
    ("areas", 3, "2,0,region,01,,Биринчи", malformed("areas", 3, "parent")),
    ("areas", 3, "2,4,region,01,,Биринчи", unknown("areas", 3, "parent")),
    ("areas", 3, "2,2,region,01,,Биринчи", malformed("areas", 3, "parent")),
    ("areas", 3, "2,3,region,01,,Биринчи", malformed("areas", 3, "parent")),
    *(
        ("areas", 2, f"1,,{text},,,a", malformed("areas", 2, "level"))
        for text in ("", "Region", "1a", "a b", "a" * 41)
    ),
    # Contests.
    *(
        ("contests", 2, cells(CONTEST, place, value), malformed("contests", 2, column))
        for place, column, values in (
            (1, "kind", ("", "List", "vote")),
            (2, "area", ("0", "x")),
            (3, "seats", ("", "0", "10001")),
            (4, "marks", ("0", "1001")),
            (5, "preferences", ("", "1001")),
            (6, "method", ("", "d'hondt")),
            (7, "share_of", ("", "issued")),
            (8, "threshold", ("0", "10001", "5.5")),
            (8, "threshold_of", ("",)),
            (9, "threshold_of", ("", "issued")),
            (10, "threshold_area", ("0",)),
            (10, "threshold_area_level", ("",)),
            (11, "threshold_area_level", ("", "Region")),
            (12, "seat_cap", ("0", "10001")),
            (13, "quorum", ("0",)),
            (13, "quorum_of", ("100",)),
            (14, "quorum_of", ("valid",)),
            (15, "name", ("",)),
        )
        for value in values
    ),
    ("contests", 2, cells(CONTEST, 2, "4"), unknown("contests", 2, "area")),
    ("contests", 3, cells(CONTEST, 0, "1"), malformed("contests", 3, "contest")),
    # Choices.
    ("choices", 2, "3,1,candidate,7,101,a", unknown("choices", 2, "contest")),
    ("choices", 2, "1,0,candidate,7,101,a", malformed("choices", 2, "choice")),
    ("choices", 3, "1,1,list,,1,a", malformed("choices", 3, "choice")),
    ("choices", 6, "1,10,no,,,a", malformed("choices", 6, "contest")),
    ("choices", 2, "1,1,Candidate,7,101,a", malformed("choices", 2, "kind")),
    ("choices", 2, "1,1,candidate,0,101,a", malformed("choices", 2, "list")),
    ("choices", 2, "1,1,candidate,8,101,a", unknown("choices", 2, "list")),
    ("choices", 2, "1,1,candidate,9,101,a", unknown("choices", 2, "list")),
    ("choices", 6, "2,2,no,7,,a", unknown("choices", 6, "list")),
    # Stations.
    *(
        ("stations", 2, cells(STATION, place, value), malformed("stations", 2, column))
        for place, column, values in (
            (1, "area", ("", "2", "1")),
            (2, "registered", ("1000001", "12o4", "-1")),
            (3, "type", ("", "school")),
            (4, "box", ("", "1", "true")),
            (5, "closes_at", ("", "2027-01-01T20:00:00Z")),
            (6, "timezone", ("", "Asia/", "Asia//Bishkek", "Азия", "a" * 65)),
            (7, "contests", ("", "2 1", "1 1", "1  2", " 1", "1 ", "1;2", "*", "0 1")),
            (9, "name", ("",)),
        )
        for value in values
    ),
    ("stations", 2, cells(STATION, 1, "4"), unknown("stations", 2, "area")),
    ("stations", 2, cells(STATION, 7, "1 3"), unknown("stations", 2, "contests")),
    ("stations", 3, STATION, malformed("stations", 3, "station")),
    # Figures and checks.
    ("figures", 2, "99,observers,a", malformed("figures", 2, "code")),
    ("figures", 3, "100,torn,a", malformed("figures", 3, "code")),
    *(
        ("figures", 2, f"100,{text},a", malformed("figures", 2, "figure"))
        for text in ("", "Torn", "1a", "a-b", "a" * 41, "in_box")
    ),
    ("figures", 3, "105,observers,a", malformed("figures", 3, "figure")),
    ("checks", 2, "1,firm,issued,=,issued,0", malformed("checks", 2, "severity")),
    ("checks", 2, "1,hard,,=,issued,0", malformed("checks", 2, "left")),
    ("checks", 2, "1,hard,issued+,=,issued,0", malformed("checks", 2, "left")),
    ("checks", 2, "1,hard,issued,=,issued + lost,0", malformed("checks", 2, "right")),
    ("checks", 2, "1,hard,issued,==,issued,0", malformed("checks", 2, "op")),
    ("checks", 2, "1,hard,issued,=,stolen,0", unknown("checks", 2, "right")),
    ("checks", 2, "1,hard,issued,=,lost,1000001", malformed("checks", 2, "tolerance")),
]


@pytest.mark.parametrize(("name", "line", "text", "expected"), FORMS)
def test_a_line_of_the_definition(
    election: Election, name: str, line: int, text: str, expected: Place
) -> None:
    election.write_definition(with_line(DEFINITION, name, line, text))
    assert election.refusal() == expected


DEVICE = f"1,box,8 11,,{public(BOX)},SN-1"


@pytest.mark.parametrize(
    ("name", "line", "text", "expected"),
    [
        ("devices", 2, cells(DEVICE, 0, "0"), malformed("devices", 2, "device")),
        ("devices", 3, cells(DEVICE, 0, "1"), malformed("devices", 3, "device")),
        ("devices", 2, cells(DEVICE, 1, "printer"), malformed("devices", 2, "kind")),
        ("devices", 2, cells(DEVICE, 2, "11 8"), malformed("devices", 2, "stations")),
        ("devices", 2, cells(DEVICE, 2, "8 9"), unknown("devices", 2, "stations")),
        ("devices", 2, cells(DEVICE, 3, "3"), malformed("devices", 2, "area")),
        ("devices", 4, f"5,desk,8,3,{public(DESK)},", malformed("devices", 4, "stations")),
        ("devices", 4, f"5,desk,,,{public(DESK)},", malformed("devices", 4, "area")),
        ("devices", 4, f"5,desk,,4,{public(DESK)},", unknown("devices", 4, "area")),
        ("devices", 2, cells(DEVICE, 4, ""), malformed("devices", 2, "key")),
        ("devices", 2, cells(DEVICE, 4, "AB" * 32), malformed("devices", 2, "key")),
        ("devices", 2, cells(DEVICE, 4, "ab" * 31), malformed("devices", 2, "key")),
        ("devices", 4, f"5,desk,,3,{public(BOX)},", malformed("devices", 4, "key")),
        ("devices", 2, cells(DEVICE, 4, public(MEMBERS[2])), malformed("devices", 2, "key")),
        ("devices", 2, cells(DEVICE, 5, "\x01"), malformed("devices", 2, "serial")),
        ("couriers", 2, "1,,a", malformed("couriers", 2, "area")),
        ("couriers", 2, "1,7,a", unknown("couriers", 2, "area")),
        ("couriers", 2, "1,2,", malformed("couriers", 2, "name")),
        ("firmware", 3, f"{'01' * 32},1.1", malformed("firmware", 3, "sha256")),
        ("firmware", 3, f"{'00' * 32},1.1", malformed("firmware", 3, "sha256")),
        ("firmware", 3, "02,1.1", malformed("firmware", 3, "sha256")),
        ("firmware", 3, f"{'02' * 32},", malformed("firmware", 3, "name")),
    ],
)
def test_a_line_of_the_roster(election: Election, name: str, line: int, text: str, expected: Place) -> None:
    election.write_roster(with_line(ROSTER, name, line, text))
    assert election.refusal() == expected


CHOICE = INFORMATION["choices"][1]


@pytest.mark.parametrize(
    ("name", "line", "text", "expected"),
    [
        ("areas", 2, "4,,,,", unknown("areas", 2, "area")),
        ("areas", 3, "1,,,,", malformed("areas", 3, "area")),
        ("areas", 2, "1,\t,,,", malformed("areas", 2, "name_ky")),
        ("contests", 2, "3,,,,", unknown("contests", 2, "contest")),
        ("choices", 2, cells(CHOICE, 0, "3"), unknown("choices", 2, "contest")),
        ("choices", 2, cells(CHOICE, 1, "8"), unknown("choices", 2, "choice")),
        ("choices", 3, cells(CHOICE, 1, "1"), malformed("choices", 3, "choice")),
        ("choices", 2, cells(CHOICE, 8, "second.png"), unknown("choices", 2, "photo")),
        ("stations", 2, "8" + "," * 16 + "9\x7f.jpg", malformed("stations", 2, "panorama")),
        ("stations", 2, "9" + "," * 16, unknown("stations", 2, "station")),
        ("stations", 2, "8" + "," * 16 + "9.jpg", unknown("stations", 2, "panorama")),
        ("figures", 2, "9,,,,", unknown("figures", 2, "code")),
        ("checks", 2, "3,,,,", unknown("checks", 2, "check")),
    ],
)
def test_a_line_of_the_information(
    election: Election, name: str, line: int, text: str, expected: Place
) -> None:
    election.write_information(with_line(INFORMATION, name, line, text))
    assert election.refusal() == expected


def test_information_about_choices_ascends_by_contest(election: Election) -> None:
    tables = {**INFORMATION, "choices": [INFORMATION["choices"][place] for place in (0, 2, 1)]}
    election.write_information(tables)
    assert election.refusal() == malformed("choices", 3, "contest")


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/b", ".", "..", ".x", "-a", "a b", "a\\b", "a\nb", "я", "a" * 101],
    ids=range(13),
)
def test_a_media_name_that_leaves_its_folder(election: Election, name: str) -> None:
    election.write_information(INFORMATION, media={**MEDIA, name: MEDIA["first.png"]})
    assert election.refusal() == ("manifest.malformed", "information.json", None, None)


class TestTableBytes:
    def table(self, election: Election) -> Path:
        return election.root / "definition" / "areas.csv"

    def rename(self, election: Election, data: bytes, rows: int) -> None:
        """Write areas.csv anew and have the manifest name it as it is."""
        self.table(election).write_bytes(data)
        entry: Json = {"rows": rows, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}

        def change(manifest: dict[str, Json]) -> None:
            cast(dict[str, Json], manifest["tables"])["areas"] = entry

        rewrite(election.root / "definition", "election.json", change)

    def test_missing(self, election: Election) -> None:
        self.table(election).unlink()
        assert election.refusal() == ("table.missing", "areas.csv", None, None)
        self.table(election).mkdir()
        assert election.refusal() == ("table.missing", "areas.csv", None, None)

    @pytest.mark.parametrize("change", [b"", b"garbage", b"\xff" * 500], ids=["empty", "garbage", "binary"])
    def test_changed_wins_over_malformed(self, election: Election, change: bytes) -> None:
        self.table(election).write_bytes(change)
        assert election.refusal() == ("table.changed", "areas.csv", None, None)

    def test_changed_in_one_byte_of_the_same_size(self, election: Election) -> None:
        data = self.table(election).read_bytes()
        for at in range(0, len(data), 7):
            self.table(election).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert election.refusal() == ("table.changed", "areas.csv", None, None)

    def test_changed_at_its_end(self, election: Election) -> None:
        data = self.table(election).read_bytes()
        for changed in (data[:-1], data + b"\n", data + b"x"):
            self.table(election).write_bytes(changed)
            assert election.refusal() == ("table.changed", "areas.csv", None, None)

    def test_an_earlier_table_answers_first(self, election: Election) -> None:
        election.write_definition(with_line(DEFINITION, "areas", 2, "x,,country,,,a"))
        (election.root / "definition" / "contests.csv").write_bytes(b"")
        assert election.refusal() == malformed("areas", 2, "area")

    def test_a_gigabyte_is_refused_without_reading_it(self, election: Election) -> None:
        with self.table(election).open("r+b") as file:
            file.truncate(2**30)
        assert election.refusal() == ("table.changed", "areas.csv", None, None)

    def test_an_endless_line_that_the_manifest_names(self, election: Election) -> None:
        """Refused by its length; neither the line nor the file is ever in memory."""
        size = 64 * 2**20
        with self.table(election).open("w+b") as file:
            file.truncate(size)
            digest = hashlib.file_digest(file, "sha256").hexdigest()

        def change(manifest: dict[str, Json]) -> None:
            cast(dict[str, Json], manifest["tables"])["areas"] = {"rows": 1, "sha256": digest, "size": size}

        rewrite(election.root / "definition", "election.json", change)
        tracemalloc.start()
        try:
            assert election.refusal() == malformed("areas", 1, None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 * 2**20

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"", 1),
            (b"area,parent,level,label,code,name", 1),
            (b"area,parent,level,label,code,name\n1,,country,,,a", 2),
            (b"area,parent,level,label,code,name\r\n1,,country,,,a\r\n", 1),
            (b"area,parent,level,label,code,name\n1,,country,,,\xff\n", 2),
            (b"area,parent,level,label,code,name\n1,,country,,,\xed\xa0\x80\n", 2),
            (b"area,parent,level,label,code,name\n\n", 2),
        ],
    )
    def test_bytes_that_are_no_table(self, election: Election, data: bytes, line: int) -> None:
        self.rename(election, data, 1)
        assert election.refusal() == malformed("areas", line, None)

    def test_a_disk_that_fails(self, election: Election, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(io.FileIO):
            def readline(self, size: int | None = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

        def broken(path: Path, mode: str = "r") -> io.FileIO | io.BufferedReader:
            return Broken(path) if path.suffix == ".csv" else io.BufferedReader(io.FileIO(path))

        monkeypatch.setattr(Path, "open", broken)
        assert election.refusal() == ("table.missing", "areas.csv", None, None)

    def test_no_root(self, election: Election) -> None:
        self.rename(election, b"area,parent,level,label,code,name\n", 0)
        assert election.refusal() == malformed("areas", 1, "parent")

    @pytest.mark.parametrize("rows", [0, 3, 5])
    def test_another_number_of_rows(self, election: Election, rows: int) -> None:
        self.rename(election, self.table(election).read_bytes(), rows)
        assert election.refusal() == malformed("areas", None, None)


Manifest: TypeAlias = dict[str, Json]


def put(path: str, value: Json) -> Callable[[Manifest], None]:
    """Set the member at a dotted path."""

    def change(manifest: Manifest) -> None:
        *parents, last = path.split(".")
        place = manifest
        for parent in parents:
            place = cast(Manifest, place[parent])
        place[last] = value

    return change


def drop(path: str) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        *parents, last = path.split(".")
        place = manifest
        for parent in parents:
            place = cast(Manifest, place[parent])
        del place[last]

    return change


MEMBER_KEYS: list[Json] = [public(key) for key in MEMBERS]
ELECTION_FAULTS: list[tuple[str, list[Json]]] = [
    ("format", ["tallygate-definition/2", None]),
    ("id", ["", "A", "-a", "a" * 41, "a_b", 1]),
    ("title", [{}, {"de": "x"}, {"en": ""}, {"en": "a\tb"}, "x", None]),
    ("mode", ["Live", "test", None]),
    ("timezone", ["", "Asia/", 6]),
    ("opens_at", [None, "1"]),
    ("closes_at", [None]),
    ("publish_at", ["", []]),
    ("languages", [[], ["ky", "ky"], ["de"], "ky", [1]]),
    ("headline", ["both"]),
    ("commission.keys", [[], [*MEMBER_KEYS, MEMBER_KEYS[0]], ["AB" * 32], ["ab"], [1], "x"]),
    ("commission.keys", [[f"{number:064x}" for number in range(65)], ["00" * 32, *MEMBER_KEYS], ["fe" * 32]]),
    ("commission.quorum", [0, 4, None]),
    ("rules.required", [[0], ["9"], 9, None]),
    ("rules.h104", ["Hard", None]),
    ("rules.h104_tolerance", [1_000_001, None]),
    ("rules.s202_percent", [101]),
    ("rules.s203_low", [101]),
    ("rules.s203_high", [101]),
    (
        "tables.areas",
        [None, {}, {"rows": 4, "sha256": "ab", "size": 1}, {"rows": 4, "sha256": "ab" * 32, "size": "1"}],
    ),
    ("tables", [{}, []]),
]


class TestManifests:
    @pytest.mark.parametrize(
        ("path", "value"), [(path, value) for path, values in ELECTION_FAULTS for value in values]
    )
    def test_a_bad_value(self, election: Election, path: str, value: Json) -> None:
        rewrite(election.root / "definition", "election.json", put(path, value))
        assert election.refusal() == ("manifest.malformed", "election.json", None, None)

    @pytest.mark.parametrize(
        "path",
        [*ELECTION, "tables", "commission.keys", "rules.s204_minutes", "tables.checks", "tables.areas.rows"],
    )
    def test_a_missing_member(self, election: Election, path: str) -> None:
        rewrite(election.root / "definition", "election.json", drop(path))
        assert election.refusal() == ("manifest.malformed", "election.json", None, None)

    @pytest.mark.parametrize(
        "path", ["origin", "commission.members", "rules.h105", "tables.extra", "tables.areas.name"]
    )
    def test_an_unknown_member(self, election: Election, path: str) -> None:
        rewrite(election.root / "definition", "election.json", put(path, 1))
        assert election.refusal() == ("manifest.malformed", "election.json", None, None)

    @pytest.mark.parametrize(
        ("part", "file"),
        [("definition", "election.json"), ("roster", "roster.json"), ("information", "information.json")],
    )
    def test_bytes_that_are_no_manifest(self, election: Election, part: str, file: str) -> None:
        path = election.root / part / file
        good = path.read_bytes()
        for data in (
            b"",
            b"[]",
            b"null",
            good + b"\n",
            b" " + good,
            good[:-1],
            b"\xff",
            b"[" * 100_000,
            b" " * (2**20 + 1),
        ):
            path.write_bytes(data)
            assert election.refusal() == ("manifest.malformed", file, None, None)
        path.unlink()
        assert election.refusal() == ("manifest.missing", file, None, None)

    @pytest.mark.parametrize(
        ("part", "file"), [("roster", "roster.json"), ("information", "information.json")]
    )
    def test_of_another_definition(self, election: Election, part: str, file: str) -> None:
        for value, code in (("ab" * 32, "manifest.definition"), ("ab", "manifest.malformed")):
            rewrite(election.root / part, file, put("definition", value))
            assert election.refusal() == (code, file, None, None)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("format", "tallygate-roster/1"),
            ("site", {}),
            ("site.contact", None),
            ("site.notice", "a\nb"),
            ("site.extra", ""),
            ("media", []),
            ("media.x", {}),
            *(
                ("media.x", {"sha256": "ab" * 32, "size": 1, "type": media_type})
                for media_type in ("", "x", "IMAGE/PNG", "image/png; q=1", "image/svg+xml", "text/html")
            ),
            ("media.x", {"sha256": "ab", "size": 1, "type": "image/png"}),
        ],
    )
    def test_information_with_a_bad_value(self, election: Election, path: str, value: Json) -> None:
        rewrite(election.root / "information", "information.json", put(path, value))
        assert election.refusal() == ("manifest.malformed", "information.json", None, None)


def test_a_message_does_not_steer_a_terminal(election: Election) -> None:
    election.write_definition(with_line(DEFINITION, "areas", 2, "\x1b[2J\x9b,,country,,,a"))
    with pytest.raises(WireError) as caught:
        election.load()
    assert "'\\x1b[2J\\x9b'" in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_standard_figures() -> None:
    assert sorted(STANDARD_FIGURES.values()) == list(range(1, 17))


def test_the_message_says_where() -> None:
    error = WireError(
        "table.malformed", "is not a number", file="stations.csv", line=118, column="registered"
    )
    assert str(error) == "stations.csv:118:registered: is not a number [table.malformed]"
    assert (
        str(WireError("statement.malformed", "x", rule="head", offset=7))
        == "byte 7: x (head) [statement.malformed]"
    )
    assert str(WireError("statement.signature", "x")) == "x [statement.signature]"
