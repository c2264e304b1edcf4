"""How a disk shows that it is failing, and what to tell the operator then.

What lives here: which exceptions end a ledger, and a sentence for each errno that says what to do: a run as
root is likelier than a dying disk, and nobody should buy a new one for it.
"""

import errno
from typing import Final, TypeAlias

import apsw

Fault: TypeAlias = apsw.Error | OSError | UnicodeDecodeError
# A flipped bit may also turn a text into something else.
DISK: Final = (apsw.Error, OSError, UnicodeDecodeError)

# What to do with files that are refused.
CHANGE_NOTHING: Final = (
    "Change nothing, copy the folder data to another disk, and follow "
    '"When it refuses to start" in docs/ledger.md'
)
SALVAGE: Final = (
    "Change nothing, copy the folder data to another disk, and try `tallygate verify --salvage`: it keeps "
    'every statement, if all of them prove ("When it refuses to start" in docs/ledger.md)'
)

_TO_DO: Final[dict[int, str]] = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        "this user may not open or change it: was tallygate run as root once? Give the files back (ls -l "
        "shows their owner, chown changes it)",
    ),
    errno.EROFS: "the file system is read-only, which Linux also makes of one with errors: see dmesg, or "
    "mount it for writing",
    errno.ENOLCK: "the file system gives no locks: put the night folder on a local disk",
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT), "the disk or this user's quota is full: make room, but nowhere in data"
    ),
    errno.EIO: "the disk does not read or write: see its health (dmesg, smartctl), and copy the folder data "
    "to another disk first",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "too many files are open: raise the limit (ulimit -n, LimitNOFILE=)"
    ),
    **dict.fromkeys(
        (errno.ENOENT, errno.ESTALE),
        "it was removed or replaced while the gateway ran, and what was written since may be in nobody's "
        "file: look who did that, and have every box send everything again",
    ),
    errno.ENOMEM: "this machine has no memory left: see what takes it",
    errno.ELOOP: "it is a link, and a ledger's files are none: put the files themselves here",
}
_UNKNOWN: Final = "see the disk's health (dmesg, smartctl) and free space first"

# SQLite's own words where the system had no errno for it.
_ERRNO_OF: Final[tuple[tuple[type[apsw.Error], int], ...]] = (
    (apsw.FullError, errno.ENOSPC),
    (apsw.ReadOnlyError, errno.EACCES),
    (apsw.PermissionsError, errno.EACCES),
    (apsw.NoMemError, errno.ENOMEM),
)


def words(error: BaseException) -> str:
    """The error itself."""
    return f"{type(error).__name__}: {error}"


def advice(error: BaseException, system_errno: int) -> str:
    """What to do about it.

    Args:
        error: what was raised.
        system_errno: SQLite's last one (`apsw.Connection.system_errno`), 0 if there is none.
    """
    if isinstance(error, OSError):
        number = error.errno
    else:
        number = next((one for kind, one in _ERRNO_OF if isinstance(error, kind)), system_errno)
    return _TO_DO.get(number or 0, _UNKNOWN)


def place(error: BaseException, otherwise: str) -> str:
    """The file that it happened to, as far as the error says so."""
    return error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else otherwise
