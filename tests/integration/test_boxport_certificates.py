"""Who is let in, who is told why not, and what a reload changes; OpenSSL says what it heard."""

import json
import shutil
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.base.clock import DAY, HOUR
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.boxport import BoxTls
from gateway.pki import certificates as x
from gateway.pki.authority import open_authority
from tests.boxport_client import COSE, SERVED, FakeIntake, Identity, Served, Site, alert_of, serving, until


async def refusal(served: Served, identity: Identity | None) -> str:
    """The alert that a client gets which sends a whole request right behind its certificate."""
    sock = await served.connect()
    stream = trio.SSLStream(
        trio.SocketStream(sock), served.site.context(identity), server_hostname="127.0.0.1"
    )
    # In TLS 1.3 a client is done before the server has looked at its certificate.
    await stream.do_handshake()
    await stream.send_all(b"POST /v1/statements HTTP/1.1\r\n" + bytes(40_000))
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.receive_some()
    sock.close()
    return alert_of(caught.value)


def test_a_client_that_is_refused_learns_why(boxport_site: Site) -> None:
    site = boxport_site
    cases = [
        (None, "no_certificate", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (site.issue("stranger", stranger=True), "unknown_ca", "TLSV1_ALERT_UNKNOWN_CA"),
        (
            site.issue("expired", validity=x.Validity(site.now - 3 * DAY, site.now - DAY)),
            "expired",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
        (
            site.issue("early", validity=x.Validity(site.now + DAY, site.now + 3 * DAY)),
            "expired",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
    ]

    async def main() -> None:
        async with serving(site, FakeIntake()) as served:
            for identity, result, alert in cases:
                before = served.value("tallygate_tls_handshakes_total", result=result)
                assert await refusal(served, identity) == alert
                assert served.value("tallygate_tls_handshakes_total", result=result) == before + 1
                line = json.loads(served.lines[-1])
                assert (line["event"], line["result"]) == ("boxport.handshake", result)
                assert line["peer"].startswith("127.0.0.1:")
            assert served.value("tallygate_tls_handshakes_total", result="ok") == 0
            assert served.intake.received == []
            async with served.client() as client:
                assert (await client.post()).status == 201
            await until(lambda: served.value("tallygate_open_connections") == 0)

    trio.run(main, clock=MockClock())


def test_a_refused_handshake_is_known_by_whom_its_certificate_names(
    boxport_site: Site, tmp_path: Path
) -> None:
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    lost = site.identity("box", 1)
    (pki / "crl.pem").write_bytes(site.crl(lost))
    ended = site.issue(
        "ended",
        uri="urn:tallygate:hill-country-2031-rehearsal:terminal:7",
        validity=x.Validity(site.now - 3 * DAY, site.now - DAY),
    )

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served:
            for _ in range(2):
                await refusal(served, lost)
            await refusal(served, ended)
            await refusal(served, None)
            knocks = served.port.handshakes
            revoked, expired = knocks.of(("box", 1)), knocks.of(("terminal", 7))
            assert revoked.good_at is None
            assert revoked.failed is not None
            assert (revoked.failed.result, revoked.failed.times) == ("revoked", 2)
            assert revoked.failed.peer.startswith("127.0.0.1:")
            assert expired.failed is not None
            assert expired.failed.result == "expired"
            assert served.value("tallygate_recent_handshakes", result="refused") == 4
            async with served.client(site.identity("box", 3)) as client:
                assert (await client.post()).status == 201
            assert knocks.of(("box", 3)).good_at is not None
            assert served.value("tallygate_recent_handshakes", result="ok") == 1

    trio.run(main, clock=MockClock())


@pytest.mark.parametrize(
    "uri",
    [
        "urn:tallygate:another-election:box:1",
        "urn:tallygate:hill-country-2031-rehearsal:observer:1",
        "urn:tallygate:hill-country-2031-rehearsal:box:01",
        "https://example.org/box/1",
    ],
)
def test_a_certificate_of_another_shape_or_election_is_refused(boxport_site: Site, uri: str) -> None:
    identity = boxport_site.issue("odd", uri=uri)

    async def main() -> None:
        async with serving(boxport_site, FakeIntake()) as served:
            assert "ALERT" in await refusal(served, identity)
            assert served.value("tallygate_tls_handshakes_total", result="protocol") == 1

    trio.run(main, clock=MockClock())


def test_a_revoked_certificate_is_refused_at_the_door_and_inside(boxport_site: Site, tmp_path: Path) -> None:
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    lost, other = site.identity("box", 1), site.identity("box", 3)

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served, served.client(lost) as inside:
            assert (await inside.post()).status == 201
            (pki / "crl.pem").write_bytes(site.crl(lost))
            assert await served.tls.reload()
            reply = await inside.post()
            assert (reply.status, reply.code, reply.problem["retry"]) == (403, "identity.revoked", "fix")
            assert reply.headers["connection"] == "close"
            await inside.ended()
            assert len(served.intake.received) == 1
            assert await refusal(served, lost) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
            assert served.value("tallygate_tls_handshakes_total", result="revoked") == 1
            async with served.client(other) as client:
                assert (await client.post()).status == 200

    trio.run(main, clock=MockClock())


def test_a_reload_changes_new_connections_and_leaves_the_others_alone(
    boxport_site: Site, tmp_path: Path
) -> None:
    site = boxport_site
    pki = site.copy_pki(tmp_path)

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served, served.client() as old:
            before = old.stream.getpeercert(binary_form=True)
            renew(site, pki)
            assert await served.tls.reload()
            assert served.value("tallygate_tls_reloads_total", result="ok") == 1
            assert served.events()[-1] == "tls.reloaded"
            assert (await old.post()).status == 201
            async with served.client() as new:
                assert new.stream.getpeercert(binary_form=True) != before
                assert (await new.post()).status == 200

    trio.run(main, clock=MockClock())


def test_a_list_that_is_older_than_the_one_in_force_is_not_taken(boxport_site: Site, tmp_path: Path) -> None:
    """Whoever was revoked would be back."""
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    lost = site.identity("box", 1)
    old, newer = (pki / "crl.pem").read_bytes(), site.crl(lost, newer=2)

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served:
            (pki / "crl.pem").write_bytes(newer)
            assert await served.tls.reload()
            for older in (old, site.crl(newer=1)):
                (pki / "crl.pem").write_bytes(older)
                renew(site, pki)
                config = served.tls.config
                assert not await served.tls.reload()
                assert served.tls.config is config
                line = json.loads(served.lines[-1])
                assert (line["event"], line["code"]) == ("tls.reload_failed", "tls.crl")
                assert line["file"] == str(pki / "crl.pem")
                assert f"number {site.now + 2}" in line["words"]
                assert await refusal(served, lost) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
            assert served.value("tallygate_tls_reloads_total", result="failed") == 2
            # The same again is no older one.
            (pki / "crl.pem").write_bytes(newer)
            assert await served.tls.reload()

    trio.run(main, clock=MockClock())


def test_a_stale_list_does_not_shut_everybody_out(boxport_site: Site, tmp_path: Path) -> None:
    """With crl_stale = "refuse" that is what taking it would do; "keep" takes it."""
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    stale = site.crl(newer=5, until=HOUR)

    async def main() -> None:
        for word, taken in (("keep", True), ("refuse", False)):
            (pki / "crl.pem").write_bytes(site.crl())
            async with serving(site, FakeIntake(), pki=pki, crl_stale=word) as served:  # type: ignore[arg-type]
                served.real[0] += 2 * HOUR
                (pki / "crl.pem").write_bytes(stale)
                assert await served.tls.reload() == taken
                if not taken:
                    line = json.loads(served.lines[-1])
                    assert (line["event"], line["code"]) == ("tls.reload_failed", "tls.crl")
                    assert line["file"] == str(pki / "crl.pem")
                    assert "crl_stale" in line["words"]
                async with served.client() as client:
                    assert (await client.post()).status == 201

    trio.run(main, clock=MockClock())


def test_a_certificate_that_ends_inside_its_connection(boxport_site: Site) -> None:
    site = boxport_site
    until = (site.now // 1_000 + 60) * 1_000
    short = site.issue("short", validity=x.Validity(site.now - DAY, until))

    async def main() -> None:
        async with serving(site, FakeIntake()) as served, served.client(short) as client:
            served.real[0] = until
            assert (await client.post()).status == 201
            served.real[0] += 1
            reply = await client.post()
            assert (reply.status, reply.code, reply.problem["retry"]) == (403, "identity.revoked", "fix")
            assert "expired" in str(reply.problem["detail"])
            assert reply.headers["connection"] == "close"
            await client.ended()
            assert len(served.intake.received) == 1

    trio.run(main, clock=MockClock())


def test_another_ca_lets_the_old_ones_go_with_an_answer(boxport_site: Site, tmp_path: Path) -> None:
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    folder = tmp_path / "other"
    folder.mkdir()
    other = Site(folder)

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served, served.client() as old:
            assert "connection" not in (await old.post()).headers
            # Lists of two CAs cannot be compared: this one has the smaller number.
            (other.pki / "crl.pem").write_bytes(other.crl(newer=site.now - other.now - 1))
            other.copy_pki(pki)
            assert await served.tls.reload()
            reply = await old.post()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            await old.ended()

    trio.run(main, clock=MockClock())


def renew(site: Site, pki: Path) -> None:
    """Another server certificate of the same CA."""
    key = x.make_key("p256")
    with open_authority(site.pki, now=site.now) as authority:
        validity = x.Validity(site.now, site.now + 5 * DAY)
        certificate = x.issue_server(
            authority.issuer, key.public_key(), "server", ["127.0.0.1"], x.random_serial(), validity
        )
    (pki / "server.pem").write_bytes(x.certificate_pem(certificate))
    (pki / "server.key").write_bytes(x.key_pem(key))


@pytest.mark.parametrize("broken", ["empty", "garbage", "gone", "another"])
@pytest.mark.parametrize("name", SERVED)
def test_a_broken_file_keeps_everything_as_it_was(
    boxport_site: Site, tmp_path: Path, name: str, broken: str
) -> None:
    site = boxport_site
    pki = site.copy_pki(tmp_path)

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served:
            config = served.tls.config
            if broken == "another":
                other = tmp_path / "other"
                other.mkdir()
                shutil.copy(Site(other).pki / name, pki / name)
            elif broken == "gone":
                (pki / name).unlink()
            else:
                (pki / name).write_bytes(b"" if broken == "empty" else b"-----BEGIN X-----\n" * 9)
            assert not await served.tls.reload()
            assert served.tls.config is config
            assert served.value("tallygate_tls_reloads_total", result="failed") == 1
            assert served.value("tallygate_tls_reloads_total", result="ok") == 0
            line = json.loads(served.lines[-1])
            assert line["event"] == "tls.reload_failed"
            assert line["code"].startswith("tls.")
            # Where two files do not belong together, either may be to blame.
            assert Path(line["file"]) in {pki / one for one in SERVED if broken == "another" or one == name}
            assert line["words"]
            async with served.client() as client:
                assert (await client.post()).status == 201

    trio.run(main, clock=MockClock())


def test_a_key_that_others_can_read_is_not_read(boxport_site: Site, tmp_path: Path) -> None:
    pki = boxport_site.copy_pki(tmp_path)
    (pki / "server.key").chmod(0o644)
    with pytest.raises(TallygateError, match=r"others can open this secret .*\[file.not_private\]"):
        make(boxport_site, pki, IngestMetrics("0", process=False))


def test_a_port_without_good_files_does_not_start(boxport_site: Site, tmp_path: Path) -> None:
    pki = boxport_site.copy_pki(tmp_path)
    (pki / "crl.pem").unlink()
    with pytest.raises(TallygateError, match=r"crl.pem: this file cannot be read: .*\[tls.file\]"):
        make(boxport_site, pki, IngestMetrics("0", process=False))


def test_when_what_ends_is_shown(boxport_site: Site, tmp_path: Path) -> None:
    pki = boxport_site.copy_pki(tmp_path)
    metrics = IngestMetrics("0", process=False)
    tls = make(boxport_site, pki, metrics)

    def value(metric: str, **labels: str) -> float:
        found = metrics.registry.get_sample_value(metric, labels)
        assert found is not None
        return found

    expiry = "tallygate_certificate_expiry_timestamp_seconds"
    first = value(expiry, name="server")
    assert first == tls.config.certificate_not_after / 1000 > boxport_site.now / 1000
    assert value(expiry, name="ca") == tls.config.ca_not_after / 1000 > first
    assert value("tallygate_crl_next_update_timestamp_seconds") == tls.config.crl_next_update / 1000
    renew(boxport_site, pki)
    assert trio.run(tls.reload)
    assert value(expiry, name="server") < first


def make(site: Site, pki: Path, metrics: IngestMetrics) -> BoxTls:
    return BoxTls(
        pki,
        election=site.election,
        crl_stale="keep",
        clock=lambda: site.now,
        metrics=metrics,
        log=Log("ingest", lambda _: None, lambda: 0),
    )


def test_the_upload_of_a_refused_client_reaches_nobody(boxport_site: Site) -> None:
    """Its request is encrypted under the keys of the handshake, and is thrown away all the same."""

    async def main() -> None:
        async with serving(boxport_site, FakeIntake()) as served:
            identity = boxport_site.issue("nobody", stranger=True)
            sock = await served.connect()
            stream = trio.SSLStream(
                trio.SocketStream(sock), boxport_site.context(identity), server_hostname="127.0.0.1"
            )
            await stream.do_handshake()
            name, value = COSE
            head = f"POST /v1/statements HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\nContent-Length: 3\r\n\r\n"
            await stream.send_all(head.encode() + b"abc")
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
            sock.close()
            await until(lambda: served.value("tallygate_open_connections") == 0)
            assert served.intake.received == []

    trio.run(main, clock=MockClock())
