"""A device that works by itself: counts are signed as they come, and the line opens when it may."""

import errno
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from clients.box import folder, receipts
from clients.box.drop import FAULTY, SIGNED, Drop
from clients.box.outbox import Outbox
from clients.box.run import Runner
from clients.box.sign import Signed, sign
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.box_world import World

# Station 8 of the tests' election closes then.
CLOSES_AT = 1_800_043_200_000
HOUR = 3_600_000


class Machine:
    """A device with its folder of counts; `now` is what its clock says at the start."""

    def __init__(self, root: Path, now: int) -> None:
        self.world = World(box.make_device(root))
        self.counts = root / "counts"
        self.counts.mkdir()
        self.start = now
        self.signed: list[tuple[int, bool]] = []
        self.trouble: list[tuple[Path, list[str]]] = []
        self.sign: Callable[[Path], Signed] = self.really_sign
        self.ended: WireError | None = None

    def now(self) -> int:
        return self.start + round(trio.current_time() * 1000)

    def really_sign(self, counts: Path) -> Signed:
        with folder.opened(self.world.device) as opened:
            return sign(opened, counts, self.now())

    def put(self, name: str, values: box.Values) -> None:
        box.write_json(self.counts / name, values)

    def names(self, place: str = ".") -> list[str]:
        return sorted(path.name for path in (self.counts / place).iterdir() if path.is_file())

    def run(
        self, seconds: float, *, online: bool = False, beside: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        async def main() -> None:
            with receipts.sending(self.world.device):
                outbox = Outbox(self.world.device, self.world.log.vkey)
                with folder.opened(self.world.device) as opened:
                    stations = opened.definition().stations
                runner = Runner(
                    Drop(self.counts),
                    lambda file: self.sign(file),
                    outbox,
                    self.world.sender(outbox),
                    self.world.paper_sender(outbox),
                    {number: station.closes_at for number, station in stations.items()},
                    clock=self.now,
                    online=online,
                    tell=lambda one: self.signed.append((one.statement.sequence, one.new)),
                    trouble=lambda file, lines: self.trouble.append((file, lines)),
                )
                async with trio.open_nursery() as nursery:
                    if beside is not None:
                        nursery.start_soon(beside)
                    with trio.move_on_after(seconds):
                        try:
                            await runner.run()
                        except WireError as error:
                            self.ended = error

        trio.run(main, clock=MockClock(autojump_threshold=0))


def machine(root: Path, now: int = CLOSES_AT - HOUR) -> Machine:
    return Machine(root, now)


def test_a_box_is_offline_until_its_station_has_closed(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())
    own.run(3_590)
    assert (own.signed, own.world.calls) == ([(1, True)], [])
    assert (own.names(), own.names(SIGNED)) == ([], ["000001-a.json"])

    async def close() -> None:
        await trio.sleep(20)
        own.put("b.json", box.result())

    own.start = CLOSES_AT - 10_000
    own.run(60, beside=close)
    assert [sequence for sequence, _ in own.signed] == [1, 2]
    assert own.world.stored() == [1, 2]
    # The opening left with the close, at the first look behind it; the result as soon as it was there.
    assert [(sent.sequence, sent.at >= 10) for sent in own.world.sent] == [(1, True), (2, True)]


def test_a_turnout_is_sent_at_once(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("turnout.json", box.turnout())
    own.run(30)
    assert own.world.stored() == [1]


def test_with_a_line_all_day_nothing_waits(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())
    own.run(30, online=True)
    assert own.world.stored() == [1]


def test_the_oldest_file_is_signed_first_and_half_written_ones_are_left(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("z.json", box.opening())
    own.put("a.json", box.result())
    for name, at in (("z.json", 1), ("a.json", 2)):
        path = own.counts / name
        path.touch()
        os.utime(path, (at, at))
    (own.counts / ".b.json").write_text('{"report":')
    (own.counts / "notes.txt").write_text("no counts")
    own.run(1)
    assert own.names(SIGNED) == ["000001-z.json", "000002-a.json"]
    assert own.names() == [".b.json", "notes.txt"]


def test_what_no_statement_can_be_made_of_is_kept_with_the_words(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", {**box.opening(), "station": 999})
    own.put("b.json", box.opening())
    own.run(1)
    assert own.signed == [(1, True)]
    [(place, lines)] = own.trouble
    assert (place.parent, own.names()) == (own.counts / FAULTY, [])
    assert own.names(FAULTY) == [place.name, f"{place.name}.txt"]
    assert place.name.endswith("-a.json")
    assert (place.parent / f"{place.name}.txt").read_text().splitlines() == lines
    assert json.loads(place.read_text())["station"] == 999


def test_stopped_between_signing_and_moving_it_signs_nothing_twice(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())

    async def at_once() -> None:
        own.really_sign(own.counts / "a.json")

    trio.run(at_once)
    own.run(1)
    assert own.signed == [(1, False)]
    assert own.names(SIGNED) == ["000001-a.json"]


def test_a_full_disk_is_said_once_and_tried_again(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())

    def full(_: Path) -> Signed:
        if trio.current_time() < 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        return own.really_sign(own.counts / "a.json")

    own.sign = full
    own.run(90)
    assert [lines for _, lines in own.trouble] == [
        ["it could not be stored: No space left on device; tried again by itself"]
    ]
    assert own.signed == [(1, True)]


@pytest.mark.parametrize("code", ["spool.torn", "folder.key"])
def test_a_broken_chain_ends_it(tmp_path: Path, code: str) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())

    def broken(_: Path) -> Signed:
        raise WireError(code, "words")

    own.sign = broken
    own.run(90)
    assert own.ended is not None
    assert own.ended.code == code
    assert own.names() == ["a.json"]


def test_a_folder_in_use_is_waited_for(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.put("a.json", box.opening())

    def busy(_: Path) -> Signed:
        if trio.current_time() < 60:
            raise WireError("folder.busy", "words")
        return own.really_sign(own.counts / "a.json")

    own.sign = busy
    own.run(90)
    assert own.signed == [(1, True)]
    assert len(own.trouble) == 1
