"""The program ``tallygate``: one file a command group; the only rooms that read environment and clock."""

import sys
from typing import NoReturn

from gateway.cli.shared import LazyGroup, run

COMMANDS = {
    "election": "gateway.cli.election:election",
    "export": "gateway.cli.export:export",
    "information": "gateway.cli.information:information",
    "ingest": "gateway.cli.ingest:ingest",
    "init": "gateway.cli.init:init",
    "open": "gateway.cli.open:open_log",
    "pause": "gateway.cli.pause:pause",
    "pki": "gateway.cli.pki:pki",
    "publish": "gateway.cli.publish:publish",
    "resume": "gateway.cli.pause:resume",
    "serve": "gateway.cli.serve:serve",
    "site": "gateway.cli.site:site",
    "station": "gateway.cli.station:station",
    "status": "gateway.cli.status:status",
    "verify": "gateway.cli.verify:verify",
    "web": "gateway.cli.web:web",
}

tallygate = LazyGroup(
    "tallygate",
    COMMANDS,
    help="Election results from ballot boxes to the public. Every command has --help with an example.",
)


def main() -> NoReturn:
    """Run the program with the arguments of this process."""
    sys.exit(run(tallygate))
