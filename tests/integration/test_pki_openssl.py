"""What OpenSSL's own verifier says about our certificates and CRLs."""

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.pki import certificates as x
from gateway.pki.authority import Authority, create_authority, open_authority
from gateway.pki.enrolment import Enrolled, admit_devices, check, enrol, judge, write_certificates
from gateway.pki.names import Holder, certificate_uri
from gateway.pki.requests import check_request
from tests.unit.pki_helpers import CLOSES_AT, ELECTION, NOW, csr_pem, device_fields, encode, proof

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl"),
]

AT = str(NOW // 1000)


class Pki(NamedTuple):
    folder: Path
    box: Path
    revoked: Path
    server: Path


@pytest.fixture(scope="module", params=x.ALGORITHMS)
def pki(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki") / "ca"
    create_authority(folder, ELECTION, algorithm=request.param, closes_at=CLOSES_AT, now=NOW)
    tls = x.make_key("p256")
    requests = [("a", device_fields(12, tls=tls)), ("b", device_fields(13))]
    with open_authority(folder, now=NOW) as ca:
        done = enrolled(ca, *((place, encode(fields)) for place, fields in requests))
        box, revoked = write_certificates(ca, done)
        ca.write_server(["results.example", "127.0.0.1", "::1"], algorithm=request.param)
        issued = ca.index.latest(Holder("device", 13))
        assert issued is not None
        ca.revoke(issued, "key-compromise")
        ca.write_crl()
    return Pki(folder, box, revoked, folder / "server.pem")


def enrolled(ca: Authority, *requests: tuple[str, bytes], replace: Collection[Holder] = ()) -> list[Enrolled]:
    checked, faults = check(ca.election, requests)
    admitted, more = admit_devices(checked, "box")
    cases, most = judge(ca, admitted, replace=replace)
    assert not faults + more + most
    return enrol(ca, cases)


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def made(*arguments: str | Path) -> str:
    done = openssl(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verify(pki: Pki, certificate: Path, *options: str | Path, at: str = AT) -> tuple[bool, str]:
    done = openssl(
        "verify", "-x509_strict", "-attime", at, "-CAfile", pki.folder / "root.pem",
        "-untrusted", pki.folder / "ca.pem", *options, certificate,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


def test_the_chain_is_accepted(pki: Pki) -> None:
    for certificate, purpose in ((pki.box, "sslclient"), (pki.server, "sslserver")):
        assert verify(pki, certificate, "-purpose", purpose) == (True, f"{certificate}: OK\n")


def test_the_election_ca_alone_is_a_trust_anchor(pki: Pki) -> None:
    done = openssl(
        "verify", "-x509_strict", "-partial_chain", "-attime", AT, "-CAfile", pki.folder / "ca.pem",
        "-purpose", "sslclient", pki.box,
    )  # fmt: skip
    assert done.returncode == 0


def test_the_wrong_purpose_is_refused(pki: Pki) -> None:
    for certificate, purpose in ((pki.box, "sslserver"), (pki.server, "sslclient")):
        good, said = verify(pki, certificate, "-purpose", purpose)
        assert not good
        assert "unsuitable certificate purpose" in said or "unsupported certificate purpose" in said


def test_the_server_has_its_names_and_no_others(pki: Pki) -> None:
    for option, name in (
        ("-verify_hostname", "results.example"),
        ("-verify_ip", "127.0.0.1"),
        ("-verify_ip", "::1"),
    ):
        assert verify(pki, pki.server, option, name)[0]
    good, said = verify(pki, pki.server, "-verify_hostname", "other.example")
    assert not good
    assert "hostname mismatch" in said.lower()


def test_a_revoked_certificate_is_refused_with_its_reason(pki: Pki) -> None:
    options = ("-crl_check", "-CRLfile", pki.folder / "crl.pem")
    assert verify(pki, pki.box, *options)[0]
    assert verify(pki, pki.revoked)[0]
    good, said = verify(pki, pki.revoked, *options)
    assert not good
    assert "certificate revoked" in said
    text = openssl("crl", "-in", pki.folder / "crl.pem", "-noout", "-text").stdout
    assert "Key Compromise" in text
    serial = openssl("x509", "-in", pki.revoked, "-noout", "-serial").stdout.removeprefix("serial=").strip()
    assert serial in text
    checked = openssl("crl", "-in", pki.folder / "crl.pem", "-noout", "-CAfile", pki.folder / "ca.pem")
    assert "verify OK" in checked.stdout + checked.stderr


def test_dates(pki: Pki) -> None:
    day = 86_400
    last = (CLOSES_AT + x.LEAF_AFTER_CLOSE) // 1000
    assert verify(pki, pki.box, at=str(last - 1))[0]
    for at, words in ((last + day, "has expired"), (NOW // 1000 - 2 * day, "not yet valid")):
        good, said = verify(pki, pki.box, at=str(at))
        assert not good
        assert words in said
    good, said = verify(
        pki, pki.box, "-crl_check", "-CRLfile", pki.folder / "crl.pem",
        at=str((CLOSES_AT + x.CRL_AFTER_CLOSE) // 1000 + day),
    )  # fmt: skip
    assert not good
    assert "CRL has expired" in said


def test_an_election_ca_cannot_make_another_ca(pki: Pki, tmp_path: Path) -> None:
    with open_authority(pki.folder, now=NOW) as ca:
        real = ca.issuer
    # Who has stolen the CA's key tries anyway.
    below = x.issue_ca(real, x.make_key("p256"), "stolen", x.Validity(NOW, CLOSES_AT))
    leaf = x.issue_client(
        below,
        Ed25519PrivateKey.generate().public_key(),
        "box 1",
        certificate_uri(ELECTION, "box", 1),
        x.random_serial(),
        x.Validity(NOW, CLOSES_AT),
    )
    (tmp_path / "leaf.pem").write_bytes(x.certificate_pem(leaf))
    (tmp_path / "below.pem").write_bytes(x.certificate_pem(below.certificate))
    good, said = verify(pki, tmp_path / "leaf.pem", "-untrusted", tmp_path / "below.pem")
    assert not good
    assert "path length constraint exceeded" in said


def test_a_device_cannot_sign_certificates(pki: Pki, tmp_path: Path) -> None:
    tls = x.make_key("ed25519")
    with open_authority(pki.folder, now=NOW) as ca:
        (done,) = enrolled(ca, ("c", encode(device_fields(14, tls=tls))))
    device = x.Issuer(x.parse_certificate(done.issued.der), tls)
    leaf = x.issue_client(
        device,
        x.make_key("p256").public_key(),
        "box 1",
        "urn:tallygate:hill-2026:box:1",
        1,
        x.Validity(NOW, CLOSES_AT),
    )
    (tmp_path / "leaf.pem").write_bytes(x.certificate_pem(leaf))
    (tmp_path / "device.pem").write_bytes(done.pem)
    good, said = verify(pki, tmp_path / "leaf.pem", "-untrusted", tmp_path / "device.pem")
    assert not good
    assert "invalid CA certificate" in said


@pytest.mark.parametrize("algorithm", x.ALGORITHMS)
def test_a_request_made_with_openssl_alone_is_enrolled(pki: Pki, tmp_path: Path, algorithm: str) -> None:
    """The way of a manufacturer who writes neither Python nor Rust, as docs/keys.md shows it."""
    tls, sign, csr = tmp_path / "tls.key", tmp_path / "sign.key", tmp_path / "csr.pem"
    curve = ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    made("genpkey", "-algorithm", *(curve if algorithm == "p256" else ("ed25519",)), "-out", tls)
    made("genpkey", "-algorithm", "ed25519", "-out", sign)
    made("req", "-new", "-key", tls, "-subj", "/CN=box 99", "-out", csr)
    made("req", "-in", csr, "-outform", "DER", "-out", tmp_path / "csr.der")
    made("pkey", "-in", sign, "-pubout", "-outform", "DER", "-out", tmp_path / "sign.pub")
    digest = made("dgst", "-sha256", "-r", tmp_path / "csr.der").split()[0]
    (tmp_path / "text").write_bytes(f"tallygate-enrol/1\n{ELECTION}\n99\n{digest}".encode())
    made("pkeyutl", "-sign", "-inkey", sign, "-rawin", "-in", tmp_path / "text", "-out", tmp_path / "proof")
    fields = {
        "device": 99,
        "csr": csr.read_text(),
        "sign_key": (tmp_path / "sign.pub").read_bytes()[-32:].hex(),
        "proof": (tmp_path / "proof").read_bytes().hex(),
    }
    with open_authority(pki.folder, now=NOW) as ca:
        (done,) = enrolled(ca, ("request", encode(fields)), replace={Holder("device", 99)})
    (tmp_path / "box.pem").write_bytes(done.pem)
    assert verify(pki, tmp_path / "box.pem", "-purpose", "sslclient")[0]


def test_a_csr_of_ours_is_one_that_openssl_reads(tmp_path: Path) -> None:
    (tmp_path / "csr.pem").write_text(csr_pem(Ed25519PrivateKey.generate()))
    done = openssl("req", "-in", tmp_path / "csr.pem", "-verify", "-noout")
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["explicit", "named_curve"])
def test_p256_is_certified_as_a_named_curve(tmp_path: Path, encoding: str) -> None:
    """A curve spelled out in numbers (CVE-2020-0601) never gets into a certificate."""
    key, csr = tmp_path / "tls.key", tmp_path / "csr.pem"
    curve = ("ec_paramgen_curve:P-256", "-pkeyopt", f"ec_param_enc:{encoding}")
    made("genpkey", "-algorithm", "EC", "-pkeyopt", *curve, "-out", key)
    made("req", "-new", "-key", key, "-subj", "/CN=box 12", "-out", csr)
    sign, pem = Ed25519PrivateKey.generate(), csr.read_text()
    fields = {
        "device": 12,
        "csr": pem,
        "sign_key": sign.public_key().public_bytes_raw().hex(),
        "proof": proof(sign, pem, "12"),
    }
    tls_key = check_request(encode(fields), ELECTION).tls_key
    assert tls_key.startswith(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"))
