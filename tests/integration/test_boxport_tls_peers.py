"""The box port's TLS and HTTP against clients that nobody here wrote, with the keys of a real rehearsal.

curl, `openssl s_client` and Python's `ssl` talk to the smallest loop around `_core.TlsConnection`. Each
checks the server's certificate against the election CA alone, as a box does.
"""

import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from gateway import _core
from gateway.base.clock import DAY, system_clock
from gateway.pki import certificates as x
from gateway.pki.authority import open_authority
from gateway.pki.names import Holder, certificate_uri
from gateway.run.rehearsal import BundleLine
from tests.integration.tls_server import PATIENCE, Seen, Server, serving
from tests.peers import require_program

ROOT = Path(__file__).parents[2]
GET = b"GET /v1/self HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET[:-2] + b"Connection: close\r\n\r\n"
# Keys and values of a TLS alert (RFC 8446, 6): what OpenSSL calls it, and its number.
ALERTS: Final = {
    "revoked": ("certificate revoked", 44),
    "expired": ("certificate expired", 45),
    "unknown_ca": ("unknown ca", 48),
    "denied": ("access denied", 49),
    "no_certificate": ("certificate required", 116),
}

pytestmark = pytest.mark.peer


class Night:
    """A rehearsal of the example, as `tallygate init` makes it; box 2 has been revoked since.

    Attributes:
        shown: files with a certificate and its key: one that is in order, and one for each refusal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        night = folder / "night"
        subprocess.run(
            [
                sys.executable, "-c", "from gateway.cli import main; main()", "init", night,
                "--election", ROOT / "examples" / "hill-country", "--rehearsal",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )  # fmt: skip
        self._pki = night / "pki"
        self.ca = self._pki / "ca.pem"
        self.election: str = json.loads((night / "devices" / "site.json").read_bytes())["election"]
        bundle = (night / "devices" / "bundle.ndjson").read_bytes().splitlines()
        self.lines = [msgspec.json.decode(line, type=BundleLine) for line in bundle]
        with open_authority(self._pki, now=system_clock()) as ca:
            issued = ca.index.latest(Holder("device", 2))
            assert issued is not None
            ca.revoke(issued, "key-compromise")
            ca.write_crl()
        now = system_clock()
        self._issuer = x.Issuer(
            x.load_certificate(self.ca.read_bytes(), place="ca.pem"),
            x.load_key((self._pki / "ca.key").read_bytes(), place="ca.key"),
        )
        root = x.issue_root(x.make_key("p256"), x.root_validity(now))
        stranger = x.issue_ca(root, x.make_key("p256"), self.election, x.ca_validity(now, now + DAY))
        good = x.Validity(now - DAY, now + DAY)
        box = certificate_uri(self.election, "box", 1)
        self.shown = {
            "ok": self.of(self.lines[0]),
            "revoked": self.of(next(line for line in self.lines if line.device == 2)),
            "expired": self._issue("expired", self._issuer, box, x.Validity(now - 2 * DAY, now - DAY)),
            "unknown_ca": self._issue("unknown_ca", stranger, box, good),
            "denied": self._issue("denied", self._issuer, certificate_uri("other", "box", 1), good),
            "p256": self._issue("p256", self._issuer, box, good),
        }

    def of(self, line: BundleLine) -> Path:
        """Certificate and key of one line of the bundle."""
        path = self._folder / f"{line.role}-{line.id}.pem"
        path.write_text(line.certificate + line.tls_key)
        return path

    def _issue(self, name: str, issuer: x.Issuer, uri: str, validity: x.Validity) -> Path:
        key = x.make_key("p256")
        issued = x.issue_client(issuer, key.public_key(), name, uri, x.random_serial(), validity)
        path = self._folder / f"{name}.pem"
        path.write_bytes(x.certificate_pem(issued) + x.key_pem(key))
        return path

    def config(self) -> _core.TlsConfig:
        certificate, key, ca, crl = (
            (self._pki / name).read_bytes() for name in ("server.pem", "server.key", "ca.pem", "crl.pem")
        )
        return _core.TlsConfig(
            certificate=certificate,
            key=key,
            ca=ca,
            crl=crl,
            election=self.election,
            crl_stale="keep",
            now=system_clock(),
        )

    def context(self, shown: Path | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(self.ca)
        if shown is not None:
            context.load_cert_chain(shown)
        return context


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return Night(tmp_path_factory.mktemp("tls"))


def only(server: Server) -> Seen:
    """What the one connection came to, once the server has stopped."""
    assert len(server.seen) == 1
    return server.seen[0]


# --- Python's ssl, and its raw bytes ---


@contextmanager
def connected(
    night: Night,
    server: Server,
    shown: Path | None,
    *,
    context: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
) -> Iterator[ssl.SSLSocket]:
    context = context or night.context(shown)
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    with (
        raw,
        context.wrap_socket(
            raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False, session=session
        ) as sock,
    ):
        yield sock


def read_all(sock: ssl.SSLSocket) -> bytes:
    """Up to the server's close_notify: a connection that is only cut would raise."""
    read = b""
    while part := sock.recv(65_536):
        read += part
    return read


def test_every_kind_of_holder_gets_in(night: Night) -> None:
    holders = {line.role: line for line in night.lines if line.device != 2}
    assert set(holders) == {"box", "terminal", "desk", "courier", "commission"}
    with serving(night.config()) as server:
        for line in holders.values():
            with connected(night, server, night.of(line)) as sock:
                assert sock.version() == "TLSv1.3"
                cipher = sock.cipher()
                assert cipher is not None
                assert cipher[0] == "TLS_AES_128_GCM_SHA256"
                sock.sendall(LAST)
                assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [seen.peer for seen in server.seen] == [(line.role, line.id) for line in holders.values()]


@pytest.mark.parametrize("case", ALERTS)
def test_python_hears_the_alert(night: Night, case: str) -> None:
    """In TLS 1.3 a refused client has finished its handshake: it hears of it when it first reads."""
    with serving(night.config()) as server, connected(night, server, night.shown.get(case)) as sock:
        sock.sendall(LAST)
        with pytest.raises(ssl.SSLError) as caught:
            sock.recv(1)
    assert ALERTS[case][0].upper().replace(" ", "_") in caught.value.reason
    seen = only(server)
    assert (seen.end, seen.peer, seen.requests) == ("failed", None, [])
    assert seen.failure == ("protocol" if case == "denied" else case)


def test_python_meets_no_older_tls(night: Night) -> None:
    context = night.context(night.shown["ok"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        serving(night.config()) as server,
        pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"),
        connected(night, server, None, context=context),
    ):
        pass
    assert only(server).failure == "protocol"


def test_there_is_no_session_to_resume(night: Night) -> None:
    context = night.context(night.shown["ok"])
    with serving(night.config()) as server:
        with connected(night, server, None, context=context) as sock:
            sock.sendall(LAST)
            read_all(sock)
            session = sock.session
            assert session is not None
            assert not session.has_ticket
        with connected(night, server, None, context=context, session=session) as sock:
            assert not sock.session_reused
            sock.sendall(LAST)
            assert read_all(sock).startswith(b"HTTP/1.1 200")
    assert [seen.end for seen in server.seen] == ["closed", "closed"]


def test_half_a_connection_hears_its_answer(night: Night) -> None:
    """FIN behind the request, without a close_notify: what was asked is answered."""
    with serving(night.config()) as server, connected(night, server, night.shown["ok"]) as sock:
        sock.sendall(GET)
        socket.socket.shutdown(sock, socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")
    assert only(server) == Seen([("GET", "/v1/self", b"")], "closed", ("box", 1), None)


def test_a_cut_request_is_none(night: Night) -> None:
    with serving(night.config()) as server, connected(night, server, night.shown["ok"]) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        assert read_all(sock) == b""
    assert only(server) == Seen([], "failed", ("box", 1), "protocol")


def test_close_notify_is_answered_with_one(night: Night) -> None:
    with serving(night.config()) as server, connected(night, server, night.shown["ok"]) as sock:
        sock.sendall(GET)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
        sock.unwrap()
    assert only(server).end == "closed"


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (b"Content-Length: 0\r\nContent-Length: %d\r\n", "request.malformed"),
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", "request.malformed"),
        (b"Transfer-Encoding: chunked\r\nX: %d\r\n", "request.length_required"),
        (b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n", "request.malformed"),
        (b"Content-Length: 0%d\r\n", "request.malformed"),
        (b"Content-Length: +%d\r\n", "request.malformed"),
        (b"Content-Length: 0\n: %d\r\n", "request.malformed"),
        (b"X: a\r\n Content-Length: %d\r\n", "request.malformed"),
        (b"X: \0\r\nContent-Length: %d\r\n", "request.malformed"),
        (b"Upgrade: h2c\r\nContent-Length: %d\r\n", "request.malformed"),
    ],
)
def test_nothing_is_smuggled(night: Night, lines: bytes, code: str) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\n" + lines.replace(b"%d", b"%d" % len(SMUGGLED)) + b"\r\n"
    with serving(night.config()) as server, connected(night, server, night.shown["ok"]) as sock:
        sock.sendall(head + SMUGGLED)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    assert only(server).requests == [code]


# --- curl ---


def curl(
    night: Night, server: Server, shown: Path | None, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    certificate = () if shown is None else ("--cert", shown)
    return subprocess.run(
        [
            require_program("curl"), "--silent", "--show-error", "--cacert", night.ca, *certificate,
            "--max-time", str(PATIENCE), *arguments, f"https://127.0.0.1:{server.port}/v1/statements",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )  # fmt: skip


@pytest.mark.parametrize("size", [0, 1_000, 16_384, 16_385, 3_000_000])
@pytest.mark.parametrize("expects", ["X: x", "Expect: 100-continue"])
def test_curl_uploads(night: Night, tmp_path: Path, size: int, expects: str) -> None:
    body = (bytes(range(33, 127)) * (size // 94 + 1))[:size]
    (tmp_path / "body").write_bytes(body)
    with serving(night.config()) as server:
        done = curl(
            night, server, night.shown["p256"], "--data-binary", f"@{tmp_path / 'body'}", "-H", expects
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == body
    assert only(server) == Seen([("POST", "/v1/statements", body)], "closed", ("box", 1), None)


def test_curl_keeps_its_connection(night: Night) -> None:
    with serving(night.config()) as server:
        url = f"https://127.0.0.1:{server.port}/first"
        done = curl(night, server, night.shown["ok"], "--data", "hello", url)
    assert (done.returncode, done.stdout) == (0, "hellohello")
    paths = [("POST", "/first", b"hello"), ("POST", "/v1/statements", b"hello")]
    assert only(server) == Seen([*paths], "closed", ("box", 1), None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--head"], "request.method"),
        (["--request", "DELETE"], "request.method"),
        (["--http1.0"], "request.malformed"),
        (["--header", "Host;"], "request.malformed"),
        (["--data", "a", "--header", "Transfer-Encoding: chunked"], "request.length_required"),
        (["--data", "a", "--request", "GET"], "request.malformed"),
        (["--header", f"X: {'x' * 9_000}"], "request.too_large"),
    ],
)
def test_curl_reads_why(night: Night, arguments: list[str], code: str) -> None:
    with serving(night.config()) as server:
        done = curl(night, server, night.shown["ok"], "--include", *arguments)
    assert done.stdout.startswith("HTTP/1.1 400 Bad Request")
    assert only(server).requests == [code]
    assert only(server).end == "closed"


@pytest.mark.parametrize("case", ALERTS)
def test_curl_hears_the_alert(night: Night, case: str) -> None:
    with serving(night.config()) as server:
        done = curl(night, server, night.shown.get(case), "--data", "hello")
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"alert {ALERTS[case][0]}" in done.stderr
    assert only(server).requests == []


def test_curl_meets_no_older_tls(night: Night) -> None:
    with serving(night.config()) as server:
        done = curl(night, server, night.shown["ok"], "--tls-max", "1.2")
    assert "alert protocol version" in done.stderr


def test_curl_believes_no_other_ca(night: Night, tmp_path: Path) -> None:
    """The other direction: a box that trusts another CA says so, and the gateway's log can tell."""
    with serving(night.config()) as server:
        done = curl(night, server, night.shown["ok"], "--cacert", night.shown["unknown_ca"])
    assert done.returncode == 60
    assert (only(server).failure, only(server).peer) == ("protocol", None)


# --- openssl s_client ---


def s_client(night: Night, server: Server, shown: Path | None, *arguments: str | Path) -> list[str | Path]:
    certificate = () if shown is None else ("-cert", shown, "-key", shown)
    return [
        require_program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", night.ca,
        "-partial_chain", "-verify_return_error", "-verify_ip", "127.0.0.1", *certificate, *arguments,
    ]  # fmt: skip


def ask(
    night: Night, server: Server, shown: Path | None, *arguments: str | Path, request: bytes = LAST
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        s_client(night, server, shown, "-ign_eof", *arguments),
        input=request,
        capture_output=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def test_openssl_is_served_without_a_ticket(night: Night, tmp_path: Path) -> None:
    saved = tmp_path / "session.pem"
    with serving(night.config()) as server:
        done = ask(night, server, night.shown["ok"], "-sess_out", saved)
        again = ask(night, server, night.shown["ok"], "-sess_in", saved) if saved.exists() else None
    assert "HTTP/1.1 200 OK" in done.stdout
    assert "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256" in done.stdout
    assert "Verify return code: 0 (ok)" in done.stdout
    assert "Server Temp Key: X25519" in done.stdout
    assert "Session Ticket" not in done.stdout
    assert again is None or "New, TLSv1.3" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-groups", "P-256"], "Server Temp Key: ECDH, prime256v1"),
        (["-groups", "P-384:X25519"], "Server Temp Key: X25519"),
        (["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
        (["-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"], "Cipher is TLS_AES_128_GCM"),
        (["-sigalgs", "ed25519"], "Verify return code: 0 (ok)"),
        (["-alpn", "h2"], "No ALPN negotiated"),
        (["-servername", "elsewhere.example"], "HTTP/1.1 200 OK"),
        (["-max_send_frag", "512"], "HTTP/1.1 200 OK"),
    ],
)
def test_openssl_asks_for_something_else(night: Night, arguments: list[str], words: str) -> None:
    with serving(night.config()) as server:
        done = ask(night, server, night.shown["ok"], *arguments)
    assert words in done.stdout
    assert "HTTP/1.1 200 OK" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "alert"),
    [
        (["-tls1_2"], 70),
        (["-groups", "P-384"], 40),
        (["-sigalgs", "rsa_pss_rsae_sha256"], 40),
    ],
)
def test_openssl_is_refused(night: Night, arguments: list[str], alert: int) -> None:
    with serving(night.config()) as server:
        done = ask(night, server, night.shown["ok"], *arguments)
    assert f"SSL alert number {alert}\n" in done.stderr
    assert only(server).failure == "protocol"


@pytest.mark.parametrize("case", ALERTS)
def test_openssl_hears_the_alert(night: Night, case: str) -> None:
    with serving(night.config()) as server:
        done = ask(night, server, night.shown.get(case))
    assert f"SSL alert number {ALERTS[case][1]}\n" in done.stderr
    assert "HTTP/" not in done.stdout


def test_openssl_at_the_end_of_its_input(night: Night) -> None:
    """Without -ign_eof it sends close_notify behind the request; the answer may come too late for it."""
    with serving(night.config()) as server:
        subprocess.run(
            s_client(night, server, night.shown["ok"], "-quiet", "-no_ign_eof"),
            input=GET,
            capture_output=True,
            check=False,
            timeout=2 * PATIENCE,
        )
    assert only(server) == Seen([("GET", "/v1/self", b"")], "closed", ("box", 1), None)


def test_openssl_renews_its_keys(night: Night) -> None:
    with serving(night.config()) as server:
        client = subprocess.Popen(
            s_client(night, server, night.shown["ok"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with client:
            assert client.stdin is not None
            assert client.stdout is not None
            for command in (b"K\n", b"k\n"):
                client.stdin.write(command)
                client.stdin.flush()
                while not client.stdout.readline().startswith(b"KEYUPDATE"):
                    assert client.poll() is None
            client.stdin.write(LAST)
            client.stdin.flush()
            said = client.stdout.read()
    assert re.search(rb"HTTP/1\.1 200 OK", said)
    assert only(server).end == "closed"
