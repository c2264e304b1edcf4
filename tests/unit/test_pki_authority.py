import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.base.clock import DAY
from gateway.base.errors import TallygateError
from gateway.pki import certificates as x
from gateway.pki.authority import (
    Authority,
    Enrolled,
    create_authority,
    create_root,
    open_authority,
    open_root,
)
from gateway.pki.devices import make_keys
from gateway.pki.names import DeviceKind, Holder
from tests.unit.pki_helpers import (
    CLOSES_AT,
    ELECTION,
    NOW,
    Fields,
    commission_fields,
    courier_fields,
    csr_pem,
    device_fields,
    encode,
    make_ca,
    proof,
)


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[Authority]:
    with open_authority(make_ca(tmp_path / "ca")) as authority:
        yield authority


def enrol(
    ca: Authority, *requests: Fields, kind: DeviceKind = "box", replace: bool = False
) -> list[Enrolled]:
    """All the way of a request, as the command goes it."""
    checked, faults = ca.check((f"request-{n}", encode(fields)) for n, fields in enumerate(requests))
    faults += ca.faults(checked, closes_at=CLOSES_AT, replace=replace)
    if faults:
        raise faults[0]
    kinds = {request.holder.number: kind for request in checked}
    return ca.enrol(checked, kinds, closes_at=CLOSES_AT, now=NOW)


def refused(ca: Authority, *requests: Fields, replace: bool = False) -> str:
    before = ca.index.path.read_bytes()
    with pytest.raises(TallygateError) as caught:
        enrol(ca, *requests, replace=replace)
    assert ca.index.path.read_bytes() == before
    return caught.value.code


def uri_of(result: Enrolled) -> str:
    names = x.parse_certificate(result.der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    (uri,) = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return uri


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_new_ca_holds(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.json", "ca.key", "ca.pem", "certificates", "issued.ndjson", "root", "root.pem",
    ]  # fmt: skip
    assert mode(folder) == 0o700
    assert mode(folder / "root") == 0o700
    for secret in (folder / "ca.key", folder / "root" / "root.key", folder / "issued.ndjson"):
        assert mode(secret) == 0o600
    assert (folder / "root.pem").read_bytes() == (folder / "root" / "root.pem").read_bytes()


def test_a_ca_is_never_made_over_something(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")
    key = (folder / "ca.key").read_bytes()
    for there in (folder, folder / "ca.key"):
        with pytest.raises(TallygateError) as caught:
            make_ca(there)
        assert caught.value.code == "file.exists"
    assert (folder / "ca.key").read_bytes() == key
    assert list(tmp_path.iterdir()) == [folder]


def test_one_root_for_several_elections(tmp_path: Path) -> None:
    create_root(tmp_path / "root", algorithm="p256", now=NOW)
    for election in ("hill-2026", "hill-2031"):
        create_authority(
            tmp_path / election,
            election,
            root=open_root(tmp_path / "root"),
            algorithm="ed25519",
            closes_at=CLOSES_AT,
            now=NOW,
        )
        with open_authority(tmp_path / election) as ca:
            root = x.load_certificate((tmp_path / "root" / "root.pem").read_bytes(), place="")
            ca.issuer.certificate.verify_directly_issued_by(root)
        assert not (tmp_path / election / "root").exists()


def test_roots_that_are_not_there_or_not_private(tmp_path: Path) -> None:
    with pytest.raises(TallygateError) as caught:
        open_root(tmp_path / "nowhere")
    assert caught.value.code == "pki.root_missing"
    create_root(tmp_path / "root", algorithm="ed25519", now=NOW)
    (tmp_path / "root" / "root.key").chmod(0o644)
    with pytest.raises(TallygateError) as caught:
        open_root(tmp_path / "root")
    assert caught.value.code == "file.not_private"


def test_a_ca_whose_files_do_not_fit(tmp_path: Path) -> None:
    folder, other = make_ca(tmp_path / "ca"), make_ca(tmp_path / "other")

    def opened() -> str:
        with pytest.raises(TallygateError) as caught, open_authority(folder):
            pass
        return caught.value.code

    good = (folder / "ca.pem").read_bytes()
    (folder / "ca.pem").write_bytes((other / "ca.pem").read_bytes())
    assert opened() == "pki.key_mismatch"
    (folder / "ca.pem").write_bytes(b"")
    assert opened() == "pki.certificate"
    (folder / "ca.pem").write_bytes(good)
    settings = (folder / "ca.json").read_bytes()
    for wrong in (b"", b"{}", settings.replace(b"/1", b"/2"), settings + b"x"):
        (folder / "ca.json").write_bytes(wrong)
        assert opened() == "pki.settings"
    (folder / "ca.json").unlink()
    assert opened() == "pki.no_ca"
    (folder / "ca.json").write_bytes(settings)
    (folder / "issued.ndjson").unlink()
    assert opened() == "pki.index"


def test_roles_and_identities(ca: Authority) -> None:
    (box,) = enrol(ca, device_fields(12))
    (desk,) = enrol(ca, device_fields(13), kind="desk")
    (terminal,) = enrol(ca, device_fields(14), kind="terminal")
    courier, member = enrol(ca, courier_fields(12), commission_fields(12))
    assert [uri_of(result) for result in (box, desk, terminal, courier, member)] == [
        "urn:tallygate:hill-2026:box:12",
        "urn:tallygate:hill-2026:desk:13",
        "urn:tallygate:hill-2026:terminal:14",
        "urn:tallygate:hill-2026:courier:12",
        "urn:tallygate:hill-2026:commission:12",
    ]
    for path in ca.write_certificates([box, courier]):
        x.load_certificate(path.read_bytes(), place="").verify_directly_issued_by(ca.issuer.certificate)
        assert path.name in {"box-12.pem", "courier-12.pem"}


def test_the_ca_alone_decides_what_a_certificate_says(ca: Authority) -> None:
    sign, tls = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    wish = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:tallygate:hill-2026:box:1")]),
            critical=False,
        )
    )
    pem = csr_pem(tls, wish)
    public = sign.public_key().public_bytes_raw().hex()
    (result,) = enrol(ca, {"device": 12, "csr": pem, "sign_key": public, "proof": proof(sign, pem, "12")})
    certificate = x.parse_certificate(result.der)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert uri_of(result) == "urn:tallygate:hill-2026:box:12"
    assert certificate.subject.rfc4514_string() == "CN=hill-2026 box 12"


def test_the_same_request_gets_the_same_certificate(ca: Authority) -> None:
    fields = device_fields(12)
    (first,) = enrol(ca, fields)
    (again,) = enrol(ca, fields)
    assert first.new
    assert not again.new
    assert again.der == first.der
    assert not ca.index.revoked


def test_enrolling_again_is_deliberate_and_revokes(ca: Authority) -> None:
    (first,) = enrol(ca, device_fields(12))
    other = device_fields(12)
    assert refused(ca, other) == "enrol.duplicate"
    (second,) = enrol(ca, other, replace=True)
    assert second.replaced == first.serial
    assert ca.index.revoked[first.serial].reason == "superseded"
    latest = ca.index.latest(Holder("device", 12))
    assert latest is not None
    assert latest.serial == second.serial


def test_another_closing_time_is_a_new_enrolment(ca: Authority) -> None:
    fields = device_fields(12)
    enrol(ca, fields)
    checked, _ = ca.check([("request", encode(fields))])
    later = CLOSES_AT + 7 * DAY
    (fault,) = ca.faults(checked, closes_at=later, replace=False)
    assert fault.code == "enrol.duplicate"
    assert not ca.faults(checked, closes_at=later, replace=True)
    (result,) = ca.enrol(checked, {12: "box"}, closes_at=later, now=NOW)
    assert result.new
    assert result.replaced


def test_a_revoked_device_comes_back_only_with_new_keys_and_the_flag(ca: Authority) -> None:
    fields = device_fields(12)
    enrol(ca, fields)
    issued = ca.index.latest(Holder("device", 12))
    assert issued is not None
    assert ca.revoke(issued, "key-compromise", now=NOW)
    assert not ca.revoke(issued, "superseded", now=NOW)
    assert ca.index.revoked[issued.serial].reason == "key-compromise"
    assert refused(ca, fields) == "enrol.key_taken"
    assert refused(ca, fields, replace=True) == "enrol.key_taken"
    assert refused(ca, device_fields(12)) == "enrol.duplicate"
    (result,) = enrol(ca, device_fields(12), replace=True)
    assert result.replaced is None


def test_a_key_belongs_to_one_holder(ca: Authority) -> None:
    tls, sign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    enrol(ca, device_fields(12, tls=tls, sign=sign))
    assert refused(ca, device_fields(13, tls=tls)) == "enrol.key_taken"
    assert refused(ca, device_fields(13, sign=sign)) == "enrol.key_taken"
    assert refused(ca, commission_fields(1, sign=sign)) == "enrol.key_taken"
    assert refused(ca, device_fields(13, sign=sign), replace=True) == "enrol.key_taken"
    issued = ca.index.latest(Holder("device", 12))
    assert issued is not None
    ca.revoke(issued, "cessation-of-operation", now=NOW)
    assert refused(ca, device_fields(13, tls=tls)) == "enrol.key_taken"


def test_requests_are_judged_against_each_other(ca: Authority) -> None:
    tls, sign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    assert refused(ca, device_fields(12), device_fields(12)) == "enrol.twice"
    assert refused(ca, device_fields(12, tls=tls), device_fields(13, tls=tls)) == "enrol.key_taken"
    assert refused(ca, device_fields(12, sign=sign), commission_fields(1, sign=sign)) == "enrol.key_taken"


def test_every_fault_is_reported(ca: Authority) -> None:
    checked, faults = ca.check(
        [
            ("a", b"{}"),
            ("b", encode(device_fields(12))),
            ("c", encode({**device_fields(1), "proof": "00" * 64})),
        ]
    )
    assert [(fault.place, fault.code) for fault in faults] == [("a", "enrol.malformed"), ("c", "enrol.proof")]
    assert [request.place for request in checked] == ["b"]


def test_without_a_closing_time_nothing_is_dated(tmp_path: Path) -> None:
    with open_authority(make_ca(tmp_path / "ca", closes_at=None)) as ca:
        with pytest.raises(TallygateError) as caught:
            ca.closing(None)
        assert caught.value.code == "pki.closes_at"
        assert ca.closing(CLOSES_AT) == CLOSES_AT


def test_two_processes_never_share_a_ca(ca: Authority) -> None:
    with pytest.raises(TallygateError) as caught, open_authority(ca.folder):
        pass
    assert caught.value.code == "pki.busy"


def test_crl_numbers_grow_even_if_the_clock_goes_back(ca: Authority) -> None:
    numbers = []
    for now in (NOW, NOW - DAY, NOW - DAY):
        ca.write_crl(closes_at=CLOSES_AT, now=now)
        numbers.append(x.crl_number((ca.folder / "crl.pem").read_bytes(), place=""))
    assert numbers == [NOW, NOW + 1, NOW + 2]
    (ca.folder / "crl.pem").write_bytes(b"rubbish")
    with pytest.raises(TallygateError) as caught:
        ca.write_crl(closes_at=CLOSES_AT, now=NOW)
    assert caught.value.code == "pki.crl"


def test_the_server_certificate(ca: Authority) -> None:
    def write(names: list[str], *, replace: bool = False) -> str | None:
        return ca.write_server(names, algorithm="ed25519", closes_at=CLOSES_AT, now=NOW, replace=replace)

    with pytest.raises(TallygateError) as caught:
        write(["*.example"])
    assert caught.value.code == "pki.name"
    assert write(["results.example"]) is None
    first = (ca.folder / "server.key").read_bytes()
    assert mode(ca.folder / "server.key") == 0o600
    assert (ca.folder / "server.pem").read_bytes().endswith(ca.ca_pem)
    with pytest.raises(TallygateError) as caught:
        write(["other.example"])
    assert caught.value.code == "pki.server_exists"
    replaced = write(["other.example"], replace=True)
    assert replaced in ca.index.revoked
    assert (ca.folder / "server.key").read_bytes() != first


def test_the_index_survives_a_torn_line(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")
    fields = device_fields(12)
    with open_authority(folder) as ca:
        (first,) = enrol(ca, fields)
    path = folder / "issued.ndjson"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    with open_authority(folder) as ca:
        assert enrol(ca, fields)[0].der == first.der
        assert path.read_bytes() == whole + whole[:100]
        enrol(ca, device_fields(13))
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b"\n") == 2
    with open_authority(folder) as ca:
        assert ca.index.latest(Holder("device", 13))


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"x",
        b"",
        b'{"event":"revoked","at":1,"serial":"00000000000000000000000000000001","reason":"superseded"}',
        b'{"event":"issued"}',
    ],
)
def test_a_damaged_index_stops_everything(tmp_path: Path, line: bytes) -> None:
    folder = make_ca(tmp_path / "ca")
    with open_authority(folder) as ca:
        enrol(ca, device_fields(12))
    path = folder / "issued.ndjson"
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(TallygateError) as caught, open_authority(folder):
        pass
    assert caught.value.code == "pki.index"
    assert caught.value.place == f"{path}:2"


def test_keys_are_in_no_repr(ca: Authority) -> None:
    assert "key=" not in repr(ca)
    assert "PRIVATE" not in repr(ca)
    (made,) = make_keys(ELECTION, [Holder("device", 12)])
    assert repr(made) == "MadeKeys(12)"
    assert made.sign_seed not in made.request


# What is killed at each fsync: an enrolment of two devices with one replaced, from the index to the files.
KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.pki.authority import open_authority

folder, count = Path(sys.argv[1]), int(sys.argv[2])
fsync, seen = os.fsync, 0

def killing(descriptor):
    global seen
    seen += 1
    if seen == count:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)

os.fsync = killing
with open_authority(folder) as ca:
    requests = [(name, (folder.parent / name).read_bytes()) for name in ("a", "b")]
    checked, faults = ca.check(requests)
    faults += ca.faults(checked, closes_at=int(sys.argv[4]), replace=True)
    assert not faults, faults
    done = ca.enrol(checked, {12: "box", 13: "box"}, closes_at=int(sys.argv[4]), now=int(sys.argv[3]))
    ca.write_certificates(done)
    ca.write_crl(closes_at=int(sys.argv[4]), now=int(sys.argv[3]))
"""


def test_killed_at_any_fsync_no_certificate_is_unknown(tmp_path: Path) -> None:
    original = make_ca(tmp_path / "ca")
    with open_authority(original) as ca:
        (old,) = enrol(ca, device_fields(12))

    def run(folder: Path, count: int) -> int:
        arguments = [sys.executable, "-c", KILLED, str(folder), str(count), str(NOW), str(CLOSES_AT)]
        return subprocess.run(arguments, check=False, cwd=Path(__file__).parents[2]).returncode

    def check(folder: Path, *, complete: bool) -> None:
        with open_authority(folder) as ca:
            for path in (folder / "certificates").glob("[!.]*.pem"):
                serial = x.load_certificate(path.read_bytes(), place="").serial_number
                assert ca.index.find(x.serial_text(serial)) is not None
            if not complete:
                return
            assert set(ca.index.revoked) == {old.serial}
            for number in (12, 13):
                latest = ca.index.latest(Holder("device", number))
                assert latest is not None
                written = (folder / "certificates" / f"box-{number}.pem").read_bytes()
                assert written == x.certificate_pem(x.parse_certificate(latest.der))

    ended = {}
    for count in range(1, 10):
        folder = tmp_path / str(count) / "ca"
        shutil.copytree(original, folder)
        (folder.parent / "a").write_bytes(encode(device_fields(12)))
        (folder.parent / "b").write_bytes(encode(device_fields(13)))
        ended[count] = run(folder, count)
        check(folder, complete=ended[count] == 0)
        if ended[count] == 0:
            break
        # Started again, it comes to the same end.
        assert run(folder, 0) == 0
        check(folder, complete=True)
    # The index; two certificates and the CRL, each with its directory.
    assert ended == {**dict.fromkeys(range(1, 8), -signal.SIGKILL), 8: 0}
