"""An election as the builder hands it on: plain values, judged, in the order of the manifests.

Tuples, not objects with behaviour: a country has a hundred thousand stations, a test a million.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from gateway.election.limits import LANGUAGES

Names: TypeAlias = tuple[str, str, str, str]
"""One text in ky, kk, ru, en (`limits.LANGUAGES`); empty where it is not given."""


class Rules(NamedTuple):
    """The switches and tolerances of ``[rules]``, named after the tally's rules."""

    required: tuple[int, ...] = (9, 11, 13)
    required_voters: tuple[int, ...] = ()
    h104: str = "hard"
    h104_tolerance: int = 0
    s201_tolerance: int = 0
    s202_percent: int = 10
    s203_low: int = 5
    s203_high: int = 95
    s204_minutes: int = 720
    s210_tolerance: int = 0


class Site(NamedTuple):
    """What the website says about the commission; empty where it is not given."""

    contact: str = ""
    notice: str = ""
    voter_check_url: str = ""


class Settings(NamedTuple):
    """What election.toml says, with its defaults.

    Attributes:
        id: `[a-z0-9][a-z0-9-]{0,39}`; a rehearsal's ends in ``-rehearsal``.
        title: the election's name in each language.
        mode: ``live`` or ``rehearsal``.
        origin: the log's origin, for decision 1 only; None if it is told to `init` instead.
        timezone: IANA name.
        opens_at: ms since the Unix epoch.
        closes_at: ms since the Unix epoch.
        publish_at: end of the embargo in ms since the Unix epoch, or None.
        languages: of the pages, the first one names things in the definition.
        headline: ``machine`` or ``protocol``.
        commission_keys: Ed25519 public keys, 32 bytes each, in their given order; empty in a rehearsal until
            `with_keys`.
        commission_quorum: how many of them a decision needs; 0 if election.toml of a rehearsal does not say.
    """

    id: str
    title: Names
    mode: str
    origin: str | None
    timezone: str
    opens_at: int
    closes_at: int
    publish_at: int | None
    languages: tuple[str, ...]
    headline: str
    commission_keys: tuple[bytes, ...]
    commission_quorum: int
    rules: Rules
    site: Site


class Area(NamedTuple):
    """A node of the geography; `parent` is 0 for the root."""

    area: int
    parent: int
    level: str
    label: str
    code: str
    names: Names


class Contest(NamedTuple):
    """What is voted on; percents are hundredths of a percent, 0 and empty words where there is none."""

    contest: int
    kind: str
    area: int
    seats: int
    marks: int
    preferences: int
    method: str
    share_of: str
    threshold: int
    threshold_of: str
    threshold_area: int
    threshold_area_level: str
    seat_cap: int
    quorum: int
    quorum_of: str
    names: Names


class Choice(NamedTuple):
    """What can be voted for; `list` is 0 except for a preference.

    `shown` holds what only the website shows: party, color, photo, biography and programme in four languages,
    link, fund_income, fund_spent.
    """

    contest: int
    choice: int
    kind: str
    list: int
    label: str
    names: Names
    shown: tuple[str, ...]


class Station(NamedTuple):
    """A polling station; `registered` is None where it is not known, `closes_at` is ms since the Unix epoch.

    `shown` holds the address and the route in four languages each, latitude, longitude, photo, panorama; it
    is an empty tuple if there is nothing of it.
    """

    station: int
    area: int
    registered: int | None
    type: str
    box: bool
    closes_at: int
    timezone: str
    contests: tuple[int, ...]
    label: str
    names: Names
    shown: tuple[str, ...]


class Figure(NamedTuple):
    """A country's own line of the protocol."""

    code: int
    figure: str
    names: Names


class Check(NamedTuple):
    """A country's own equation between sums of figures."""

    check: int
    severity: str
    left: tuple[str, ...]
    op: str
    right: tuple[str, ...]
    tolerance: int
    texts: Names


class Device(NamedTuple):
    """Whatever signs packets.

    Attributes:
        device: its number.
        kind: ``box``, ``terminal`` or ``desk``.
        stations: those it is assigned to, ascending; none for a spare and for a desk.
        area: a desk's, else 0.
        key: its Ed25519 public key, 32 bytes; empty in a rehearsal until `with_keys`.
        serial: what is printed on it.
    """

    device: int
    kind: str
    stations: tuple[int, ...]
    area: int
    key: bytes
    serial: str


class Courier(NamedTuple):
    """A commission computer that uploads for boxes of its area."""

    courier: int
    area: int
    name: str


class Firmware(NamedTuple):
    """A program that boxes may run: SHA-256 in lower hex."""

    sha256: str
    name: str


class Media(NamedTuple):
    """A photograph or document that a table names; `path` is where its bytes are."""

    name: str
    path: Path
    sha256: str
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class Election:
    """A whole election without a fault; every table ascends by its number.

    Attributes:
        labels: the numbers that ``--number`` gave, as (table, contest or 0, number, label); else empty.
    """

    settings: Settings
    areas: Sequence[Area]
    contests: Sequence[Contest]
    choices: Sequence[Choice]
    stations: Sequence[Station]
    figures: Sequence[Figure]
    checks: Sequence[Check]
    devices: Sequence[Device]
    couriers: Sequence[Courier]
    firmware: Sequence[Firmware]
    media: Sequence[Media]
    labels: Sequence[tuple[str, int, int, str]] = ()


def namer(languages: Sequence[str]) -> Callable[[Names], str]:
    """What picks a name: the one in the first of `languages` that has one, else the first there is."""
    order = [LANGUAGES.index(language) for language in (*languages, *LANGUAGES)]

    def name_of(names: Names) -> str:
        return next((names[place] for place in order if names[place]), "")

    return name_of
