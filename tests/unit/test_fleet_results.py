"""The fleet's tables: results, protocols, arrivals; every fault with its place."""

from pathlib import Path

import pytest

from clients.fleet import arrivals, results
from clients.fleet.results import Count
from clients.wire.definition import STANDARD_FIGURES
from clients.wire.errors import WireError
from tests.unit.fleet_election import Built, build

VALID, IN_BOX, IDENTIFIED = (STANDARD_FIGURES[name] for name in ("valid", "in_box", "identified"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("fleet"), stations=4, contests=1)


@pytest.fixture
def header(built: Built) -> str:
    return ",".join(["station", *(str(own.choice) for own in built.definition.choices[1])])


def line(built: Built, station: int, votes: int = 3) -> str:
    return ",".join([str(station), *(str(votes) for _ in built.definition.choices[1])])


def place(built: Built, folder: Path) -> tuple[str, str | None, int | None, str | None]:
    with pytest.raises(WireError) as caught:
        results.read(folder, built.definition)
    return caught.value.code, caught.value.file, caught.value.line, caught.value.column


def test_read(built: Built, header: str, tmp_path: Path) -> None:
    choices = len(built.definition.choices[1])
    text = f"{header},identified,in_box\n{line(built, 2)},,9\n{line(built, 1, 0)},4,0\n"
    (tmp_path / "contest-1.csv").write_text(text)
    (tmp_path / "contest-99.csv").write_text("nobody reads this")
    found = results.read(tmp_path, built.definition)
    assert found.protocol == {}
    assert found.machine == {
        2: [Count(1, {IN_BOX: 9}, [3] * choices)],
        1: [Count(1, {IDENTIFIED: 4, IN_BOX: 0}, [0] * choices)],
    }
    assert results.turnout(found.machine[2], built.definition) == 9
    assert results.turnout(found.machine[1], built.definition) == 4


def test_as_a_spreadsheet_saves_it(built: Built, header: str, tmp_path: Path) -> None:
    text = f"{header}\r\n{line(built, 2)}\r\n".replace(",", ";")
    (tmp_path / "protocol-1.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = results.read(tmp_path, built.definition)
    assert found.machine == {}
    [count] = found.protocol[2]
    assert count.figures == {VALID: sum(count.votes)}
    assert results.turnout([count], built.definition) == sum(count.votes)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda text: text.replace("station", "stations", 1), (1, "station")),
        (lambda text: text.replace(",1,", ",1001,", 1), (1, "1")),
        (lambda text: text.replace("\n", ",weather\n", 1).replace("\n2,", "\n2,1,"), (1, "weather")),
        (lambda text: text.replace("\n2,3", "\n2,-3"), (2, "1")),
        (lambda text: text.replace("\n2,3", "\n2,"), (2, "1")),
        (lambda text: text.replace("\n2,", "\n02,"), (2, "station")),
        (lambda text: text.replace("\n2,", "\n44,"), (2, "station")),
        (lambda text: text + text.partition("\n")[2], (3, "station")),
        (lambda text: text[:-2] + "\n", (2, None)),
        (lambda text: text + "\udcff", (1, None)),
        (lambda text: text.replace("station", "1", 1), (1, None)),
    ],
)
def test_faults_have_a_place(
    built: Built, header: str, tmp_path: Path, change: object, where: tuple[int, str | None]
) -> None:
    assert callable(change)
    text: str = change(f"{header}\n{line(built, 2)}\n")
    (tmp_path / "contest-1.csv").write_text(text, errors="surrogateescape")
    expected = ("results.malformed", "contest-1.csv", *where)
    if where == (2, None):
        assert place(built, tmp_path)[0] == "results.malformed"
    else:
        assert place(built, tmp_path) == expected


def test_nothing_there(built: Built, tmp_path: Path) -> None:
    assert place(built, tmp_path)[:2] == ("results.none", str(tmp_path))


class TestArrivals:
    def test_read(self, built: Built, tmp_path: Path) -> None:
        path = tmp_path / "arrivals.csv"
        path.write_text("station,seconds\n3,90\n1,0.25\n3,60\n")
        assert arrivals.read(path, built.definition) == {3: [60.0, 90.0], 1: [0.25]}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "station,minutes\n",
            "station,seconds\n3,-1\n",
            "station,seconds\n3,nan\n",
            "station,seconds\n3,1e9\n",
            "station,seconds\n3,\n",
            "station,seconds\n33,1\n",
        ],
    )
    def test_no_arrivals(self, built: Built, tmp_path: Path, text: str) -> None:
        path = tmp_path / "arrivals.csv"
        path.write_text(text)
        with pytest.raises(WireError) as caught:
            arrivals.read(path, built.definition)
        assert (caught.value.code, caught.value.file) == ("results.malformed", "arrivals.csv")

    def test_the_curve(self) -> None:
        assert [arrivals.at_share(share) for share, _ in arrivals.CURVE] == [at for _, at in arrivals.CURVE]
        shown = [arrivals.at_share(step / 1_000) for step in range(1_001)]
        assert shown == sorted(shown)
        assert arrivals.of_curve(7, 1) == arrivals.of_curve(7, 1) != arrivals.of_curve(7, 2)
