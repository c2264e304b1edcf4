"""Writes the vectors and the tiny election: ``python -m tests.vectors.generate`` (``make vectors``)."""

from pathlib import Path

from tests.vectors import (
    canonical,
    checkpoints,
    election,
    manifests,
    receipts,
    statements,
    tree,
    verifier_keys,
)
from tests.vectors.authority import document as decisions

FOLDER = Path(__file__).parent


def files() -> dict[str, bytes]:
    """Every generated file by its path in this folder."""
    return {
        "statements.json": statements.document(),
        "verifier_keys.json": verifier_keys.document(),
        "checkpoints.json": checkpoints.document(),
        "receipts.json": receipts.document(),
        "proofs.json": tree.proofs(),
        "tiles.json": tree.tiles(),
        "canonical_json.json": canonical.document(),
        "manifests.json": manifests.document(),
        **{f"election/{path}": data for path, data in election.files().items()},
        **{f"authority/{path}": data for path, data in decisions.files().items()},
    }


def main() -> None:
    """Write them all."""
    for path, data in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_bytes(data)


if __name__ == "__main__":
    main()
