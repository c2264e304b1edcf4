"""`tallygate-fleet demo` as a new user meets it: a small country, real processes, a pipe and a terminal."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clients.fleet.country import FEWEST_STATIONS

ROOT = Path(__file__).parents[2]
STATIONS = FEWEST_STATIONS
# The line that says where the feed is: from then on the gateway is ready.
SERVING = "^feed "
# A night takes half a minute on a quiet machine, and this one may be busy.
pytestmark = pytest.mark.timeout(300)


def until(condition: Callable[[], bool]) -> None:
    """Looks until it holds; what other processes do is no event here, and the timeout is the bound."""
    while not condition():
        time.sleep(0.01)


def running_in(folder: Path) -> list[str]:
    """Command lines of all processes that were told this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if any(str(folder) in word for word in words) and path.parent.name != str(os.getpid()):
                found.append(" ".join(words))
    return found


class Demo:
    """A demonstration in a pipe; its temporary folders are made in `folder`."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self.folder = folder
        self._errors = (folder.parent / f"{folder.name}.err").open("w+b")
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )

    def line(self, pattern: str) -> str:
        """The next line that the pattern fits."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if re.search(pattern, line):
                return line.rstrip("\n")
        raise AssertionError(f"it has ended without {pattern}: {self.errors()}")

    def rest(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def errors(self) -> str:
        return Path(self._errors.name).read_text()

    def wait(self) -> int:
        code = self.process.wait()
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()


def fetched(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - its own http address
        data: bytes = answer.read()
    return data


def command(*arguments: str | Path) -> list[str]:
    # A test run in the background may hand down an ignored SIGINT, which a terminal would not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from clients.fleet.cli import main; main()"
    )
    return [sys.executable, "-c", code, "demo", "--stations", str(STATIONS), *map(str, arguments)]


@pytest.fixture
def near() -> Iterator[Path]:
    """A folder near the root: the gateway's socket must fit into a Unix socket's name."""
    with tempfile.TemporaryDirectory(prefix="tgd-") as folder:
        yield Path(folder)


@pytest.fixture
def demo(near: Path) -> Iterator[Callable[..., Demo]]:
    with contextlib.ExitStack() as ending:

        def start(*arguments: str | Path) -> Demo:
            folder = near / "temporary"
            folder.mkdir()
            started = Demo(folder, *arguments)
            ending.callback(started.close)
            return started

        yield start


def test_in_a_pipe_it_ends_by_itself(demo: Callable[..., Demo], tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    started = demo("--picture", picture)
    page, feed = (started.line(f"^{label} ").split()[-1] for label in ("page", "feed"))
    started.line(" (day|rush) ")
    assert b"REHEARSAL" in fetched(page)
    assert json.loads(fetched(feed))["mode"] == "rehearsal"
    rest = started.rest()
    assert started.wait() == 0, started.errors()
    assert "the feed agrees" in rest
    counted = STATIONS - 2
    assert f"{counted} of {STATIONS} stations; 1 held" in rest
    assert "exactly what the stations had counted" in rest
    assert "disputed \N{RIGHTWARDS ARROW} reported" in rest
    assert re.search(r"decision 2 is taken at entry \d+: in effect", rest)
    assert re.search(r"right +papers +1 ", rest)
    assert re.search(r"counted .* 0 disputed", rest)
    assert re.search(r"close to receipt +p50 [\d.]+ m?s, p99 [\d.]+ m?s", rest)
    assert re.search(r"close to public +p50 [\d.]+ m?s, p99 [\d.]+ m?s", rest)
    assert "nothing: " in rest
    assert not list(started.folder.iterdir())
    assert not running_in(started.folder)

    data = picture.read_bytes()
    assert len(data) < 60_000
    text = "".join(ElementTree.fromstring(data).itertext()).replace("\xa0", " ")  # noqa: S314 - our own file
    assert "REHEARSAL" in text
    assert "the feed agrees" in text
    assert str(tmp_path) not in text
    assert b"@font-face" not in data
    assert b"<script" not in data


def test_a_feed_that_is_tampered_with_is_no_success(demo: Callable[..., Demo], near: Path) -> None:
    kept = near / "kept"
    started = demo("--keep", kept)
    started.line(SERVING)
    first = kept / "night" / "feed" / "snapshots" / "1.json"
    until(first.exists)
    data = bytearray(first.read_bytes())
    data[data.index(b'"published_at":"2032') + len('"published_at":"203')] ^= 1
    first.write_bytes(data)
    rest = started.rest()
    assert started.wait() == 1
    assert "does not agree" in rest
    assert "snapshots/1" in rest, rest
    # The totals are right, and still somebody has changed the record.
    assert "exactly what the stations had counted" in rest
    assert not running_in(kept)
    assert (kept / "fleet.json").exists()


@pytest.mark.parametrize(
    ("at", "number"), [("certificates", signal.SIGINT), (SERVING, signal.SIGTERM)], ids=["keys", "night"]
)
def test_ended_at_any_time_it_leaves_nothing(
    demo: Callable[..., Demo], at: str, number: signal.Signals
) -> None:
    started = demo()
    started.line(at)
    assert running_in(started.folder) or at == "certificates"
    started.process.send_signal(number)
    started.rest()
    assert started.wait() == 1
    assert "stopped before the verdict" in started.errors()
    assert "Traceback" not in started.errors()
    assert not running_in(started.folder)
    assert not list(started.folder.iterdir())


def test_a_gateway_that_dies_ends_it_with_its_last_words(demo: Callable[..., Demo]) -> None:
    started = demo()
    started.line(SERVING)
    (night,) = started.folder.iterdir()
    serving = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.read_bytes().split(b"\0")[4:6] == [b"serve", bytes(night / "night")]
    ]
    (pid,) = serving
    os.kill(pid, signal.SIGKILL)
    started.rest()
    assert started.wait() == 1
    assert "the gateway has ended in the middle of the night" in started.errors()
    assert "[demo.gateway]" in started.errors()
    assert str(night) in started.errors()
    assert night.exists()
    until(lambda: not running_in(started.folder))


def test_killed_it_leaves_nothing_running(demo: Callable[..., Demo]) -> None:
    started = demo()
    started.line(SERVING)
    assert running_in(started.folder)
    started.process.kill()
    started.rest()
    assert started.wait() == -signal.SIGKILL
    until(lambda: not running_in(started.folder))


def test_a_folder_with_something_in_it_is_refused(demo: Callable[..., Demo], near: Path) -> None:
    kept = near / "kept"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    started = demo("--keep", kept)
    assert started.wait() == 1
    assert "[file.exists]" in started.errors()
    assert [path.name for path in kept.iterdir()] == ["mine"]


def test_on_a_terminal_it_serves_until_ctrl_c(near: Path) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    process = subprocess.Popen(
        command(),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(near), "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: _control(slave),
    )
    os.close(slave)
    try:
        shown = _read_until(master, b"Ctrl-C ends it")
        assert "the feed agrees" in shown
        assert "\N{CHECK MARK} rush" in shown
        page = re.findall(r"http://127\.0\.0\.1:\d+/", shown)[-1]
        assert b"REHEARSAL" in fetched(page)
        os.write(master, b"\x03")
        _read_until(master, None)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert not running_in(near)
    assert not list(near.iterdir())


def _control(slave: int) -> None:
    """Makes the terminal the new session's own, so that it sends SIGINT for Ctrl-C."""
    import fcntl

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read_until(master: int, wanted: bytes | None) -> str:
    shown = b""
    while wanted is None or wanted not in shown:
        try:
            data = os.read(master, 65_536)
        except OSError:  # the other side is closed
            data = b""
        if not data:
            assert wanted is None, shown.decode(errors="replace")
            break
        shown += data
    return shown.decode(errors="replace")
