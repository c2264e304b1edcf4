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
    receipts/            what proves that the log has them (clients.box.receipts)
    tls.pem              certificate for the TLS key
    site.json            the gateways' addresses, whom to trust (clients.wire.site)

A new folder appears whole or not at all; keys are made once and never again. Who works in a folder holds a
lock on the folder itself (flock): a lock's file could be removed, and then two programs would sign at once.
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
from clients.box import certificate, spool
from clients.box.spool import Spool
from clients.wire.definition import MANIFEST, Definition, read_tables
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENT_BYTES
from clients.wire.manifest import MAX_MANIFEST_BYTES
from clients.wire.site import MAX_SITE_BYTES, Site
from clients.wire.tables import TableEntry
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
# `device.json` has about 300 bytes, a private key's file 65 or some hundred.
_MAX_SETTINGS_BYTES = 4_096
_MAX_KEY_BYTES = 4_096
# A million stations with 250 bytes each; more would rather be somebody's attempt to fill the disk.
_MAX_TABLE_BYTES = 256 * 1024 * 1024

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
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
            WireError: `file.unreadable`, `file.too_large`, what `Definition.load` raises, `folder.definition`
                if it is not the named one or not this election's, `folder.pinned` if another is pinned and
                none is named.
        """
        source = definition_folder(source)
        manifest = files.read(source / MANIFEST, MAX_MANIFEST_BYTES, "the definition")
        sha256 = hashlib.sha256(manifest).hexdigest()
        if named is not None and sha256 != named.hex():
            raise WireError(
                "folder.definition",
                f"this definition's hash is {sha256}, not {named.hex()}: it is not the one that was "
                "announced, get that one",
                file=str(source),
            )
        if self.settings.definition not in (None, sha256) and named is None:
            raise WireError(
                "folder.pinned",
                f"this device counts by the definition {self.settings.definition}; to replace it by "
                f"{sha256}, say so with --definition-hash",
                file=str(self.path),
            )
        target = self.path / _DEFINITIONS / sha256
        if target.exists():
            definition = self._load(sha256)
            self._judge(definition, source)
        else:
            for left in files.unfinished(target):
                shutil.rmtree(left)
            with files.new_folder(target) as work:
                definition = _copy(manifest, source, work)
                self._judge(definition, source)
        self.settings = msgspec.structs.replace(self.settings, definition=sha256)
        files.write(self.path / SETTINGS, _encode(self.settings))
        return definition

    def _judge(self, definition: Definition, source: Path) -> None:
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
        if self.settings.definition is None:
            raise WireError(
                "folder.no_definition",
                "this device has no definition to count by yet: `tallygate-box init DIR --definition D`",
                file=str(self.path),
            )
        return self._load(self.settings.definition)

    def _load(self, sha256: str) -> Definition:
        target = self.path / _DEFINITIONS / sha256
        try:
            definition = Definition.load(target)
        except WireError as error:
            raise WireError(
                "folder.definition",
                f"the stored definition is damaged ({error}); {_PIN_AGAIN}",
                file=str(target),
            ) from error
        if definition.sha256.hex() != sha256:
            raise WireError("folder.definition", f"{MANIFEST} was changed; {_PIN_AGAIN}", file=str(target))
        return definition

    def certify(self, file: Path) -> None:
        """Store the certificate for the device's TLS key, also in place of an earlier one.

        Raises:
            WireError: `file.unreadable`, `file.too_large`, `certificate.*`, `folder.not_private`.
        """
        data = files.read_given(file, certificate.MAX_CERTIFICATE_BYTES, "a certificate")
        key = read_private(self.path / TLS_KEY, "the TLS key")
        with located(file):
            own = certificate.judge(
                data, key, self.settings.election, self.settings.device, certificate.ROLES
            )
        files.write(self.path / CERTIFICATE, own)

    def place(self, file: Path) -> None:
        """Store a `site.json`, also in place of an earlier one of the same log.

        Raises:
            WireError: `file.unreadable`, `file.too_large`, `site.malformed`, `folder.site` if it is of
                another election or definition than the device, or of another log than it has believed.
        """
        data = files.read_given(file, MAX_SITE_BYTES, SITE)
        site = Site.parse(data, str(file))
        if site.election != self.settings.election:
            raise WireError(
                "folder.site",
                f'it is of the election "{site.election}", the device is of "{self.settings.election}"',
                file=str(file),
            )
        if self.settings.definition not in (None, site.definition.hex()):
            raise WireError(
                "folder.site",
                f"it names the definition {site.definition.hex()}, the device counts by "
                f"{self.settings.definition}: one of them is not what the commission has announced",
                file=str(file),
            )
        if (self.path / SITE).exists() and self.site().log_key != site.log_key:
            raise WireError(
                "folder.site",
                f"it names the log {site.log_key}, this device believes {self.site().log_key}. Ask the "
                f"commission which one is right; if the new one is, remove {self.path / SITE} first",
                file=str(file),
            )
        files.write(self.path / SITE, data)

    def site(self) -> Site:
        """Where the gateways are and whom to trust.

        Raises:
            WireError: `folder.no_site`, `file.unreadable`, `file.too_large`, `site.malformed`.
        """
        path = self.path / SITE
        if not path.exists():
            raise WireError(
                "folder.no_site",
                "this device does not know its gateways yet: `tallygate-box init DIR --site FILE`",
                file=str(self.path),
            )
        return Site.parse(files.read(path, MAX_SITE_BYTES, SITE), str(path))

    def keep(self, attachments: Mapping[bytes, Path]) -> None:
        """Keep copies of files that a statement is going to name: a hash without its file proves nothing.

        Args:
            attachments: where the files are, by their SHA-256.

        Raises:
            WireError: `folder.attachment` if one is not the file with its SHA-256 any more.
            OSError: one could not be stored.
        """
        for sha256, source in attachments.items():
            target = attachment(self.path, sha256)
            if target.exists():
                continue
            data = files.read(source, MAX_ATTACHMENT_BYTES, "an attachment")
            if hashlib.sha256(data).digest() != sha256:
                raise WireError(
                    "folder.attachment", "this file was changed just now; try again", file=str(source)
                )
            files.write_new(target, data)


def attachment(path: Path, sha256: bytes) -> Path:
    """Where a device's folder keeps a file that a statement names."""
    return path / _ATTACHMENTS / sha256.hex()


_PIN_AGAIN = "remove this folder and do `tallygate-box init DIR --definition D` again"


def definition_folder(path: Path) -> Path:
    """The folder that holds `election.json`: this one or `definition/` in it, as the builder writes it."""
    inner = path / "definition"
    return inner if not (path / MANIFEST).exists() and (inner / MANIFEST).exists() else path


@contextlib.contextmanager
def located(path: Path) -> Iterator[None]:
    """Give the refusals in the block a whole path: of the file they name in the folder `path`, or `path`.

    Raises:
        WireError: the same, with `file`.
    """
    try:
        yield
    except WireError as error:
        raise WireError(
            error.code,
            error.detail,
            offset=error.offset,
            file=str(path / error.file) if error.file else str(path),
            line=error.line,
            column=error.column,
        ) from error


def _copy(manifest: bytes, source: Path, target: Path) -> Definition:
    """Write a definition's files into `target`; whoever made the manifest has no say in their names."""
    files.write_new(target / MANIFEST, manifest)
    with located(source):
        entries = read_tables(target)
    for name, entry in entries.items():
        file = f"{name}.csv"
        files.write_new(target / file, _read_table(source / file, entry))
    with located(source):
        return Definition.load(target)


def _read_table(path: Path, entry: TableEntry) -> bytes:
    """A table, or one byte more than the manifest says: so the copy is refused when it is loaded."""
    if entry.size > _MAX_TABLE_BYTES:
        raise WireError(
            "file.too_large",
            f"a table has at most {_MAX_TABLE_BYTES:,} bytes, the manifest says {entry.size:,}",
            file=str(path),
        )
    with files.opened(path, "a table of the definition") as stream:
        return stream.read(entry.size + 1)


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
    seed = hex_32(read_private(path, "the signing key").decode("ascii", "replace").strip())
    if seed is None:
        raise WireError("folder.key", "this file is no signing key of 64 hex digits", file=str(path))
    signing = SigningKey(seed)
    if bytes(signing.verify_key).hex() != settings.sign_key:
        raise WireError(
            "folder.key", f"this is not the key that {SETTINGS} names: it is another device's", file=str(path)
        )
    return signing


def read_private(path: Path, what: str) -> bytes:
    """A private key's file; what is longer than any key is cut, and then no key.

    Raises:
        WireError: `folder.not_private`, `file.unreadable`.
    """
    with files.opened(path, what) as stream:
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise WireError(
                "folder.not_private",
                f"others can read this private key (mode {mode:04o}): chmod 600 it, and ask who has copied "
                "it",
                file=str(path),
            )
        return stream.read(_MAX_KEY_BYTES)
