"""The faults of a fleet: the file, and draws that depend on seed and number alone."""

from pathlib import Path

import pytest

from clients.fleet import faults
from clients.fleet.faults import Faults
from clients.wire.errors import WireError

ALL = range(1, 10_001)


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        "seed = 9\n[rates]\ncut = 0.25\nlate = 1\n[stations]\narithmetic = [17, 4]\nclock = [3]\n"
    )
    assert faults.read(path) == Faults(
        9, {"cut": 0.25, "late": 1.0}, {"arithmetic": frozenset({17, 4}), "clock": frozenset({3})}
    )
    path.write_text("")
    assert faults.read(path) == Faults()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("seed = -1", "seed"),
        ("seed = true", "seed"),
        ("speed = 1", "speed"),
        ("rates = 3", "rates"),
        ("[rates]\nfire = 0.5", "rates.fire"),
        ("[rates]\ncut = 1.5", "rates.cut"),
        ("[rates]\ncut = true", "rates.cut"),
        ("[rates]\ncut = nan", "rates.cut"),
        ("[stations]\nlate = 3", "stations.late"),
        ("[stations]\nlate = [-3]", "stations.late"),
        ("[stations]\ncut = [3]", "stations.cut"),
        ("= 3", "line 1"),
    ],
)
def test_no_faults_file(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(WireError) as caught:
        faults.read(path)
    assert caught.value.code == "faults.malformed"
    assert place in caught.value.detail


def test_draws_depend_on_the_seed_alone() -> None:
    one, same = (Faults(3, {"silent": 0.02, "late": 0.02}) for _ in range(2))
    silent = [number for number in ALL if one.hits("silent", number)]
    assert silent == [number for number in reversed(ALL) if same.hits("silent", number)][::-1]
    assert 150 < len(silent) < 250
    assert silent != [number for number in ALL if one.hits("late", number)]
    assert silent != [number for number in ALL if Faults(4, {"silent": 0.02}).hits("silent", number)]


def test_named_stations_beside_the_rates() -> None:
    named = Faults(1, {}, {"silent": {5}})
    assert [number for number in ALL if named.hits("silent", number)] == [5]
    assert all(Faults(1, {"silent": 1.0}).hits("silent", number) for number in range(100))
    assert not any(Faults(1).hits("silent", number) for number in range(100))
