"""manifests.json: the tiny election's hashes, and changes of its files with a strict reader's verdict."""

from tests.vectors import manifest_cases, table_cases
from tests.vectors.changes import FOLDERS
from tests.vectors.encoding import sha256
from tests.vectors.render import Json, render


def document() -> bytes:
    """The file's bytes."""
    hashes: dict[str, Json] = {name: sha256(built.manifest()).hex() for name, built in FOLDERS.items()}
    return render(
        {
            "about": "Manifests and tables (docs/election-folder.md, What is built): changes of election/.",
            "sha256": hashes,
            "cases": [case.published for case in (*manifest_cases.cases(), *table_cases.cases())],
        }
    )
