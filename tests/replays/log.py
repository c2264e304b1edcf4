"""The log of a replay, as its boxes and its commission would write it, through both tallies.

What lives here: `ReplayLog`. The observer's tally takes every entry at once, so a test can look at any time;
`agree` has the gateway's take them all and compares the bytes.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from clients.observer.tally import Tally
from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway import _core
from gateway.election import due_devices, read_folder, with_keys, write_manifests

PACKET: Final = 1
_MINUTE: Final = 60_000


class ReplayLog:
    """A log that grows; its commission has one member, its stations the devices of a rehearsal.

    Args:
        out: where a converter has written `election/`; gets `built/`.
    """

    def __init__(self, out: Path) -> None:
        election, faults = read_folder(out / "election", rehearsal=True)
        assert election is not None, faults.kept()
        due = due_devices(election)
        self._seeds = {device.device: device.device.to_bytes(32, "big") for device in due}
        devices = [device._replace(key=_core.public_key(self._seeds[device.device])) for device in due]
        self._member = SigningKey(bytes(32))
        write_manifests(
            with_keys(election, devices=devices, commission_keys=[bytes(self._member.verify_key)]),
            out / "built",
        )
        self._built = out / "built"
        self.definition: Final = Definition.load(self._built / "definition")
        self.roster: Final = Roster.load(self._built / "roster", self.definition)
        self.tally: Final = Tally(self.definition, self.roster)
        self._entries: list[bytes] = []
        self._sent: dict[int, tuple[int, bytes]] = {}
        self._boxes = {
            station: device.device
            for device in self.roster.devices.values()
            if device.kind == "box"
            for station in device.stations
        }
        self._decided = (0, b"")
        self.decide((1, "replay.example/log", bytes(32), bytes(32), self.roster.sha256, "replay"))

    def send(self, content: Content) -> bytes:
        """Signs a packet with its device's key and logs it; returns its id."""
        device = content[1]
        assert isinstance(device, int)
        return self._append(_core.sign("packet", content, self._seeds[device]))

    def report(self, station: int, report: Content, signed_at: int | None = None) -> bytes:
        """The next packet of a station's box; returns its id.

        Args:
            station: the station's number.
            report: as docs/packet.md has it, from its number on.
            signed_at: ms; None: a minute after the station's closing time.
        """
        box = self._boxes[station]
        sequence, previous = self._sent.get(box, (0, b""))
        at = self.definition.stations[station].closes_at + _MINUTE if signed_at is None else signed_at
        content = (self.definition.sha256, box, station, sequence + 1, previous, at, report)
        identity = self.send(content)
        self._sent[box] = sequence + 1, identity
        return identity

    def decide(self, action: Content, at: int = 0) -> int:
        """The commission's next decision, signed by its one member and so taken; returns its number."""
        number, previous = self._decided
        reason = (("en", "A replay."),)
        content = (self.definition.sha256, previous, number + 1, at, reason, action)
        payload = statement.encode_payload("decision", content)
        self._decided = number + 1, hashlib.sha256(payload).digest()
        self._append(statement.sign("decision", content, self._member))
        return number + 1

    def area(self, number: int) -> dict[str, object]:
        """An area's object as it stands."""
        value: dict[str, object] = json.loads(self.tally.area(number))
        return value

    def station(self, number: int) -> dict[str, object]:
        """A station's object as it stands; it has one."""
        data = self.tally.station(number)
        assert data is not None
        value: dict[str, object] = json.loads(data)
        return value

    def sums(self, area: int, contest: int, source: str) -> dict[str, object]:
        """An area's sums of a contest in ``machine`` or ``protocol``."""
        contests = self.area(area)["contests"]
        assert isinstance(contests, list)
        found: dict[str, object] = next(own[source] for own in contests if own["contest"] == contest)
        return found

    def agree(self) -> None:
        """The gateway's tally of the same log has the same bytes: the root, every area with it, stations."""
        definition = _core.Definition.load(self._built / "definition")
        other = _core.Tally(definition, _core.Roster.load(self._built / "roster", definition))
        assert other.apply(0, self._entries) == len(self._entries)
        assert other.area(self.tally.root) == self.tally.area(self.tally.root)
        stations = other.changed_stations()
        assert stations
        assert all(other.station(number) == self.tally.station(number) for number in stations)

    def _append(self, entry: bytes) -> bytes:
        self._entries.append(entry)
        self.tally.apply(statement.decode(entry))
        return hashlib.sha256(entry).digest()
