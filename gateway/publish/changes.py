"""snapshots/<n>.changes.json: which stations and areas a snapshot has other objects of than the one before.

What lives here: `changes_of`. For programs that follow the figures and would otherwise read areas to find
what is new; nobody has to believe it, for it follows from the two snapshots (docs/feed.md, "Changes").
"""

from typing import Final

import msgspec

from gateway import _core
from gateway.feed.models import Changes, Latest
from gateway.publish.protocol import Draft

# Stations that are listed, some 400 KiB of them: with more, whoever follows reads whole areas.
MOST_STATIONS: Final = 20_000


def changes_of(draft: Draft, before: Latest | None) -> bytes | None:
    """The bytes of the file; None: there is none under an embargo.

    Args:
        draft: the next snapshot.
        before: the one before, or None.
    """
    if draft.snapshot.embargo_until is not None:
        return None
    areas: list[tuple[int, str]] = []
    stations: list[tuple[int, int]] = []
    for file in draft.files:
        match file.path.removesuffix(".json").split("/"):
            case ["areas", area, sha256]:
                areas.append((int(area), sha256))
            case ["stations", _, named]:
                station, _, version = named.partition("-")
                stations.append((int(station), int(version)))
    # What was hidden was never said to have changed.
    lifted = before is not None and before.embargo_until is not None
    changes = Changes(
        areas=None if lifted else tuple(sorted(areas)),
        definition=draft.snapshot.definition,
        entries=(draft.old_size, draft.size),
        format="tallygate-changes/1",
        snapshot=draft.number,
        stations=None if lifted or len(stations) > MOST_STATIONS else tuple(sorted(stations)),
    )
    return _core.canonical_json(msgspec.to_builtins(changes))
