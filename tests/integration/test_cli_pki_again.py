"""`tallygate pki` when things come twice, late, in the wrong order, or after somebody pulled the plug."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.base.clock import DAY, HOUR, format_time, parse_time, to_datetime
from gateway.base.errors import TallygateError
from gateway.pki import certificates as x
from gateway.pki.authority import Authority
from gateway.pki.enrolment import Candidate, Case, judge
from gateway.pki.names import Holder
from tests.integration.gateway_cli import Program
from tests.unit.election_folder import TOML, key, write
from tests.unit.pki_helpers import NOW, Fields, commission_fields, courier_fields, device_fields, encode

CLOSES = "2031-10-05T20:00:00+06:00"
CLOSES_AT = parse_time(CLOSES)
LATER = "2031-11-02T20:00:00+06:00"
LATER_AT = parse_time(LATER)
DEVICES = "device,kind,station,area,key,serial\n1,box,11,,,A-1\n2,box,12,,,A-2\n3,desk,,1,,\n"


@pytest.fixture
def tallygate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture
def ca(tmp_path: Path, tallygate: Program) -> Path:
    tallygate.good("pki", "ca", tmp_path / "ca", "--id", "test-1", "--closes-at", CLOSES)
    return tmp_path / "ca"


def put(path: Path, fields: Fields) -> Path:
    path.write_bytes(encode(fields))
    return path


def device(path: Path, number: int = 1, tls: Ed25519PrivateKey | None = None) -> Path:
    return put(path, device_fields(number, tls=tls, election="test-1"))


def postponed(folder: Path) -> Path:
    toml = folder / "election.toml"
    toml.write_text(toml.read_text().replace("2031-10-05T20:00:00+06:00", LATER))
    return folder


def crl_of(ca: Path) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((ca / "crl.pem").read_bytes())


def revoked(ca: Path) -> list[str]:
    return [x.serial_text(entry.serial_number) for entry in crl_of(ca)]


def serial(path: Path) -> str:
    return x.serial_text(x.load_certificate(path.read_bytes(), place="").serial_number)


# A key that was given up stays given up ----------------------------------------------------------------


def test_a_compromised_tls_key_never_comes_back(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    first, second = device(tmp_path / "first"), device(tmp_path / "second")
    tallygate.good("pki", "enrol", ca, first, "--kind", "box")
    tallygate.good("pki", "revoke", ca, "1", "--reason", "key-compromise")
    said = tallygate.good("pki", "enrol", ca, second, "--kind", "box", "--replace", "1")
    assert "key-compromise" in said
    index = (ca / "issued.ndjson").read_bytes()
    for arguments in ((), ("--replace", "1")):
        ended = tallygate("pki", "enrol", ca, first, "--kind", "box", *arguments)
        assert (ended.code, "[enrol.key_taken]" in ended.err) == (1, True)
    assert (ca / "issued.ndjson").read_bytes() == index


def test_a_key_that_was_replaced_never_comes_back(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    first, second = device(tmp_path / "first"), device(tmp_path / "second")
    tallygate.good("pki", "enrol", ca, first, "--kind", "box")
    tallygate.good("pki", "enrol", ca, second, "--kind", "box", "--replace", "1")
    ended = tallygate("pki", "enrol", ca, first, "--kind", "box", "--replace", "1")
    assert (ended.code, "[enrol.key_taken]" in ended.err) == (1, True)


def test_a_revocation_is_of_the_key_whatever_certificates_it_has(
    tmp_path: Path, ca: Path, tallygate: Program
) -> None:
    folder, path = write(tmp_path / "folder", {"devices.csv": DEVICES}), device(tmp_path / "first")
    tallygate.good("pki", "enrol", ca, path, "--election", folder)
    old = serial(ca / "certificates" / "box-1.pem")
    tallygate.good("pki", "enrol", ca, path, "--election", postponed(folder))
    new = serial(ca / "certificates" / "box-1.pem")
    tallygate.good("pki", "revoke", ca, old, "--reason", "key-compromise")
    assert set(revoked(ca)) == {old, new}
    ended = tallygate("pki", "enrol", ca, path, "--election", folder, "--replace", "1")
    assert (ended.code, "[enrol.key_taken]" in ended.err) == (1, True)


# Another closing time ----------------------------------------------------------------------------------


def test_a_postponement_reaches_everything(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    folder, path = write(tmp_path / "folder", {"devices.csv": DEVICES}), device(tmp_path / "first")
    tallygate.good("pki", "enrol", ca, path, "--election", folder)
    postponed(folder)
    said = tallygate.good("pki", "enrol", ca, path, "--election", folder)
    assert "1 renewed" in said
    # The later date was used once, and everything after it keeps to it.
    tallygate.good("pki", "crl", ca)
    assert revoked(ca) == []
    assert crl_of(ca).next_update_utc == to_datetime(LATER_AT + x.CRL_AFTER_CLOSE)
    tallygate.good("pki", "server", ca, "--name", "results.example")
    for name in ("server.pem", "certificates/box-1.pem"):
        certificate = x.load_certificate((ca / name).read_bytes(), place="")
        assert certificate.not_valid_after_utc == to_datetime(LATER_AT + x.LEAF_AFTER_CLOSE)


@pytest.mark.parametrize("command", ["server", "crl", "revoke"])
def test_every_command_takes_the_closing_time_of_the_folder(
    tmp_path: Path, ca: Path, tallygate: Program, command: str
) -> None:
    folder = write(tmp_path / "folder")
    tallygate.good("pki", "enrol", ca, device(tmp_path / "first"), "--kind", "box")
    postponed(folder)
    more = {"server": ("--name", "a.example"), "crl": (), "revoke": ("1", "--reason", "superseded")}[command]
    tallygate.good("pki", command, ca, *more, "--election", folder)
    tallygate.good("pki", "crl", ca)
    assert crl_of(ca).next_update_utc == to_datetime(LATER_AT + x.CRL_AFTER_CLOSE)


def test_a_ca_of_an_election_folder(tmp_path: Path, tallygate: Program) -> None:
    folder, ca = write(tmp_path / "folder"), tmp_path / "ca"
    tallygate.good("pki", "ca", ca, "--election", folder)
    settings = json.loads((ca / "ca.json").read_bytes())
    assert (settings["election"], settings["closes_at"]) == ("test-1", CLOSES_AT)
    assert tallygate("pki", "ca", tmp_path / "b", "--election", folder, "--id", "test-1").code == 2
    other = write(tmp_path / "other", {"election.toml": TOML.replace("test-1", "test-2")})
    ended = tallygate("pki", "crl", ca, "--election", other)
    assert (ended.code, "[pki.other_election]" in ended.err) == (1, True)


# The clock ---------------------------------------------------------------------------------------------


def set_clock(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr("gateway.cli.pki.system_clock", lambda: at)


def test_a_verifier_whose_clock_is_a_little_slow_takes_the_crl(ca: Path, tallygate: Program) -> None:
    tallygate.good("pki", "crl", ca)
    assert crl_of(ca).last_update_utc == to_datetime(NOW - HOUR)


@pytest.mark.parametrize("back", [366 * DAY, 1_000, NOW])
def test_a_clock_that_went_back_signs_nothing(
    tmp_path: Path, ca: Path, tallygate: Program, monkeypatch: pytest.MonkeyPatch, back: int
) -> None:
    tallygate.good("pki", "enrol", ca, device(tmp_path / "first"), "--kind", "box")
    before = (ca / "issued.ndjson").read_bytes()
    set_clock(monkeypatch, NOW - back)
    for arguments in (
        ("server", ca, "--name", "a.example"),
        ("crl", ca),
        ("revoke", ca, "1", "--reason", "superseded"),
        ("enrol", ca, device(tmp_path / "second", 2), "--kind", "box"),
    ):
        ended = tallygate("pki", *arguments)
        assert (ended.code, "[pki.clock]" in ended.err) == (1, True)
        assert format_time(NOW) in ended.err
    assert (ca / "issued.ndjson").read_bytes() == before
    assert not (ca / "crl.pem").exists()


def test_crl_numbers_grow_also_where_the_last_crl_is_lost(
    ca: Path, tallygate: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, NOW + DAY)
    numbers = []
    for _ in range(3):
        tallygate.good("pki", "crl", ca)
        numbers.append(x.crl_number((ca / "crl.pem").read_bytes(), place=""))
        (ca / "crl.pem").unlink()
    assert numbers == [NOW + DAY, NOW + DAY + 1, NOW + DAY + 2]


def test_from_when_a_certificate_is_good_is_said(tmp_path: Path, tallygate: Program) -> None:
    said = tallygate.good("pki", "ca", tmp_path / "ca", "--id", "test-1", "--closes-at", CLOSES)
    assert said.count(f"from {to_datetime(NOW - HOUR):%Y-%m-%d}") == 2


@pytest.mark.parametrize(
    "closes", ["2025-11-29T20:00:00+06:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_closing_time_that_cannot_be(tmp_path: Path, ca: Path, tallygate: Program, closes: str) -> None:
    ended = tallygate("pki", "ca", tmp_path / "other", "--id", "test-1", "--closes-at", closes)
    assert (ended.code, "[pki.expires]" in ended.err) == (1, True)
    assert not (tmp_path / "other").exists()
    if closes.startswith("9999"):
        for arguments in (("crl", ca), ("server", ca, "--name", "a.example")):
            ended = tallygate("pki", *arguments, "--closes-at", closes)
            assert (ended.code, "[pki.expires]" in ended.err) == (1, True)


# The plug is pulled ------------------------------------------------------------------------------------

# Runs the program, and kills it at its n-th durable step; n = 0: never, and says how many there were.
KILLED = """
import os, signal, sys
from gateway.cli import pki, tallygate
from gateway.cli.shared import run

count, seen = int(sys.argv[1]), 0

def killing(real):
    def call(*arguments, **options):
        global seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for name in ("fsync", "rename", "replace"):
    setattr(os, name, killing(getattr(os, name)))
at = int(sys.argv[2])
pki.system_clock = lambda: at
sys.argv[1:3] = []
sys.argv[0] = "tallygate"
code = run(tallygate)
print("steps", seen)
sys.exit(code)
"""


def killed(count: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(count), str(NOW), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )


def copied(ca: Path, to: Path) -> Path:
    to.mkdir()
    subprocess.run(["cp", "-a", ca, to / "ca"], check=True)
    return to / "ca"


def test_a_replacement_that_was_killed_is_finished(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    first, second = device(tmp_path / "first"), device(tmp_path / "second")
    tallygate.good("pki", "enrol", ca, first, "--kind", "box")
    old = serial(ca / "certificates" / "box-1.pem")
    command = (second, "--kind", "box", "--replace", "1")
    count = 0
    while True:
        count += 1
        there = copied(ca, tmp_path / f"at-{count}")
        ended = killed(count, "pki", "enrol", there, *command)
        if ended.returncode != -signal.SIGKILL:
            assert ended.returncode == 0, ended.stderr
            break
        tallygate.good("pki", "enrol", there, *command)
        assert revoked(there) == [old]
        new = serial(there / "certificates" / "box-1.pem")
        assert new != old
        lines = [json.loads(line) for line in (there / "issued.ndjson").read_bytes().splitlines()]
        assert [line["serial"] for line in lines if line["event"] == "issued"] == [old, new]
    assert count > 6


def test_an_index_line_that_was_cut_off_is_as_if_never_written(
    tmp_path: Path, ca: Path, tallygate: Program
) -> None:
    """Also where the old certificate's end and the new one stand in it: both, or neither."""
    first, second = device(tmp_path / "first"), device(tmp_path / "second")
    tallygate.good("pki", "enrol", ca, first, "--kind", "box")
    before = (ca / "issued.ndjson").read_bytes()
    tallygate.good("pki", "enrol", ca, second, "--kind", "box", "--replace", "1")
    added = (ca / "issued.ndjson").read_bytes().removeprefix(before)
    (ca / "issued.ndjson").write_bytes(before + added[: added.index(b"\n")])
    tallygate.good("pki", "enrol", ca, first, "--kind", "box")
    said = tallygate.good("pki", "enrol", ca, second, "--kind", "box", "--replace", "1")
    assert "1 enrolled" in said


def test_a_server_that_was_killed_is_finished(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    count = 0
    while True:
        count += 1
        there = copied(ca, tmp_path / f"at-{count}")
        command = ("pki", "server", there, "--name", "a.example")
        ended = killed(count, *command)
        if ended.returncode != -signal.SIGKILL:
            assert ended.returncode == 0, ended.stderr
            break
        again = tallygate(*command)
        # Killed at its very end, everything is there, and the command says so.
        assert again.code == 0 or "[pki.server_exists]" in again.err
        key_ = x.load_key((there / "server.key").read_bytes(), place="")
        certificate = x.load_certificate((there / "server.pem").read_bytes(), place="")
        assert certificate.public_key() == key_.public_key()
        assert sorted(path.name for path in there.glob("server*")) == ["server.key", "server.pem"]
        lines = (there / "issued.ndjson").read_bytes().splitlines()
        assert [json.loads(line)["event"] for line in lines].count("server") == 1
    assert count > 5
    # Once the key was carried to the gateway, nothing is unfinished.
    (there / "server.key").unlink()
    ended_ = tallygate("pki", "server", there, "--name", "a.example")
    assert (ended_.code, "[pki.server_exists]" in ended_.err) == (1, True)


def test_a_killed_ca_is_told(tmp_path: Path, tallygate: Program) -> None:
    place = tmp_path / "c[1]"
    assert killed(8, "pki", "ca", place, "--id", "test-1").returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    ended = tallygate("pki", "ca", place, "--id", "test-1")
    assert (ended.code, str(left) in ended.err) == (0, True)


def test_a_refused_ca_leaves_no_root(tmp_path: Path, tallygate: Program) -> None:
    root = tmp_path / "root"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments in (
        ("pki", "ca", tmp_path / "ca", "--id", "KG"),
        ("pki", "ca", tmp_path / "full", "--id", "kg"),
        ("pki", "ca", tmp_path / "no" / "ca", "--id", "kg"),
        ("pki", "ca", tmp_path / "ca", "--id", "kg", "--closes-at", "2025-11-29T20:00:00+06:00"),
    ):
        assert tallygate(*arguments, "--root", root, "--new-root").code == 1
        assert not root.exists()
    assert tallygate("pki", "ca", root, "--id", "kg", "--root", root, "--new-root").code == 2
    tallygate.good("pki", "ca", tmp_path / "ca", "--id", "kg", "--root", root, "--new-root")


def test_the_folder_one_stands_in(
    tmp_path: Path, tallygate: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "folder")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for arguments in (("pki", "ca", ".", "--id", "kg"), ("init", ".", "--election", folder, "--rehearsal")):
        ended = tallygate(*arguments)
        assert (ended.code, "[file.here]" in ended.err) == (1, True)
    assert list((tmp_path / "empty").iterdir()) == []


# Who is enrolled ---------------------------------------------------------------------------------------


def test_replacing_is_said_of_each_holder(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    for number in (1, 2):
        tallygate.good("pki", "enrol", ca, device(tmp_path / f"old-{number}", number), "--kind", "box")
    one, two = (device(tmp_path / f"new-{number}", number) for number in (1, 2))
    ended = tallygate("pki", "enrol", ca, one, two, "--kind", "box", "--replace", "1")
    assert (ended.code, ended.err.count("[enrol.duplicate]"), str(two) in ended.err) == (1, 1, True)
    ended = tallygate("pki", "enrol", ca, one, "--kind", "box", "--replace", "1", "--replace", "7")
    assert (ended.code, "7" in ended.err) == (2, True)
    assert tallygate("pki", "enrol", ca, one, "--kind", "box", "--replace", "box-1").code == 2
    said = tallygate.good("pki", "enrol", ca, one, two, "--kind", "box", "--replace", "1", "--replace", "2")
    assert "2 old ones revoked" in said


def test_a_revoked_holder_comes_back_only_by_name_and_aloud(
    tmp_path: Path, ca: Path, tallygate: Program
) -> None:
    tallygate.good("pki", "enrol", ca, device(tmp_path / "old"), "--kind", "box")
    tallygate.good("pki", "revoke", ca, "1", "--reason", "key-compromise")
    new = device(tmp_path / "new")
    ended = tallygate("pki", "enrol", ca, new, "--kind", "box")
    assert (ended.code, "[enrol.duplicate]" in ended.err, "key-compromise" in ended.err) == (1, True, True)
    line = json.loads(tallygate.good("pki", "enrol", ca, new, "--kind", "box", "--replace", "1", "--json"))
    assert (line["replaced"], line["revoked_before"]) == ([], "key-compromise")


def test_the_keys_are_said(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    tls = Ed25519PrivateKey.generate()
    path = device(tmp_path / "request", tls=tls)
    sign_key = json.loads(path.read_bytes())["sign_key"]
    tls_key = x.key_id(x.public_key_der(tls.public_key()))
    said = tallygate.good("pki", "enrol", ca, path, "--kind", "box")
    assert sign_key in said
    assert tls_key in said
    line = json.loads(tallygate.good("pki", "enrol", ca, path, "--kind", "box", "--json"))
    assert (line["sign_key"], line["tls_key"]) == (sign_key, tls_key)


def test_another_kind_is_another_enrolment(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    path = device(tmp_path / "request")
    tallygate.good("pki", "enrol", ca, path, "--kind", "box")
    old = serial(ca / "certificates" / "box-1.pem")
    ended = tallygate("pki", "enrol", ca, path, "--kind", "desk")
    assert (ended.code, "[enrol.duplicate]" in ended.err) == (1, True)
    tallygate.good("pki", "enrol", ca, path, "--kind", "desk", "--replace", "1")
    assert revoked(ca) == [old]
    # The certificate that is no longer good does not lie about, to be carried somewhere.
    assert [path.name for path in (ca / "certificates").iterdir()] == ["desk-1.pem"]
    # The key was never given up: a later closing time renews it.
    said = tallygate.good("pki", "enrol", ca, path, "--kind", "desk", "--closes-at", LATER)
    assert "1 renewed" in said


def test_only_devices_are_enrolled_without_the_tables(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    box = device(tmp_path / "box")
    for path in (
        put(tmp_path / "member", commission_fields(1, election="test-1")),
        put(tmp_path / "courier", courier_fields(1)),
    ):
        for arguments in ((), ("--kind", "box")):
            ended = tallygate("pki", "enrol", ca, box, path, *arguments)
            assert ended.code == 1
            assert f"{path}: " in ended.err
            assert "--election" in ended.err
    assert (ca / "issued.ndjson").read_bytes() == b""


def test_one_key_has_one_use_and_one_holder(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    shared, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    sign = put(tmp_path / "sign", device_fields(1, sign=shared, election="test-1"))
    tls = put(tmp_path / "tls", device_fields(2, tls=shared, election="test-1"))
    ended = tallygate("pki", "enrol", ca, sign, tls, "--kind", "box")
    assert (ended.code, ended.err.count("[enrol.key_taken]")) == (1, 1)
    tallygate.good("pki", "enrol", ca, sign, "--kind", "box")
    same = put(tmp_path / "same", device_fields(1, tls=shared, sign=other, election="test-1"))
    for path in (tls, same):
        ended = tallygate("pki", "enrol", ca, path, "--kind", "box", "--replace", "1", "--replace", "2")
        assert ended.code in (1, 2)
        ended = tallygate("pki", "enrol", ca, path, "--kind", "box")
        assert (ended.code, "[enrol.key_taken]" in ended.err) == (1, True)
    # A key that stands in the tables is as taken as one that was enrolled.
    public = shared.public_key().public_bytes_raw().hex()
    folder = write(tmp_path / "folder", {"election.toml": TOML.replace(key(901).hex(), public)})
    (folder / "devices.csv").write_text(DEVICES)
    ended = tallygate("pki", "enrol", ca, tls, "--election", folder)
    assert (ended.code, "[enrol.key_taken]" in ended.err) == (1, True)


@pytest.mark.parametrize("wrong", ['"",', '"abc",', "17,"])
def test_a_faulty_commission_key_moves_nobody(
    tmp_path: Path, ca: Path, tallygate: Program, wrong: str
) -> None:
    sign = Ed25519PrivateKey.generate()
    public = sign.public_key().public_bytes_raw().hex()
    toml = TOML.replace(f'"{key(901).hex()}",', wrong).replace(key(902).hex(), public)
    folder = write(tmp_path / "folder", {"election.toml": toml})
    path = put(tmp_path / "member", commission_fields(1, sign=sign, election="test-1"))
    ended = tallygate("pki", "enrol", ca, path, "--election", folder)
    assert ended.code == 1
    assert "election.toml:" in ended.err
    assert (ca / "issued.ndjson").read_bytes() == b""


def test_a_table_that_cannot_be_filled_stops_before_anything_is_issued(
    tmp_path: Path, ca: Path, tallygate: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "folder", {"devices.csv": DEVICES})

    def changed(
        ca: Authority, candidates: Sequence[Candidate], *, replace: Collection[Holder]
    ) -> tuple[list[Case], list[TallygateError]]:
        (folder / "devices.csv").write_text(DEVICES.replace("1,box", "9,box"))
        return judge(ca, candidates, replace=replace)

    monkeypatch.setattr("gateway.cli.pki.judge", changed)
    ended = tallygate("pki", "enrol", ca, device(tmp_path / "request"), "--election", folder)
    assert (ended.code, "[enrol.table_changed]" in ended.err) == (1, True)
    assert (ca / "issued.ndjson").read_bytes() == b""


# What comes from elsewhere -----------------------------------------------------------------------------


def test_nothing_foreign_reaches_the_terminal_as_it_is(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    path = tmp_path / "re\x1b[2Jquest\nerror: all is well"
    path.write_bytes(b'{"\\u001b[2J\\u202e": 1, "device": 1, "csr": ""}')
    ended = tallygate("pki", "enrol", ca, path, "--kind", "box")
    assert ended.code == 1
    assert "\x1b" not in ended.out + ended.err
    assert "\u202e" not in ended.err
    assert not any(line.startswith("error: all") for line in ended.err.splitlines())
    path.unlink()
    path.mkdir()
    ended = tallygate("pki", "enrol", ca, path, "--kind", "box")
    assert (ended.code, "\x1b" in ended.err) == (2, False)


def test_a_pipe_is_no_request(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = tallygate("pki", "enrol", ca, tmp_path / "pipe", "--kind", "box")
    assert (ended.code, "[enrol.not_a_file]" in ended.err) == (1, True)


def test_a_field_that_stands_twice(tmp_path: Path, ca: Path, tallygate: Program) -> None:
    fields = encode(device_fields(1, election="test-1"))
    (tmp_path / "request").write_bytes(b'{"device": 7, ' + fields[1:])
    ended = tallygate("pki", "enrol", ca, tmp_path / "request", "--kind", "box")
    assert (ended.code, "[enrol.malformed]" in ended.err) == (1, True)
