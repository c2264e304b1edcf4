"""The device's folder: whole or not at all, keys never made again, one definition at a time."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from clients.box import folder
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.wire_election import DEFINITION, ELECTION, Election, Json, canonical, rewrite, with_line

KEY = SigningKey(b"\x21" * 32)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    return box.make_device(tmp_path)


def refusal(device: Path) -> str:
    """The code with which the folder is not opened, or its definition not read."""
    with pytest.raises(WireError) as caught, folder.opened(device) as opened:
        opened.definition()
    return caught.value.code


class TestCreating:
    def test_modes(self, device: Path) -> None:
        assert {stat.S_IMODE(path.stat().st_mode) for path in [device, *device.glob("**/")]} == {0o700}
        for name in ("keys/sign.key", "keys/tls.key", "device.json", "last.json"):
            assert stat.S_IMODE((device / name).stat().st_mode) == 0o600

    @pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
    def test_never_over_something(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        path = tmp_path / "box"
        make(path)
        with pytest.raises(WireError) as caught, folder.created(path, box.ELECTION, 1, KEY, {}):
            pytest.fail("the folder must not be made")
        assert caught.value.code == "file.exists"
        assert [entry.name for entry in tmp_path.iterdir()] == ["box"]

    def test_no_place(self, tmp_path: Path) -> None:
        with (
            pytest.raises(WireError) as caught,
            folder.created(tmp_path / "a/b", box.ELECTION, 1, KEY, {}),
        ):
            pytest.fail("the folder must not be made")
        assert caught.value.code == "file.no_folder"

    def test_nothing_is_left_of_what_was_not_finished(self, tmp_path: Path) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            folder.created(tmp_path / "box", box.ELECTION, 1, KEY, {"keys/tls.key": b"key"}),
        ):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_definition_makes_no_folder(self, tmp_path: Path) -> None:
        Election(tmp_path)
        with (
            pytest.raises(WireError) as caught,
            folder.created(tmp_path / "box", "example-2028", 1, KEY, {}) as new,
        ):
            new.pin(tmp_path, None)
        assert caught.value.code == "folder.definition"
        assert not [path for path in tmp_path.iterdir() if "box" in path.name]


class TestOpening:
    @pytest.mark.parametrize("name", ["", "nothing", "keys"])
    def test_no_device(self, device: Path, name: str) -> None:
        assert refusal(device / name if name else device.parent) == "folder.none"

    @pytest.mark.parametrize(
        "text",
        ["", "{}", "[1]", "\xff", '{"format": "tallygate-device/2"}', " " * 5_000],
    )
    def test_settings(self, device: Path, text: str) -> None:
        (device / "device.json").write_text(text, encoding="latin-1")
        assert refusal(device) in {"folder.malformed", "file.too_large"}

    def test_another_format(self, device: Path) -> None:
        path = device / "device.json"
        path.write_text(path.read_text().replace("device/1", "device/2"))
        assert refusal(device) == "folder.malformed"

    @pytest.mark.parametrize("text", ["", "x", "00" * 31, "0" * 5_000, "ф" * 64])
    def test_no_key(self, device: Path, text: str) -> None:
        (device / "keys/sign.key").write_text(text)
        assert refusal(device) in {"folder.key", "file.too_large"}

    def test_another_devices_key(self, device: Path) -> None:
        (device / "keys/sign.key").write_text("21" * 32 + "\n")
        assert refusal(device) == "folder.key"

    def test_a_key_that_others_read(self, device: Path) -> None:
        (device / "keys/sign.key").chmod(0o640)
        assert refusal(device) == "folder.not_private"

    def test_one_program_at_a_time(self, device: Path) -> None:
        with folder.opened(device):
            assert refusal(device) == "folder.busy"
        with folder.opened(device) as opened:
            assert opened.settings.device == box.DEVICE

    def test_the_lock_cannot_be_removed(self, device: Path) -> None:
        """Who takes a lock's file for a leftover and removes it must not let a second program in."""
        with folder.opened(device):
            for path in device.iterdir():
                if path.is_file() and not path.read_bytes():
                    path.unlink()
            assert refusal(device) == "folder.busy"

    def test_a_key_that_is_exchanged_for_one_that_others_read(
        self, device: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is judged is the file that is read, not the one that had its name before."""
        key = device / "keys/sign.key"
        before = key.stat()
        key.chmod(0o644)
        real = Path.stat
        monkeypatch.setattr(
            Path,
            "stat",
            lambda self, **options: before if self == key else real(self, **options),
        )
        assert refusal(device) == "folder.not_private"

    @pytest.mark.parametrize("name", ["keys/sign.key", "last.json"])
    def test_a_pipe_does_not_hold_up(self, device: Path, name: str) -> None:
        (device / name).unlink()
        os.mkfifo(device / name, 0o600)
        with pytest.raises(WireError) as caught, folder.opened(device) as opened:
            opened.spool()
        assert caught.value.code in {"file.unreadable", "spool.last"}


class TestDefinition:
    def test_pinned(self, device: Path) -> None:
        with folder.opened(device) as opened:
            definition = opened.definition()
            assert opened.settings.definition == definition.sha256.hex()
            # Once more changes nothing.
            assert opened.pin(device.parent, definition.sha256).sha256 == definition.sha256
            assert opened.pin(device.parent / "definition", None).sha256 == definition.sha256
        assert len(list((device / "definitions").iterdir())) == 1

    def test_none_yet(self, tmp_path: Path) -> None:
        with folder.created(tmp_path / "box", box.ELECTION, 1, KEY, {}):
            pass
        assert refusal(tmp_path / "box") == "folder.no_definition"

    @pytest.mark.parametrize("file", ["election.json", "stations.csv", "checks.csv"])
    @pytest.mark.parametrize("change", [b"", b"x", None])
    def test_damaged(self, device: Path, file: str, change: bytes | None) -> None:
        (path,) = (device / "definitions").glob(f"*/{file}")
        if change is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes() + change if change else b"")
        assert refusal(device) == "folder.definition"

    def test_another_in_its_place(self, device: Path, tmp_path: Path) -> None:
        (pinned,) = (device / "definitions").iterdir()
        shutil.rmtree(pinned)
        (tmp_path / "other").mkdir()
        other = Election(tmp_path / "other")
        other.write_definition(with_line(DEFINITION, "checks", 3, None))
        shutil.copytree(other.root / "definition", pinned)
        assert refusal(device) == "folder.definition"

    def test_replaced_only_by_name(self, device: Path, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = Election(tmp_path / "other")
        other.write_definition(with_line(DEFINITION, "checks", 3, None))
        sha256 = bytes.fromhex(other.named)
        with folder.opened(device) as opened:
            with pytest.raises(WireError) as caught:
                opened.pin(other.root, None)
            assert caught.value.code == "folder.pinned"
            assert other.named in caught.value.detail
            with pytest.raises(WireError) as caught:
                opened.pin(other.root, bytes(32))
            assert caught.value.code == "folder.definition"
            opened.pin(other.root, sha256)
        with folder.opened(device) as opened:
            assert opened.definition().sha256 == sha256

    def test_a_broken_source_is_not_pinned(self, tmp_path: Path) -> None:
        election = Election(tmp_path)
        with folder.created(tmp_path / "box", box.ELECTION, 1, KEY, {}):
            pass
        with folder.opened(tmp_path / "box") as opened:
            with (tmp_path / "definition/stations.csv").open("a") as stream:
                stream.write("\n")
            with pytest.raises(WireError) as caught:
                opened.pin(tmp_path, None)
            assert caught.value.code == "table.changed"
            (tmp_path / "definition/stations.csv").unlink()
            with pytest.raises(WireError) as caught:
                opened.pin(tmp_path, None)
            assert caught.value.code == "file.unreadable"
            with pytest.raises(WireError) as caught:
                opened.pin(tmp_path / "nowhere", None)
            assert caught.value.code == "file.unreadable"
            election.write_definition(DEFINITION, {**ELECTION, "id": "example-2028"})
            with pytest.raises(WireError) as caught:
                opened.pin(tmp_path, None)
            assert caught.value.code == "folder.definition"
            assert opened.settings.definition is None
        assert list((tmp_path / "box/definitions").iterdir()) == []


class TestUntrustedDefinition:
    """Whoever hands a definition over does not write elsewhere, and does not fill the disk."""

    @pytest.fixture
    def new(self, tmp_path: Path) -> Path:
        Election(tmp_path)
        with folder.created(tmp_path / "box", box.ELECTION, 1, KEY, {}):
            pass
        return tmp_path / "box"

    def refusal(self, device: Path) -> str:
        before = sorted(device.parent.rglob("*"))
        with folder.opened(device) as opened, pytest.raises(WireError) as caught:
            opened.pin(device.parent, None)
        assert sorted(device.parent.rglob("*")) == before
        assert str(device.parent / "definition") in str(caught.value)
        return caught.value.code

    @pytest.mark.parametrize(
        "tables",
        [
            {"../../../evil": 1},
            {"../../../evil": {"rows": 0, "sha256": "ab" * 32, "size": 1}},
            {"a\u0000": 1},
            {"/dev/zero": 1},
            {},
            [],
            None,
        ],
    )
    def test_names_of_tables(self, new: Path, tables: Json) -> None:
        (new.parent / "definition/evil.csv").write_text("evil")
        rewrite(new.parent / "definition", "election.json", lambda manifest: manifest.update(tables=tables))
        assert self.refusal(new) == "manifest.malformed"

    @pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", canonical({"tables": {}})])
    def test_no_manifest(self, new: Path, text: bytes) -> None:
        (new.parent / "definition/election.json").write_bytes(text)
        assert self.refusal(new) == "manifest.malformed"

    def test_a_manifest_without_end(self, new: Path) -> None:
        (new.parent / "definition/election.json").write_bytes(b" " * (1024 * 1024 + 1))
        assert self.refusal(new) == "file.too_large"

    @pytest.mark.parametrize("file", ["election.json", "areas.csv"])
    @pytest.mark.parametrize("make", [lambda path: path.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir])
    def test_no_files(self, new: Path, file: str, make: Callable[[Path], None]) -> None:
        path = new.parent / "definition" / file
        path.unlink()
        make(path)
        assert self.refusal(new) == "file.unreadable"

    def test_a_table_without_end(self, new: Path) -> None:
        path = new.parent / "definition/areas.csv"
        with path.open("ab") as stream:
            stream.truncate(2**40)
        assert self.refusal(new) == "table.changed"
        entry: dict[str, Json] = {"rows": 1, "sha256": "ab" * 32, "size": 2**40}
        tables: dict[str, Json] = dict.fromkeys(DEFINITION, entry)
        rewrite(new.parent / "definition", "election.json", lambda manifest: manifest.update(tables=tables))
        assert self.refusal(new) == "file.too_large"

    def test_what_a_killed_program_left_goes(self, new: Path) -> None:
        named = hashlib.sha256((new.parent / "definition/election.json").read_bytes()).hexdigest()
        left = new / "definitions" / f".{named}.unfinished-{'ab' * 8}"
        left.mkdir()
        (left / "election.json").write_text("half")
        with folder.opened(new) as opened:
            pinned = opened.pin(new.parent, None)
        assert [path.name for path in (new / "definitions").iterdir()] == [pinned.sha256.hex()]


class TestAttachments:
    def test_kept(self, device: Path, tmp_path: Path) -> None:
        scan = tmp_path / "scan.pdf"
        scan.write_bytes(b"%PDF-1.7 hello")
        digest = hashlib.sha256(scan.read_bytes()).digest()
        with folder.opened(device) as opened:
            opened.keep({digest: scan})
            scan.unlink()
            opened.keep({digest: scan})
        assert (device / "attachments" / digest.hex()).read_bytes() == b"%PDF-1.7 hello"

    def test_changed_meanwhile(self, device: Path, tmp_path: Path) -> None:
        scan = tmp_path / "scan.pdf"
        scan.write_bytes(b"%PDF-1.7 hello")
        with folder.opened(device) as opened, pytest.raises(WireError) as caught:
            opened.keep({bytes(32): scan})
        assert caught.value.code == "folder.attachment"
        assert list((device / "attachments").iterdir()) == []
