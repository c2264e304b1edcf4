"""ext4 on a loop device on nbdfuse on our plugin: a whole file system whose disk does what a test wants.

What lives here: making an image, mounting it, with the faults below it or without, and looking whether this
machine can do that at all. Linux and root only.
"""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.faults.realdisk.plugin import Orders

# Where Debian has them, whatever the caller's shell knows.
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
PLUGIN: Final = Path(__file__).with_name("plugin.py")
# Bytes of a disk: a file system with its journal, and a night of some thousand entries.
SIZE: Final = 32 << 20
# Seconds that any program of the system may take, with every flush delayed.
SECONDS: Final = 60
# Seconds between two looks at something that another process does.
LOOK_SECONDS: Final = 0.02

_NEEDED: Final = {
    "nbdkit": "nbdkit nbdkit-plugin-python",
    "nbdfuse": "libnbd-bin fuse3",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
}


class NotPossibleError(Exception):
    """This machine cannot do it; says why."""


def run(*command: str | Path, may: Sequence[int] = (0,)) -> str:
    """Runs a program of the system to its end.

    Raises:
        NotPossibleError: it has failed, and says why.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env={"PATH": PATH}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotPossibleError(str(error)) from None
    if done.returncode not in may:
        words = " ".join((done.stderr or done.stdout).split())
        raise NotPossibleError(f"{' '.join(map(str, command))}: {words} (exit status {done.returncode})")
    return done.stdout.strip()


def require_programs() -> None:
    """Makes sure that a disk of ours can be made here.

    Raises:
        NotPossibleError: something is missing.
    """
    missing = [name for name in _NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        packages = " ".join(dict.fromkeys(_NEEDED[name] for name in missing))
        raise NotPossibleError(f"{', '.join(missing)} not found (Debian: apt-get install {packages})")
    if not Path("/dev/fuse").exists():
        raise NotPossibleError("/dev/fuse is not there (modprobe fuse)")
    if "name=python" not in run("nbdkit", "--dump-plugin", "python").splitlines():
        raise NotPossibleError("nbdkit has no Python plugin (Debian: apt-get install nbdkit-plugin-python)")


def make_image(image: Path) -> None:
    """Makes an empty file system; nothing is written to it later that nobody asked for."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    """Mounts an image as it is, first put in order as any boot does."""
    run("e2fsck", "-fy", image, may=(0, 1))
    run("mount", "-o", "loop", image, at)
    try:
        yield
    finally:
        run("umount", at)


class FaultyDisk:
    """A mounted file system on a disk that obeys orders; a context.

    Args:
        image: its content; stays as it is.
        work: an empty folder.

    Attributes:
        mount: where it is mounted.

    Raises:
        NotPossibleError: this machine cannot do it.
    """

    def __init__(self, image: Path, work: Path) -> None:
        self._image = image
        self._work = work
        self._fuse = work / "fuse"
        self.mount = work / "mount"
        self._left = work / "left.img"
        self._met = work / "met"

    def __enter__(self) -> "FaultyDisk":
        self._fuse.mkdir()
        self.mount.mkdir()
        plugin = [f"image={self._image}", f"orders={self._orders}", f"left={self._left}", f"met={self._met}"]
        nbdkit: list[str | Path] = ["[", "nbdkit", "--exit-with-parent", "python", PLUGIN, *plugin, "]"]
        with (self._work / "nbd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["nbdfuse", self._fuse, *nbdkit], stdout=log, stderr=log, env={"PATH": PATH}
            )
        try:
            disk = self._fuse / "nbd"
            end = time.monotonic() + SECONDS
            while not disk.exists():
                if self._process.poll() is not None or time.monotonic() > end:
                    words = (self._work / "nbd.log").read_text(errors="replace")
                    raise NotPossibleError(f"nbdfuse does not serve the disk: {' '.join(words.split())}")
                time.sleep(LOOK_SECONDS)
            self._mount()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", self.mount, may=(0, 32))
        self._end()

    def order(self, orders: Orders) -> None:
        """From now on it does this."""
        fresh = self._work / "orders.new"
        fresh.write_text(json.dumps(orders))
        fresh.rename(self._orders)

    def cut(self, orders: Orders, result: Path) -> None:
        """Unmounts it without power: nothing that is written now gets through; `result` is what is left.

        Args:
            orders: when the power has not been cut by the last ones, these say how.
            result: gets the platters' content.
        """
        if not self._left.exists():
            self.order(orders)
        run("umount", self.mount, may=(0, 32))
        self._end()
        self._left.rename(result)

    def mount_again(self) -> None:
        """Unmounts it, lets e2fsck repair it, and mounts it: what Linux had cached is forgotten."""
        run("umount", self.mount)
        self._mount("e2fsck", "-fy")

    @property
    def failures(self) -> int:
        """How many requests have failed as ordered."""
        return self._met.stat().st_size if self._met.exists() else 0

    def _mount(self, *check: str) -> None:
        # Without direct I/O the loop device would keep pages of its own, which no fault reaches.
        device = run("losetup", "--find", "--show", "--direct-io=on", self._fuse / "nbd")
        try:
            if check:
                run(*check, device, may=(0, 1))
            run("mount", device, self.mount)
        finally:
            # It goes by itself when it is mounted no more.
            run("losetup", "--detach", device)

    @property
    def _orders(self) -> Path:
        return self._work / "orders"

    def _end(self) -> None:
        run("umount", self._fuse, may=(0, 1, 32))
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
