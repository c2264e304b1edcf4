"""The device's folder: whole or not at all, keys never made again, one definition at a time."""

import hashlib
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from clients.box import folder
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.wire_election import DEFINITION, ELECTION, Election, with_line

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
            assert caught.value.code == "manifest.missing"
            election.write_definition(DEFINITION, {**ELECTION, "id": "example-2028"})
            with pytest.raises(WireError) as caught:
                opened.pin(tmp_path, None)
            assert caught.value.code == "folder.definition"
            assert opened.settings.definition is None
        assert list((tmp_path / "box/definitions").iterdir()) == []


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
