"""`tallygate pki` from the first key to the CRL, with requests as the ballot box writes them."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.box import enrol as box
from gateway.base.clock import DAY, format_time, parse_time, to_datetime
from gateway.election import read_folder
from gateway.pki import certificates as x
from tests.integration.gateway_cli import Program
from tests.unit.election_folder import TOML, key, write
from tests.unit.pki_helpers import NOW, commission_fields, device_fields, encode

CLOSES = "2031-10-05T20:00:00+06:00"
CLOSES_AT = parse_time(CLOSES)
DEVICES = "device;kind;station;area;key;serial\r\n1;box;11;;;A-1\r\n2;box;12;;;A-2\r\n3;desk;;1;;\r\n"


@pytest.fixture
def tallygate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture
def ca(tmp_path: Path, tallygate: Program) -> Path:
    tallygate.good("pki", "ca", tmp_path / "ca", "--id", "test-1", "--closes-at", CLOSES)
    return tmp_path / "ca"


def request(folder: Path, device: int, kind: box.TlsKind = "ed25519") -> Path:
    """The request file of a real box."""
    path = folder / f"device-{device}.json"
    path.write_bytes(box.make("test-1", device, kind).request)
    return path


def revoked(ca: Path) -> list[int]:
    crl = x509.load_pem_x509_crl((ca / "crl.pem").read_bytes())
    return [entry.serial_number for entry in crl]


def serial(path: Path) -> str:
    return x.serial_text(x.load_certificate(path.read_bytes(), place="").serial_number)


def test_the_ceremony(tmp_path: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder", {"devices.csv": DEVICES, "couriers.csv": "courier,name\n1,Van\n"})
    stick, ca = tmp_path / "stick", tmp_path / "ca"
    said = tallygate.good(
        "pki", "ca", ca, "--election", folder, "--root", stick, "--new-root",
    )  # fmt: skip
    assert f"Take offline now: {stick}" in said
    assert not (ca / "root").exists()
    tallygate.good("pki", "server", ca, "--name", "results.example")
    requests = [request(tmp_path, 1), request(tmp_path, 2, "p256"), request(tmp_path, 3)]
    tallygate.good("pki", "request", tmp_path / "van", "--id", "test-1", "--courier", "1")
    requests.append(tmp_path / "van" / "request.json")
    said = tallygate.good("pki", "enrol", ca, *requests, "--election", folder)
    assert "4 enrolled, 0 renewed, 0 known before, 0 old ones revoked" in said
    assert "3 keys written" in said
    names = sorted(path.name for path in (ca / "certificates").iterdir())
    assert names == ["box-1.pem", "box-2.pem", "courier-1.pem", "desk-3.pem"]
    election, faults = read_folder(folder)
    assert election is not None, faults.kept()
    keys = [json.loads(path.read_bytes())["sign_key"] for path in requests[:3]]
    assert [device.key.hex() for device in election.devices] == keys
    # Once more, the same: after a crash, or because somebody is not sure.
    table = (folder / "devices.csv").read_bytes()
    before = (ca / "certificates" / "box-1.pem").read_bytes()
    said = tallygate.good("pki", "enrol", ca, *requests, "--election", folder)
    assert "0 enrolled, 0 renewed, 4 known before" in said
    assert (folder / "devices.csv").read_bytes() == table
    assert (ca / "certificates" / "box-1.pem").read_bytes() == before
    tallygate.good("pki", "crl", ca)
    assert revoked(ca) == []
    crl = x509.load_pem_x509_crl((ca / "crl.pem").read_bytes())
    assert crl.next_update_utc is not None
    assert crl.next_update_utc >= to_datetime(CLOSES_AT + 14 * DAY)


def test_a_second_election_under_the_same_root(tmp_path: Path, tallygate: Program) -> None:
    root = tmp_path / "root"
    tallygate.good("pki", "ca", tmp_path / "test-1", "--id", "test-1", "--root", root, "--new-root")
    tallygate.good("pki", "ca", tmp_path / "test-2", "--id", "test-2", "--root", root)
    assert (tmp_path / "test-1" / "root.pem").read_bytes() == (tmp_path / "test-2" / "root.pem").read_bytes()
    ended = tallygate("pki", "ca", tmp_path / "test-3", "--id", "test-3", "--root", tmp_path / "no")
    assert (ended.code, "[pki.root_missing]" in ended.err) == (1, True)
    ended = tallygate(
        "pki", "ca", tmp_path / "test-3", "--id", "x", "--root", tmp_path / "root", "--new-root"
    )
    assert (ended.code, "[file.exists]" in ended.err) == (1, True)
    assert not (tmp_path / "test-3").exists()


def test_no_request_is_enrolled_if_one_is_wrong(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder", {"devices.csv": DEVICES})
    table = (folder / "devices.csv").read_bytes()
    index = (ca / "issued.ndjson").read_bytes()
    good = request(tmp_path, 1)
    files = {
        "huge": b" " * 20_000,
        "json": b"{",
        "other": encode(device_fields(2, election="test-2")),
        "unknown": encode(device_fields(9, election="test-1")),
    }
    paths = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        paths.append(tmp_path / name)
    ended = tallygate("pki", "enrol", ca, good, *paths, "--election", folder)
    assert ended.code == 1
    assert [line.rpartition("[")[2].rstrip("]") for line in ended.err.splitlines()[:-1]] == [
        "enrol.size", "enrol.malformed", "enrol.proof", "enrol.unknown",
    ]  # fmt: skip
    assert all(str(path) in ended.err for path in paths)
    assert "nobody was enrolled: 4 faults in 5 requests" in ended.err
    assert (folder / "devices.csv").read_bytes() == table
    assert (ca / "issued.ndjson").read_bytes() == index
    ended = tallygate("pki", "enrol", ca, good, *paths, "--election", folder, "--json")
    codes = [json.loads(line)["code"] for line in ended.out.splitlines()]
    assert codes == ["enrol.size", "enrol.malformed", "enrol.proof", "enrol.unknown"]


def test_a_folder_of_another_election(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder", {"devices.csv": DEVICES})
    toml = folder / "election.toml"
    toml.write_text(toml.read_text().replace("test-1", "test-2"))
    ended = tallygate("pki", "enrol", ca, request(tmp_path, 1), "--election", folder)
    assert (ended.code, "[pki.other_election]" in ended.err) == (1, True)


def test_without_a_folder_the_kind_is_said(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    path = request(tmp_path, 1)
    ended = tallygate("pki", "enrol", ca, path)
    assert (ended.code, "[enrol.kind]" in ended.err) == (1, True)
    assert tallygate("pki", "enrol", ca, path, "--kind", "box", "--election", tmp_path).code == 2
    out = tallygate.good("pki", "enrol", ca, path, "--kind", "terminal", "--json")
    line = json.loads(out)
    assert (line["holder"], line["role"], line["standing"]) == ("1", "terminal", "enrolment")
    assert (line["replaced"], line["revoked_before"]) == ([], None)
    assert serial(Path(line["file"])) == line["serial"]


def test_a_member_makes_the_keys(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    member = tmp_path / "member-2"
    said = tallygate.good("pki", "request", member, "--id", "test-1", "--commission", "2")
    modes = {
        path.relative_to(member).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in member.rglob("*")
    }
    assert modes == {
        "keys": 0o700, "keys/sign.key": 0o600, "keys/tls.key": 0o600, "request.json": 0o644,
    }  # fmt: skip
    assert stat.S_IMODE(member.stat().st_mode) == 0o700
    seed = (member / "keys" / "sign.key").read_text()
    assert seed.strip() not in said
    public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).public_key().public_bytes_raw().hex()
    assert f"sign key     {public}" in said
    ended = tallygate("pki", "request", member, "--id", "test-1", "--commission", "2")
    assert (ended.code, "[file.exists]" in ended.err) == (1, True)
    toml = TOML.replace(key(902).hex(), public)
    folder = write(tmp_path / "folder", {"election.toml": toml})
    enrolled = tallygate.good("pki", "enrol", ca, member / "request.json", "--election", folder)
    certificate = x.load_certificate((ca / "certificates" / "commission-2.pem").read_bytes(), place="")
    assert (
        certificate.public_key()
        == x.load_key((member / "keys" / "tls.key").read_bytes(), place="").public_key()
    )
    for line in said.splitlines():
        if line.startswith(("sign key", "TLS key")):
            assert line.split()[2] in enrolled


def test_commission_members_of_a_folder(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder")
    sign = Ed25519PrivateKey.generate()
    path = tmp_path / "member"
    path.write_bytes(encode(commission_fields(2, sign=sign, election="test-1")))
    ended = tallygate("pki", "enrol", ca, path, "--election", folder)
    assert (ended.code, "[enrol.key_differs]" in ended.err) == (1, True)
    toml = folder / "election.toml"
    toml.write_text(toml.read_text().replace(key(902).hex(), sign.public_key().public_bytes_raw().hex()))
    tallygate.good("pki", "enrol", ca, path, "--election", folder)
    assert (ca / "certificates" / "commission-2.pem").exists()


def test_revoking(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    first, second = request(tmp_path, 1), request(tmp_path, 2)
    tallygate.good("pki", "enrol", ca, first, second, "--kind", "box")
    one, two = (serial(ca / "certificates" / f"box-{n}.pem") for n in (1, 2))
    said = tallygate.good("pki", "revoke", ca, "1", "--reason", "key-compromise")
    assert "decision 2 for device 1" in said
    assert revoked(ca) == [int(one, 16)]
    said = tallygate.good("pki", "revoke", ca, "1", "--reason", "superseded")
    assert "was revoked before" in said
    tallygate.good("pki", "revoke", ca, two.upper(), "--reason", "unspecified")
    assert revoked(ca) == [int(one, 16), int(two, 16)]
    for who, code in (("3", "pki.not_issued"), ("0" * 32, "pki.not_issued"), ("box-1", "pki.holder")):
        ended = tallygate("pki", "revoke", ca, who, "--reason", "superseded")
        assert (ended.code, f"[{code}]" in ended.err) == (1, True)
    assert tallygate("pki", "revoke", ca, "1").code == 2
    assert tallygate("pki", "revoke", ca, "1", "--reason", "hold").code == 2


def test_enrolling_again_needs_the_flag_and_renews_the_crl(
    tmp_path: Path, ca: Path, tallygate: Program
) -> None:
    tallygate.good("pki", "enrol", ca, request(tmp_path, 1), "--kind", "box")
    old = serial(ca / "certificates" / "box-1.pem")
    path = request(tmp_path, 1)
    ended = tallygate("pki", "enrol", ca, path, "--kind", "box")
    assert (ended.code, "[enrol.duplicate]" in ended.err) == (1, True)
    said = tallygate.good("pki", "enrol", ca, path, "--kind", "box", "--replace", "1")
    assert f"revoked    {old}" in said
    assert revoked(ca) == [int(old, 16)]


def test_replacing_the_server_certificate(ca: Path, tallygate: Program) -> None:
    tallygate.good("pki", "server", ca, "--name", "127.0.0.1")
    old = serial(ca / "server.pem")
    ended = tallygate("pki", "server", ca, "--name", "results.example")
    assert (ended.code, "[pki.server_exists]" in ended.err) == (1, True)
    tallygate.good("pki", "server", ca, "--name", "results.example", "--replace")
    assert revoked(ca) == [int(old, 16)]


def test_dates_need_the_close(tmp_path: Path, tallygate: Program) -> None:
    ca = tmp_path / "ca"
    tallygate.good("pki", "ca", ca, "--id", "test-1")
    for arguments in (("crl", ca), ("server", ca, "--name", "a.example")):
        ended = tallygate("pki", *arguments)
        assert (ended.code, "[pki.closes_at]" in ended.err) == (1, True)
    assert tallygate("pki", "crl", ca, "--closes-at", "tomorrow").code == 2
    # A CA whose election's date was not known is good for little more than a year.
    late = format_time(NOW + 400 * DAY)
    ended = tallygate("pki", "server", ca, "--name", "a.example", "--closes-at", late)
    assert (ended.code, "[pki.expires]" in ended.err) == (1, True)


def test_wrong_usage(tmp_path: Path, tallygate: Program) -> None:
    assert tallygate("pki", "ca", tmp_path / "ca").code == 2
    assert tallygate("pki", "ca", tmp_path / "ca", "--id", "test-1", "--new-root").code == 2
    for arguments in ((), ("--id", "test-1"), ("--commission", "1"), ("--id", "x", "--courier", "0")):
        assert tallygate("pki", "request", tmp_path / "keys", *arguments).code == 2
    both = ("--commission", "1", "--courier", "1")
    assert tallygate("pki", "request", tmp_path / "keys", "--id", "test-1", *both).code == 2
    assert tallygate("pki", "enrol", tmp_path / "ca").code == 2
    assert tallygate("pki", "enrol", tmp_path / "ca", tmp_path / "nothing").code == 2
    ended = tallygate("pki", "ca", tmp_path / "ca", "--id", "Test")
    assert (ended.code, "[pki.election]" in ended.err) == (1, True)
    ended = tallygate("pki", "request", tmp_path / "keys", "--id", "Test", "--courier", "1")
    assert (ended.code, "[pki.election]" in ended.err) == (1, True)
    ended = tallygate("pki", "crl", tmp_path)
    assert (ended.code, "[pki.no_ca]" in ended.err) == (1, True)
    assert list(tmp_path.iterdir()) == []
    for command in ("ca", "request", "server", "enrol", "revoke", "crl"):
        assert "Example: tallygate pki" in " ".join(tallygate.good("pki", command, "--help").split())
