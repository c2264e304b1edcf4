"""How a case is written down: decisions that members sign one after the other, and what must follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from tests.vectors import ed25519
from tests.vectors.authority.named_rosters import FIRST
from tests.vectors.election import BOX, CLOSES_AT, CLOSES_IN_MOSCOW, DEFINITION_HASH, MEMBERS, OPENS_AT
from tests.vectors.encoding import Content, encode, frame, sha256, signed, signed_bytes
from tests.vectors.render import Json

Standing: TypeAlias = Literal["pending", "in effect", "undone", "void", "unjudged"]
# Station, contest, source.
Count: TypeAlias = tuple[int, int, int]

OTHER_DEFINITION: Final = sha256(b"tallygate vectors: another election.json")
LOG_KEY: Final = sha256(b"tallygate vectors: a log's key")
SNAPSHOT_KEY: Final = sha256(b"tallygate vectors: a snapshots' key")


def opening(roster: bytes = FIRST) -> Content:
    """Action 1."""
    return (1, "vectors.example", LOG_KEY, SNAPSHOT_KEY, roster, "tallygate 0.1.0")


@dataclass(frozen=True)
class State:
    """What follows from the decisions in effect; the defaults are what the definition and first roster say.

    Attributes:
        open: whether decision 1 is in effect.
        speakers: the roster that took effect last.
        assignments: the newest roster in effect.
        missing: rosters that are named and missing, each with the entry.
        paused: whether publication is paused.
        status: of each source.
        definitions: that are accepted besides ours.
        closes_at: by station, ms.
        stations: by device.
        reassigned: devices by station, each with whether it is assigned.
        revoked: the entry of the earliest revocation by device.
        cancelled: stations.
        rulings: the id of the packet that counts alone, or None where nothing counts.
        about: numbers of the actions 3, 4, 5, 11 and 12 by the station that they name, or all name.
    """

    open: bool = True
    speakers: bytes = FIRST
    assignments: bytes = FIRST
    missing: Sequence[tuple[bytes, int]] = ()
    paused: bool = False
    status: tuple[int | None, int | None] = (None, None)
    definitions: Sequence[bytes] = ()
    closes_at: Mapping[int, int] = field(default_factory=dict)
    stations: Mapping[int, Sequence[int]] = field(default_factory=dict)
    reassigned: Mapping[int, Mapping[int, bool]] = field(default_factory=dict)
    revoked: Mapping[int, int] = field(default_factory=dict)
    cancelled: Sequence[int] = ()
    rulings: Mapping[Count, bytes | None] = field(default_factory=dict)
    about: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @property
    def published(self) -> dict[str, Json]:
        closes_at = {10: CLOSES_AT, 11: CLOSES_AT, 12: CLOSES_AT, 500: CLOSES_IN_MOSCOW, **self.closes_at}
        stations: dict[int, Sequence[int]] = {
            1: (10,),
            2: (11,),
            3: (10, 11),
            4: (),
            5: (),
            6: (12, 500),
            7: (),
        }
        stations.update(self.stations)
        return {
            "open": int(self.open),
            "speakers": self.speakers.hex(),
            "assignments": self.assignments.hex(),
            "missing": [[roster.hex(), entry] for roster, entry in self.missing],
            "paused": int(self.paused),
            "status": list(self.status),
            "definitions": [definition.hex() for definition in self.definitions],
            "closes_at": [[station, at] for station, at in sorted(closes_at.items())],
            "stations": [[device, list(found)] for device, found in sorted(stations.items())],
            "reassigned": [
                [station, [[device, int(on)] for device, on in sorted(devices.items())]]
                for station, devices in sorted(self.reassigned.items())
            ],
            "revoked": [[device, entry] for device, entry in sorted(self.revoked.items())],
            "cancelled": sorted(self.cancelled),
            "rulings": [
                [*count, None if packet is None else packet.hex()]
                for count, packet in sorted(self.rulings.items())
            ],
            "about": [[station, list(numbers)] for station, numbers in sorted(self.about.items())],
        }


@dataclass
class Script:
    """A case under construction: a log, and the verdicts on it.

    Attributes:
        name: of the case.
        why: what it shows.
        log: the entries so far.
        taken: hash of the payload, entry and standing at the end, by number.
        others: standing at the end of payloads that are not taken.
        choosable: packets that may be chosen: (station, contest, source), id, definition that each names.
        state: what follows at the end.
    """

    name: str
    why: str
    log: list[bytes] = field(default_factory=list)
    taken: list[tuple[bytes, int, Standing]] = field(default_factory=list)
    others: list[tuple[bytes, Standing]] = field(default_factory=list)
    choosable: list[tuple[Count, bytes, bytes]] = field(default_factory=list)
    state: State = field(default_factory=State)

    def content(
        self,
        action: Content,
        *,
        number: int | None = None,
        previous: bytes | None = None,
        definition: bytes = DEFINITION_HASH,
    ) -> Content:
        """A decision; the next one, where nothing else is said."""
        if number is None:
            number = len(self.taken) + 1
        if previous is None:
            previous = self.taken[-1][0] if self.taken else b""
        return (definition, previous, number, OPENS_AT, (("en", "A vector"),), action)

    def sign(self, member: int, content: Content) -> int:
        """Logs a member's signature; the entry's index."""
        self.log.append(signed("decision", encode(content), MEMBERS[member]))
        return len(self.log) - 1

    def sign_again(self, member: int, content: Content) -> int:
        """Logs another signature of the member, made with another nonce: another statement."""
        key, payload = MEMBERS[member], encode(content)
        nonce = len(self.log) + 1
        r = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
        signature = ed25519.with_r(r, nonce, key, signed_bytes("decision", key.kid, payload))
        self.log.append(frame("decision", key.kid, payload, signature))
        return len(self.log) - 1

    def packet(self) -> None:
        """Logs a packet, which is nothing to the commission."""
        content = (DEFINITION_HASH, 1, 10, 1, b"", OPENS_AT, (2, OPENS_AT, ((3, len(self.log)),)))
        self.log.append(signed("packet", encode(content), BOX))

    def is_taken(self, content: Content, entry: int, standing: Standing = "in effect") -> None:
        """Says that this is taken under the next number at this entry, and how it stands at the end."""
        self.taken.append((sha256(encode(content)), entry, standing))

    def is_not_taken(self, content: Content, standing: Standing) -> None:
        """Says how a payload stands at the end that was signed and not taken."""
        self.others.append((sha256(encode(content)), standing))

    def decide(self, action: Content, standing: Standing = "in effect") -> None:
        """Two members sign the next decision, which is thereby taken."""
        content = self.content(action)
        for member in (len(self.taken) % 3, (len(self.taken) + 1) % 3):
            entry = self.sign(member, content)
        self.is_taken(content, entry, standing)

    @property
    def published(self) -> dict[str, Json]:
        """The case without its log."""
        return {
            "name": self.name,
            "why": self.why,
            "choosable": [
                [*count, packet.hex(), definition.hex()] for count, packet, definition in self.choosable
            ],
            "taken": [[payload.hex(), entry, standing] for payload, entry, standing in self.taken],
            "others": [[payload.hex(), standing] for payload, standing in self.others],
            **self.state.published,
        }


def opened(name: str, why: str) -> Script:
    """A case whose log is open."""
    script = Script(name, why)
    script.decide(opening())
    return script
