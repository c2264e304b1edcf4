"""`tallygate site`: the file of a real night, which a device's own strict reader takes."""

from pathlib import Path

import pytest

from clients.wire.messages import Messages
from clients.wire.site import Address, Site
from gateway import _core
from gateway.election import build
from gateway.feed.messages import load
from gateway.run.night import NightKeys, opening
from tests.integration.gateway_cli import Program
from tests.unit.election_folder import write
from tests.unit.pki_helpers import NOW

ORIGIN = "results.example/test-1"


@pytest.fixture
def tallygate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture
def night(tmp_path: Path, tallygate: Program) -> Path:
    """A live night whose certificates are there and whose decision 1 is not signed yet."""
    folder = write(tmp_path / "folder")
    found, faults = build(folder, tmp_path / "built")
    assert found is not None, faults.kept()
    night, ca = tmp_path / "night", tmp_path / "ca"
    tallygate.good("init", night, "--definition", tmp_path / "built", "--origin", ORIGIN)
    tallygate.good("pki", "ca", ca, "--election", folder, "--root", tmp_path / "root", "--new-root")
    tallygate.good(
        "pki", "server", ca, "--election", folder, "--name", "gateway.example", "--name", "2001:db8::1"
    )
    for name in ("ca.pem", "server.pem"):
        (night / "pki" / name).write_bytes((ca / name).read_bytes())
    return night


def sign_the_opening(night: Path) -> str:
    definition = _core.Definition.load(night / "definition")
    roster = _core.Roster.load(night / "roster", definition)
    seeds = [(night / "keys" / f"{name}.key").read_bytes() for name in ("log", "snapshot")]
    keys = NightKeys(*map(_core.public_key, seeds))
    content = opening(definition, roster, keys, ORIGIN, decided_at=NOW, reason=(("en", "-"),))
    for member in (901, 902):
        statement = _core.sign("decision", content, member.to_bytes(32, "big"))
        (night / "data" / "opening" / f"{member}.cose").write_bytes(statement)
    return _core.vkey(ORIGIN, keys.log)


def test_a_device_takes_it(night: Path, tallygate: Program) -> None:
    vkey = sign_the_opening(night)
    out = tallygate.good(
        "site", night, "--address", "Gateway.example:8443", "--address", "[2001:DB8:0::1]:443"
    )
    site = Site.parse(out.encode(), "site.json")
    assert site.addresses == (Address("Gateway.example", 8443), Address("2001:db8::1", 443))
    assert site.ca == (night / "pki" / "ca.pem").read_text()
    assert str(site.log_key) == vkey
    assert site.definition == _core.Definition.load(night / "definition").hash
    assert (site.election, site.mode) == ("test-1", "live")


def test_texts_beside_it(night: Path, tallygate: Program, tmp_path: Path) -> None:
    sign_the_opening(night)
    file = tmp_path / "messages.json"
    out = tallygate.good("site", night, "--address", "gateway.example:8443", "--messages", file)
    assert Site.parse(out.encode(), "site.json").election == "test-1"
    read = Messages.parse(file.read_bytes(), "messages.json")
    assert read.sentence("H102", "kk") == load().codes["H102"]["kk"]


def test_without_decision_1_the_log_has_no_name(night: Path, tallygate: Program) -> None:
    ended = tallygate("site", night, "--address", "gateway.example:8443")
    assert (ended.code, ended.out, "[site.log_key]" in ended.err) == (1, "", True)


def test_an_address_that_the_certificate_is_not_for(night: Path, tallygate: Program) -> None:
    sign_the_opening(night)
    ended = tallygate("site", night, "--address", "gateway.example:8443", "--address", "192.0.2.7:8443")
    assert (ended.code, ended.out, "[site.address]" in ended.err) == (1, "", True)
    assert "192.0.2.7" in ended.err


@pytest.mark.parametrize("file", ["ca.pem", "server.pem"])
def test_what_is_missing_or_no_certificate_is_named(night: Path, tallygate: Program, file: str) -> None:
    sign_the_opening(night)
    path = night / "pki" / file
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    ended = tallygate("site", night, "--address", "gateway.example:8443")
    assert (ended.code, str(path) in ended.err, "[pki.certificate]" in ended.err) == (1, True, True)
    path.unlink()
    ended = tallygate("site", night, "--address", "gateway.example:8443")
    assert (ended.code, str(path) in ended.err) == (1, True)


@pytest.mark.parametrize("addresses", [[], ["gateway.example"], ["gateway.example:0"], ["g:1"] * 33])
def test_wrong_usage(night: Path, tallygate: Program, addresses: list[str]) -> None:
    given = [part for address in addresses for part in ("--address", address)]
    assert tallygate("site", night, *given).code == 2
