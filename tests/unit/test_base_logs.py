"""The log: what a line looks like, what never stands in one, and what floods and stuck readers do to it."""

import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import structlog

from gateway.base.logs import BURST, EVENTS, MAX_TEXT, MAX_TRACEBACK, WAITING, Event, Log, StderrWriter

ROOT = Path(__file__).parents[2]


class Journal:
    """A log whose lines are kept, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_638_108_000_123
        self.lines: list[str] = []
        self.log = Log("ingest", self.lines.append, lambda: self.now)

    def last(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.lines[-1])
        return found


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_a_line_is_one_object_in_a_readers_order(journal: Journal) -> None:
    journal.log("role.ready", box="127.0.0.1:8443", entries=3, log_key=None, load=0.5, good=True)
    assert journal.lines == [
        '{"timestamp":"2021-11-28T14:00:00.123Z","level":"info","role":"ingest","event":"role.ready",'
        '"box":"127.0.0.1:8443","entries":3,"log_key":null,"load":0.5,"good":true}'
    ]


def test_the_level_is_the_events(journal: Journal) -> None:
    for event, level in EVENTS.items():
        journal.log(event)
        assert (journal.last()["event"], journal.last()["level"]) == (event, level)


def test_bytes_and_other_things_are_never_written_out(journal: Journal) -> None:
    fields = {"packet": b"\x01secret", "keys": [b"secret"], "where": Path("/secret")}
    journal.log("boxport.fault", **fields)  # type: ignore[arg-type]
    line = journal.last()
    assert [line[name] for name in fields] == ["<bytes>", "<list>", "<PosixPath>"]
    assert "secret" not in journal.lines[-1]


def test_whatever_stands_in_a_text_it_stays_one_line_of_utf_8(journal: Journal) -> None:
    text = 'a"\\\n\r\x1b[31m\u2028\udcff Выборы'
    journal.log("tls.reload_failed", words=text)
    assert "\n" not in journal.lines[-1]
    assert "\x1b" not in journal.lines[-1]
    assert journal.lines[-1].encode()
    assert journal.last()["words"] == text.replace("\udcff", "\\udcff")


def test_texts_are_bounded(journal: Journal) -> None:
    journal.log("role.failed", words="x" * 100_000)
    assert journal.last()["words"] == "x" * MAX_TEXT


def test_a_fault_comes_with_its_traceback(journal: Journal) -> None:
    try:
        raise ValueError("broken " + "x" * 20_000)
    except ValueError as error:
        journal.log.fault("boxport.fault", error, statements=2)
    line = journal.last()
    assert (line["error"], line["statements"]) == ("ValueError", 2)
    assert str(line["words"]).startswith("broken xxx")
    assert len(str(line["traceback"])) == MAX_TRACEBACK


def test_a_flood_of_one_event_leaves_the_others_their_place(journal: Journal) -> None:
    for _ in range(10 * BURST):
        journal.log("boxport.handshake", result="unknown_ca")
    journal.log("disk.low")
    assert len(journal.lines) == BURST + 1
    journal.now += 1_000
    journal.log("boxport.handshake", result="expired")
    assert journal.last()["left_out"] == 9 * BURST
    journal.log("boxport.handshake", result="expired")
    assert "left_out" not in journal.last()


def test_a_clock_that_is_put_back_silences_nothing(journal: Journal) -> None:
    for _ in range(2 * BURST):
        journal.log("boxport.handshake")
    journal.now -= 86_400_000
    journal.log("boxport.handshake")
    assert journal.last()["left_out"] == BURST


def test_settings_of_structlog_elsewhere_change_nothing(journal: Journal) -> None:
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    try:
        Journal().log("role.ready")
        journal.log("role.ready", a=1)
    finally:
        structlog.reset_defaults()
    assert journal.last()["a"] == 1


# --- The writer ---


class Stuck(io.StringIO):
    """A terminal that somebody has stopped (Ctrl-S)."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go_on.wait()
        return super().write(text)


def test_lines_come_out_in_their_order_and_whole() -> None:
    stream = io.StringIO()
    writer = StderrWriter(stream)
    for number in range(100):
        writer(f"line {number}")
    writer.close()
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(100)]


def test_nobody_waits_for_a_stopped_terminal_and_what_is_dropped_is_counted() -> None:
    stream = Stuck()
    writer = StderrWriter(stream)
    writer("first")
    stream.reached.wait()
    for number in range(WAITING + 7):
        writer(f"line {number}")
    stream.go_on.set()
    writer.close()
    found = stream.getvalue().splitlines()
    assert found[0] == "first"
    assert found[1] == '{"level":"warning","event":"log.dropped","lines":7}'
    assert found[-1] == f"line {WAITING - 1}"


def test_a_reader_that_has_gone_away_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    writer = StderrWriter(stream)
    writer("somebody?")
    writer.close()


# --- The list of events ---


def used() -> Iterator[tuple[str, str]]:
    """Every event that the gateway's code names, with its file."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        if path.name == "logs.py":
            continue
        source = path.read_text()
        for call in re.finditer(r"log(?:\.fault)?\(\s*((?:\"[a-z_.]+\"|[^\"()])*)", source):
            for event in re.findall(r"\"([a-z]+\.[a-z_]+)\"", call[1]):
                yield event, str(path)


def documented() -> dict[str, str]:
    """Event and level of each row of the table in docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text()
    return dict(
        re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (info|warning|error|critical) \|", text, re.MULTILINE)
    )


def test_every_event_has_a_level_and_a_row_in_the_docs() -> None:
    assert set(get_args(Event)) == set(EVENTS)
    expected = {str(event): str(level) for event, level in EVENTS.items()}
    assert documented() == expected | {"log.dropped": "warning"}


def test_every_event_on_the_list_is_used_and_every_used_one_is_on_it() -> None:
    found = {event for event, _ in used()}
    assert found <= set(EVENTS)
    assert set(EVENTS) - found == set()
