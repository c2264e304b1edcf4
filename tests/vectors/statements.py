"""statements.json: keys, and statements with the verdict of the door's checks up to the signature."""

from tests.vectors import faults, good, malformed, signers
from tests.vectors.election import DEFINITION_HASH, DEVICES, MEMBERS
from tests.vectors.render import render


def document() -> bytes:
    """The file's bytes."""
    return render(
        {
            "about": "Statements, byte for byte (docs/packet.md). README.md says how to use them.",
            "definition": DEFINITION_HASH.hex(),
            "keys": [key.published for key in (*DEVICES, *MEMBERS)],
            "good": [case.published for case in good.cases()],
            "malformed": [case.published for case in (*malformed.cases(), *faults.cases())],
            "judged": [case.published for case in signers.cases()],
        }
    )
