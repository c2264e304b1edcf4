"""`tallygate init`: the night of a built definition, and a rehearsal's in one step."""

import base64
import contextlib
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from rich.pretty import pretty_repr

from clients.box import bundle
from clients.wire.note import VerifierKey
from gateway import _core
from gateway.base.clock import DAY, MINUTE, RehearsalClock, parse_time, system_clock, to_datetime
from gateway.base.config import Config
from gateway.election import build, read_folder
from gateway.pki import certificates as x
from gateway.pki.authority import open_authority
from gateway.pki.names import Holder
from gateway.pki.requests import CheckedRequest, check_request
from gateway.run import rehearsal
from gateway.run.rehearsal import BundleLine, Plan, init_rehearsal
from tests.integration.gateway_cli import Program
from tests.unit.election_folder import FILES, PNG, TOML, key, write
from tests.unit.pki_helpers import NOW

EXAMPLE = Path(__file__).parents[2] / "examples" / "hill-country"
CLOSES_AT = parse_time("2031-10-05T20:00:00+06:00")
STATIONS = "station,area,name_en,box\n11,2,One,yes\n12,3,Two,no\n13,3,Three,yes\n"

ORIGIN = ("--origin", "results.example/test-1")

Arguments: TypeAlias = list[str | Path]


@pytest.fixture
def tallygate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


def lines(night: Path) -> list[BundleLine]:
    data = (night / "devices" / "bundle.ndjson").read_bytes()
    assert data.endswith(b"\n")
    return [msgspec.json.decode(line, type=BundleLine, strict=True) for line in data.splitlines()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def secrets(night: Path) -> Iterator[bytes]:
    """Every private key of a night, in each form in which somebody could write it."""
    for name in ("log.key", "snapshot.key"):
        seed = (night / "keys" / name).read_bytes()
        yield from (seed, seed.hex().encode(), base64.b64encode(seed))
    for path in (night / "pki").rglob("*.key"):
        yield path.read_bytes().splitlines()[1]
    for line in lines(night) if (night / "devices").exists() else ():
        yield line.tls_key.splitlines()[1].encode()
        if line.sign_seed is not None:
            yield from (line.sign_seed.encode(), bytes.fromhex(line.sign_seed))


# A night for a built definition ------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = write(tmp_path / "folder")
    found, faults = build(folder, tmp_path / "built")
    assert found is not None, faults.kept()
    return tmp_path / "built"


def test_the_night_of_a_built_definition(tmp_path: Path, built: Path, tallygate: Program) -> None:
    night = tmp_path / "night"
    said = tallygate.good("init", night, "--definition", built, "--origin", "results.example/test-1")
    assert sorted(path.name for path in night.iterdir()) == [
        "data", "definition", "embargo", "feed", "information", "keys", "pki", "roster", "run",
        "tallygate.toml",
    ]  # fmt: skip
    for name in ("definition", "roster", "information"):
        copied = {path.name: path.read_bytes() for path in (night / name).iterdir()}
        assert copied == {path.name: path.read_bytes() for path in (built / name).iterdir()}
    for name in ("log.key", "snapshot.key"):
        assert mode(night / "keys" / name) == 0o600
        assert (night / "keys" / name).stat().st_size == 32
    assert mode(night / "keys") == 0o700
    assert mode(night / "pki") == 0o700
    assert mode(night / "feed") == 0o755
    assert list((night / "pki").iterdir()) == []
    assert list((night / "data" / "opening").iterdir()) == []
    assert msgspec.convert(tomllib.loads((night / "tallygate.toml").read_text()), Config) == Config()
    log = _core.public_key((night / "keys" / "log.key").read_bytes())
    snapshot = _core.public_key((night / "keys" / "snapshot.key").read_bytes())
    assert log != snapshot
    roster = _core.Roster.load(night / "roster", _core.Definition.load(night / "definition"))
    for expected in (
        _core.vkey("results.example/test-1", log),
        _core.vkey("results.example/test-1/snapshot", snapshot),
        log.hex(),
        snapshot.hex(),
        roster.hash.hex(),
        "2 of 2 members",
    ):
        assert expected in said
    for secret in secrets(night):
        assert secret.decode("latin-1") not in said


def test_the_origin_is_said_or_stands_in_the_folder(tmp_path: Path, built: Path, tallygate: Program) -> None:
    folder = tmp_path / "folder"
    ended = tallygate("init", tmp_path / "night", "--definition", built)
    assert (ended.code, "final with decision 1" in " ".join(ended.err.split())) == (2, True)
    ended = tallygate("init", tmp_path / "night", "--definition", built, "--election", folder)
    assert (ended.code, "[init.origin]" in ended.err) == (1, True)
    toml = folder / "election.toml"
    toml.write_text(f'origin = "official.example/hill"\n{toml.read_text()}')
    out = json.loads(
        tallygate.good("init", tmp_path / "night", "--definition", built, "--election", folder, "--json")
    )
    assert out["origin"] == "official.example/hill"
    assert (out["election"], out["mode"]) == ("test-1", "live")
    assert VerifierKey.parse(out["log_key"]).name == "official.example/hill"
    toml.write_text(toml.read_text().replace("test-1", "test-2"))
    ended = tallygate("init", tmp_path / "other", "--definition", built, "--election", folder)
    assert (ended.code, "[init.other_election]" in ended.err) == (1, True)
    for origin in ("a_machine/b", "", "https://a.example"):
        ended = tallygate("init", tmp_path / "other", "--definition", built, "--origin", origin)
        assert (ended.code, "[init.origin]" in ended.err) == (1, True)
    assert not (tmp_path / "other").exists()


def test_only_what_the_manifests_name_comes_into_the_night(tmp_path: Path, tallygate: Program) -> None:
    contests = {"choices.csv": "contest,choice,name_en,photo\n1,1,Alpha,a.png\n1,2,Beta,\n"}
    found, faults = build(write(tmp_path / "folder", {**contests, "media/a.png": PNG}), tmp_path / "built")
    assert found is not None, faults.kept()
    built = tmp_path / "built"
    for name in ("definition/notes.txt", "information/media/b.png", "roster/ca.key"):
        (built / name).write_bytes(b"x")
    (built / "definition" / "passwords").symlink_to("/etc/passwd")
    (built / "definition" / "areas.csv").chmod(0o600)
    (built / "information" / "media" / "a.png").chmod(0o777)
    before = os.umask(0o077)
    try:
        tallygate.good("init", tmp_path / "night", "--definition", built, *ORIGIN)
    finally:
        os.umask(before)
    night = tmp_path / "night"
    names = {path.relative_to(night).as_posix() for path in night.rglob("*")}
    assert "information/media/a.png" in names
    assert not names & {
        "definition/notes.txt", "definition/passwords", "information/media/b.png", "roster/ca.key",
    }  # fmt: skip
    for name in ("definition", "roster", "information"):
        assert mode(night / name) == 0o755
        for path in (night / name).rglob("*"):
            assert mode(path) == (0o755 if path.is_dir() else 0o644), path
    # Nobody else judges the bytes of a picture, and a link is nobody's file.
    picture = built / "information" / "media" / "a.png"
    picture.write_bytes(PNG + b"?")
    ended = tallygate("init", tmp_path / "other", "--definition", built, *ORIGIN)
    assert (ended.code, "[definition.media_changed]" in ended.err) == (1, True)
    picture.unlink()
    picture.symlink_to(tmp_path / "folder" / "media" / "a.png")
    ended = tallygate("init", tmp_path / "other", "--definition", built, *ORIGIN)
    assert (ended.code, "[init.not_a_file]" in ended.err) == (1, True)
    assert not (tmp_path / "other").exists()


def test_a_definition_that_was_touched(tmp_path: Path, built: Path, tallygate: Program) -> None:
    stations = built / "definition" / "stations.csv"
    good = stations.read_bytes()
    stations.write_bytes(good.replace(b",100,", b",900,"))
    ended = tallygate("init", tmp_path / "night", "--definition", built, *ORIGIN)
    assert (ended.code, "[table.changed]" in ended.err) == (1, True)
    stations.write_bytes(good)
    (built / "information" / "information.json").unlink()
    ended = tallygate("init", tmp_path / "night", "--definition", built, *ORIGIN)
    assert (ended.code, "[manifest.missing]" in ended.err) == (1, True)
    ended = tallygate("init", tmp_path / "night", "--definition", tmp_path / "folder", *ORIGIN)
    assert (ended.code, "[manifest.missing]" in ended.err) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "folder"]


def test_a_built_definition_is_never_rehearsed(tmp_path: Path, built: Path, tallygate: Program) -> None:
    ended = tallygate("init", tmp_path / "night", "--definition", built, "--rehearsal")
    assert (ended.code, "[init.live_definition]" in ended.err) == (1, True)
    ended = tallygate("init", tmp_path / "night", "--election", built, "--rehearsal")
    assert (ended.code, "[init.built_definition]" in ended.err) == (1, True)
    assert not (tmp_path / "night").exists()


# A rehearsal -------------------------------------------------------------------------------------------


def test_a_rehearsal_of_a_live_folder(tmp_path: Path, tallygate: Program) -> None:
    folder = write(
        tmp_path / "folder",
        {"devices.csv": None, "stations.csv": STATIONS, "couriers.csv": "courier,area,name\n5,3,Van\n"},
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    night = tmp_path / "night"
    said = tallygate.good("init", night, "--election", folder, "--rehearsal", "--speed", "60")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    definition = _core.Definition.load(night / "definition")
    roster = _core.Roster.load(night / "roster", definition)
    assert (definition.id, definition.mode) == ("test-1-rehearsal", "rehearsal")
    assert len(definition.commission_keys) == 3
    assert definition.commission_quorum == 2
    assert not {key(901), key(902)} & set(definition.commission_keys)

    found = lines(night)
    assert [(line.role, line.id, line.device, line.stations, line.area) for line in found] == [
        ("box", 1, 1, (11,), None),
        ("terminal", 2, 2, (11,), None),
        ("terminal", 3, 3, (12,), None),
        ("box", 4, 4, (13,), None),
        ("terminal", 5, 5, (13,), None),
        ("desk", 6, 6, (), 1),
        ("courier", 5, None, (), 3),
        ("commission", 1, None, (), None),
        ("commission", 2, None, (), None),
        ("commission", 3, None, (), None),
    ]
    for line in found:
        if line.device is not None:
            device = roster.device(line.device)
            assert device is not None
            assert (device.kind, tuple(device.stations)) == (line.role, line.stations)
            assert device.key.hex() == line.sign_key
        if line.role == "commission":
            assert definition.commission_keys[line.id - 1].hex() == line.sign_key
        if line.role == "courier":
            assert (line.sign_seed, line.sign_key) == (None, None)
        else:
            assert line.sign_seed is not None
            assert _core.public_key(bytes.fromhex(line.sign_seed)).hex() == line.sign_key
    assert repr(found[0]) == "BundleLine(box 1)"
    assert pretty_repr(found[0]) == "BundleLine(role='box', id=1)"
    assert mode(night / "devices") == 0o700
    assert mode(night / "devices" / "bundle.ndjson") == 0o600
    assert mode(night / "devices" / "site.json") == 0o600

    clock = msgspec.json.decode((night / "clock.json").read_bytes(), type=RehearsalClock)
    assert clock.real_start is None
    assert [(segment.at, segment.speed) for segment in clock.segments] == [(CLOSES_AT - 15 * MINUTE, 60)]
    assert "2031-10-05T13:45:00.000Z, speed 60" in said
    for secret in secrets(night):
        assert secret.decode("latin-1") not in said


def test_its_certificates(tmp_path: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder", {"couriers.csv": "courier,name\n1,Van\n"})
    night = tmp_path / "night"
    tallygate.good("init", night, "--election", folder, "--rehearsal")
    ca = x.load_certificate((night / "pki" / "ca.pem").read_bytes(), place="")
    until = to_datetime(NOW + rehearsal.KEPT)
    uris = set()
    for line in lines(night):
        certificate = x.load_certificate(line.certificate.encode(), place="")
        certificate.verify_directly_issued_by(ca)
        private = x.load_key(line.tls_key.encode(), place="")
        assert certificate.public_key() == private.public_key()
        assert certificate.not_valid_after_utc > until
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris |= set(names.get_values_for_type(x509.UniformResourceIdentifier))
    assert uris == {
        f"urn:tallygate:test-1-rehearsal:{holder}"
        for holder in ("box:1", "box:2", "courier:1", "commission:1", "commission:2", "commission:3")
    }
    server = x.load_certificate((night / "pki" / "server.pem").read_bytes(), place="")
    server.verify_directly_issued_by(ca)
    san = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in san.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    use = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.SERVER_AUTH]
    crl = x509.load_pem_x509_crl((night / "pki" / "crl.pem").read_bytes())
    assert list(crl) == []
    assert crl.next_update_utc is not None
    assert crl.next_update_utc >= until + (to_datetime(14 * DAY) - to_datetime(0))
    for secret in (night / "pki").rglob("*.key"):
        assert mode(secret) == 0o600
    # The CA is the rehearsal's own: what a real one can do, it can do.
    said = tallygate.good("pki", "revoke", night / "pki", "1", "--reason", "key-compromise")
    assert "1 revoked" in said


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """A whole handshake in memory, both ways until both are content.

    Returns:
        The URI in the certificate that the server saw.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    behind = server.wrap_bio(to_server, to_client, server_side=True)
    before = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(4):
        for side in (before, behind):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert before.version() == "TLSv1.3"
    seen = behind.getpeercert()
    assert seen is not None
    return str(seen["subjectAltName"])


def test_its_certificates_carry_mutual_tls(tmp_path: Path) -> None:
    night = tmp_path / "night"
    # The machine's clock is the one that OpenSSL asks.
    init_rehearsal(night, write(tmp_path / "folder"), Plan(), now=system_clock(), progress=lambda *_: None)
    pki = night / "pki"

    def server() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.pem", pki / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED
        # The election's CA is the anchor, not its root: another election's devices are strangers.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_CRL_CHECK_LEAF
        context.load_verify_locations(pki / "ca.pem")
        context.load_verify_locations(pki / "crl.pem")
        return context

    def client(line: BundleLine) -> ssl.SSLContext:
        (tmp_path / "tls.pem").write_text(line.tls_key + line.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(pki / "ca.pem")
        context.load_cert_chain(tmp_path / "tls.pem")
        return context

    first, second = lines(night)[:2]
    assert "urn:tallygate:test-1-rehearsal:box:1" in shake_hands(server(), client(first))
    with open_authority(pki, now=system_clock()) as ca:
        issued = ca.index.latest(Holder("device", 1))
        assert issued is not None
        ca.revoke(issued, "key-compromise")
        ca.write_crl()
    with pytest.raises(ssl.SSLError, match="revoked"):
        shake_hands(server(), client(first))
    assert "box:2" in shake_hands(server(), client(second))


def test_its_opening(tmp_path: Path, tallygate: Program) -> None:
    keys = "".join(f'    "{key(number).hex()}",\n' for number in range(801, 804))
    toml = TOML.replace("commission_keys = [\n", f"commission_keys = [\n{keys}")
    toml += (
        'commission_quorum = 4\norigin = "results.example/test"\nlanguages = ["en", "ky"]\ntitle_ky = "T"\n'
    )
    folder = write(tmp_path / "folder", {"election.toml": toml})
    night = tmp_path / "night"
    out = json.loads(tallygate.good("init", night, "--election", folder, "--rehearsal", "--json"))
    definition = _core.Definition.load(night / "definition")
    roster = _core.Roster.load(night / "roster", definition)
    assert (len(definition.commission_keys), definition.commission_quorum) == (5, 4)
    files = sorted((night / "data" / "opening").iterdir())
    assert [path.name for path in files] == [f"commission-{n}.cose" for n in (1, 2, 3, 4)]
    log = _core.public_key((night / "keys" / "log.key").read_bytes())
    snapshot = _core.public_key((night / "keys" / "snapshot.key").read_bytes())
    payloads = set()
    for statement in _core.check_statements([path.read_bytes() for path in files], definition, roster):
        assert isinstance(statement, _core.Statement), statement
        payloads.add(statement.payload)
        _, previous, number, decided_at, reasons, action = statement.content
        assert (previous, number, decided_at) == (b"", 1, CLOSES_AT - 15 * MINUTE)
        assert isinstance(reasons, tuple)
        assert [reason[0] for reason in reasons if isinstance(reason, tuple)] == ["en", "ky"]
        assert action == (1, out["origin"], log, snapshot, roster.hash, out["software"])
    assert len(payloads) == 1
    vkey = VerifierKey.parse(out["log_key"])
    assert (vkey.name, vkey.key) == (out["origin"], log)
    assert out["origin"].startswith("rehearsal.invalid/test-1-rehearsal/")
    assert out["software"] == f"tallygate {_core.__version__}"


def test_its_devices_find_their_keys(tmp_path: Path, tallygate: Program) -> None:
    """The other side of docs/keys.md: the ballot box's own reader."""
    night = tmp_path / "night"
    tallygate.good("init", night, "--election", write(tmp_path / "folder"), "--rehearsal")
    found = bundle.read(night / "devices", 2)
    assert found.role == "box"
    site = json.loads((night / "devices" / "site.json").read_bytes())
    assert site == {
        "addresses": ["127.0.0.1:8443"],
        "ca": (night / "pki" / "ca.pem").read_text(),
        "log_key": site["log_key"],
        "definition": _core.Definition.load(night / "definition").hash.hex(),
        "election": "test-1-rehearsal",
        "mode": "rehearsal",
    }


def test_keys_of_real_devices_are_replaced(tmp_path: Path, tallygate: Program) -> None:
    devices = f"device,kind,station,key,serial\n7,box,11,{key(7).hex()},A\n8,box,12,,B\n9,terminal,,,C\n"
    folder = write(tmp_path / "folder", {"devices.csv": devices})
    tallygate.good("init", tmp_path / "night", "--election", folder, "--rehearsal")
    found = [line for line in lines(tmp_path / "night") if line.device is not None]
    assert [(line.device, line.role, line.stations) for line in found] == [
        (7, "box", (11,)),
        (8, "box", (12,)),
        (9, "terminal", ()),
    ]
    assert found[0].sign_key != key(7).hex()


def test_a_desk_has_its_area(tmp_path: Path, tallygate: Program) -> None:
    devices = "device,kind,station,area,key\n1,box,11,,\n2,box,12,,\n3,desk,,3,\n"
    folder = write(tmp_path / "folder", {"devices.csv": devices})
    tallygate.good("init", tmp_path / "night", "--election", folder, "--rehearsal")
    desk = lines(tmp_path / "night")[2]
    assert (desk.role, desk.device, desk.stations, desk.area) == ("desk", 3, (), 3)


def test_where_devices_on_other_machines_take_part(tmp_path: Path, tallygate: Program) -> None:
    folder, night = write(tmp_path / "folder"), tmp_path / "night"
    tallygate.good(
        "init", night, "--election", folder, "--rehearsal", "--host", "gw.example", "--host", "2001:db8::7",
        "--host", "localhost", "--port", "9443", "--start", "2031-10-05T19:00:00+06:00",
    )  # fmt: skip
    site = json.loads((night / "devices" / "site.json").read_bytes())
    assert site["addresses"] == ["gw.example:9443", "[2001:db8::7]:9443", "localhost:9443"]
    config = msgspec.convert(tomllib.loads((night / "tallygate.toml").read_text()), Config)
    assert config.listen.box == ("0.0.0.0:9443", "[::]:9443")
    server = x.load_certificate((night / "pki" / "server.pem").read_bytes(), place="")
    san = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["localhost", "gw.example"]
    clock = msgspec.json.decode((night / "clock.json").read_bytes(), type=RehearsalClock)
    assert clock.segments[0].at == CLOSES_AT - 60 * MINUTE
    ended = tallygate("init", tmp_path / "other", "--election", folder, "--rehearsal", "--host", "*.example")
    assert (ended.code, "[pki.name]" in ended.err) == (1, True)
    assert not (tmp_path / "other").exists()


def test_two_rehearsals_have_nothing_in_common(tmp_path: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder")
    nights = [tmp_path / "one", tmp_path / "two"]
    out = []
    for night in nights:
        said = tallygate.good("init", night, "--election", folder, "--rehearsal", "--json")
        out.append(json.loads(said))
    for field in ("definition", "roster", "origin", "log_key", "snapshot_key"):
        assert out[0][field] != out[1][field]
    assert not set(secrets(nights[0])) & set(secrets(nights[1]))


def test_rehearsals_are_enrolled_as_everybody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def spy(data: bytes, election: str, *, place: str = "") -> CheckedRequest:
        checked = check_request(data, election, place=place)
        seen.append(str(checked.holder))
        return checked

    monkeypatch.setattr("gateway.pki.enrolment.check_request", spy)
    folder = write(tmp_path / "folder", {"couriers.csv": "courier,name\n1,Van\n"})
    made, _ = init_rehearsal(tmp_path / "night", folder, Plan(), now=NOW, progress=lambda *_: None)
    assert made is not None
    assert seen == ["1", "2", "courier:1", "commission:1", "commission:2", "commission:3"]
    with open_authority(made.folder / "pki", now=NOW) as ca:
        issued = ca.index.latest(Holder("device", 1))
        assert issued is not None
        assert issued.sign_key == lines(made.folder)[0].sign_key


def test_many_devices_are_made_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "POOL_FROM", 10)
    monkeypatch.setattr(rehearsal, "BATCH", 300)
    stations = "station,area,name_en\n" + "".join(f"{n},2,S{n}\n" for n in range(1, 201))
    areas = "area,parent,level,name_en\n1,,country,Country\n2,1,region,North\n"
    folder = write(tmp_path / "folder", {"devices.csv": None, "stations.csv": stations, "areas.csv": areas})
    steps: list[tuple[str, int, int]] = []
    made, _ = init_rehearsal(
        tmp_path / "night", folder, Plan(workers=2), now=NOW, progress=lambda *step: steps.append(step)
    )
    assert made is not None
    found = lines(made.folder)
    assert [line.id for line in found] == [*range(1, 402), 1, 2, 3]
    assert made.roster.device_count == 401
    assert ("making and enrolling keys", 300, 401) in steps


def test_faults_of_the_folder_are_all_shown(tmp_path: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder", {"stations.csv": FILES["stations.csv"] + "13,9,x,\n"})
    ended = tallygate("init", tmp_path / "night", "--election", folder, "--rehearsal")
    assert ended.code == 1
    assert "[definition.unknown_area]" in ended.err
    assert "[definition.not_a_number]" in ended.err
    assert list(tmp_path.iterdir()) == [folder]


def test_the_example(tmp_path: Path, tallygate: Program) -> None:
    night = tmp_path / "night"
    tallygate.good("init", night, "--election", EXAMPLE, "--rehearsal", "--speed", "10")
    definition = _core.Definition.load(night / "definition")
    roster = _core.Roster.load(night / "roster", definition)
    assert definition.id == "hill-country-2031-rehearsal"
    election, _ = read_folder(EXAMPLE, rehearsal=True)
    assert election is not None
    assert roster.device_count == 1 + sum(2 if station.box else 1 for station in election.stations)
    assert len(definition.commission_keys) == 5
    assert definition.commission_quorum == 3
    assert len(list((night / "data" / "opening").iterdir())) == 3
    assert len(lines(night)) == roster.device_count + len(roster.couriers) + 5


# What is never done ------------------------------------------------------------------------------------


def test_a_night_is_never_made_over_something(tmp_path: Path, built: Path, tallygate: Program) -> None:
    night = tmp_path / "night"
    tallygate.good("init", night, "--election", tmp_path / "folder", "--rehearsal")
    log = (night / "keys" / "log.key").read_bytes()
    again: list[Arguments] = [
        ["--election", tmp_path / "folder", "--rehearsal"],
        ["--definition", built, "--origin", "a.example/b"],
    ]
    for arguments in again:
        for place in (night, night / "tallygate.toml"):
            ended = tallygate("init", place, *arguments)
            assert (ended.code, "[file.exists]" in ended.err) == (1, True)
    assert (night / "keys" / "log.key").read_bytes() == log
    (tmp_path / "empty").mkdir()
    tallygate.good("init", tmp_path / "empty", "--election", tmp_path / "folder", "--rehearsal")


def test_wrong_usage(tmp_path: Path, built: Path, tallygate: Program) -> None:
    night, folder = tmp_path / "night", tmp_path / "folder"
    wrong: list[Arguments] = [
        [],
        ["--definition", built],
        ["--definition", built, "--election", folder, "--origin", "a/b"],
        ["--definition", built, "--rehearsal", "--origin", "a/b", "--port", "0"],
        ["--election", folder],
        ["--election", folder, "--rehearsal", "--origin", "a/b"],
        ["--election", folder, "--rehearsal", "--speed", "0"],
        ["--election", folder, "--rehearsal", "--speed", "1.5"],
        ["--election", folder, "--rehearsal", "--start", "20:00"],
        ["--election", folder, "--rehearsal", "--port", "0"],
        ["--election", tmp_path / "nothing", "--rehearsal"],
        ["--definition", built, "--speed", "2"],
        ["--definition", built, "--host", "a.example"],
    ]
    for arguments in wrong:
        assert tallygate("init", night, *arguments).code == 2, arguments
    assert not night.exists()
    assert "Example: tallygate init" in tallygate.good("init", "--help")


# Every fsync, rename and removal of an init is a place to be killed at.
KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.run.rehearsal import Plan, init_rehearsal

count = int(sys.argv[3])
seen = 0

def killing(real):
    def call(*arguments, **options):
        global seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for name in ("fsync", "rename", "replace", "rmdir"):
    setattr(os, name, killing(getattr(os, name)))
init_rehearsal(Path(sys.argv[1]), Path(sys.argv[2]), Plan(), now=int(sys.argv[4]), progress=lambda *_: None)
print(seen)
"""


def test_a_killed_init_leaves_no_night(tmp_path: Path, tallygate: Program) -> None:
    folder = write(tmp_path / "folder")
    root = Path(__file__).parents[2]

    def run(night: Path, count: int) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", KILLED, str(night), str(folder), str(count), str(NOW)]
        return subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=root)

    whole = run(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    calls = int(whole.stdout)
    for count in (*range(1, calls - 2, 23), calls - 2, calls - 1):
        night = tmp_path / f"night-{count}"
        assert run(night, count).returncode == -signal.SIGKILL
        assert not night.exists()
        (left,) = tmp_path.glob(f".night-{count}.unfinished-*")
        assert mode(left) in {0o700, 0o755}
        assert all(mode(key) == 0o600 for key in left.rglob("*.key"))
    # Of the last call, the parent's fsync, the night is there and whole; it may only not be durable.
    last = tmp_path / "last"
    assert run(last, calls).returncode == -signal.SIGKILL
    assert len(lines(last)) == 5
    # The next init says what is left of a killed one, and is not hindered by it.
    ended = tallygate("init", tmp_path / "night-1", "--election", folder, "--rehearsal")
    assert ended.code == 0
    assert f"a command that was interrupted left {tmp_path}/.night-1.unfinished-" in ended.err


def test_an_interrupted_init_leaves_nothing(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "building the manifests":
            raise KeyboardInterrupt

    folder = write(tmp_path / "folder")
    with pytest.raises(KeyboardInterrupt):
        init_rehearsal(tmp_path / "night", folder, Plan(), now=NOW, progress=stop)
    assert list(tmp_path.iterdir()) == [folder]
