"""A night folder that is there: where its parts are, and reading those that a role starts from.

What lives here: `NightFolder`, the log's private key (from its file or from systemd), the election's clock,
and the file that a role writes when it is ready. Making a night is `gateway.run.night`.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import Clock, ElectionClock, read_clock
from gateway.base.config import FILE, Role
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded, read_private, write_durably
from gateway.ledger.opening import check_opening

# Bytes of an Ed25519 private key (RFC 8032), which is all that a key file holds.
_SEED: Final = 32
# Bytes of a statement (docs/packet.md).
MAX_STATEMENT: Final = 16_384
# Bytes of run/<role>.json: addresses and a verifier key.
_MAX_READY: Final = 65_536


class ReadyFile(msgspec.Struct, frozen=True):
    """``run/<role>.json``, written when the role is ready and removed when it ends cleanly.

    Each role writes what it has; the rest keeps its default.

    Attributes:
        pid: of the role's process.
        since: real time, RFC 3339.
        box: where the box port listens.
        operations: where metrics and health are.
        ledger: the follow socket, seen from the night folder.
        log_key: the verifier key of the log; None: it is not open.
        entries: of the log when the role became ready.
        web: where feed and pages are served.
        snapshot: number of the newest snapshot when the role became ready; None: there was none.
    """

    pid: int
    since: str
    box: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    ledger: str = ""
    log_key: str | None = None
    entries: int = 0
    web: tuple[str, ...] = ()
    snapshot: int | None = None


@dataclass(frozen=True, slots=True)
class NightFolder:
    """The parts of a night folder by name; made by `find_night`."""

    root: Path

    @property
    def config(self) -> Path:
        """``tallygate.toml``."""
        return self.root / FILE

    @property
    def clock(self) -> Path:
        """``clock.json``, of rehearsals only."""
        return self.root / "clock.json"

    @property
    def definition(self) -> Path:
        """The folder of election.json."""
        return self.root / "definition"

    @property
    def roster(self) -> Path:
        """The folder of the roster that decision 1 names."""
        return self.root / "roster"

    @property
    def rosters(self) -> Path:
        """Later rosters, each in a folder named by its hash; it may be missing."""
        return self.root / "rosters"

    @property
    def information(self) -> Path:
        """The folder of information.json."""
        return self.root / "information"

    @property
    def informations(self) -> Path:
        """Later ones, each in a folder named by its hash; it may be missing."""
        return self.root / "informations"

    @property
    def shown(self) -> Path:
        """The hash of the information to show; missing: that of `information`."""
        return self.data / "information"

    @property
    def pause(self) -> Path:
        """The operator's stop, while it is in force."""
        return self.data / "pause.json"

    @property
    def pki(self) -> Path:
        """Certificates, the server's key and the revocation list."""
        return self.root / "pki"

    @property
    def data(self) -> Path:
        """The ledger's folder."""
        return self.root / "data"

    @property
    def attachments(self) -> Path:
        """Papers, each under its hash."""
        return self.data / "attachments"

    @property
    def run(self) -> Path:
        """What exists only while roles run."""
        return self.root / "run"

    @property
    def follow(self) -> Path:
        """The ledger's socket."""
        return self.run / "ledger.sock"

    @property
    def feed(self) -> Path:
        """What the public reads."""
        return self.root / "feed"

    @property
    def embargo(self) -> Path:
        """What the public may not read yet; laid out as the feed."""
        return self.root / "embargo"

    @property
    def published(self) -> Path:
        """The checkpoint that the public sees; missing before the first publication."""
        return self.feed / "log" / "checkpoint"

    @property
    def devices(self) -> Path:
        """A rehearsal's keys of devices."""
        return self.root / "devices"

    def ready(self, role: Role) -> Path:
        """``run/<role>.json``."""
        return self.run / f"{role}.json"


def find_night(root: Path) -> NightFolder:
    """A night folder, by its ``tallygate.toml``.

    Raises:
        TallygateError: ``night.missing``.
    """
    night = NightFolder(root)
    if not night.config.is_file():
        raise TallygateError(
            "night.missing",
            f"this is no night folder, there is no {FILE} in it: `tallygate init` makes one",
            place=str(root),
        )
    return night


def read_log_seed(night: NightFolder, credentials: Path | None) -> bytes:
    """The private key that signs checkpoints.

    Args:
        night: the night's folder.
        credentials: systemd's folder of credentials; the key is taken from there if it is among them.

    Raises:
        TallygateError: ``keys.log``, ``file.not_private``, ``file.too_large``.
        OSError: it cannot be read.
    """
    return _read_seed(night, "log", credentials, "another key cannot continue this log")


def read_snapshot_seed(night: NightFolder, credentials: Path | None) -> bytes:
    """The private key that signs snapshots; arguments and errors as of `read_log_seed`.

    Raises:
        TallygateError: ``keys.snapshot``, ``file.not_private``, ``file.too_large``.
        OSError: it cannot be read.
    """
    return _read_seed(night, "snapshot", credentials, "decision 1 names this one, and readers take no other")


def _read_seed(night: NightFolder, name: str, credentials: Path | None, consequence: str) -> bytes:
    given = None if credentials is None else credentials / f"{name}.key"
    if given is not None and given.exists():
        # systemd lets this service alone read it, by an ACL that shows as a group's permission.
        path, seed = given, read_bounded(given, _SEED)
    else:
        path = night.root / "keys" / f"{name}.key"
        try:
            seed = read_private(path, _SEED)
        except FileNotFoundError:
            raise TallygateError(
                f"keys.{name}",
                f"the {name} key is not here: put it back from its safe copy (mode 0600), or give it "
                f"as systemd's credential {name}.key; {consequence}",
                place=str(path),
            ) from None
    if len(seed) != _SEED:
        raise TallygateError(
            f"keys.{name}",
            f"a key file has {_SEED} bytes, this one {len(seed)}: put the copy back",
            place=str(path),
        )
    return seed


class LogName(NamedTuple):
    """What checkpoints are signed with: the public key; and the verifier key, if the log's name is known."""

    key: bytes
    vkey: str | None


def read_log_name(night: NightFolder, definition: _core.Definition) -> LogName:
    """The log's key and name, without its private key where decision 1 is still in data/opening.

    Args:
        night: the night's folder.
        definition: the night's; its commission has signed decision 1.

    Raises:
        TallygateError: ``opening.*``; without an opening as `read_log_seed`.
        OSError: it cannot be read.
    """
    files = sorted((night.data / "opening").glob("*.cose"))
    if files:
        statements = [read_bounded(file, MAX_STATEMENT) for file in files]
        key = b""
        with contextlib.suppress(CoreError):  # `check_opening` says it in its own words
            match _core.decode(statements[0]).content:
                case (_, _, 1, _, _, (1, _, bytes() as key, *_)):
                    pass
        opening = check_opening(statements, definition, key, places=[str(file) for file in files])
        return LogName(key, _core.vkey(opening.origin, key))
    key = _core.public_key(read_log_seed(night, None))
    ready = read_ready(night.ready("ingest"))
    vkey = None if ready is None else ready.log_key
    if vkey is not None and _core.vkey(vkey.partition("+")[0], key) != vkey:
        raise TallygateError(
            "keys.log", "the role that runs signs with another key than this one", place=str(night.root)
        )
    return LogName(key, vkey)


def write_ready(path: Path, ready: ReadyFile) -> None:
    """Writes ``run/<role>.json`` in one step."""
    write_durably(path, msgspec.json.encode(ready) + b"\n")


def read_ready(path: Path) -> ReadyFile | None:
    """What a role has written; None: nothing, or something else."""
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_READY), type=ReadyFile)
    except (OSError, TallygateError, msgspec.MsgspecError):
        return None


def is_running(pid: int) -> bool:
    """Whether a process has this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's
    except (ProcessLookupError, OverflowError):
        return False
    return True


def night_clock(night: NightFolder, real: Clock) -> ElectionClock | None:
    """The election's clock; None: it is a rehearsal's that nobody has started yet.

    A live night has no clock.json, and real time.

    Raises:
        TallygateError: ``clock.malformed``, ``file.too_large``.
        OSError: it cannot be read.
    """
    try:
        rehearsal = read_clock(night.clock)
    except FileNotFoundError:
        return ElectionClock(real)
    return None if rehearsal.real_start is None else ElectionClock.of(rehearsal, real)
