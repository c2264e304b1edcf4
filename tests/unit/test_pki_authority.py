import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.base.clock import DAY, MAX_TIME
from gateway.base.errors import TallygateError
from gateway.pki import certificates as x
from gateway.pki import enrolment
from gateway.pki.authority import Authority, create_authority, create_root, open_authority, open_root
from gateway.pki.devices import make_keys
from gateway.pki.enrolment import Candidate, Enrolled
from gateway.pki.names import DeviceKind, Holder, Role
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

TWELVE = Holder("device", 12)
LATER = CLOSES_AT + 7 * DAY


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[Authority]:
    with open_authority(make_ca(tmp_path / "ca"), now=NOW) as authority:
        yield authority


def enrol(
    ca: Authority, *requests: Fields, kind: DeviceKind = "box", replace: Collection[Holder] = ()
) -> list[Enrolled]:
    """All the way of a request, as the command goes it with the tables of everybody."""
    checked, faults = enrolment.check(
        ca.election, ((f"request-{n}", encode(fields)) for n, fields in enumerate(requests))
    )
    roles: dict[str, Role] = {"device": kind, "courier": "courier", "commission": "commission"}
    candidates = [Candidate(request, roles[request.holder.group]) for request in checked]
    cases, more = enrolment.judge(ca, candidates, replace=replace)
    if faults or more:
        raise (faults or more)[0]
    return enrolment.enrol(ca, cases)


def refused(ca: Authority, *requests: Fields, replace: Collection[Holder] = ()) -> str:
    before = ca.index.path.read_bytes()
    with pytest.raises(TallygateError) as caught:
        enrol(ca, *requests, replace=replace)
    assert ca.index.path.read_bytes() == before
    return caught.value.code


def uri_of(result: Enrolled) -> str:
    names = x.parse_certificate(result.issued.der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
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
            root=tmp_path / "root",
            algorithm="ed25519",
            closes_at=CLOSES_AT,
            now=NOW,
        )
        with open_authority(tmp_path / election, now=NOW) as ca:
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
        with pytest.raises(TallygateError) as caught, open_authority(folder, now=NOW):
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
    for path in enrolment.write_certificates(ca, [box, courier]):
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
    certificate = x.parse_certificate(result.issued.der)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert uri_of(result) == "urn:tallygate:hill-2026:box:12"
    assert certificate.subject.rfc4514_string() == "CN=hill-2026 box 12"


def test_the_same_request_gets_the_same_certificate(ca: Authority) -> None:
    fields = device_fields(12)
    (first,) = enrol(ca, fields)
    (again,) = enrol(ca, fields)
    assert (first.standing, again.standing) == ("enrolment", "known")
    assert again.issued == first.issued
    assert not ca.index.revoked


def test_enrolling_again_is_deliberate_and_revokes(ca: Authority) -> None:
    (first,) = enrol(ca, device_fields(12))
    other = device_fields(12)
    assert refused(ca, other) == "enrol.duplicate"
    assert refused(ca, other, replace={Holder("courier", 12)}) == "enrol.duplicate"
    (second,) = enrol(ca, other, replace={TWELVE})
    assert second.replaced == (first.issued.serial,)
    assert ca.index.revoked[first.issued.serial].reason == "superseded"
    assert ca.index.latest(TWELVE) == second.issued
    # The same again is known: naming the holder revokes nothing.
    (third,) = enrol(ca, other, replace={TWELVE})
    assert (third.standing, third.issued, third.replaced) == ("known", second.issued, ())


def test_a_later_closing_time_renews_and_revokes_nothing(tmp_path: Path) -> None:
    folder, fields = make_ca(tmp_path / "ca"), device_fields(12)
    with open_authority(folder, now=NOW) as ca:
        (first,) = enrol(ca, fields)
    with open_authority(folder, now=NOW, closes_at=LATER) as ca:
        (second,) = enrol(ca, fields)
        assert (second.standing, second.replaced, ca.index.revoked) == ("renewal", (), {})
        assert second.issued.closes_at == LATER
    # An earlier one than was used before is not earlier: what is good for longer stays good.
    with open_authority(folder, now=NOW, closes_at=CLOSES_AT) as ca:
        assert enrol(ca, fields)[0].issued == second.issued
        # Whoever is revoked or replaced then is so with both certificates.
        both = (first.issued.serial, second.issued.serial)
        assert ca.index.live(second.issued) == both
        (third,) = enrol(ca, device_fields(12), replace={TWELVE})
        assert third.replaced == both
        assert set(ca.index.revoked) == set(both)


def test_a_revoked_device_comes_back_only_with_new_keys_and_by_name(ca: Authority) -> None:
    fields = device_fields(12)
    (first,) = enrol(ca, fields)
    serial = first.issued.serial
    assert ca.revoke(first.issued, "key-compromise") == (serial,)
    assert ca.revoke(first.issued, "superseded") == ()
    assert ca.index.revoked[serial].reason == "key-compromise"
    assert refused(ca, fields) == "enrol.key_taken"
    assert refused(ca, fields, replace={TWELVE}) == "enrol.key_taken"
    assert refused(ca, device_fields(12)) == "enrol.duplicate"
    (result,) = enrol(ca, device_fields(12), replace={TWELVE})
    assert result.replaced == ()
    assert result.revoked_before == ca.index.revoked[serial]
    # Also the one before the last is remembered.
    assert refused(ca, fields, replace={TWELVE}) == "enrol.key_taken"


def test_a_key_belongs_to_one_holder(ca: Authority) -> None:
    tls, sign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    enrol(ca, device_fields(12, tls=tls, sign=sign))
    assert refused(ca, device_fields(13, tls=tls)) == "enrol.key_taken"
    assert refused(ca, device_fields(13, sign=sign)) == "enrol.key_taken"
    assert refused(ca, commission_fields(1, sign=sign)) == "enrol.key_taken"
    assert refused(ca, device_fields(13, tls=sign)) == "enrol.key_taken"
    assert refused(ca, device_fields(12, tls=sign), replace={TWELVE}) == "enrol.key_taken"
    assert refused(ca, device_fields(12, sign=tls), replace={TWELVE}) == "enrol.key_taken"
    issued = ca.index.latest(TWELVE)
    assert issued is not None
    ca.revoke(issued, "cessation-of-operation")
    assert refused(ca, device_fields(13, tls=tls)) == "enrol.key_taken"


def test_requests_are_judged_against_each_other(ca: Authority) -> None:
    tls, sign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    assert refused(ca, device_fields(12), device_fields(12)) == "enrol.twice"
    assert refused(ca, device_fields(12, tls=tls), device_fields(13, tls=tls)) == "enrol.key_taken"
    assert refused(ca, device_fields(12, sign=sign), commission_fields(1, sign=sign)) == "enrol.key_taken"
    assert refused(ca, device_fields(12, sign=sign), device_fields(13, tls=sign)) == "enrol.key_taken"


def test_every_fault_is_reported(ca: Authority) -> None:
    checked, faults = enrolment.check(
        ca.election,
        [
            ("a", b"{}"),
            ("b", encode(device_fields(12))),
            ("c", encode({**device_fields(1), "proof": "00" * 64})),
        ],
    )
    assert [(fault.place, fault.code) for fault in faults] == [("a", "enrol.malformed"), ("c", "enrol.proof")]
    assert [request.place for request in checked] == ["b"]


def test_without_a_closing_time_nothing_is_dated(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca", closes_at=None)
    with open_authority(folder, now=NOW) as ca:
        for act in (ca.write_crl, partial(ca.write_server, ["a.example"], algorithm="p256")):
            with pytest.raises(TallygateError) as caught:
                act()
            assert caught.value.code == "pki.closes_at"
        assert refused(ca, device_fields(12)) == "pki.closes_at"
    with open_authority(folder, now=NOW, closes_at=CLOSES_AT) as ca:
        assert ca.closes_at == CLOSES_AT
        ca.write_crl()
    with open_authority(folder, now=NOW) as ca:
        assert ca.closes_at == CLOSES_AT


def test_a_closing_time_beyond_the_ca_is_refused_before_anything(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")
    for closes_at in (CLOSES_AT + x.CA_AFTER_CLOSE, MAX_TIME):
        with (
            pytest.raises(TallygateError) as caught,
            open_authority(folder, now=NOW, closes_at=closes_at),
        ):
            pass
        assert caught.value.code == "pki.expires"


def test_two_processes_never_share_a_ca(ca: Authority) -> None:
    with pytest.raises(TallygateError) as caught, open_authority(ca.folder, now=NOW):
        pass
    assert caught.value.code == "pki.busy"


def test_the_clock_may_not_go_back(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")

    def code_at(now: int) -> str:
        with pytest.raises(TallygateError) as caught, open_authority(folder, now=now):
            pass
        return caught.value.code

    # A new CA has no memory but its own certificate, which begins before it was made.
    assert code_at(NOW - 1) == "pki.clock"
    with open_authority(folder, now=NOW + DAY) as ca:
        ca.write_crl()
    assert code_at(NOW + DAY - 1) == "pki.clock"
    with open_authority(folder, now=NOW + DAY):
        pass


def test_crl_numbers_grow_whatever_lies_in_the_folder(ca: Authority) -> None:
    numbers = []
    path = ca.folder / "crl.pem"
    for _ in range(3):
        ca.write_crl()
        numbers.append(x.crl_number(path.read_bytes(), place=""))
        path.write_bytes(b"rubbish")
    assert numbers == [NOW, NOW + 1, NOW + 2]


def test_a_crl_lacks_what_it_does_not_say(ca: Authority) -> None:
    path = ca.folder / "crl.pem"
    assert not ca.crl_lacks_something()  # nothing is revoked, nothing is missing
    (first, second) = enrol(ca, device_fields(12), device_fields(13))
    ca.revoke(first.issued, "superseded")
    assert ca.crl_lacks_something()
    ca.write_crl()
    assert not ca.crl_lacks_something()
    old = path.read_bytes()
    ca.revoke(second.issued, "superseded")
    assert ca.crl_lacks_something()
    ca.write_crl()
    assert not ca.crl_lacks_something()
    for other in (old, b"rubbish"):
        path.write_bytes(other)
        assert ca.crl_lacks_something()
    path.unlink()
    assert ca.crl_lacks_something()


def test_the_server_certificate(ca: Authority) -> None:
    def write(names: list[str], *, replace: bool = False) -> tuple[str, ...]:
        return ca.write_server(names, algorithm="ed25519", replace=replace)

    with pytest.raises(TallygateError) as caught:
        write(["*.example"])
    assert caught.value.code == "pki.name"
    assert write(["results.example"]) == ()
    first = (ca.folder / "server.key").read_bytes()
    assert mode(ca.folder / "server.key") == 0o600
    assert (ca.folder / "server.pem").read_bytes().endswith(ca.ca_pem)
    with pytest.raises(TallygateError) as caught:
        write(["other.example"])
    assert caught.value.code == "pki.server_exists"
    (replaced,) = write(["other.example"], replace=True)
    assert replaced in ca.index.revoked
    assert ca.index.server is not None
    # Revoked without another, it is made anew without the flag.
    ca.revoke(ca.index.server, "key-compromise")
    assert write(["other.example"]) == ()
    assert (ca.folder / "server.key").read_bytes() != first


def test_the_index_survives_a_torn_line(tmp_path: Path) -> None:
    folder = make_ca(tmp_path / "ca")
    fields = device_fields(12)
    with open_authority(folder, now=NOW) as ca:
        (first,) = enrol(ca, fields)
    path = folder / "issued.ndjson"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    with open_authority(folder, now=NOW) as ca:
        assert enrol(ca, fields)[0].issued == first.issued
        assert path.read_bytes() == whole + whole[:100]
        enrol(ca, device_fields(13))
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b"\n") == 2
    with open_authority(folder, now=NOW) as ca:
        assert ca.index.latest(Holder("device", 13))


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"x",
        b"",
        b'{"event":"revoked","at":1,"serial":"00000000000000000000000000000001","reason":"superseded"}',
        b'{"event":"issued"}',
        b'{"event":"crl","at":1,"number":1}',
    ],
)
def test_a_damaged_index_stops_everything(tmp_path: Path, line: bytes) -> None:
    folder = make_ca(tmp_path / "ca")
    with open_authority(folder, now=NOW) as ca:
        enrol(ca, device_fields(12))
    path = folder / "issued.ndjson"
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(TallygateError) as caught, open_authority(folder, now=NOW):
        pass
    assert caught.value.code == "pki.index"
    assert caught.value.place == f"{path}:2"


def test_keys_are_in_no_repr(ca: Authority) -> None:
    assert "key=" not in repr(ca)
    assert "PRIVATE" not in repr(ca)
    (made,) = make_keys(ELECTION, [TWELVE])
    assert repr(made) == "MadeKeys(12)"
    assert made.sign_seed not in made.request


# What is killed at each fsync: an enrolment of two devices with one replaced, from the index to the files.
KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.pki.authority import open_authority
from gateway.pki.enrolment import Candidate, check, enrol, judge, write_certificates
from gateway.pki.names import Holder

folder, count = Path(sys.argv[1]), int(sys.argv[2])
fsync, seen = os.fsync, 0

def killing(descriptor):
    global seen
    seen += 1
    if seen == count:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)

os.fsync = killing
with open_authority(folder, now=int(sys.argv[3])) as ca:
    requests = [(name, (folder.parent / name).read_bytes()) for name in ("a", "b")]
    checked, faults = check(ca.election, requests)
    candidates = [Candidate(request, "box") for request in checked]
    cases, more = judge(ca, candidates, replace={Holder("device", 12)})
    assert not faults + more, faults + more
    write_certificates(ca, enrol(ca, cases))
    if ca.crl_lacks_something():
        ca.write_crl()
"""


def test_killed_at_any_fsync_no_certificate_is_unknown(tmp_path: Path) -> None:
    original = make_ca(tmp_path / "ca")
    with open_authority(original, now=NOW) as ca:
        (old,) = enrol(ca, device_fields(12))

    def run(folder: Path, count: int) -> int:
        arguments = [sys.executable, "-c", KILLED, str(folder), str(count), str(NOW)]
        return subprocess.run(arguments, check=False, cwd=Path(__file__).parents[2]).returncode

    def check(folder: Path, *, complete: bool) -> None:
        with open_authority(folder, now=NOW) as ca:
            for path in (folder / "certificates").glob("[!.]*.pem"):
                serial = x.load_certificate(path.read_bytes(), place="").serial_number
                assert ca.index.find(x.serial_text(serial)) is not None
            if not complete:
                return
            assert set(ca.index.revoked) == {old.issued.serial}
            assert not ca.crl_lacks_something()
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
    # The index; two certificates, each with its directory; the CRL in the index, and in its file.
    assert ended == {**dict.fromkeys(range(1, 9), -signal.SIGKILL), 9: 0}
