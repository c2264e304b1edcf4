"""`tallygate web` as a process: curl asks it, nginx stands before it, systemd is told, two cannot be."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.base.config import Config, render
from gateway.run.folder import NightFolder, ReadyFile, read_ready
from tests.integration.test_cli_serve import Gateways, fetch, gateways, health, run, tallygate, until
from tests.peers import require_program
from tests.unit.site_feed import SiteFeed

__all__ = ["gateways"]

HASH = "ab" * 32
LARGE = bytes(range(256)) * 4_096


class Served(NamedTuple):
    """A night whose web runs."""

    root: Path
    feed: SiteFeed
    ready: ReadyFile

    @property
    def address(self) -> str:
        return f"http://{self.ready.web[0]}"


def make_night(root: Path) -> SiteFeed:
    """As much of a night folder as web needs: no key, no ledger."""
    feed = SiteFeed(root)
    shutil.copytree(feed.root / "definition" / feed.named, root / "definition")
    (root / "run").mkdir()
    text = render(Config()).decode()
    (root / "tallygate.toml").write_text(re.sub(r":(8443|8080|964[0-3])\b", ":0", text))
    return feed


@pytest.fixture
def served(tmp_path: Path, gateways: Gateways) -> Served:
    root = tmp_path / "night"
    root.mkdir()
    feed = make_night(root)
    feed.publish()
    (feed.root / "areas" / "1" / f"{HASH}.json").write_bytes(LARGE)
    gateways.start(tallygate("web", root))
    return Served(root, feed, wait_ready(root))


def wait_ready(root: Path) -> ReadyFile:
    path = NightFolder(root).ready("web")
    until(lambda: read_ready(path) is not None)
    ready = read_ready(path)
    assert ready is not None
    return ready


def curl(*arguments: str) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of the last answer."""
    done = subprocess.run(
        [require_program("curl"), "-sS", "-i", "--path-as-is", *arguments], capture_output=True, check=True
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    parts = (line.lower().partition(": ") for line in lines)
    return int(status.split()[1]), {name: value for name, _, value in parts}, body


def test_curl_gets_pages_and_files(served: Served) -> None:
    at = served.address
    status, fields, body = curl(f"{at}/")
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"An example" in body
    assert fields["cache-control"] == "public, max-age=2, stale-while-revalidate=30"
    assert curl("-H", f"If-None-Match: {fields['etag']}", f"{at}/")[0] == 304
    status, fields, body = curl(f"{at}/latest.json")
    assert json.loads(body)["snapshot"] == 1
    assert curl("--compressed", "-H", f"If-None-Match: W/{fields['etag']}", f"{at}/latest.json")[0] == 304
    large = f"{at}/areas/1/{HASH}.json"
    assert curl("-r", "5-9", large)[::2] == (206, LARGE[5:10])
    assert curl("-r", "-7", large)[::2] == (206, LARGE[-7:])
    status, fields, body = curl("-I", large)
    assert (status, fields["content-length"], body) == (200, str(len(LARGE)), b"")
    assert fields["cache-control"] == "public, max-age=31536000, immutable"
    assert fields["etag"] == f'"{hashlib.sha256(LARGE).hexdigest()[:32]}"'
    assert curl("-X", "DELETE", f"{at}/latest.json")[0] == 405
    assert curl("-d", "x=1", f"{at}/")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../tallygate.toml",
        "/..%2ftallygate.toml",
        "/%2e%2e/tallygate.toml",
        "/areas/../../tallygate.toml",
        "//etc/passwd",
        "/areas/",
        "/areas",
        "/.hidden.json",
        "/areas/1/.writing.json.tmp",
        "/definition/link/tallygate.toml",
        "/log/link",
    ],
)
def test_curl_gets_nothing_else(served: Served, path: str) -> None:
    root = served.feed.root
    (root / ".hidden.json").write_text("{}")
    (root / "areas" / "1" / ".writing.json.tmp").write_text("{}")
    (root / "definition" / "link").symlink_to(served.root)
    (root / "log").mkdir()
    (root / "log" / "link").symlink_to(served.root / "tallygate.toml")
    assert curl(f"{served.address}{path}")[0] == 404


def test_metrics_and_health(served: Served) -> None:
    promtool = require_program("promtool")
    assert fetch(served.ready.web[0]) is not None
    assert health(served.ready, "/readyz") == (200, "ready\n")
    text = health(served.ready, "/metrics")[1]
    assert 'tallygate_web_requests_total{status="200"} 1.0\n' in text
    assert "tallygate_web_snapshot_number 1.0\n" in text
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_ready_before_there_is_a_feed_and_told_to_end(tmp_path: Path, gateways: Gateways) -> None:
    root = tmp_path / "night"
    root.mkdir()
    feed = make_night(root)
    feed.root.rename(tmp_path / "later")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        running = gateways.start(tallygate("web", root), environment)
        ready = wait_ready(root)
        assert b"Nothing is published yet" in (fetch(ready.web[0]) or b"")
        heard: set[bytes] = set()
        while heard != {b"WATCHDOG=1", f"READY=1\nSTATUS=http://{ready.web[0]}/".encode()}:
            heard.add(systemd.recv(1_000))
        (tmp_path / "later").rename(feed.root)
        feed.publish()
        assert b"Snapshot 1" in (fetch(ready.web[0]) or b"")
        assert running.end(signal.SIGTERM) == 0
    assert not NightFolder(root).ready("web").exists()


def test_without_its_supervisor_it_ends(tmp_path: Path) -> None:
    root = tmp_path / "night"
    root.mkdir()
    make_night(root)
    process = subprocess.Popen(
        tallygate("web", root, "--supervised"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        wait_ready(root)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


def test_a_second_one_and_a_taken_address_are_refused(served: Served, tmp_path: Path) -> None:
    ended = run("web", served.root)
    assert (ended.code, "[role.running]" in ended.err) == (1, True)
    other = tmp_path / "other"
    other.mkdir()
    make_night(other)
    config = other / "tallygate.toml"
    config.write_text(config.read_text().replace('web = ["127.0.0.1:0"]', f'web = ["{served.ready.web[0]}"]'))
    ended = run("web", other)
    assert (ended.code, "[web.bind]" in ended.err) == (1, True)


# --- nginx, as docs/operations.md sets it before the port ---


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """The configuration of the docs without TLS, on a free port."""
    docs = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    found = re.search(r"```\n(proxy_cache_path.*?)```", docs, re.DOTALL)
    assert found is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = found[1].replace("/var/cache/nginx/tallygate", f"{folder}/cache")
    text = re.sub(r"listen 443 ssl;.*", f"listen 127.0.0.1:{port};", text)
    text = text.replace("http://127.0.0.1:8080", upstream)
    text = text.replace("gzip on;", "gzip on; gzip_proxied any; add_header X-Cache $upstream_cache_status;")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started by root its workers would be nobody, whom pytest's folders let in nowhere.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; worker_processes 1; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{text} }}\n"
    )
    process = subprocess.Popen(
        [require_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_behind_nginx(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    with nginx(folder, served.address) as at:
        assert b"An example" in curl("--compressed", f"{at}/")[2]
        status, fields, _ = curl("-H", "Accept-Encoding: gzip", f"{at}/latest.json")
        assert (status, fields["content-encoding"]) == (200, "gzip")
        large = f"{at}/areas/1/{HASH}.json"
        assert [curl(large)[1]["x-cache"] for _ in range(3)] == ["miss", "hit", "hit"]
        assert curl(large)[2] == LARGE
        assert curl("-r", "10-19", large)[::2] == (206, LARGE[10:20])
        assert curl(f"{at}/snapshots/9.json")[0] == 404
        # What is cached for two seconds is asked for again by its tag, and changes when the feed does.
        served.feed.publish(2)
        until(lambda: json.loads(curl(f"{at}/latest.json")[2])["snapshot"] == 2)
    assert served.feed.root.exists()


def test_fast_enough_to_be_polled(served: Served) -> None:
    """No timed assertion: many readers of one process, and none of them is turned away."""
    require_program("curl")
    done = subprocess.run(
        ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}\n", "-Z", "--parallel-max", "50",
         *(f"{served.address}/latest.json" for _ in range(500))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = health(served.ready, "/metrics")[1]
    assert 'tallygate_web_requests_total{status="200"} 500.0\n' in text
