"""Whatever a folder holds, the builder answers with faults or an election; what it accepts can be built."""

import csv
import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.election import Faults, read_folder, write_manifests
from gateway.election.ballot import CHOICES, CONTESTS
from gateway.election.cells import Cells
from gateway.election.geography import AREAS, STATIONS
from gateway.election.limits import MAX_NUMBER
from gateway.election.national import CHECKS, FIGURES
from gateway.election.roster import COURIERS, DEVICES, FIRMWARE
from gateway.election.tables import Spec
from tests.unit.election_folder import FILES, PNG, key, write

SPECS = (AREAS, STATIONS, CONTESTS, CHOICES, FIGURES, CHECKS, DEVICES, COURIERS, FIRMWARE)

# What a column really holds; one cell in a dozen holds something else.
COLUMNS = {
    **dict.fromkeys(("area", "parent"), ("", "1", "2", "3", "03")),
    **dict.fromkeys(("station", "contests"), ("11", "12", "012", "1", "1 2", "*", "")),
    **dict.fromkeys(
        ("contest", "choice", "list", "check", "device", "courier"), ("1", "2", "3", "1", "2", "")
    ),
    **dict.fromkeys(
        ("seats", "marks", "preferences", "tolerance", "registered", "fund_income"), ("", "1", "2", "10")
    ),
    **dict.fromkeys(
        ("threshold_percent", "threshold_area_percent", "seat_cap", "quorum_percent"), ("", "5", "0.5")
    ),
    **dict.fromkeys(
        ("threshold_of", "quorum_of", "share_of"), ("", "valid", "votes", "in_box", "registered")
    ),
    **dict.fromkeys(("level", "threshold_area_level"), ("country", "region", "")),
    **dict.fromkeys(("left", "right"), ("valid+blank", "in_box", "issued + lost", "own_line")),
    **dict.fromkeys(("photo", "panorama"), ("", "a.png")),
    "kind": (
        "choose",
        "list",
        "referendum",
        "candidate",
        "yes",
        "no",
        "against_all",
        "box",
        "terminal",
        "desk",
        "",
    ),
    "method": ("", "plurality", "majority", "hare", "dhondt", "sainte-lague"),
    "type": ("", "ordinary", "abroad"),
    "box": ("no", "yes", ""),
    "closes_at": ("", "2031-10-05T21:00:00+06:00", "2031-10-05T21:00:00Z"),
    "timezone": ("", "Asia/Almaty", "UTC"),
    "key": (*(key(number).hex() for number in range(1, 6)), key(901).hex()),
    "sha256": (key(1).hex(), key(2).hex().upper()),
    "code": ("100", "101", "0102"),
    "figure": ("own_line", "other_line", "third_line"),
    "severity": ("hard", "soft"),
    "op": ("=", "<="),
    "color": ("", "#AABBCC"),
    "link": ("", "https://a.example/ы?x=1,2"),
    "latitude": ("", "42.5", "-90"),
    "longitude": ("", "-179.9999999"),
}
TEXTS = [
    "",
    "name",
    "Ёлка",
    "И\u0306од",
    'say "hi"',
    "a, b",
    "a; b",
    " padded ",
    "№ 7",
    '"',
    ",",
    "\U0001f5f3",
]
ODD = [
    "-1",
    "1.5",
    "1,5",
    "٣",
    "2031-10-05",
    "line\u2028break",
    "bell\x07",
    "x" * 2001,
    "00" * 32,
    "9" * 17,
    "../a.png",
]


def cells(column: str) -> st.SearchStrategy[str]:
    usual = st.sampled_from(COLUMNS.get(column, TEXTS))
    return st.integers(0, 11).flatmap(
        lambda odd: usual if odd else st.sampled_from(ODD) | st.text(max_size=6)
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A table of plausible columns and cells, to which the good one's rows are added."""
    spec: Spec = draw(st.sampled_from(SPECS))
    columns = [*spec.required, *spec.one_of[-1:]]
    columns += draw(st.lists(st.sampled_from(spec.columns), max_size=4, unique=True))
    columns = draw(st.permutations(list(dict.fromkeys(columns))))
    rows = draw(st.lists(st.tuples(*(cells(column) for column in columns)), max_size=3))
    good = list(csv.DictReader(FILES.get(spec.file, "").splitlines()))
    if draw(st.booleans()):
        rows += [tuple(row.get(column, "") for column in columns) for row in good]
    text = io.StringIO()
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(text, delimiter=draw(st.sampled_from(",;")), lineterminator=ends).writerows([columns, *rows])
    return spec.file, text.getvalue().encode("utf-8", "surrogatepass")


def judge(changes: dict[str, str | bytes | None], *, number: bool, rehearsal: bool) -> None:
    """Read a folder; what is accepted is written and read back."""
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name) / "in", {"media/a.png": PNG, **changes})
        election, faults = read_folder(folder, number=number, rehearsal=rehearsal)
        assert (election is None) == bool(faults.errors)
        for fault in faults.kept():
            assert str(fault).isprintable()
        if election is not None and election.settings.commission_keys:
            write_manifests(election, Path(name) / "out")


@settings(deadline=None, max_examples=200)
@given(tables(), st.booleans(), st.booleans())
def test_any_plausible_table(table: tuple[str, bytes], number: bool, rehearsal: bool) -> None:
    judge(dict([table]), number=number, rehearsal=rehearsal)


@settings(deadline=None, max_examples=100)
@given(st.lists(tables(), max_size=6).map(dict), st.booleans())
def test_any_plausible_tables_together(changes: dict[str, str | bytes | None], number: bool) -> None:
    judge(changes, number=number, rehearsal=False)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=200), st.integers(0, 400))
@example("stations.csv", b"\xef\xbb\xbf\xef\xbb\xbf", 0)
@example("stations.csv", b'"' * 200, 33)
def test_any_bytes_anywhere(file: str, data: bytes, place: int) -> None:
    good = FILES[file].encode()
    judge({file: good[:place] + data + good[place:]}, number=False, rehearsal=False)


GOOD_SETTINGS = {
    "id": '"test-1"',
    "title_en": '"Test"',
    "mode": '"live"',
    "timezone": '"Asia/Bishkek"',
    "opens_at": '"2031-10-05T08:00:00+06:00"',
    "closes_at": "2031-10-05T20:00:00+06:00",
    "commission_keys": f'["{key(901).hex()}"]',
}
MORE_SETTINGS = {
    "title_ky": ['"Сыноо"', '"\\u0007"', '""'],
    "mode": ['"rehearsal"'],
    "origin": ['"a.example/b"', '"A"'],
    "publish_at": ["2031-10-06T20:00:00Z", "2031-10-01T20:00:00Z", '"2031-10-06T20:00:00.1234Z"'],
    "languages": ['["en", "ky"]', "[[]]", '["de"]'],
    "headline": ['"protocol"'],
    "commission_quorum": ["1", "2", "0"],
    "commission_keys": [f'["{"00" * 32}"]', f'["{key(1).hex()}", "{key(2).hex()}"]'],
    "rules.required": ["[]", "[1]", "[9, 100]", "[0]"],
    "rules.h104": ['"off"'],
    "rules.s203_low": ["94", "95"],
    "rules.s204_minutes": ["0", "1000000", "1000001"],
    "site.contact": ['"C"', '"""two\nlines"""'],
    "site.voter_check_url": ['"https://a.example"', '"x"'],
    "unknown": ["1"],
    "site.x.y": ["1"],
}
ODD_VALUES = [
    *(
        '""',
        "0",
        "-1",
        "9007199254740993",
        "1.5",
        "nan",
        "true",
        "[]",
        "[1]",
        "[[1]]",
        "{a = 1}",
        "0x" + "f" * 5000,
    ),
    *(
        "2031-10-05",
        "20:00:00",
        "2031-10-05T20:00:00",
        "2031-10-05T20:00:00.123456Z",
        "0001-01-01T00:00:00+14:00",
    ),
    *('"9999-12-31T23:59:59-23:59"', "not toml"),
]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """An election.toml, mostly right."""
    values = dict(GOOD_SETTINGS)
    for name in draw(st.sets(st.sampled_from(sorted(MORE_SETTINGS)), max_size=4)):
        values[name] = draw(st.sampled_from(MORE_SETTINGS[name]))
    if draw(st.integers(0, 2)) == 0:
        values[draw(st.sampled_from([*sorted(values), "rules", "site"]))] = draw(st.sampled_from(ODD_VALUES))
    if draw(st.integers(0, 5)) == 0:
        values.pop(draw(st.sampled_from(sorted(values))))
    return "\n".join(f"{name} = {value}" for name, value in values.items())


@settings(deadline=None, max_examples=200)
@given(documents(), st.booleans())
def test_any_settings(text: str, rehearsal: bool) -> None:
    judge({"election.toml": text}, number=False, rehearsal=rehearsal)


@given(st.text("0123456789٣１²-+_,. eE", max_size=20) | st.text(max_size=8))
def test_a_number_is_plain_digits_within_bounds_and_nothing_else(cell: str) -> None:
    faults = Faults()
    number = Cells("x.csv", faults).number(cell, 1, "x")
    plain = re.fullmatch(r"[0-9]+", cell) is not None and 1 <= int(cell) <= MAX_NUMBER
    assert number == (int(cell) if plain else None)
    assert faults.errors == (not plain)


@given(st.integers(1, 10_000))
def test_a_percent_is_read_exactly(hundredths: int) -> None:
    cells = Cells("x.csv", Faults())
    whole, part = divmod(hundredths, 100)
    assert cells.percent(f"{whole}.{part:02d}", 1, "x") == hundredths
    assert cells.percent(f"{hundredths / 100:g}" if part else str(whole), 1, "x") == hundredths


@pytest.mark.parametrize(
    "cell", ["0", "0.00", "100.01", "1.234", ".5", "5.", "5,0", "5 %", "٥", "1e1", "-1", "nan"]
)
def test_what_is_no_percent(cell: str) -> None:
    faults = Faults()
    assert Cells("x.csv", faults).percent(cell, 1, "x") == 0
    assert faults.errors == 1
