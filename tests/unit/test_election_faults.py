"""Every fault that an election folder can have is found at its line and column, under its own code."""

from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.election import Code, read_folder
from gateway.election.faults import WARNINGS
from gateway.election.limits import MAX_AREA_DEPTH, MAX_STATIONS_AN_AREA
from tests.unit.election_folder import FILES, PNG, TOML, key, places, write


class Case(NamedTuple):
    """What is changed in the folder, and what must be said of it, in order."""

    name: str
    changes: dict[str, str | bytes | None]
    expected: list[str]


def toml(old: str, new: str) -> dict[str, str | bytes | None]:
    assert old in TOML
    return {"election.toml": TOML.replace(old, new)}


def add(text: str) -> dict[str, str | bytes | None]:
    return {"election.toml": TOML + text}


def areas(*rows: str, header: str = "area,parent,level,name_en") -> dict[str, str | bytes | None]:
    return {"areas.csv": "\n".join([header, *rows]) + "\n"}


def contests(*rows: str, header: str = "contest,kind,name_en") -> dict[str, str | bytes | None]:
    return {"contests.csv": "\n".join([header, *rows]) + "\n"}


def choices(*rows: str, header: str = "contest,choice,name_en") -> dict[str, str | bytes | None]:
    return {"choices.csv": "\n".join([header, *rows]) + "\n"}


def stations(*rows: str, header: str = "station,area,registered,name_en") -> dict[str, str | bytes | None]:
    return {"stations.csv": "\n".join([header, *rows]) + "\n"}


def devices(*rows: str, header: str = "device,kind,station,area,key") -> dict[str, str | bytes | None]:
    return {"devices.csv": "\n".join([header, *rows]) + "\n"}


K1, K2, K3 = key(1).hex(), key(2).hex(), key(3).hex()
M1, M2 = key(901).hex(), key(902).hex()
NO_POINT = "01" + "00" * 31  # the neutral element: on the curve, of order 1

COUNTRY = "1,,country,Country"
BOXES = (f"1,box,11,,{K1}", f"2,box,12,,{K2}")
ONE_STATION = {**stations("11,2,100,One"), **devices(f"1,box,11,,{K1}")}

NUMBERS = [
    ("1,200", '11,2,"1,200",One', "not_a_number"),
    ("1 200", "11,2,1 200,One", "not_a_number"),
    ("12.0", "11,2,12.0,One", "not_a_number"),
    ("1e3", "11,2,1e3,One", "not_a_number"),
    ("1E+03", "11,2,1E+03,One", "not_a_number"),
    ("-1", "11,2,-1,One", "not_a_number"),
    ("+1", "11,2,+1,One", "not_a_number"),
    ("1_000", "11,2,1_000,One", "not_a_number"),
    ("0x10", "11,2,0x10,One", "not_a_number"),
    ("12o4", "11,2,12o4,One", "not_a_number"),
    ("arabic digit", "11,2,٣,One", "not_a_number"),
    ("fullwidth digits", "11,2,１２,One", "not_a_number"),
    ("superscript", "11,2,²,One", "not_a_number"),
    ("zero width space", "11,2,1\u200b2,One", "not_a_number"),
    ("too large for a station", "11,2,1000001,One", "number_range"),
    ("too large for anything", "11,2," + "9" * 5000 + ",One", "number_range"),
]

TABLE_CASES = [
    Case("no file", {"stations.csv": None, "devices.csv": None}, [
        "devices.csv:0: no_devices", "stations.csv:0: missing_file",
    ]),
    Case("no settings", {"election.toml": None}, ["election.toml:0: missing_file"]),
    Case("empty file", {"choices.csv": b""}, ["choices.csv:0: empty_file"]),
    Case("only a byte order mark", {"choices.csv": b"\xef\xbb\xbf\r\n\r\n"}, ["choices.csv:0: empty_file"]),
    Case("empty settings", {"election.toml": b"\n"}, ["election.toml:0: empty_file"]),
    Case("empty optional table", {"devices.csv": b""}, ["devices.csv:0: empty_file"]),
    Case("header only", {"areas.csv": "area,parent,level,name_en\n"}, ["areas.csv:0: no_rows"]),
    Case("UTF-16", {"choices.csv": FILES["choices.csv"].encode("utf-16")}, ["choices.csv:0: encoding"]),
    Case("UTF-16 without mark", {"choices.csv": FILES["choices.csv"].encode("utf-16-le")}, [
        "choices.csv:0: encoding",
    ]),
    Case("cp1251", {"choices.csv": "contest,choice,name_ru\n1,1,Альфа\n1,2,Бета\n".encode("cp1251")}, [
        "choices.csv:2: encoding",
    ]),
    Case("workbook", {"choices.csv": b"PK\x03\x04" + bytes(40)}, ["choices.csv:0: encoding"]),
    Case("old workbook", {"choices.csv": b"\xd0\xcf\x11\xe0\xa1\xb1"}, ["choices.csv:0: encoding"]),
    Case("settings in UTF-16", {"election.toml": TOML.encode("utf-16")}, ["election.toml:0: encoding"]),
    Case("settings in cp1251", {"election.toml": (TOML + '# Выборы').encode("cp1251")}, [
        "election.toml:11: encoding",
    ]),
    Case("unknown column", choices("1,1,Alpha,x", "1,2,Beta,y", header="contest,choice,name_en,colour"), [
        "choices.csv:1: unknown_column",
    ]),
    Case("column without a name", choices("1,,1,Alpha", "1,,2,Beta", header="contest,,choice,name_en"), [
        "choices.csv:1: unknown_column",
    ]),
    Case("tabs", choices("1\t1\tAlpha", header="contest\tchoice\tname_en"), [
        "choices.csv:1: unknown_column", "choices.csv:1:contest missing_column",
        "choices.csv:1:choice missing_column", "choices.csv:1:name_ky missing_column",
    ]),
    Case("capital letters", choices("1,1,Alpha", "1,2,Beta", header="contest,Choice,name_en"), [
        "choices.csv:1: unknown_column", "choices.csv:1:choice missing_column",
    ]),
    Case("column twice", choices("1,1,A,A", "1,2,B,B", header="contest,choice,name_en,name_en"), [
        "choices.csv:1:name_en duplicate_column",
    ]),
    Case("column missing", stations("11,100,One", header="station,registered,name_en"), [
        "stations.csv:1:area missing_column",
    ]),
    Case("no name column", choices("1,1", "1,2", header="contest,choice"), [
        "choices.csv:1:name_ky missing_column",
    ]),
    Case("header in quotes that do not fit", choices("1,1,A", header='contest,choice,"name_en'), [
        "choices.csv:1: quoting",
    ]),
    Case("short row", choices("1,1,Alpha", "1,2"), ["choices.csv:3: ragged_row"]),
    Case("long row", choices("1,1,Alpha", "1,2,Beta,Gamma"), ["choices.csv:3: ragged_row"]),
    Case("quote not closed", choices('1,1,"Alpha', "1,2,Beta", "1,3,Gamma"), ["choices.csv:2: quoting"]),
    Case("line break in a cell", choices('1,1,"Alpha', 'the first"', "1,2,Beta", "1,3"), [
        "choices.csv:2: quoting", "choices.csv:5: ragged_row",
    ]),
    Case("quotes inside a quoted cell", choices('1,1,"The "Alpha" list"', "1,2,Beta"), [
        "choices.csv:2: quoting",
    ]),
    Case("line too long", choices("1,1,Alpha", "1,2," + "B" * 200_000, "1,3"), [
        "choices.csv:3: line_too_long", "choices.csv:4: ragged_row",
    ]),
    Case("control character", choices("1,1,Al\x07pha", "1,2,Be\u202eta"), [
        "choices.csv:2:name_en control_character", "choices.csv:3:name_en control_character",
    ]),
    Case("C1 control", choices("1,1,Al\x85pha", "1,2,Be\ufeffta"), [
        "choices.csv:2:name_en control_character", "choices.csv:3:name_en control_character",
    ]),
    Case("tab in a cell", choices("1,1,Al\tpha", "1,2,Beta"), ["choices.csv:2:name_en control_character"]),
    Case("old line ends", {"choices.csv": b"contest,choice,name_en\r1,1,Alpha\r"}, [
        "choices.csv:1: line_ends",
    ]),
    Case("carriage return in a cell", choices('1,1,"Al\rpha"', "1,2,Be\rta", '"1",3,C\rc'), [
        "choices.csv:2:name_en control_character", "choices.csv:3:name_en control_character",
        "choices.csv:4: control_character",
    ]),
    Case("text too long", choices("1,1," + "Я" * 1001, "1,2,Beta"), ["choices.csv:2:name_en text_too_long"]),
    Case("no name", choices("1,1,", "1,2,Beta"), [
        "choices.csv:2:name_ky missing_name", "choices.csv:0:name_en name_gaps",
    ]),
    Case("no number", choices("1,,Alpha", "1,2,Beta"), ["choices.csv:2:choice missing_value"]),
    Case("number zero", choices("1,0,Alpha", "1,2,Beta"), ["choices.csv:2:choice number_range"]),
    Case("number 2^53", choices("1,9007199254740992,Alpha", "1,2,Beta"), [
        "choices.csv:2:choice number_range",
    ]),
    *(
        Case(f"number {name}", stations(row, "12,3,5,Two"), [f"stations.csv:2:registered {code}"])
        for name, row, code in NUMBERS
    ),
]  # fmt: skip

GEOGRAPHY_CASES = [
    Case("area twice", areas(COUNTRY, "2,1,region,North", "3,1,region,South", "2,1,region,Again"), [
        "areas.csv:5:area duplicate_number",
    ]),
    Case("parent not there", areas(COUNTRY, "2,7,region,North", "3,1,region,South"), [
        "areas.csv:3:parent unknown_parent",
    ]),
    Case("two roots", areas(COUNTRY, "2,,region,North", "3,1,region,South"), [
        "areas.csv:3:parent two_roots",
    ]),
    Case("no root", areas("1,2,country,Country", "2,1,region,North", "3,1,region,South"), [
        "areas.csv:2:parent no_root", "areas.csv:2:parent cycle", "areas.csv:3:area mixed_area",
    ]),
    Case("circle beside the root", areas(
        COUNTRY, "2,1,region,N", "3,1,region,S", "7,6,region,C", "5,7,region,A", "6,5,region,B",
        "8,6,region,D",
    ), ["areas.csv:6:parent cycle", "areas.csv:8:area empty_area"]),
    Case("own parent", areas(COUNTRY, "2,2,region,North", "3,1,region,South"), [
        "areas.csv:3:parent cycle", "areas.csv:3:area mixed_area",
    ]),
    Case("too deep", {
        **areas(COUNTRY, *(f"{n},{n - 1},level,N" for n in range(2, MAX_AREA_DEPTH + 4))),
        **stations(f"11,{MAX_AREA_DEPTH + 3},1,One"),
        **devices(BOXES[0]),
    }, [f"areas.csv:{MAX_AREA_DEPTH + 3}:parent area_depth"]),
    Case("areas and stations", stations("11,1,100,One", "12,3,200,Two"), [
        "areas.csv:2:area mixed_area", "areas.csv:3:area empty_area",
    ]),
    Case("level missing", areas(COUNTRY, "2,1,,North", "3,1,Region 1,South"), [
        "areas.csv:3:level missing_value", "areas.csv:4:level bad_name",
    ]),
    Case("station without area", stations("11,,100,One", "12,3,200,Two"), [
        "areas.csv:3:area empty_area", "stations.csv:2:area station_without_area",
    ]),
    Case("station in no known area", stations("11,9,100,One", "12,3,200,Two"), [
        "areas.csv:3:area empty_area", "stations.csv:2:area unknown_area",
    ]),
    Case("station twice", stations("11,2,100,One", "12,3,200,Two", "011,3,1,Three"), [
        "stations.csv:4:station duplicate_number",
    ]),
    Case("words", stations(
        "11,2,embassy,One,yes", "12,3,mobile,Two,maybe", header="station,area,type,name_en,box"
    ), ["stations.csv:2:type unknown_word", "stations.csv:3:box unknown_word"]),
    Case("times", stations(
        "11,2,One,2031-10-05 20:00,", "12,3,Two,2031-10-05T07:00:00+06:00,Mars/Olympus",
        header="station,area,name_en,closes_at,timezone",
    ), [
        "stations.csv:2:closes_at bad_time", "stations.csv:3:closes_at closes_before_opens",
        "stations.csv:3:timezone bad_timezone",
    ]),
    Case("same bad time twice", stations(
        "11,2,One,noon", "12,3,Two,noon", header="station,area,name_en,closes_at"
    ), ["stations.csv:2:closes_at bad_time", "stations.csv:3:closes_at bad_time"]),
    Case("local closing", stations(
        "11,2,One,Asia/Seoul", "12,3,Two,", header="station,area,name_en,timezone"
    ), ["stations.csv:2:timezone local_closing"]),
    Case("contests of a station", stations(
        "11,2,One,7", "12,3,Two,1 1", header="station,area,name_en,contests"
    ), ["stations.csv:2:contests unknown_contest", "stations.csv:3:contests bad_list"]),
    Case("same bad list twice", stations(
        "11,2,One,1 7", "12,3,Two,1 7", header="station,area,name_en,contests"
    ), ["stations.csv:2:contests unknown_contest", "stations.csv:3:contests unknown_contest"]),
    Case("no contest here", contests("1,choose,2,President", header="contest,kind,area,name_en"), [
        "stations.csv:3:contests station_without_contest",
    ]),
    Case("contest nowhere", {
        **contests("1,choose,,President", "2,choose,3,Governor", header="contest,kind,area,name_en"),
        **choices("1,1,A", "2,1,B"),
        **stations("11,2,One,1", "12,3,Two,1", header="station,area,name_en,contests"),
    }, ["contests.csv:3:area contest_without_stations"]),
    Case("empty area", ONE_STATION, ["areas.csv:4:area empty_area"]),
    Case("crowded area", {
        **areas(COUNTRY),
        **stations(
            *(f"{n},1,1,no,N" for n in range(1, MAX_STATIONS_AN_AREA + 2)),
            header="station,area,registered,box,name_en",
        ),
        "devices.csv": None,
    }, ["areas.csv:2:area crowded_area", "devices.csv:0: no_devices"]),
    Case("wide area", {
        **areas(COUNTRY),
        **stations(
            *(f"{n},1,1,no,N" for n in range(1, 12_001)),
            header="station,area,registered,box,name_en",
        ),
        "devices.csv": None,
    }, ["areas.csv:2:area crowded_area", "areas.csv:2:area wide_area", "devices.csv:0: no_devices"]),
    Case("coordinates", stations(
        "11,2,One,91,181", '12,3,Two,"42,87",74.6', header="station,area,name_en,latitude,longitude"
    ), [
        "stations.csv:2:latitude bad_coordinate", "stations.csv:2:longitude bad_coordinate",
        "stations.csv:3:latitude bad_coordinate",
    ]),
]  # fmt: skip

LIST_HEADER = "contest,choice,kind,list,name_en"
BALLOT_CASES = [
    Case("contest twice", contests("1,choose,President", "1,choose,Again"), [
        "contests.csv:3:contest duplicate_number",
    ]),
    Case("contest kind", {**contests("1,vote,President", "2,,Governor"), **choices("1,1,A", "2,1,B")}, [
        "contests.csv:2:kind unknown_word", "contests.csv:3:kind missing_value",
    ]),
    Case("contest area", contests("1,choose,9,President", header="contest,kind,area,name_en"), [
        "contests.csv:2:area unknown_area",
    ]),
    Case("method", contests("1,choose,hare,President", header="contest,kind,method,name_en"), [
        "contests.csv:2:method wrong_method",
    ]),
    Case("method word", contests("1,choose,d'Hondt,President", header="contest,kind,method,name_en"), [
        "contests.csv:2:method unknown_word",
    ]),
    Case("seats", contests("1,choose,0,1001,President", header="contest,kind,seats,marks,name_en"), [
        "contests.csv:2:seats number_range", "contests.csv:2:marks number_range",
    ]),
    Case("percents", {
        **contests(
            '1,choose,"5,5",101,President', "2,choose,5%,0,Governor", "3,choose,0.001,100.01,Mayor",
            header="contest,kind,threshold_percent,quorum_percent,name_en",
        ),
        **choices("1,1,A", "2,1,A", "3,1,A"),
    }, [
        "contests.csv:2:threshold_percent bad_percent", "contests.csv:2:quorum_percent number_range",
        "contests.csv:3:threshold_percent bad_percent", "contests.csv:3:quorum_percent number_range",
        "contests.csv:4:threshold_percent bad_percent", "contests.csv:4:quorum_percent number_range",
    ]),
    Case("base without percent", contests(
        "1,choose,valid,region,valid,President",
        header="contest,kind,threshold_of,threshold_area_level,quorum_of,name_en",
    ), [
        "contests.csv:2:threshold_of share_without_percent",
        "contests.csv:2:threshold_area_level share_without_percent",
        "contests.csv:2:quorum_of share_without_percent",
    ]),
    Case("level of a threshold", {
        **contests(
            "1,choose,1,oblast,President", "2,choose,1,,Governor",
            header="contest,kind,threshold_area_percent,threshold_area_level,name_en",
        ),
        **choices("1,1,A", "2,1,A"),
    }, [
        "contests.csv:2:threshold_area_level unknown_level",
        "contests.csv:3:threshold_area_level missing_value",
    ]),
    Case("no choices", contests("1,choose,President", "2,choose,Governor"), [
        "contests.csv:3:contest contest_without_choices",
    ]),
    Case("too many marks", contests("1,choose,3,President", header="contest,kind,marks,name_en"), [
        "contests.csv:2:marks too_many_marks",
    ]),
    Case("choice of no contest", choices("1,1,A", "1,2,B", "7,1,C"), [
        "choices.csv:4:contest unknown_contest",
    ]),
    Case("choice twice", choices("1,1,A", "1,2,B", "1,2,C"), ["choices.csv:4:choice duplicate_number"]),
    Case("kind of another contest", choices(
        "1,1,yes,A", "1,2,list,B", header="contest,choice,kind,name_en"
    ), [
        "choices.csv:2:kind wrong_choice_kind", "choices.csv:3:kind wrong_choice_kind",
    ]),
    Case("unknown kind", choices("1,1,person,A", "1,2,,B", header="contest,choice,kind,name_en"), [
        "choices.csv:2:kind unknown_word",
    ]),
    Case("against all twice", choices(
        "1,1,candidate,A", "1,2,against_all,B", "1,3,against_all,C", header="contest,choice,kind,name_en"
    ), ["choices.csv:4:kind wrong_choice_kind"]),
    Case("referendum", {
        **contests("1,referendum,Question"),
        **choices("1,1,yes,A", "1,2,yes,B", header="contest,choice,kind,name_en"),
    }, ["contests.csv:2:contest bad_referendum"]),
    Case("referendum without kinds", contests("1,referendum,Question"), [
        "choices.csv:2:kind missing_value", "choices.csv:3:kind missing_value",
    ]),
    Case("list contest without seats", contests("1,list,Assembly"), ["contests.csv:2:seats one_seat_list"]),
    Case("list contest without lists", {
        **contests("1,list,10,Assembly", header="contest,kind,seats,name_en"),
        **choices("1,1,against_all,A", header="contest,choice,kind,name_en"),
    }, ["contests.csv:2:contest wrong_choice_kind"]),
    Case("preferences", {
        **contests("1,list,10,2,Assembly", header="contest,kind,seats,preferences,name_en"),
        **choices(
            "1,1,list,,A", "1,2,candidate,,B", "1,3,list,1,C", "1,4,,2,D", "1,5,,9,E", header=LIST_HEADER
        ),
    }, [
        "choices.csv:3:list bad_preferences", "choices.csv:4:list bad_preferences",
        "choices.csv:5:list bad_preferences", "choices.csv:6:list unknown_choice",
    ]),
    Case("preferences that nobody can have", {
        **contests("1,list,10,2,Assembly", header="contest,kind,seats,preferences,name_en"),
        **choices("1,1,A", "1,2,B"),
    }, ["contests.csv:2:preferences bad_preferences"]),
    Case("preferences that nobody allows", {
        **contests("1,list,10,Assembly", header="contest,kind,seats,name_en"),
        **choices("1,1,,,A", "1,2,,1,B", header=LIST_HEADER),
    }, ["contests.csv:2:preferences bad_preferences"]),
    Case("preferences among candidates", {
        **contests("1,choose,2,President", header="contest,kind,preferences,name_en"),
        **choices("1,1,,,A", "1,2,,1,B", header=LIST_HEADER),
    }, [
        "choices.csv:3:list bad_preferences", "choices.csv:3:list bad_preferences",
        "contests.csv:2:preferences bad_preferences",
    ]),
    Case("what is shown", choices(
        "1,1,A,red,www.example.org,12.5,", "1,2,B,#12345g,http://,,-5",
        header="contest,choice,name_en,color,link,fund_income,fund_spent",
    ), [
        "choices.csv:2:color bad_color", "choices.csv:2:link bad_link",
        "choices.csv:2:fund_income not_a_number",
        "choices.csv:3:color bad_color", "choices.csv:3:link bad_link",
        "choices.csv:3:fund_spent not_a_number",
    ]),
]  # fmt: skip

FIGURES = "code,figure,name_en\n100,at_home,At home\n"
NATIONAL_CASES = [
    Case("figures", {
        "figures.csv": "code,figure,name_en\n99,low,A\n100,in_box,B\n101,own,C\n101,other,D\n102,own,E\n"
        "103,Own Name,F\n104,,G\n"
    }, [
        "figures.csv:2:code number_range", "figures.csv:3:figure duplicate_figure",
        "figures.csv:5:code duplicate_number", "figures.csv:6:figure duplicate_figure",
        "figures.csv:7:figure bad_name", "figures.csv:8:figure missing_value",
    ]),
    Case("checks", {
        "figures.csv": FIGURES,
        "checks.csv": "check,severity,left,op,right,tolerance,text_en\n1,firm,at_home,=,issued_outside,0,A\n"
        "2,hard,at_homes,<,,,B\n2,hard,valid + + blank,=,valid,1.5,\n",
    }, [
        "checks.csv:2:severity unknown_word", "checks.csv:3:left unknown_figure",
        "checks.csv:3:op unknown_word",
        "checks.csv:3:right missing_value", "checks.csv:4:check duplicate_number",
        "checks.csv:4:left unknown_figure", "checks.csv:4:tolerance not_a_number",
        "checks.csv:4:text_ky missing_name",
    ]),
]  # fmt: skip

SECOND = BOXES[1]
ROSTER_CASES = [
    Case("no devices", {"devices.csv": None}, ["devices.csv:0: no_devices"]),
    Case("device twice", devices(*BOXES, f"2,terminal,12,,{K3}"), ["devices.csv:4:device duplicate_number"]),
    Case("device kind", devices(f"1,urn,11,,{K1}", SECOND), [
        "devices.csv:2:kind unknown_word", "stations.csv:2:box station_without_box",
    ]),
    Case("device at no known station", devices(f"1,box,11 99,,{K1}", SECOND), [
        "devices.csv:2:station unknown_station",
    ]),
    Case("device without a station", devices(*BOXES, f"3,terminal,,,{K3}"), [
        "devices.csv:4:station spare_devices",
    ]),
    Case("station without a box", devices(f"1,terminal,11,,{K1}", SECOND), [
        "stations.csv:2:box station_without_box",
    ]),
    Case("areas and stations of devices", devices(
        *BOXES, f"3,desk,11,,{K3}", f"4,terminal,11,2,{key(4).hex()}"
    ), [
        "devices.csv:4:station device_station", "devices.csv:4:area device_station",
        "devices.csv:5:area device_station",
    ]),
    Case("desk in no known area", devices(*BOXES, f"3,desk,,9,{K3}"), ["devices.csv:4:area unknown_area"]),
    Case("key missing", devices("1,box,11,,", SECOND), ["devices.csv:2:key missing_value"]),
    Case("key no hex", devices(f"1,box,11,,{K1[:-1]}", f"2,box,12,,{K2[:-1]}g"), [
        "devices.csv:2:key bad_hex", "devices.csv:3:key bad_hex",
    ]),
    Case("key no point", devices(f"1,box,11,,{NO_POINT}", SECOND), ["devices.csv:2:key key_not_a_point"]),
    Case("key twice", devices(*BOXES, f"3,terminal,11,,{K2}"), ["devices.csv:4:key duplicate_key"]),
    Case("key of a member", devices(*BOXES, f"3,terminal,11,,{M2}"), ["devices.csv:4:key commission_key"]),
    Case("couriers", {"couriers.csv": "courier,area,name\n1,9,A\n1,,B\n2,,\n"}, [
        "couriers.csv:2:area unknown_area", "couriers.csv:3:courier duplicate_number",
        "couriers.csv:4:name missing_name",
    ]),
    Case("firmware", {"firmware.csv": f"sha256,name\n{K1},A\n{K1.upper()},B\nabc,C\n{K2},\n"}, [
        "firmware.csv:3:sha256 duplicate_number", "firmware.csv:4:sha256 bad_hex",
        "firmware.csv:5:name missing_name",
    ]),
]  # fmt: skip

SETTINGS_CASES = [
    Case("no TOML", toml('mode = "live"', "mode = live"), ["election.toml:3: bad_toml"]),
    Case("TOML that ends too early", add("x = ["), ["election.toml:11: bad_toml"]),
    Case("TOML nested too deeply", add("x = " + "[" * 100_000), ["election.toml:0: bad_toml"]),
    Case("TOML with an enormous number", add("x = " + "9" * 5000), ["election.toml:0: bad_toml"]),
    Case("unknown key", add('publishes_at = "x"\n'), ["election.toml:11:publishes_at unknown_key"]),
    Case("unknown section", add("[rule]\nh104 = 1\n"), ["election.toml:11:rule unknown_key"]),
    Case("unknown rule", add("[rules]\nh105 = 1\n"), ["election.toml:12:rules.h105 unknown_key"]),
    Case("unknown site key", add('[site]\nphone = "1"\n'), ["election.toml:12:site.phone unknown_key"]),
    Case("section that is none", add("rules = 1\n"), ["election.toml:11:rules wrong_type"]),
    Case("keys missing", {"election.toml": 'title_en = "T"\n'}, [
        "election.toml:0:id missing_key", "election.toml:0:mode missing_key",
        "election.toml:0:timezone missing_key",
        "election.toml:0:opens_at missing_key", "election.toml:0:closes_at missing_key",
        "election.toml:0:commission_keys missing_key",
    ]),
    Case("no title", toml('title_en = "Test"\n', ""), ["election.toml:0:title_ky missing_key"]),
    Case("empty title", toml('"Test"', '" "'), ["election.toml:0:title_ky missing_name"]),
    Case("control character", toml('"Test"', r'"Te\u001bst"'), [
        "election.toml:0:title_ky missing_name", "election.toml:2:title_en control_character",
    ]),
    Case("title too long", toml('"Test"', '"' + "x" * 2001 + '"'), [
        "election.toml:0:title_ky missing_name", "election.toml:2:title_en text_too_long",
    ]),
    Case("id", toml('"test-1"', '"Test 1"'), ["election.toml:1:id bad_id"]),
    Case("id too long", toml('"test-1"', '"' + "x" * 41 + '"'), ["election.toml:1:id bad_id"]),
    Case("live id of a rehearsal", toml('"test-1"', '"test-rehearsal"'), ["election.toml:1:id bad_id"]),
    Case("rehearsal id of a live election", toml('"live"', '"rehearsal"'), [
        "election.toml:1:id rehearsal_id",
    ]),
    Case("mode", toml('"live"', '"Live"'), ["election.toml:3:mode unknown_word"]),
    Case("mode no text", toml('"live"', "true"), ["election.toml:3:mode wrong_type"]),
    Case("time zone", toml("Asia/Bishkek", "Asia/Atlantis"), ["election.toml:4:timezone bad_timezone"]),
    Case("time zone out of its folder", toml("Asia/Bishkek", "../../etc/passwd"), [
        "election.toml:4:timezone bad_timezone",
    ]),
    Case("time without offset", toml('"2031-10-05T08:00:00+06:00"', '"2031-10-05T08:00:00"'), [
        "election.toml:5:opens_at bad_time",
    ]),
    Case("minutes of an offset", toml("20:00:00+06:00", "20:00:00+06:99"), ["election.toml:6: bad_toml"]),
    Case("minutes of an offset in a text", toml("08:00:00+06:00", "08:00:00+06:99"), [
        "election.toml:5:opens_at bad_time",
    ]),
    Case("local date-time", toml('"2031-10-05T08:00:00+06:00"', "2031-10-05T08:00:00"), [
        "election.toml:5:opens_at bad_time",
    ]),
    Case("no such day", toml('"2031-10-05T08:00:00+06:00"', '"2031-02-30T08:00:00+06:00"'), [
        "election.toml:5:opens_at bad_time",
    ]),
    Case("before the epoch", toml('"2031-10-05T08:00:00+06:00"', '"1931-10-05T08:00:00+06:00"'), [
        "election.toml:5:opens_at bad_time",
    ]),
    Case("a date", toml('"2031-10-05T08:00:00+06:00"', "2031-10-05"), [
        "election.toml:5:opens_at wrong_type",
    ]),
    Case("closes first", toml("2031-10-05T20", "2031-10-04T20"), [
        "election.toml:6:closes_at closes_before_opens",
    ]),
    Case("publishes first", add("publish_at = 2031-10-04T20:00:00+06:00\n"), [
        "election.toml:11:publish_at publishes_before_opens",
    ]),
    Case("languages", add('languages = ["en", "de", "en", "ky", 7]\n'), [
        "election.toml:11:languages bad_languages", "election.toml:11:languages bad_languages",
        "election.toml:11:languages language_without_names", "election.toml:11:languages wrong_type",
        *(f"{name}.csv:0:name_ky name_gaps" for name in ("areas", "choices", "contests", "stations")),
    ]),
    Case("no language", add("languages = []\n"), ["election.toml:11:languages bad_languages"]),
    Case("languages no list", add('languages = "en"\n'), ["election.toml:11:languages wrong_type"]),
    Case("headline", add('headline = "paper"\n'), ["election.toml:11:headline unknown_word"]),
    Case("origin", add('origin = "https://example.org"\n'), ["election.toml:11:origin bad_origin"]),
    Case("quorum", add("commission_quorum = 3\n"), ["election.toml:11:commission_quorum bad_quorum"]),
    Case("quorum zero", add("commission_quorum = 0\n"), ["election.toml:11:commission_quorum number_range"]),
    Case("quorum yes", add("commission_quorum = true\n"), ["election.toml:11:commission_quorum wrong_type"]),
    Case("commission key no hex", toml(M1, M1[:-1]), ["election.toml:7:commission_keys bad_hex"]),
    Case("commission key no text", toml(f'"{M1}"', "7"), ["election.toml:7:commission_keys wrong_type"]),
    Case("commission key twice", toml(M2, M1), ["election.toml:9:commission_keys[2] duplicate_key"]),
    Case("commission key no point", toml(M2, NO_POINT), [
        "election.toml:9:commission_keys[2] key_not_a_point",
    ]),
    Case("no commission key", {
        "election.toml": TOML[: TOML.index("commission_keys")] + "commission_keys = []\n"
    }, [
        "election.toml:7:commission_keys missing_key",
    ]),
    Case("too many members", {
        "election.toml": TOML[: TOML.index("commission_keys")]
        + f"commission_keys = {[key(n).hex() for n in range(1000, 1065)]}\n"
    }, ["election.toml:7:commission_keys number_range"]),
    Case("rules", add(
        '[rules]\nrequired = [9, 9]\nrequired_voters = [100]\nh104 = "mild"\n'
        "s202_percent = 101\ns203_low = 95\n"
        "h104_tolerance = 1.5\ns204_minutes = -1\ns210_tolerance = 1000001\n"
    ), [
        "election.toml:12:rules.required bad_rule", "election.toml:13:rules.required_voters unknown_figure",
        "election.toml:14:rules.h104 unknown_word", "election.toml:15:rules.s202_percent number_range",
        "election.toml:16:rules.s203_low bad_rule", "election.toml:17:rules.h104_tolerance wrong_type",
        "election.toml:18:rules.s204_minutes number_range",
        "election.toml:19:rules.s210_tolerance number_range",
    ]),
    Case("required", add("[rules]\nrequired = [0]\nrequired_voters = 1\n"), [
        "election.toml:12:rules.required wrong_type", "election.toml:13:rules.required_voters wrong_type",
    ]),
    Case("voter check", add('[site]\nvoter_check_url = "ftp://example.org"\n'), [
        "election.toml:12:site.voter_check_url bad_link",
    ]),
]  # fmt: skip

PHOTO = "contest,choice,name_en,photo,programme_en"
MEDIA_CASES = [
    Case("media missing", choices("1,1,A,a.png,", "1,2,B,,b.pdf", header=PHOTO), [
        "choices.csv:2:photo media_missing", "choices.csv:3:programme_en media_missing",
    ]),
    Case("media name", choices("1,1,A,../a.png,", "1,2,B,media/b.png,", header=PHOTO), [
        "choices.csv:2:photo media_name", "choices.csv:3:photo media_name",
    ]),
    Case("media type", {
        **choices("1,1,A,a.png,", "1,2,B,,a.pdf", header=PHOTO),
        "media/a.png": b"GIF89a", "media/a.pdf": PNG,
    }, [
        "media/a.pdf:0: media_type", "media/a.png:0: media_type",
    ]),
    Case("media too large", {
        **choices("1,1,A,a.png,", "1,2,B,,", header=PHOTO), "media/a.png": PNG + bytes(20 << 20),
    }, [
        "media/a.png:0: media_too_large",
    ]),
    Case("media unused", {"media/a.png": PNG}, ["media:0: media_unused"]),
]  # fmt: skip

FOLDER_CASES = [
    Case("a table nobody knows", {"station.csv": "x"}, [".:0: unknown_file"]),
]

CASES = [
    *(TABLE_CASES + GEOGRAPHY_CASES + BALLOT_CASES + NATIONAL_CASES),
    *(ROSTER_CASES + SETTINGS_CASES + MEDIA_CASES + FOLDER_CASES),
]

ELSEWHERE = {
    *(Code.NO_FOLDER, Code.NOT_A_FILE, Code.UNREADABLE, Code.TOO_LARGE, Code.TOO_MANY_ROWS),
    *(Code.KID_COLLISION, Code.MEDIA_NOT_A_FILE, Code.TOO_MANY_MEDIA),
}
"""Codes that need more than a text: test_election_tables, test_election_media, test_election_rehearsal."""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fault_is_found_where_it_is(case: Case, tmp_path: Path) -> None:
    election, faults = read_folder(write(tmp_path, case.changes))
    assert sorted(places(faults)) == sorted(case.expected)
    failed = any(fault.code not in WARNINGS for fault in faults.kept())
    assert (election is None) == failed == bool(faults.errors)


def test_every_code_has_a_case() -> None:
    named = {f"definition.{text.rpartition(' ')[2]}" for case in CASES for text in case.expected}
    assert {code.value for code in Code} == named | {code.value for code in ELSEWHERE}


def test_the_folder_that_all_cases_change_is_right(tmp_path: Path) -> None:
    election, faults = read_folder(write(tmp_path))
    assert election is not None
    assert faults.kept() == []


def test_all_faults_come_at_once_by_file_and_line(tmp_path: Path) -> None:
    changes = {
        **toml('"test-1"', '"Test"'),
        **areas(COUNTRY, "2,9,region,North", "3,1,region,South"),
        **stations("11,2,12o4,One", "12,3,-1,Two"),
        **devices(f"1,box,11,,{K1}", f"2,box,77,,{K1}"),
    }
    _, faults = read_folder(write(tmp_path, changes))
    assert [str(fault) for fault in faults.kept()] == [
        'areas.csv:3: parent: there is no area "9" [definition.unknown_parent]',
        'devices.csv:3: station: there is no station "77" [definition.unknown_station]',
        "devices.csv:3: key: the key is that of another device too: each has a key of its own "
        "[definition.duplicate_key]",
        'election.toml:1: id: "Test" cannot be an id: use a to z, 0 to 9 and -, at most 40 characters, '
        "a letter or digit first [definition.bad_id]",
        'stations.csv:2: registered: "12o4" is not a whole number [definition.not_a_number]',
        'stations.csv:3: registered: "-1" is not a whole number [definition.not_a_number]',
        "stations.csv:3: box: station 12 has no box in devices.csv: add it, or write box = no here "
        "[definition.station_without_box]",
    ]
