"""decisions.json: logs of decisions with what is taken, void and undone in them, and what follows."""

from tests.vectors.authority import cases
from tests.vectors.authority import named_rosters as rosters
from tests.vectors.authority.script import OTHER_DEFINITION
from tests.vectors.election import DEFINITION_HASH
from tests.vectors.render import Json, render


def document() -> bytes:
    """The file's bytes; a statement that stands in several logs is written once."""
    places: dict[bytes, int] = {}
    written: list[dict[str, Json]] = []
    for script in cases.cases():
        log = [places.setdefault(statement, len(places)) for statement in script.log]
        written.append({**script.published, "log": log})
    return render(
        {
            "about": "Decisions of the commission (docs/packet.md). README.md says how to use them.",
            "rosters": rosters.published(),
            "definitions": {"ours": DEFINITION_HASH.hex(), "another": OTHER_DEFINITION.hex()},
            "statements": [statement.hex() for statement in places],
            "cases": written,
        }
    )


def files() -> dict[str, bytes]:
    """Every generated file by its path from this folder."""
    return {"decisions.json": document(), **rosters.files()}
