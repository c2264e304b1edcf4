"""The statements a device has signed: one file each, proved from the first to the last at every start.

A device must never sign two different statements under one sequence: the tally would call it equivocation.
So the order of writes is fixed, and nothing is shown to anybody before its end::

    1  statements/<sequence, 6 digits>.cose     durable (clients.files.write)
    2  last.json                                durable: sequence and id of the last statement
    3  the statement leaves: terminal, --out, network

Stopped within 1, the sequence is still free: what was signed was never shown, and its temporary file goes.
Stopped between 1 and 3, the next start finds the statement, brings `last.json` up to it and hands out the
same bytes. `last.json` is what shows that files are missing at the end of the chain.

Whoever holds a `Spool` holds the folder's lock (clients.box.folder).
"""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from nacl.signing import SigningKey

from clients import files
from clients.wire import keys, statement
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from clients.wire.statement import MAX_STATEMENT_BYTES, Statement

STATEMENTS: Final = "statements"
LAST: Final = "last.json"
# Six digits of a file's name; the log takes 256 new entries of a device (log.md), so nothing comes near.
MAX_STATEMENTS = 999_999

_FILE = re.compile(r"([0-9]{6})\.cose", re.ASCII)
# `last.json` has about a hundred bytes.
_MAX_LAST_BYTES = 1_000
_STOP = (
    "Nothing was signed, and this device must sign nothing until it is clear why: "
    'docs/box.md, "When the chain is broken"'
)


class Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`last.json`: the last statement that was stored; sequence 0 and an empty id before the first."""

    id: Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{64})?\Z")]
    sequence: Annotated[int, msgspec.Meta(ge=0, le=MAX_STATEMENTS)]


def create(folder: Path) -> None:
    """Make the empty spool of a new device folder."""
    (folder / STATEMENTS).mkdir(mode=files.PRIVATE_FOLDER)
    files.write_new(folder / LAST, msgspec.json.encode(Last(id="", sequence=0)) + b"\n")


class Spool:
    """A proved chain of statements, which grows by `append`."""

    def __init__(self, folder: Path, device: int, key: SigningKey) -> None:
        """Prove the chain in a device folder.

        Raises:
            WireError: `spool.foreign`, `spool.gap`, `spool.torn`, `spool.chain` or `spool.last`.
            OSError: something cannot be read.
        """
        self._folder = folder
        self._device = device
        self._key = key
        self._statements: list[Statement] = []
        self._read()

    @property
    def statements(self) -> Sequence[Statement]:
        """All that was signed, the statement of sequence n at place n - 1."""
        return self._statements

    def path(self, sequence: int) -> Path:
        """The file of a statement."""
        return self._folder / STATEMENTS / f"{sequence:06}.cose"

    def append(self, definition: bytes, station: int, signed_at: int, report: Content) -> Statement:
        """Sign a report as the next statement and store it; when this returns, it is durable.

        Raises:
            WireError: `statement.malformed` where there can be no such statement, `spool.full`.
            OSError: it could not be stored; nothing may be shown.
        """
        sequence = len(self._statements) + 1
        if sequence > MAX_STATEMENTS:
            raise WireError("spool.full", f"this device has signed {MAX_STATEMENTS:,} statements")
        previous = self._statements[-1].id if self._statements else b""
        content = (definition, self._device, station, sequence, previous, signed_at, report)
        data = statement.sign("packet", content, self._key)
        signed = statement.decode(data)
        files.write_new(self.path(sequence), data)
        self._note_last(signed)
        self._statements.append(signed)
        return signed

    def _read(self) -> None:
        folder = self._folder / STATEMENTS
        names = self._names(folder)
        for sequence, name in enumerate(names, 1):
            if int(name[:6]) != sequence:
                raise self._gap(
                    folder / f"{sequence:06}.cose", f"statement {sequence} is missing, {name} is not"
                )
            self._statements.append(self._prove(folder / name, sequence))
        self._judge_last()

    def _names(self, folder: Path) -> list[str]:
        names: list[str] = []
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._gap(folder, "the folder of the statements is missing") from error
        for entry in entries:
            temporary_for = files.temporary_for(entry.name)
            if temporary_for is not None and _FILE.fullmatch(temporary_for):
                # Left by a program that was stopped before the statement had its name: nobody has seen it.
                Path(entry).unlink()
                continue
            regular = stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
            if not regular or _FILE.fullmatch(entry.name) is None or entry.name == "000000.cose":
                raise self._foreign(Path(entry), "this is no statement that this program has stored")
            names.append(entry.name)
        return names

    def _prove(self, path: Path, sequence: int) -> Statement:
        try:
            found = statement.decode(files.read(path, MAX_STATEMENT_BYTES, "a statement"))
        except WireError as error:
            if error.code == "file.unreadable":
                raise
            raise self._torn(path, f"the statement is damaged: {error.detail}") from error
        if found.kind != "packet" or found.device != self._device:
            raise self._foreign(path, f"this is no packet of device {self._device}")
        public_key = bytes(self._key.verify_key)
        if found.kid != keys.kid(public_key):
            raise self._foreign(path, "this was signed with another key")
        try:
            statement.verify(found, public_key)
        except WireError as error:
            raise self._torn(path, f"the statement is damaged: {error.detail}") from error
        if found.sequence != sequence:
            raise self._chain(path, f"the statement inside has sequence {found.sequence}")
        if found.previous != (self._statements[-1].id if self._statements else b""):
            raise self._chain(path, f"it does not follow the statement {sequence - 1} that is stored here")
        return found

    def _judge_last(self) -> None:
        """Compare the end of the chain with `last.json`, and bring that up to it after a crash."""
        path = self._folder / LAST
        try:
            last = msgspec.json.decode(files.read(path, _MAX_LAST_BYTES, LAST), type=Last)
        except (WireError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(
                "spool.last",
                f"it does not say which statement was the last ({error}). {_STOP}",
                file=str(path),
            ) from error
        count = len(self._statements)
        if last.sequence > count:
            raise self._gap(
                self.path(count + 1),
                f"statement {last.sequence} was the last one, and {count} of {last.sequence} are here",
            )
        noted = self._statements[last.sequence - 1].id.hex() if last.sequence else ""
        if noted != last.id:
            raise self._chain(path, f"statement {last.sequence} is not the one that is stored here")
        if count > last.sequence:
            files.sync_file(self.path(count))
            files.sync_folder(self._folder / STATEMENTS)
            self._note_last(self._statements[-1])

    def _note_last(self, signed: Statement) -> None:
        last = Last(id=signed.id.hex(), sequence=signed.sequence)
        files.write(self._folder / LAST, msgspec.json.encode(last) + b"\n")

    @staticmethod
    def _foreign(path: Path, detail: str) -> WireError:
        return WireError(
            "spool.foreign",
            f"{detail}. Move it out of the folder, if you know where it came from, and try again",
            file=str(path),
        )

    @staticmethod
    def _gap(path: Path, detail: str) -> WireError:
        return WireError("spool.gap", f"{detail}. {_STOP}", file=str(path))

    @staticmethod
    def _torn(path: Path, detail: str) -> WireError:
        return WireError("spool.torn", f"{detail}. {_STOP}", file=str(path))

    @staticmethod
    def _chain(path: Path, detail: str) -> WireError:
        return WireError("spool.chain", f"{detail}. {_STOP}", file=str(path))
