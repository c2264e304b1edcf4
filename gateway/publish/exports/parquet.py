"""stations.parquet: the rows of results.csv, typed, for programs that read a whole country at once.

It needs pyarrow, which is an extra (``tallygate[parquet]``): without it the file is left out, and the note
does not name it.
"""

import importlib
from array import array
from collections.abc import Callable
from typing import Final, Protocol

from gateway.feed.exports import PARQUET
from gateway.feed.objects import RowCount
from gateway.publish.exports.results import what_is
from gateway.publish.exports.source import COUNTED, SOURCES, Seen, Source
from gateway.publish.exports.writing import Output

# Places in the column of states.
_STATES: Final = ("silent", "partial", "reported", "held", "disputed", "annulled", "cancelled")
_STATE: Final = {word: place for place, word in enumerate(_STATES)}
# What stands where a row has no number.
_NONE: Final = -1


class Recorder(Protocol):
    """Whoever writes a format, station by station."""

    def station(self, seen: Seen) -> None:
        """Takes the next station."""

    def finish(self) -> None:
        """There are no more."""


def recorder(source: Source, output: Callable[[str], Output]) -> Recorder:
    """What writes the file.

    Args:
        source: the snapshot.
        output: makes a file.

    Raises:
        ImportError: pyarrow is not installed; no file was made.
    """
    importlib.import_module("pyarrow.parquet")
    return _StationsParquet(source, output(PARQUET))


class _StationsParquet:
    """Gathers numbers alone, four bytes each; names come in at the end."""

    def __init__(self, source: Source, output: Output) -> None:
        self._source = source
        self._output = output
        self._items: dict[tuple[int, bool, int], int] = {}
        for contest in source.contests:
            for code in source.figures:
                self._items[contest, False, code] = len(self._items)
        for number, contest_choices in source.contests.items():
            for choice in contest_choices.choices:
                self._items[number, True, choice.number] = len(self._items)
        self._contests = {number: place for place, number in enumerate(source.contests)}
        self._stations: list[Seen] = []
        # For each station, contest and source their places, that of the state, and where its rows begin.
        self._counts = {name: array("i") for name in ("station", "contest", "source", "state")}
        self._begins = array("i", [0])
        # For each row the place of what it says, and the value.
        self._said = array("i")
        self._values = array("q")

    def station(self, seen: Seen) -> None:
        """Takes the rows of a station."""
        place = len(self._stations)
        self._stations.append(seen._replace(data=None))
        counts = {(count.contest, count.source): count for count in seen.row.counts}
        for contest in seen.station.contests:
            for source in SOURCES:
                count = counts.get((contest, source))
                state = "cancelled" if seen.row.cancelled else "silent" if count is None else count.state
                head = (place, self._contests[contest], source - 1, _STATE[state])
                if count is None or seen.row.cancelled or count.state not in COUNTED:
                    self._append(head, [_NONE], [0])
                else:
                    self._numbers(head, count)

    def _numbers(self, head: tuple[int, int, int, int], count: RowCount) -> None:
        choices = self._source.contests[count.contest].choices
        items = [self._items[count.contest, False, code] for code, _ in count.figures]
        items += [self._items[count.contest, True, choice.number] for choice in choices]
        self._append(head, items, [*(value for _, value in count.figures), *count.votes])

    def _append(self, head: tuple[int, int, int, int], items: list[int], values: list[int]) -> None:
        for column, value in zip(self._counts.values(), head, strict=True):
            column.append(value)
        self._said.extend(items)
        self._values.extend(values)
        self._begins.append(len(self._said))

    def finish(self) -> None:
        """Writes the file."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        def numbers(name: str, values: list[int | None]) -> pa.Array:
            return pa.array(values, pa.int64()).take(index[name])

        def words(name: str, values: list[str]) -> pa.Array:
            # Each word once: what several rows share stands in the file once.
            encoded = pa.array(values, pa.string()).dictionary_encode()
            return pa.DictionaryArray.from_arrays(encoded.indices.take(index[name]), encoded.dictionary)

        source, stations = self._source, self._stations
        begins, said = pa.array(memoryview(self._begins)), pa.array(memoryview(self._said))
        of_row = pc.list_parent_indices(pa.ListArray.from_arrays(begins, said))
        index = {name: pa.array(memoryview(column)).take(of_row) for name, column in self._counts.items()}
        index["item"] = said
        nothing = pc.equal(said, _NONE)
        index["item"] = pc.if_else(nothing, pa.scalar(None, pa.int32()), index["item"])
        areas = [seen.place.area for seen in stations]
        regions = [seen.place.region for seen in stations]
        contests = [found.contest for found in source.contests.values()]
        items = [self._item(*key) for key in self._items]
        columns = {
            "region": numbers("station", [None if one is None else one.number for one in regions]),
            "region_name": words("station", ["" if one is None else one.name for one in regions]),
            "area": numbers("station", [area.number for area in areas]),
            "area_label": words("station", [area.label for area in areas]),
            "area_name": words("station", [area.name for area in areas]),
            "station": numbers("station", [seen.station.number for seen in stations]),
            "station_label": words("station", [seen.station.label for seen in stations]),
            "station_name": words("station", [seen.station.name for seen in stations]),
            "registered": numbers("station", [seen.station.registered for seen in stations]),
            "contest": numbers("contest", [contest.number for contest in contests]),
            "contest_name": words("contest", [contest.name for contest in contests]),
            "source": words("source", list(SOURCES.values())),
            "status": words("source", [source.status(number) for number in SOURCES]),
            "state": words("state", list(_STATES)),
            "what": words("item", [what for what, _, _, _ in items]),
            "code": numbers("item", [code for _, code, _, _ in items]),
            "label": words("item", [label for _, _, label, _ in items]),
            "name": words("item", [name for _, _, _, name in items]),
            "value": pc.if_else(nothing, pa.scalar(None, pa.int64()), pa.array(memoryview(self._values))),
        }
        metadata = {
            "tallygate.election": source.definition.id,
            "tallygate.snapshot": str(source.number),
            "tallygate.published_at": source.latest.published_at,
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), sink, compression="zstd")
        self._output.write(bytes(memoryview(sink.getvalue())))

    def _item(self, contest: int, is_choice: bool, code: int) -> tuple[str, int, str, str]:
        if not is_choice:
            figure = self._source.figures[code]
            return "figure", code, figure.word, figure.name
        choices = self._source.contests[contest].choices
        choice = next(one for one in choices if one.number == code)
        return what_is(choice), code, choice.label, choice.name
