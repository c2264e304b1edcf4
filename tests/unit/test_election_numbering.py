"""``--number``: labels become numbers, the same ones whatever the order of the rows."""

from pathlib import Path

import pytest

from gateway.election import Election, build, read_folder
from tests.unit.election_folder import FILES, key, places, write

LABELLED: dict[str, str | bytes | None] = {
    "areas.csv": "area,parent,level,name_en\nHC,,country,Country\n01,HC,region,North\n"
    "01.10,01,district,D10\n01.9,01,district,D9\n",
    "contests.csv": "contest,kind,area,seats,preferences,name_en\nassembly,list,,9,1,Assembly\n"
    "mayor,choose,01.9,,,Mayor\n",
    "choices.csv": "contest,choice,list,name_en\nassembly,Б,,B\nassembly,А,,A\nassembly,А-1,А,A1\n"
    "mayor,1,,M\nmayor,2,,N\n",
    "stations.csv": "station,area,contests,label,name_en\nУИК 10,01.10,,,Ten\n"
    "УИК 9,01.9,assembly|mayor,,Nine\n"
    "УИК 9а,01.9,mayor,nine a,Nine A\n",
    "devices.csv": f"device,kind,station,area,key\nBOX-2,box,УИК 9|УИК 9а,,{key(1).hex()}\n"
    f"BOX-1,box,УИК 10,,{key(2).hex()}\n"
    f"DESK,desk,,01,{key(3).hex()}\n",
    "couriers.csv": "courier,area,name\nnorth,01,North\n",
}


def numbered(folder: Path, changes: dict[str, str | bytes | None]) -> Election:
    election, faults = read_folder(write(folder, changes), number=True)
    assert election is not None, "\n".join(map(str, faults.kept()))
    return election


def test_labels_get_numbers_in_their_natural_order(tmp_path: Path) -> None:
    election = numbered(tmp_path, LABELLED)
    assert [(a.area, a.parent, a.label) for a in election.areas] == [
        (1, 4, "01"),
        (2, 1, "01.9"),
        (3, 1, "01.10"),
        (4, 0, "HC"),
    ]
    assert [(c.contest, c.area) for c in election.contests] == [(1, 0), (2, 2)]
    assert [(c.contest, c.choice, c.list, c.label, c.names[3]) for c in election.choices] == [
        (1, 1, 0, "А", "A"),
        (1, 2, 1, "А-1", "A1"),
        (1, 3, 0, "Б", "B"),
        (2, 1, 0, "", "M"),
        (2, 2, 0, "", "N"),
    ]
    assert [(s.station, s.area, s.contests, s.label) for s in election.stations] == [
        (1, 2, (1, 2), "УИК 9"),
        (2, 2, (2,), "nine a"),
        (3, 3, (1,), "УИК 10"),
    ]
    assert [(d.device, d.stations, d.area, d.serial) for d in election.devices] == [
        (1, (3,), 0, "BOX-1"),
        (2, (1, 2), 0, "BOX-2"),
        (3, (), 1, "DESK"),
    ]
    assert [(c.courier, c.area) for c in election.couriers] == [(1, 1)]


def test_the_map_is_written_beside_the_manifests(tmp_path: Path) -> None:
    found, _ = build(write(tmp_path / "in", LABELLED), tmp_path / "out", number=True)
    assert found is not None
    assert (tmp_path / "out/numbers.csv").read_text().splitlines() == [
        "table,contest,number,label",
        "areas,,1,01",
        "areas,,2,01.9",
        "areas,,3,01.10",
        "areas,,4,HC",
        "choices,1,1,А",
        "choices,1,2,А-1",
        "choices,1,3,Б",
        "contests,,1,assembly",
        "contests,,2,mayor",
        "couriers,,1,north",
        "devices,,1,BOX-1",
        "devices,,2,BOX-2",
        "devices,,3,DESK",
        "stations,,1,УИК 9",
        "stations,,2,УИК 9а",
        "stations,,3,УИК 10",
    ]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    turned: dict[str, str | bytes | None] = {}
    for name, text in LABELLED.items():
        assert isinstance(text, str)
        header, *rows = text.splitlines()
        turned[name] = "\n".join([header, *rows[::-1]])
    one, _ = build(write(tmp_path / "1", LABELLED), tmp_path / "a", number=True)
    two, _ = build(write(tmp_path / "2", turned), tmp_path / "b", number=True)
    assert one is not None
    assert two is not None
    assert one[1:] == two[1:]


def test_tables_that_have_numbers_keep_them(tmp_path: Path) -> None:
    plain, _ = read_folder(write(tmp_path))
    election = numbered(tmp_path, {})
    assert plain == election
    assert election.labels == []


def test_the_label_column_may_stand_for_the_number(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {
        "stations.csv": "label,area,name_en\nS-1,2,One\nS-2,3,Two\n",
        "choices.csv": "contest,label,name_en\n1,B,Beta\n1,A,Alpha\n",
        "devices.csv": FILES["devices.csv"].replace(",11,", ",S-1,").replace(",12,", ",S-2,"),
    }
    election = numbered(tmp_path, changes)
    assert [(station.station, station.label) for station in election.stations] == [(1, "S-1"), (2, "S-2")]
    assert [(choice.choice, choice.label) for choice in election.choices] == [(1, "A"), (2, "B")]
    assert [device.stations for device in election.devices] == [(1,), (2,)]


def test_without_the_option_labels_are_faults(tmp_path: Path) -> None:
    _, faults = read_folder(write(tmp_path, {"stations.csv": "station,area,name_en\nS-1,2,One\n"}))
    assert "stations.csv:2:station not_a_number" in places(faults)
    assert "--number" in str(faults.kept())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"stations.csv": "station,area,contests,name_en\nS-1,2,,One\nS-1,3,7|1,Two\n,2,|,Three\n"},
            [
                "areas.csv:4:area empty_area",
                "devices.csv:2:station unknown_station",
                "devices.csv:3:station unknown_station",
                "stations.csv:2:box station_without_box",
                "stations.csv:3:station duplicate_number",
                "stations.csv:3:contests not_a_number",
                "stations.csv:4:station missing_value",
                "stations.csv:4:contests not_a_number",
            ],
        ),
        (
            {
                "areas.csv": "area,parent,level,name_en\nA,,country,C\nB,X,region,R\n",
                "contests.csv": "contest,kind,name_en\nmain,choose,M\n",
                "choices.csv": "contest,choice,name_en\nmain,1,A\nother,x,B\n,y,C\n",
                "stations.csv": "station,area,contests,name_en\n11,B,main,One\n12,A B,|,Two\n",
            },
            [
                "areas.csv:2:area empty_area",
                "areas.csv:3:parent unknown_parent",
                "choices.csv:3:contest unknown_contest",
                "choices.csv:4:contest missing_value",
                "stations.csv:3:area unknown_area",
                "stations.csv:3:contests bad_list",
            ],
        ),
    ],
)
def test_faults_among_labels(
    tmp_path: Path, changes: dict[str, str | bytes | None], expected: list[str]
) -> None:
    _, faults = read_folder(write(tmp_path, changes), number=True)
    assert places(faults) == expected
