"""Whatever two people type: each line has what two readings say, each fault was compared with the paper."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.box import plausible
from clients.desk import draft as drafts
from clients.desk import paper
from clients.desk.draft import Draft, Reading
from clients.desk.form import Form, name
from clients.desk.paper import Line, Value
from clients.desk.texts import Texts
from clients.wire.definition import Definition
from clients.wire.messages import Messages
from tests.unit.desk_helpers import CLOSED_AT, NOW, STATION
from tests.unit.wire_election import Election

TEXTS = Texts("en", Messages())


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    root: Path = tmp_path_factory.mktemp("election")
    Election(root)
    return Definition.load(root / "definition")


class Reader:
    """Somebody who types what is given for a line, and when asked to look again what the paper says."""

    def __init__(self, form_lines: tuple[Line, ...], truth: dict[str, Value]) -> None:
        self._lines = form_lines
        self._truth = truth
        self.typed: dict[str, Value] = {}
        self._line = form_lines[0]
        self._labels: dict[str, Line] = {}

    def name(self, labels: dict[str, Line]) -> None:
        self._labels = labels

    def say(self, text: str = "", style: str = "") -> None:
        for label, line in self._labels.items():
            if text.endswith(label):
                self._line = line

    def ask(self, prompt: str) -> str:
        if prompt.startswith("["):
            self._line = self._lines[int(prompt[1:].partition("/")[0]) - 1]
            return self._said(self.typed[self._line.path])
        if prompt == TEXTS.say("says"):
            return self._said(self._truth[self._line.path])
        # A fault: what was typed stands on this person's paper.
        return self._said(self.typed[self._line.path])

    def _said(self, value: Value) -> str:
        if value is None:
            return "-"
        return "02:20" if self._line.path == paper.CLOSED_AT else str(value)

    def clear(self) -> None:
        raise AssertionError


@given(data=st.data())
def test_what_two_readings_say(definition: Definition, data: st.DataObject) -> None:
    station = definition.stations[STATION]
    lines = paper.lines(definition, (1, 2))
    numbers = st.integers(0, 30)

    def value(line: Line) -> Value:
        if line.path == paper.CLOSED_AT:
            return CLOSED_AT
        return data.draw(numbers if line.required else numbers | st.none())

    truth = {line.path: value(line) for line in lines}
    readings = []
    for _ in range(2):
        mistakes = data.draw(st.sets(st.sampled_from(lines), max_size=3))
        readings.append({line.path: value(line) if line in mistakes else truth[line.path] for line in lines})

    stored: list[Draft] = []
    reader = Reader(lines, truth)
    form = Form(reader, TEXTS, definition, station, NOW, stored.append)
    reader.name({f"{form.heading(line)}: {form.label(line)}": line for line in lines})
    draft = drafts.new(definition.sha256, STATION, (1, 2), [line.path for line in lines], "first", "")
    for typed in readings:
        draft.readings.append(Reading("somebody"))
        reader.typed = typed
        form.read(draft, draft.readings[-1], lines)
        assert draft.readings[-1].values == typed

    settled = form.settle(draft, lines)
    for line in lines:
        first, second = (typed[line.path] for typed in readings)
        if first == second:
            assert settled[line.path] == first
            assert line.path not in draft.again
        else:
            assert settled[line.path] == truth[line.path]
            assert len(draft.again[line.path]) == (1 if truth[line.path] in (first, second) else 2)
    # No fault of a reading went by without a question.
    for typed, reading in zip(readings, draft.readings, strict=True):
        found = plausible.judge_typed(paper.typed(lines, typed), station, definition, NOW, {})
        assert {name(finding) for finding in found} <= set(reading.confirmed)
    assert stored
