"""A rehearsal's night as its devices see it: definition, roster, keys, clock, and where the gateway is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.box import bundle
from clients.fleet.device import Keys
from clients.fleet.line import Gateways
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster
from clients.wire.site import Site

_PLAYED: Final = ("box", "terminal")


@dataclass(frozen=True, slots=True)
class Night:
    """A night folder, as far as a fleet reads it.

    Attributes:
        root: the folder.
        definition: the election's.
        roster: the one that the night began with.
        site: whom to trust.
        gateways: where the gateway is.
        keys: of every box and terminal, by device.
    """

    root: Path
    definition: Definition
    roster: Roster
    site: Site
    gateways: Gateways
    keys: dict[int, Keys] = field(repr=False)

    @property
    def clock(self) -> Path:
        """`clock.json`."""
        return self.root / "clock.json"

    @property
    def log(self) -> Path:
        """The public log, once something is published."""
        return self.root / "feed" / "log"

    @property
    def hidden_log(self) -> Path:
        """Its entries that are under embargo, which a rehearsal's own machine may read."""
        return self.root / "embargo" / "log"


def read(root: Path) -> Night:
    """Read the night of a rehearsal; the gateway need not run.

    Raises:
        WireError: `night.none` if it is not one; what its files are refused with: `manifest.*`, `table.*`,
            `bundle.*`, `site.*`, `file.*`.
    """
    devices = root / "devices"
    if not (devices / bundle.SITE).is_file():
        raise WireError(
            "night.none",
            "this is no night of a rehearsal: `tallygate init NIGHT --election FOLDER --rehearsal` makes one "
            "with the keys of its devices",
            file=str(root),
        )
    site, _ = bundle.read_site(devices)
    definition = Definition.load(root / "definition")
    if definition.sha256 != site.definition:
        raise WireError(
            "night.none", "its definition is not the one of its devices/site.json", file=str(root)
        )
    roster = Roster.load(root / "roster", definition)
    keys: dict[int, Keys] = {}
    for line in bundle.read_lines(devices):
        if line.device is not None and line.role in _PLAYED:
            signing = bundle.signing_key(devices, line)
            keys[line.device] = Keys(signing, line.tls_key, line.certificate)
    return Night(root, definition, roster, site, Gateways(root / "run" / "ingest.json", site), keys)
