"""The file in which a decision travels between the members who sign it (docs/decisions.md).

Its `payload` is what is signed; everything else in it says the same to people and programs. A file in which
it does not is refused, whoever reads it: nobody signs one thing and reads another.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
from nacl.signing import SigningKey

from clients import files
from clients.box import show, times
from clients.commission.effect import Effect
from clients.commission.sentences import sentence
from clients.wire import keys, statement
from clients.wire.authority import Action
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.statement import MAX_STATEMENT_BYTES, Statement
from clients.wire.text import MAX_NUMBER

FORMAT: Final = "tallygate-decision/1"
# Beside 2 MiB of signatures, the effect: an annulled election of 450 councils with 50 candidates each has 7
# MiB of it, a national one in which 2,400 candidates are marked 14.
MAX_BYTES: Final = 64 * 1024 * 1024

_Hex = Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{2})+\Z", max_length=2 * MAX_STATEMENT_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]


class Prepared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a decision was prepared on.

    Attributes:
        log: its origin.
        snapshot: number of the newest one.
        entries: of the log.
        root: of the log, base64.
        after: numbers of the decisions that were sent and not yet published.
    """

    log: str
    snapshot: int
    entries: int
    root: str
    after: tuple[_Number, ...]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member's signature.

    Attributes:
        member: number.
        statement: the signed statement's bytes in hex.
    """

    member: _Number
    statement: _Hex

    @property
    def data(self) -> bytes:
        """The statement's bytes."""
        return bytes.fromhex(self.statement)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    election: str
    definition: str
    number: int
    previous: str
    decided_at: str
    action: dict[str, int | str]
    says: str
    reason: tuple[tuple[str, str], ...]
    payload: _Hex
    signatures: tuple[Signature, ...]
    prepared: Prepared | None
    effect: Effect | None


@dataclass(frozen=True, slots=True)
class DecisionFile:
    """A decision on its way.

    Attributes:
        decision: its payload, as a statement that nobody has signed.
        election: the election's id.
        says: the sentence of its action, as it was prepared.
        prepared: what on; None: it opens the log.
        effect: as it was prepared; None: it opens the log.
        signatures: by member, each once.
    """

    decision: Statement
    election: str
    says: str
    prepared: Prepared | None
    effect: Effect | None
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def new(
        cls, definition: Definition, payload: bytes, prepared: Prepared | None, effect: Effect | None
    ) -> Self:
        """A decision that nobody has signed yet."""
        decision = unsigned(payload)
        return cls(decision, definition.id, sentence(decision.action, definition), prepared, effect)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; whose signatures they are is judged by `judge`.

        Raises:
            WireError: `decision.malformed`; `decision.tampered` where its text is not what its payload says;
                `file.unreadable`, `file.too_large`.
        """
        data = files.read_given(path, MAX_BYTES, "a decision")
        try:
            return cls._parse(data)
        except WireError as error:
            raise WireError(error.code, error.detail, file=str(path)) from error

    @classmethod
    def _parse(cls, data: bytes) -> Self:
        try:
            file = msgspec.json.decode(data, type=_File)
            json.loads(data, object_pairs_hook=_once)
            if file.format != FORMAT:
                raise WireError("decision.malformed", f"its format is not {FORMAT}")
            decision = unsigned(bytes.fromhex(file.payload))
            signed = [statement.decode(signature.data) for signature in file.signatures]
        # RecursionError: what stands within others as deep as a file allows.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError("decision.malformed", f"not as `tallygate-decide` wrote it: {error}") from error
        except WireError as error:
            if error.code != "statement.malformed":
                raise
            raise WireError("decision.malformed", f"it holds no decision: {error.detail}") from error
        own = cls(decision, file.election, file.says, file.prepared, file.effect, file.signatures)
        said = own._members()
        for name in said.__struct_fields__:
            if getattr(file, name) != getattr(said, name):
                raise _tampered(f'"{name}" is not what its payload says')
        if any(one.payload != decision.payload for one in signed):
            raise _tampered("a signature is of another decision")
        _judge_ground(decision, file.prepared, file.effect)
        members = [signature.member for signature in file.signatures]
        if members != sorted(set(members)):
            raise WireError("decision.signatures", "its signatures are not by ascending members, each once")
        return own

    def _members(self) -> _File:
        """The file's members; what the payload says is taken from it."""
        word, fields = show.action_words(self.decision.action)
        return _File(
            format=FORMAT,
            election=self.election,
            definition=self.decision.definition.hex(),
            number=self.decision.number,
            previous=self.decision.previous.hex(),
            decided_at=times.write(self.decision.decided_at),
            action={"action": word, **fields},
            says=self.says,
            reason=show.reasons(self.decision),
            payload=self.decision.payload.hex(),
            signatures=self.signatures,
            prepared=self.prepared,
            effect=self.effect,
        )

    def encode(self) -> bytes:
        """The file's bytes: JSON for people's eyes too."""
        return msgspec.json.format(msgspec.json.encode(self._members()), indent=2) + b"\n"

    @property
    def members(self) -> tuple[int, ...]:
        """Who has signed, ascending."""
        return tuple(signature.member for signature in self.signatures)

    def judge(self, definition: Definition) -> None:
        """Compare the file with the definition, and verify its signatures.

        Raises:
            WireError: `decision.definition`, `decision.tampered`, `decision.signatures`.
        """
        if self.decision.definition != definition.sha256:
            raise WireError(
                "decision.definition",
                f"it is a decision about the definition {self.decision.definition.hex()}, this one is "
                f"{definition.sha256.hex()}: another election's",
            )
        said = sentence(self.decision.action, definition)
        if self.says != said:
            raise _tampered(f'it says "{self.says}", and its payload orders "{said}"')
        if self.election != definition.id:
            raise _tampered(f'the election is "{definition.id}", not "{self.election}"')
        for change in self.effect.areas if self.effect is not None else ():
            if change.area not in definition.areas:
                raise _tampered(f"its effect is on an area {change.area}, and there is none")
        for signature in self.signatures:
            signed = statement.decode(signature.data)
            if definition.commission.get(signed.kid) != _key(definition, signature.member):
                raise _not_signed(signature.member, "it is another key's")
            try:
                statement.verify(signed, definition.commission[signed.kid])
            except WireError as error:
                raise _not_signed(signature.member, error.detail) from error

    def with_effect(self, effect: Effect) -> Self:
        """The file with the effect that was found."""
        return replace(self, effect=effect)

    def signed_by(self, key: SigningKey, definition: Definition) -> Self:
        """The file with the signature of a member more; whoever calls it has judged it.

        Raises:
            WireError: `decision.key` if the key is not one of the commission's.
        """
        member = member_of(bytes(key.verify_key), definition)
        data = statement.sign("decision", self.decision.content, key)
        return self._with((Signature(member, data.hex()),))

    def merged(self, other: Self) -> Self:
        """The file with the signatures of another copy; both are judged.

        Raises:
            WireError: `decision.other`: the other is not a copy of this decision.
        """
        if other.decision.payload != self.decision.payload:
            one, two = self.decision.number, other.decision.number
            same = f"both are decision {one}, and only one of them can be taken" if one == two else ""
            raise WireError(
                "decision.other",
                f"these are two different decisions ({same or f'number {one} and number {two}'}): "
                f'"{self.says}" and "{other.says}"',
            )
        return self._with(other.signatures)

    def _with(self, more: Sequence[Signature]) -> Self:
        signatures = {signature.member: signature for signature in (*more, *self.signatures)}
        return replace(self, signatures=tuple(signatures[member] for member in sorted(signatures)))


def unsigned(payload: bytes) -> Statement:
    """A payload as a statement that nobody has signed.

    Raises:
        WireError: `statement.malformed`.
    """
    nobody, nothing = bytes(keys.KID_BYTES), bytes(keys.SIGNATURE_BYTES)
    return statement.decode(statement.encode("decision", nobody, payload, nothing))


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse JSON in which people and programs may read another of two values."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _tampered(f'"{name}" stands in it twice')
        seen.add(name)


def _judge_ground(decision: Statement, prepared: Prepared | None, effect: Effect | None) -> None:
    """Refuse a file without its effect, or with one behind decisions that are not right before its own."""
    opens = decision.action[0] == Action.OPEN
    if (prepared is None, effect is None) != (opens, opens):
        raise WireError(
            "decision.malformed",
            '"prepared" and "effect" are null in a decision that opens a log, and only there',
        )
    after, number = (() if prepared is None else prepared.after), decision.number
    if after != tuple(range(number - len(after), number)):
        raise WireError("decision.malformed", f'"after" does not lead to decision {number}')


def member_of(key: bytes, definition: Definition) -> int:
    """The number of the member whose public key this is.

    Raises:
        WireError: `decision.key`.
    """
    if key not in definition.commission_keys:
        raise WireError(
            "decision.key",
            f"the key {key.hex()} is none of the commission's {len(definition.commission_keys)} in the "
            "definition: is it the TLS key, or another election's?",
        )
    return definition.commission_keys.index(key) + 1


def _key(definition: Definition, member: int) -> bytes | None:
    found = definition.commission_keys[member - 1 : member]
    return found[0] if found else None


def _not_signed(member: int, detail: str) -> WireError:
    return WireError(
        "decision.signatures", f"the signature under member {member} is not that member's: {detail}"
    )


def _tampered(detail: str) -> WireError:
    return WireError(
        "decision.tampered",
        f"{detail}: somebody has changed this file. Do not sign it; prepare the decision anew",
    )
