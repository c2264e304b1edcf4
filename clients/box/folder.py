"""The device's folder: who this device is, its keys, the definition it counts by, what it has signed.

Everything in it is readable by its owner only (files 0600, folders 0700)::

    device.json          which device of which election, its public key, the pinned definition
    keys/sign.key        private key of the statements: 64 hex digits
    keys/tls.key         private key of the TLS identity, PKCS #8 in PEM
    tls.csr              certificate request for that key; in request.json too
    request.json         the enrolment request, for the commission
    definitions/<hex>/   the definition with this SHA-256; device.json says which one is pinned
    attachments/<hex>    files that statements name, by their SHA-256
    statements/, last.json   what was signed (clients.box.spool)
    lock                 held by the program that works here (flock)
    tls.pem, site.json   rehearsals only: certificate, addresses (clients.box.bundle)

A new folder appears whole or not at all; keys are made once and never again.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from nacl.signing import SigningKey

from clients import files
from clients.box import spool
from clients.box.spool import Spool
from clients.wire import manifest
from clients.wire.definition import MANIFEST, Definition
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENT_BYTES
from clients.wire.text import MAX_NUMBER, hex_32

SETTINGS: Final = "device.json"
SIGN_KEY: Final = "keys/sign.key"
TLS_KEY: Final = "keys/tls.key"
CSR: Final = "tls.csr"
REQUEST: Final = "request.json"
CERTIFICATE: Final = "tls.pem"
SITE: Final = "site.json"

_FORMAT = "tallygate-device/1"
_DEFINITIONS = "definitions"
_ATTACHMENTS = "attachments"
_LOCK = "lock"
# `device.json` has about 300 bytes, a private key's file 65 or some hundred.
_MAX_SETTINGS_BYTES = 4_096
_MAX_KEY_BYTES = 4_096

_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.json`."""

    format: str
    election: str
    device: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
    sign_key: _Hash
    definition: _Hash | None


@contextlib.contextmanager
def created(
    path: Path, election: str, device: int, signing: SigningKey, others: Mapping[str, bytes]
) -> Iterator["DeviceFolder"]:
    """Make a device's folder; it is at `path` when the block has ended well, and nowhere otherwise.

    Args:
        path: must not exist.
        election: the election's id.
        device: the device's number.
        signing: the key of its statements.
        others: content by name of the files that differ between real and rehearsed devices; among them the
            TLS key.

    Raises:
        WireError: `file.exists`.
        OSError: something could not be written; there is no folder.
    """
    settings = Settings(_FORMAT, election, device, bytes(signing.verify_key).hex(), None)
    with files.new_folder(path) as work:
        for folder in (Path(SIGN_KEY).parent, Path(_DEFINITIONS), Path(_ATTACHMENTS)):
            (work / folder).mkdir(mode=files.PRIVATE_FOLDER)
        spool.create(work)
        files.write_new(work / SIGN_KEY, bytes(signing).hex().encode("ascii") + b"\n")
        for name, data in others.items():
            files.write_new(work / name, data)
        files.write_new(work / SETTINGS, _encode(settings))
        yield DeviceFolder(work)


def _encode(settings: Settings) -> bytes:
    return msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n"


@contextlib.contextmanager
def opened(path: Path) -> Iterator["DeviceFolder"]:
    """Open a device's folder for work; nobody else can meanwhile.

    Raises:
        WireError: `folder.none`, `folder.busy`, `folder.malformed`, `folder.key` or `folder.not_private`.
        OSError: something cannot be read.
    """
    if not (path / SETTINGS).is_file():
        raise WireError(
            "folder.none",
            "this is no device's folder; `tallygate-box init` makes one",
            file=str(path),
        )
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WireError(
                "folder.busy",
                "another program works with this device's folder; wait until it is done, or stop it",
                file=str(path),
            ) from error
        yield DeviceFolder(path)
    finally:
        os.close(descriptor)


class DeviceFolder:
    """An open and locked folder of a device.

    Attributes:
        path: where it is.
        settings: who the device is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = _read_settings(path / SETTINGS)
        self._key = _read_key(path / SIGN_KEY, self.settings)

    def spool(self) -> Spool:
        """Prove and give the chain of statements.

        Raises:
            WireError: `spool.*`.
        """
        return Spool(self.path, self.settings.device, self._key)

    def pin(self, source: Path, named: bytes | None) -> Definition:
        """Copy a definition into the folder and count by it from now on.

        Args:
            source: the folder with `election.json`, or the one above it.
            named: SHA-256 that the commission has announced; needed to replace another definition.

        Raises:
            WireError: what `Definition.load` raises, `folder.definition` if it is not the named one or not
                this election's, `folder.pinned` if another is pinned and none is named.
        """
        source = definition_folder(source)
        try:
            sha256, members = manifest.read(source, MANIFEST)
            tables = members.object("tables").names
        except WireError as error:
            raise located(error, source) from error
        if named is not None and sha256 != named:
            raise WireError(
                "folder.definition",
                f"this definition's hash is {sha256.hex()}, not {named.hex()}: it is not the one that was "
                "announced, get that one",
                file=str(source),
            )
        if self.settings.definition not in (None, sha256.hex()) and named is None:
            raise WireError(
                "folder.pinned",
                f"this device counts by the definition {self.settings.definition}; to replace it by "
                f"{sha256.hex()}, say so with --definition-hash",
                file=str(self.path),
            )
        target = self.path / _DEFINITIONS / sha256.hex()
        if target.exists():
            definition = self._load(target)
            self._judge(definition, sha256, source)
        else:
            with files.new_folder(target) as work:
                _copy(source, work, [MANIFEST, *(f"{table}.csv" for table in tables)])
                try:
                    definition = Definition.load(work)
                except WireError as error:
                    raise located(error, source) from error
                self._judge(definition, sha256, source)
        self.settings = msgspec.structs.replace(self.settings, definition=sha256.hex())
        files.write(self.path / SETTINGS, _encode(self.settings))
        return definition

    def _judge(self, definition: Definition, sha256: bytes, source: Path) -> None:
        if definition.sha256 != sha256:
            raise WireError("folder.definition", "it was changed while it was copied", file=str(source))
        if definition.id != self.settings.election:
            raise WireError(
                "folder.definition",
                f'this definition is of the election "{definition.id}", the device is of '
                f'"{self.settings.election}"',
                file=str(source),
            )

    def definition(self) -> Definition:
        """Read the pinned definition.

        Raises:
            WireError: `folder.no_definition`, or `folder.definition` if it is damaged.
        """
        pinned = self.settings.definition
        if pinned is None:
            raise WireError(
                "folder.no_definition",
                "this device has no definition to count by yet: `tallygate-box init DIR --definition D`",
                file=str(self.path),
            )
        target = self.path / _DEFINITIONS / pinned
        definition = self._load(target)
        if definition.sha256.hex() != pinned:
            raise WireError("folder.definition", f"{MANIFEST} was changed; {_PIN_AGAIN}", file=str(target))
        return definition

    def _load(self, target: Path) -> Definition:
        try:
            return Definition.load(target)
        except WireError as error:
            raise WireError(
                "folder.definition",
                f"the stored definition is damaged ({error}); {_PIN_AGAIN}",
                file=str(target),
            ) from error

    def keep(self, attachments: Mapping[bytes, Path]) -> None:
        """Keep copies of files that a statement is going to name: a hash without its file proves nothing.

        Args:
            attachments: where the files are, by their SHA-256.

        Raises:
            WireError: `folder.attachment` if one is not the file with its SHA-256 any more.
            OSError: one could not be stored.
        """
        for sha256, source in attachments.items():
            target = self.path / _ATTACHMENTS / sha256.hex()
            if target.exists():
                continue
            data = files.read(source, MAX_ATTACHMENT_BYTES, "an attachment")
            if hashlib.sha256(data).digest() != sha256:
                raise WireError(
                    "folder.attachment", "this file was changed just now; try again", file=str(source)
                )
            files.write_new(target, data)


_PIN_AGAIN = "remove this folder and do `tallygate-box init DIR --definition D` again"


def definition_folder(path: Path) -> Path:
    """The folder that holds `election.json`: this one or `definition/` in it, as the builder writes it."""
    inner = path / "definition"
    return inner if not (path / MANIFEST).exists() and (inner / MANIFEST).exists() else path


def located(error: WireError, folder: Path) -> WireError:
    """The refusal of a file in a folder, with the file's whole path."""
    return WireError(
        error.code,
        error.detail,
        offset=error.offset,
        file=str(folder / error.file) if error.file else str(folder),
        line=error.line,
        column=error.column,
    )


def _copy(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        try:
            shutil.copyfile(source / name, target / name)
        except OSError as error:
            raise files.unreadable(source / name, "a file of the definition", error) from error
        files.sync_file(target / name)


def _read_settings(path: Path) -> Settings:
    try:
        settings = msgspec.json.decode(files.read(path, _MAX_SETTINGS_BYTES, SETTINGS), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(
            "folder.malformed", f"not as `tallygate-box init` wrote it: {error}", file=str(path)
        ) from error
    if settings.format != _FORMAT:
        raise WireError("folder.malformed", f"its format is not {_FORMAT}", file=str(path))
    return settings


def _read_key(path: Path, settings: Settings) -> SigningKey:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WireError(
            "folder.not_private",
            f"others can read this private key (mode {mode:04o}): chmod 600 it, and ask who has copied it",
            file=str(path),
        )
    seed = hex_32(files.read(path, _MAX_KEY_BYTES, "the signing key").decode("ascii", "replace").strip())
    if seed is None:
        raise WireError("folder.key", "this file is no signing key of 64 hex digits", file=str(path))
    signing = SigningKey(seed)
    if bytes(signing.verify_key).hex() != settings.sign_key:
        raise WireError(
            "folder.key", f"this is not the key that {SETTINGS} names: it is another device's", file=str(path)
        )
    return signing
