"""docs/keys.md can be typed: the ceremony and the request by OpenSSL, line for line, in a real shell."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.base.clock import system_clock
from gateway.pki.authority import open_authority
from gateway.pki.names import Holder
from gateway.run.folder import NightFolder, read_ready
from tests.integration.test_cli_serve import Gateways, tallygate

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "keys.md").read_text()


def typed(section: str) -> list[str]:
    """The lines behind a prompt in one section."""
    text = DOCS.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^ *\$ (.*)$", text, re.MULTILINE)


def shell(folder: Path, lines: list[str]) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ceremony(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "stick").mkdir()
    lines = [line.replace("/media/stick", str(tmp_path / "stick")) for line in typed("The ceremony")]
    assert len(lines) == 20
    shell(tmp_path, lines[:1])
    toml = tmp_path / "hill" / "election.toml"
    # The example closes in one certain year; this test is for all years.
    soon = datetime.now(UTC) + timedelta(days=60)
    toml.write_text(toml.read_text().replace("2031-10-05", f"{soon:%Y-%m-%d}"))
    place = next(number for number, line in enumerate(lines) if line.startswith("sed"))
    said = shell(tmp_path, lines[1 : place + 1])
    keys = said[said.index('    "') :]
    assert keys.count("\n") == 5
    toml.write_text(re.sub(r"(?<=commission_keys = \[\n)(    .*\n)+", keys, toml.read_text()))
    said = shell(tmp_path, lines[place + 1 :])
    assert "6 enrolled" in said
    boxes = (tmp_path / "hill" / "devices.csv").read_text().count("box")
    assert f"{boxes} enrolled" in said
    assert f"{boxes} keys written" in said
    assert "origin       results.hill-country.example/hill-country-2031" in said
    assert "signed by    member 1, member 3, member 4; 3 must, that is enough" in said
    assert (tmp_path / "box-101" / "tls.pem").exists()
    night = tmp_path / "night" / "pki"
    assert {path.name for path in night.iterdir()} == {"ca.pem", "crl.pem", "server.key", "server.pem"}
    with open_authority(tmp_path / "hill-ca", now=system_clock()) as ca:
        for holder in (Holder("device", 101), Holder("courier", 1), Holder("commission", 5)):
            assert ca.index.latest(holder) is not None
    gateways = Gateways(tmp_path)
    try:
        live(tmp_path, gateways)
    finally:
        gateways.stop()


def live(folder: Path, gateways: Gateways) -> None:
    """The night that the ceremony has made is served, and the commission decides with its own keys."""
    night = folder / "night"
    config = night / "tallygate.toml"
    text = re.sub(r":(8443|8080|964[0-3])\b", ":0", config.read_text())
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', text))
    said = shell(
        folder,
        [
            "tallygate pki server hill-ca --name 127.0.0.1 --replace",
            "cp hill-ca/server.pem hill-ca/server.key hill-ca/crl.pem night/pki",
            "tallygate open night opening.json",
        ],
    )
    assert "3 signatures of decision 1" in said
    running = gateways.start(tallygate("serve", night))
    ready = read_ready(NightFolder(night).ready("ingest"))
    while ready is None or not (night / "feed" / "latest.json").exists():
        assert running.process.poll() is None, running.said()
        time.sleep(0.01)
        ready = read_ready(NightFolder(night).ready("ingest"))
    port = ready.box[0].rpartition(":")[2]
    line = (
        "--site site.json --certificate hill-ca/certificates/commission-2.pem --tls-key member-2/keys/tls.key"
    )
    sign = "tallygate-decide sign decision-2.json --feed night/feed --yes --key"
    said = shell(
        folder,
        [
            f"tallygate site night --address 127.0.0.1:{port} > site.json",
            "tallygate-decide prepare night/feed "
            "close --station all --at 2099-01-01T00:00:00Z --reason en=Snow",
            *(f"{sign} member-{n}/keys/sign.key" for n in (2, 4, 5)),
            f"tallygate-decide submit decision-2.json --feed night/feed {line}",
            "tallygate-decide list night/feed",
            "tallygate-observe verify night/feed",
        ],
    )
    assert "decision 2 is taken at entry 5: in effect" in said
    assert "decision 1   IN EFFECT, taken at entry 2: open the log results.hill-country.example/" in said
    assert json.loads((night / "feed" / "latest.json").read_bytes())["mode"] == "live"


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
def test_a_request_made_with_openssl_alone(tmp_path: Path) -> None:
    shell(tmp_path, typed("The enrolment request"))
    soon = datetime.now(UTC) + timedelta(days=60)
    said = shell(
        tmp_path,
        [
            f"tallygate pki ca ca --id hill-country-2031 --closes-at {soon:%Y-%m-%dT%H:%M:%SZ}",
            "tallygate pki enrol ca request.json --kind box",
        ],
    )
    assert "1 enrolled" in said


def test_codes() -> None:
    """Every code of an enrolment that the sources name is explained."""
    sources = "".join(path.read_text() for path in (ROOT / "gateway").glob("*/*.py"))
    codes = set(re.findall(r'"(enrol\.[a-z_]+)"', sources))
    assert len(codes) > 12
    assert {code for code in codes if f"`{code}`" not in DOCS} == set()
