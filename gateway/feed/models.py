"""latest.json and the decisions file, typed (docs/feed.md).

Members stand in the order of their names, as in `gateway.feed.objects`. What a member means is said in
docs/feed.md and docs/tally.md.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gateway.feed.objects import Area, Hash, Named, Number, Row, Source, Turnout

Time: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
]
Root: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\Z")]
Origin: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[a-z0-9.\-]+(/[a-z0-9.\-]+)*\Z", min_length=1, max_length=200)
]
StatusWord: TypeAlias = Literal[
    "pre-election", "unofficial-partial", "unofficial-complete", "certified", "correction", "recount"
]
OutcomeWord: TypeAlias = Literal["none", "open", "decided", "run-off", "tie", "no-quorum"]
# Of a threshold or quorum.
JudgedWord: TypeAlias = Literal["open", "passed", "failed"]
SourceWord: TypeAlias = Literal["machine", "protocol"]
Standing: TypeAlias = Literal["pending", "in effect", "undone", "void"]
# A text in a language.
Text: TypeAlias = tuple[str, str]


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of an area's stations are in which state."""

    annulled: Number
    cancelled: Number
    disputed: Number
    held: Number
    opened: Number
    partial: Number
    reported: Number
    silent: Number
    stations: Number


class ChoiceResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice; `share` in hundredths of a percent."""

    choice: Named
    seats: Number | None
    share: Number | None
    votes: Number


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What follows for the choices."""

    choices: tuple[Named, ...]
    word: OutcomeWord


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contest in one source; `turnout` in hundredths of a percent."""

    base: Number | None
    choices: tuple[ChoiceResult, ...]
    contest: Named
    outcome: Outcome
    quorum: JudgedWord | None
    source: Source
    thresholds: tuple[tuple[Named, JudgedWord], ...]
    turnout: Number | None


class Child(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the root's areas; `sha256` is None under an embargo."""

    area: Named
    progress: Progress
    sha256: Hash | None
    turnout: Turnout


class DecisionsRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions file, and how many stand in it."""

    count: Number
    sha256: Hash


class LogHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head of the log; `root` in base64."""

    origin: Origin
    root: Root
    size: Number


class Paused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why log and figures are those of an earlier snapshot."""

    by: Literal["commission", "gate", "operator"]
    reason: tuple[Text, ...]
    since: Time


class RootRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root's number and the hash of its object."""

    area: Named
    sha256: Hash


class Software(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the publisher says that it runs; `source` is `gateway.publish.software.installed`."""

    source: Hash
    version: str


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word a source."""

    machine: StatusWord
    protocol: StatusWord


class Latest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot: latest.json, snapshots/<n>.json.

    Under an embargo `root`, `tally` and the children's `sha256` are None and `results` is empty; otherwise
    none of them is (`gateway.feed.reading.read_latest`).
    """

    children: tuple[Child, ...]
    decisions: DecisionsRef
    definition: Hash
    election: str
    embargo_until: Time | None
    format: Literal["tallygate-snapshot/1"]
    headline: SourceWord
    information: Hash | None
    log: LogHead
    mode: Literal["live", "rehearsal"]
    paused: Paused | None
    previous: Hash | None
    progress: Progress
    published_at: Time
    results: tuple[Result, ...]
    root: RootRef | None
    roster: Hash
    snapshot: Named
    software: Software
    status: Status
    tally: Area[Row] | None


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision's payload and how it stands; `decided_at` in ms, `entries` are indexes of the log.

    Under an embargo `payload` is None, `reason` is empty, and an action 5 has no id.
    """

    action: tuple[Number | str, ...]
    decided_at: Number
    entries: tuple[Number, ...]
    number: Named
    payload: Hash | None
    reason: tuple[Text, ...]
    signers: tuple[Hash, ...]
    state: Standing


class Decisions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All decisions of the log: decisions/<sha256>.json."""

    decisions: tuple[Decision, ...]
    definition: Hash
    format: Literal["tallygate-decisions/1"]


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot has changed: snapshots/<n>.changes.json.

    `entries` are the log's sizes in the snapshot before and in this one; `areas` and `stations` None: any may
    have changed.
    """

    areas: tuple[tuple[Named, Hash], ...] | None
    definition: Hash
    entries: tuple[Number, Number]
    format: Literal["tallygate-changes/1"]
    snapshot: Named
    stations: tuple[tuple[Named, Number], ...] | None
