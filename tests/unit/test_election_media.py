"""Photographs and documents: only ordinary files of the right kind that a table names are taken."""

import hashlib
import os
from pathlib import Path

import pytest

from gateway.election import Code, media, read_folder
from tests.unit.election_folder import PNG, places, read, write

CHOICES = "contest,choice,name_en,photo,programme_en\n1,1,A,a.png,\n1,2,B,,Read our programme.pdf\n"
PDF = b"%PDF-1.7\n"


def test_named_files_are_described(tmp_path: Path) -> None:
    table = (
        "contest,choice,name_en,photo,programme_en,programme_ru\n1,1,A,a.png,b.pdf,b.pdf\n1,2,B,c.JPG,,d\n"
    )
    changes: dict[str, str | bytes | None] = {
        "choices.csv": table,
        "media/a.png": PNG,
        "media/b.pdf": PDF,
        "media/c.JPG": b"\xff\xd8\xff\xe0",
    }
    election = read(tmp_path, changes)
    assert [(entry.name, entry.size, entry.type) for entry in election.media] == [
        ("a.png", 16, "image/png"),
        ("b.pdf", 9, "application/pdf"),
        ("c.JPG", 4, "image/jpeg"),
    ]
    assert [entry.sha256 for entry in election.media] == [
        hashlib.sha256(data).hexdigest() for data in (PNG, PDF, b"\xff\xd8\xff\xe0")
    ]


@pytest.mark.parametrize("make", ["folder", "pipe", "link", "dead link", "outside"])
def test_odd_files_are_refused_by_name(tmp_path: Path, make: str) -> None:
    folder = write(tmp_path / "in", {"choices.csv": CHOICES})
    (folder / "media").mkdir()
    path = folder / "media" / "a.png"
    (tmp_path / "real.png").write_bytes(PNG)
    if make == "folder":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "link":
        path.symlink_to("b.png")
        (folder / "media" / "b.png").write_bytes(PNG)
    elif make == "dead link":
        path.symlink_to("nowhere")
    else:
        path.symlink_to(tmp_path / "real.png")
    election, faults = read_folder(folder)
    assert election is None
    assert "media/a.png:0: media_not_a_file" in places(faults)


@pytest.mark.parametrize("make", ["link", "file"])
def test_the_folder_itself_must_be_one(tmp_path: Path, make: str) -> None:
    folder = write(tmp_path / "in", {"choices.csv": CHOICES})
    if make == "link":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "a.png").write_bytes(PNG)
        (folder / "media").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "media").write_text("x")
    _, faults = read_folder(folder)
    assert places(faults) == ["media:0: media_not_a_file"]


def test_capital_letters_count(tmp_path: Path) -> None:
    _, faults = read_folder(write(tmp_path, {"choices.csv": CHOICES, "media/A.png": PNG}))
    assert places(faults) == ["choices.csv:2:photo media_missing", "media:0: media_unused"]


def test_one_file_is_not_a_picture_and_a_document(tmp_path: Path) -> None:
    table = "contest,choice,name_en,photo,programme_en\n1,1,A,a.pdf,\n1,2,B,,a.pdf\n"
    _, faults = read_folder(write(tmp_path, {"choices.csv": table, "media/a.pdf": PDF}))
    assert places(faults) == ["choices.csv:3:programme_en media_type", "media/a.pdf:0: media_type"]


def test_files_are_bounded_in_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_MEDIA_FILES", 1)
    table = "contest,choice,name_en,photo\n1,1,A,a.png\n1,2,B,b.png\n"
    _, faults = read_folder(write(tmp_path, {"choices.csv": table, "media/a.png": PNG, "media/b.png": PNG}))
    assert [fault.code for fault in faults.kept()] == [Code.TOO_MANY_MEDIA]
