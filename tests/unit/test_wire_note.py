"""Verifier keys, signed notes and checkpoints: what opens, and each way not to."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from clients.wire import note
from clients.wire.errors import WireError
from clients.wire.merkle import EMPTY_ROOT
from clients.wire.note import Checkpoint, Note, VerifierKey
from tests.strategies import MAX_NUMBER, mutations, origins

KEY = SigningKey(b"\x01" * 32)
PUBLIC = bytes(KEY.verify_key)
ORIGIN = "election.example/2027/log"
VKEY = VerifierKey(ORIGIN, PUBLIC)
TYPED = base64.b64encode(b"\x01" + PUBLIC).decode()
OTHER_TYPE = base64.b64encode(b"\x02" + PUBLIC).decode()
UNTYPED = base64.b64encode(PUBLIC).decode()
ROOT = base64.b64encode(bytes(range(32))).decode()
TEXT = f"{ORIGIN}\n7\n{ROOT}\n"
GOOD = note.sign(TEXT, ORIGIN, KEY)


def code_of(act: Callable[[], object]) -> str | None:
    try:
        act()
    except WireError as error:
        return error.code
    return None


class TestVerifierKey:
    def test_there_and_back(self) -> None:
        text = str(VKEY)
        assert text == f"{ORIGIN}+{note.key_id(ORIGIN, PUBLIC).hex()}+{TYPED}"
        assert VerifierKey.parse(text) == VKEY

    def test_the_key_of_the_go_checksum_database(self) -> None:
        """A key that is published and used by every Go installation; its base64 holds plus signs."""
        text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
        vkey = VerifierKey.parse(text)
        assert (vkey.name, vkey.id.hex(), str(vkey)) == ("sum.golang.org", "033de0ae", text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a",
            "a+b",
            str(VKEY).replace(ORIGIN, ""),
            str(VKEY).replace(ORIGIN, "other"),
            str(VKEY).replace(ORIGIN, "a b"),
            str(VKEY).replace(ORIGIN, "a\u00a0b"),
            str(VKEY).replace(ORIGIN, "a\x00b"),
            str(VKEY).replace(ORIGIN, "a\ud800b"),
            str(VKEY).replace(VKEY.id.hex(), VKEY.id.hex().upper()),
            str(VKEY).replace(VKEY.id.hex(), "00000000"),
            str(VKEY).replace(VKEY.id.hex(), VKEY.id.hex()[:7]),
            str(VKEY).replace(VKEY.id.hex(), ""),
            str(VKEY) + "\n",
            " " + str(VKEY),
            str(VKEY)[:-1],
            str(VKEY)[:-1] + "=",
            str(VKEY) + "A",
            f"{ORIGIN}+{note.key_id(ORIGIN, PUBLIC, 2).hex()}+{OTHER_TYPE}",
            f"{ORIGIN}+{note.key_id(ORIGIN, PUBLIC).hex()}+{UNTYPED}",
            f"{ORIGIN}+{note.key_id(ORIGIN, PUBLIC).hex()}+\u0430",
            str(VerifierKey(ORIGIN, b"\x01" + bytes(31))),
            str(VerifierKey(ORIGIN, bytes(32))),
            str(VerifierKey("a b", PUBLIC)),
            str(VerifierKey("a\u3000b", PUBLIC)),
            str(VerifierKey("a\x7fb", PUBLIC)),
            str(VerifierKey("a\x85b", PUBLIC)),
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        assert code_of(lambda: VerifierKey.parse(text)) == "key.malformed"

    def test_a_zero_width_space_is_no_white_space(self) -> None:
        vkey = VerifierKey("a\u200bb", PUBLIC)
        assert VerifierKey.parse(str(vkey)) == vkey


def line(name: str, blob: bytes) -> str:
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n"


OWN = Note.parse(GOOD).signatures[0]
OWN_LINE = str(OWN)
STRANGER = line("witness.example", b"\x01\x02\x03\x04\x05")


def with_lines(*lines: str, text: str = TEXT) -> bytes:
    return (text + "\n" + "".join(lines)).encode()


class TestNote:
    def test_there_and_back(self) -> None:
        parsed = Note.parse(GOOD)
        assert (parsed.text, bytes(parsed)) == (TEXT, GOOD)
        assert note.open_note(GOOD, VKEY) == TEXT

    def test_a_known_note(self) -> None:
        """The example of Go's golang.org/x/mod/sumdb/note."""
        text = (
            "If you think cryptography is the answer to your problem,\n"
            "then you don't know what your problem is.\n"
        )
        vkey = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
        blob = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
        signature = f"\u2014 PeterNeumann {blob}\n"
        assert note.open_note((text + "\n" + signature).encode(), vkey) == text

    def test_others_signatures_are_ignored(self) -> None:
        same_name = line(ORIGIN, b"\x01\x02\x03\x04\x05")
        same_id = line("witness.example", OWN.key_id + b"\x00" * 64)
        for lines in ((STRANGER, OWN_LINE), (OWN_LINE, STRANGER), (same_name, same_id, OWN_LINE)):
            assert note.open_note(with_lines(*lines), VKEY) == TEXT

    def test_the_last_blank_line_splits(self) -> None:
        text = TEXT + "\nmore\n"
        data = (text + "\n" + line(ORIGIN, VKEY.id + KEY.sign(text.encode()).signature)).encode()
        assert note.open_note(data, VKEY) == text

    def test_sixteen_signatures_and_no_more(self) -> None:
        strangers = [line(f"w{number}", b"\x01\x02\x03\x04\x05") for number in range(16)]
        assert note.open_note(with_lines(OWN_LINE, *strangers[:15]), VKEY) == TEXT
        assert code_of(lambda: note.open_note(with_lines(OWN_LINE, *strangers), VKEY)) == "note.malformed"

    def test_the_size(self) -> None:
        filler = GOOD[: len(TEXT)] + b"x" * (16_384 - len(GOOD) - 1) + b"\n" + GOOD[len(TEXT) :]
        assert len(filler) == 16_384
        assert code_of(lambda: note.open_note(filler, VKEY)) == "note.signature"
        assert code_of(lambda: note.open_note(b"x" + filler, VKEY)) == "note.malformed"

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\n",
            b"\n\n",
            TEXT.encode(),
            (TEXT + "\n").encode(),
            ("\n" + OWN_LINE).encode(),
            (TEXT + OWN_LINE).encode(),
            GOOD[:-1],
            GOOD + b"\n",
            GOOD + b"x\n",
            GOOD.replace(b"\n", b"\r\n"),
            GOOD.replace(b"7", b"\t"),
            GOOD.replace(b"7", b"\x7f"),
            GOOD.replace(b"7", "\x85".encode()),
            GOOD.replace(b"7", b"\xff"),
            GOOD.replace(b"7", b"\xed\xa0\x80"),
            GOOD.replace("\u2014 ".encode(), b"- "),
            GOOD.replace("\u2014 ".encode(), "\u2014".encode()),
            GOOD.replace("\u2014 ".encode(), "\u2014  ".encode()),
            with_lines(OWN_LINE, OWN_LINE),
            with_lines(OWN_LINE, line(ORIGIN, OWN.key_id + b"x")),
            with_lines(OWN_LINE, line("", b"\x01\x02\x03\x04\x05")),
            with_lines(OWN_LINE, line("a+b", b"\x01\x02\x03\x04\x05")),
            with_lines(OWN_LINE, line("a\u2003b", b"\x01\x02\x03\x04\x05")),
            with_lines(OWN_LINE, line("a", b"\x01\x02\x03\x04")),
            with_lines(OWN_LINE, line("a", b"")),
            with_lines(OWN_LINE, "\u2014 a\n"),
            with_lines(OWN_LINE, "\u2014 a AQIDBAU\n"),
            with_lines(OWN_LINE, "\u2014 a AQIDBAV=\n"),
            with_lines(OWN_LINE, "\u2014 a AQID BAU=\n"),
            with_lines(OWN_LINE, "\u2014 a AQIDBAU= \n"),
            with_lines(OWN_LINE, "\u2014 a AQ-DBAU=\n"),
        ],
    )
    def test_what_is_none(self, data: bytes) -> None:
        assert code_of(lambda: note.open_note(data, VKEY)) == "note.malformed"

    def test_unsigned(self) -> None:
        assert code_of(lambda: note.open_note(with_lines(STRANGER), VKEY)) == "note.unsigned"
        assert code_of(lambda: note.open_note(GOOD, VerifierKey("other", PUBLIC))) == "note.unsigned"
        other_key = VerifierKey(ORIGIN, bytes(SigningKey(bytes(32)).verify_key))
        assert code_of(lambda: note.open_note(GOOD, other_key)) == "note.unsigned"

    @pytest.mark.parametrize(
        "signature",
        [
            bytes([OWN.signature[0] ^ 1]) + OWN.signature[1:],
            OWN.signature[:-1],
            OWN.signature + b"\x00",
            b"\x00",
        ],
        ids=["flipped", "short", "long", "one byte"],
    )
    def test_a_wrong_signature(self, signature: bytes) -> None:
        data = with_lines(line(ORIGIN, VKEY.id + signature))
        assert code_of(lambda: note.open_note(data, VKEY)) == "note.signature"

    def test_a_signature_of_another_text(self) -> None:
        assert code_of(lambda: note.open_note(GOOD.replace(b"\n7\n", b"\n8\n"), VKEY)) == "note.signature"

    @pytest.mark.parametrize(
        "text", ["", "a", "a\n\nb\n", "a\r\n", "\ud800\n", "a\x00\n", "x" * 17_000 + "\n"]
    )
    def test_a_text_that_is_not_signed(self, text: str) -> None:
        assert code_of(lambda: note.sign(text, ORIGIN, KEY)) == "note.malformed"

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\x01b", "\ud800"])
    def test_a_name_that_does_not_sign(self, name: str) -> None:
        assert code_of(lambda: note.sign(TEXT, name, KEY)) == "note.malformed"


class TestCheckpoint:
    def test_there_and_back(self) -> None:
        checkpoint = Checkpoint(ORIGIN, 7, bytes(range(32)))
        assert checkpoint.text == TEXT
        assert Checkpoint.parse(TEXT) == checkpoint
        assert note.open_checkpoint(GOOD, VKEY) == checkpoint
        empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        assert note.open_checkpoint(note.sign(empty.text, ORIGIN, KEY), VKEY) == empty
        largest = Checkpoint("a" * 200, MAX_NUMBER, EMPTY_ROOT)
        assert Checkpoint.parse(largest.text) == largest

    @pytest.mark.parametrize(
        "text",
        [
            f"{ORIGIN}\n7\n",
            f"{ORIGIN}\n7\n{ROOT}\nextension\n",
            f"\n{ORIGIN}\n7\n{ROOT}\n",
            f"Origin\n7\n{ROOT}\n",
            f"{'a' * 201}\n7\n{ROOT}\n",
            f"{ORIGIN}/\n7\n{ROOT}\n",
            f"{ORIGIN}\n07\n{ROOT}\n",
            f"{ORIGIN}\n-7\n{ROOT}\n",
            f"{ORIGIN}\n+7\n{ROOT}\n",
            f"{ORIGIN}\n7 \n{ROOT}\n",
            f"{ORIGIN}\n٧\n{ROOT}\n",
            f"{ORIGIN}\n9007199254740992\n{ROOT}\n",
            f"{ORIGIN}\n{'9' * 6000}\n{ROOT}\n",
            f"{ORIGIN}\n7\n{ROOT[:-1]}\n",
            f"{ORIGIN}\n7\n{ROOT} \n",
            f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n",
            f"{ORIGIN}\n7\n{ROOT[:-2]}9=\n",
        ],
    )
    def test_a_signed_text_that_is_none(self, text: str) -> None:
        data = note.sign(text, ORIGIN, KEY)
        assert code_of(lambda: note.open_checkpoint(data, VKEY)) == "checkpoint.malformed"

    def test_of_another_origin(self) -> None:
        data = note.sign(TEXT, "other", KEY)
        vkey = VerifierKey("other", PUBLIC)
        assert code_of(lambda: note.open_checkpoint(data, vkey)) == "checkpoint.origin"
        malformed = note.sign(TEXT + "x\n", "other", KEY)
        assert code_of(lambda: note.open_checkpoint(malformed, vkey)) == "checkpoint.malformed"
        assert code_of(lambda: note.open_checkpoint(malformed, VKEY)) == "note.unsigned"


@given(origins(), st.integers(0, MAX_NUMBER), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    data = note.sign(checkpoint.text, origin, KEY)
    assert note.open_checkpoint(data, VerifierKey(origin, PUBLIC)) == checkpoint


@given(st.data())
def test_changed_notes_leave_only_by_the_error_tree(data: st.DataObject) -> None:
    changed = data.draw(mutations(GOOD))
    code = code_of(lambda: note.open_checkpoint(changed, VKEY))
    assert code in (None, "note.malformed", "note.unsigned", "note.signature")
    # Nothing but the signed text comes through, whatever stands beside it.
    if code is None:
        assert note.open_checkpoint(changed, VKEY).text == TEXT


@given(st.data())
def test_changed_keys_leave_only_by_the_error_tree(data: st.DataObject) -> None:
    changed = data.draw(mutations(str(VKEY).encode())).decode("latin-1")
    assert code_of(lambda: VerifierKey.parse(changed)) in (None, "key.malformed")
