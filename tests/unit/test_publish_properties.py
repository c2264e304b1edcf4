"""What holds of publication for every log: no statement can fail the gate, whatever it says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given, settings

from gateway.feed.models import Latest
from gateway.publish.protocol import Draft
from tests.unit.feed_helpers import Publisher, publisher
from tests.unit.tally_logs import Log, logs


def figures(snapshot: Latest) -> Latest:
    return msgspec.structs.replace(snapshot, snapshot=1, previous=None, published_at="")


def last_of(published: Publisher, sizes: list[int]) -> Draft | None:
    for size in sizes:
        published.take(size)
        published.draft()
    return published.drafts[-1] if published.drafts else None


@settings(max_examples=150, deadline=None)
@given(logs())
def test_no_log_fails_the_gate_however_it_is_cut(log: Log) -> None:
    with TemporaryDirectory() as folder:
        one = publisher(Path(folder), log)
        size = len(one.log)
        cuts = [cut for cut in log.cuts if cut < size]
        last = last_of(one, [*cuts, size])
        whole = Publisher(one.definition, one.rosters, one.log, unusable=one.unusable)
        at_once = last_of(whole, [size])
        if last is None or at_once is None or last.snapshot.paused is not None:
            return
        assert figures(last.snapshot) == figures(at_once.snapshot)
        objects = {file.path: file.data for file in whole.builder.objects()}
        assert objects == {file.path: file.data for file in one.builder.objects()}
        assert objects.items() <= one.files.items()
        assert objects.keys() == whole.files.keys()


@settings(max_examples=100, deadline=None)
@given(logs(least=6))
def test_a_restart_at_any_snapshot_goes_on_with_the_same_bytes(log: Log) -> None:
    with TemporaryDirectory() as folder:
        one = publisher(Path(folder), log)
        cuts = [cut for cut in log.cuts if cut < len(one.log)]
        last = last_of(one, cuts)
        if last is None:
            return
        builder = one.fresh()
        one.take(last.size, builder)
        builder.resume(last.latest)
        one.take(len(one.log))
        one.take(len(one.log), builder)
        drafts = [of.draft(one.number, one.previous, one.now, one.head(of)) for of in (one.builder, builder)]
        assert drafts[0] == drafts[1]
