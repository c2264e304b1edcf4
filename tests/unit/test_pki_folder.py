from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.errors import TallygateError
from gateway.pki.enrolment import Candidate
from gateway.pki.folder import ElectionTables, _cell, _spans, read_official, read_tables
from gateway.pki.requests import CheckedRequest, check_request
from tests.unit.election_folder import TOML, key, write
from tests.unit.pki_helpers import Fields, commission_fields, courier_fields, csr_pem, device_fields, encode

DEVICES = "device,kind,station,key,serial\n1,box,11,,A-1\n2,terminal,12,,\n3,desk,,,\n"


def checked(fields: Fields, place: str = "request.json") -> CheckedRequest:
    return check_request(encode(fields), "test-1", place=place)


def device(number: int, sign: Ed25519PrivateKey | None = None) -> CheckedRequest:
    fields = device_fields(number, sign=sign, election="test-1")
    return checked(fields)


def admitted(tables: ElectionTables, *requests: CheckedRequest) -> list[Candidate]:
    candidates, faults = tables.admit(requests)
    assert not faults
    return candidates


def refusal(folder: Path) -> TallygateError:
    with pytest.raises(TallygateError) as caught:
        read_tables(folder)
    return caught.value


def test_what_enrolment_reads(tmp_path: Path) -> None:
    tables = read_tables(
        write(tmp_path, {"devices.csv": DEVICES, "couriers.csv": "courier,area,name\n07,2,Van\n"})
    )
    assert tables.settings.id == "test-1"
    assert tables.settings.closes_at == 1_948_975_200_000
    assert tables.couriers == {7}
    assert tables.settings.commission_keys == (key(901), key(902))
    requests = [*map(device, (1, 2, 3)), checked(courier_fields(7))]
    admitted, faults = tables.admit(requests)
    assert [candidate.role for candidate in admitted] == ["box", "terminal", "desk", "courier"]
    assert [candidate.request for candidate in admitted] == requests
    assert not faults


def test_tables_that_are_missing_name_nobody(tmp_path: Path) -> None:
    tables = read_tables(write(tmp_path, {"devices.csv": None}))
    courier = checked(courier_fields(1))
    admitted, (fault, other) = tables.admit([device(1), courier])
    assert not admitted
    assert (fault.code, other.code) == ("enrol.unknown", "enrol.unknown")


def test_commission_keys_may_still_be_missing(tmp_path: Path) -> None:
    folder = write(tmp_path)
    toml = folder / "election.toml"
    whole = toml.read_text()
    toml.write_text(whole.partition("commission_keys")[0])
    assert read_official(folder).commission_keys == ()
    toml.write_text(whole.replace(f'"{key(902).hex()}",', "") + "commission_quorum = 2\n")
    assert read_official(folder).commission_keys == (key(901),)


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        ({"election.toml": None}, "definition.missing_file", "election.toml"),
        ({"election.toml": TOML.replace("test-1", "Test")}, "definition.bad_id", "election.toml:1"),
        ({"devices.csv": ""}, "definition.empty_file", "devices.csv"),
        ({"devices.csv": b"device;kind;key\n1;box;\xff\n"}, "definition.encoding", "devices.csv:2"),
        ({"devices.csv": "device,kind\n1,box\n"}, "definition.missing_column", "devices.csv:1"),
        ({"devices.csv": "device,kind,key,nick\n1,box,,x\n"}, "definition.unknown_column", "devices.csv:1"),
        ({"devices.csv": DEVICES + "1,box,,,\n"}, "definition.duplicate_number", "devices.csv:5"),
        ({"devices.csv": DEVICES + "4,box\n"}, "definition.ragged_row", "devices.csv:5"),
    ],
)
def test_tables_that_cannot_be_trusted(
    tmp_path: Path, changes: dict[str, str | bytes | None], code: str, place: str
) -> None:
    fault = refusal(write(tmp_path, changes))
    assert (fault.code, fault.place) == (code, str(tmp_path / place))


def test_what_the_tables_say_against_a_request(tmp_path: Path) -> None:
    mine, member = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = mine.public_key().public_bytes_raw().hex()
    devices = f"device,kind,key\n1,box,{key(1).hex()}\n2,box,{public.upper()}\n3,box,\n4,car,\n"
    folder = write(tmp_path, {"devices.csv": devices, "couriers.csv": "courier,name\n1,Van\n"})
    toml = folder / "election.toml"
    toml.write_text(toml.read_text().replace(key(902).hex(), member.public_key().public_bytes_raw().hex()))
    tables = read_tables(folder)

    def code(request: CheckedRequest) -> str:
        return next((fault.code for fault in tables.admit([request])[1]), "")

    assert code(device(2, mine)) == ""
    assert code(device(3)) == ""
    assert code(device(1)) == "enrol.key_differs"
    assert code(device(2)) == "enrol.key_differs"
    assert code(device(3, mine)) == "enrol.key_taken"
    assert code(device(3, member)) == "enrol.key_taken"
    assert code(device(4)) == "enrol.kind"
    for stolen in (mine, member):
        assert code(checked(device_fields(3, tls=stolen, election="test-1"))) == "enrol.key_taken"
    assert code(checked({"courier": 1, "csr": csr_pem(mine)})) == "enrol.key_taken"
    assert code(device(5)) == "enrol.unknown"
    assert code(checked(courier_fields(1))) == ""
    assert code(checked(courier_fields(2))) == "enrol.unknown"

    def commission(number: int, sign: Ed25519PrivateKey | None = None) -> str:
        return code(checked(commission_fields(number, sign=sign, election="test-1")))

    assert commission(2, member) == ""
    assert commission(1, member) == "enrol.key_differs"
    assert commission(2) == "enrol.key_differs"
    assert commission(3) == "enrol.unknown"


def as_is(text: str) -> bytes:
    return text.encode()


def spreadsheet(text: str) -> bytes:
    return b"\xef\xbb\xbf" + text.replace(",", ";").replace("\n", "\r\n").encode()


def quoted(text: str) -> bytes:
    lines = [",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()]
    return "\n".join(lines).encode()


def spaced(text: str) -> bytes:
    return b"\n  \n" + text.replace(",", " , ").encode() + b"\n\n"


@pytest.mark.parametrize("form", [as_is, spreadsheet, quoted, spaced])
def test_only_the_empty_cells_change(tmp_path: Path, form: Callable[[str], bytes]) -> None:
    text = (
        "kind,device,station,key,serial\n"
        f"box,1,11,{key(1).hex()},Ящик 1\nbox,002,12,,Ящик 2\nterminal,3,11 12,,\nbox,4,12,,\n"
    )
    folder = write(tmp_path, {"devices.csv": form(text)})
    requests = [device(2), device(3)]
    tables = read_tables(folder)
    filling = tables.fill(admitted(tables, *requests))
    assert filling.cells == 2
    assert (folder / "devices.csv").read_bytes() == form(text)
    filling.write()
    data = (folder / "devices.csv").read_bytes()
    for request in requests:
        filled = str(request.sign_key).encode()
        assert data.count(filled) == 1
        data = data.replace(filled, b'""' if form is quoted else b"  " if form is spaced else b"")
    assert data == form(text)
    again = read_tables(folder)
    assert again.fill(admitted(again, *requests)).cells == 0


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", {"devices.csv": None})
    shared = tmp_path / "shared.csv"
    shared.write_text(DEVICES)
    shared.chmod(0o640)
    (folder / "devices.csv").symlink_to(shared)
    request = device(1)
    tables = read_tables(folder)
    tables.fill(admitted(tables, request)).write()
    assert (folder / "devices.csv").is_symlink()
    assert str(request.sign_key) in shared.read_text()
    assert shared.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "changed",
    [
        b"\xff\xfe",
        DEVICES.replace("1,box,11,,A-1\n", "").encode(),
        DEVICES.replace("1,box,11,,A-1", f"1,box,11,{key(7).hex()},A-1").encode(),
        DEVICES.replace("device,kind", "kind,device").encode(),
        b"",
        b"device,kind,station,key,serial\n",
        DEVICES.replace(",", ";").encode(),
    ],
)
def test_a_table_that_changes_meanwhile_is_not_written(tmp_path: Path, changed: bytes) -> None:
    folder = write(tmp_path, {"devices.csv": DEVICES})
    tables = read_tables(folder)
    candidates = admitted(tables, device(1))
    (folder / "devices.csv").write_bytes(changed)
    if changed.count(b";"):  # the same table with other separators is still the same table
        assert tables.fill(candidates).cells == 1
        return
    with pytest.raises(TallygateError) as caught:
        tables.fill(candidates)
    assert caught.value.code == "enrol.table_changed"
    assert (folder / "devices.csv").read_bytes() == changed


def test_a_table_that_changes_after_it_was_judged_is_not_written(tmp_path: Path) -> None:
    folder = write(tmp_path, {"devices.csv": DEVICES})
    tables = read_tables(folder)
    filling = tables.fill(admitted(tables, device(1)))
    (folder / "devices.csv").write_text(DEVICES + "9,box,11,,\n")
    with pytest.raises(TallygateError) as caught:
        filling.write()
    assert caught.value.code == "enrol.table_changed"
    assert (folder / "devices.csv").read_text() == DEVICES + "9,box,11,,\n"
    again = read_tables(folder)
    again.fill(admitted(again, device(1))).write()


def test_bytes_that_are_no_text_stay_as_they_are(tmp_path: Path) -> None:
    folder = write(tmp_path, {"devices.csv": DEVICES})
    tables = read_tables(folder)
    (folder / "devices.csv").write_bytes(DEVICES.encode().replace(b"A-1", b"\xff"))
    tables.fill(admitted(tables, device(1))).write()
    assert b",\xff\n" in (folder / "devices.csv").read_bytes()


CELLS = st.lists(st.text(alphabet='a;, "ж', max_size=5), min_size=1, max_size=5)


@given(CELLS, st.sampled_from([",", ";"]), st.booleans())
def test_cells_are_found_where_they_were_written(
    cells: list[str], separator: str, windows_line: bool
) -> None:
    written = [
        '"' + cell.replace('"', '""') + '"' if separator in cell or '"' in cell else cell for cell in cells
    ]
    line = separator.join(written)
    spans = _spans(line + ("\r" if windows_line else ""), separator)
    assert [line[slice(*span)] for span in spans] == written
    assert [_cell(line, span) for span in spans] == [cell.strip(" ") for cell in cells]
