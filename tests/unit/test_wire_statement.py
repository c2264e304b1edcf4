"""Statements: the envelope byte by byte, writing, signing, and what valid, mutated and random input does."""

import json
from pathlib import Path
from typing import TypedDict, cast

import pytest
from hypothesis import given
from nacl.signing import SigningKey

from clients.wire import cbor, keys, statement
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from tests.strategies import Kind, broken_statements, contents, envelope, payload_bytes

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"

A32 = b"\xaa" * 32
PACKET: Content = (A32, 7, 300, 1, b"", 1, (5, ((A32, 1, 65_536, 6, 1),)))
DECISION: Content = (A32, A32, 3, 1, (("en", "The election has begun."),), (6,))
PACKET_HEADER = 61
DECISION_HEADER = 63


def refusal(data: bytes) -> WireError | None:
    try:
        statement.decode(data)
    except WireError as error:
        return error
    return None


def judged(data: bytes) -> tuple[str | None, int | None]:
    """Rule and offset of the refusal, (None, None) if there is none."""
    error = refusal(data)
    return (error.rule, error.offset) if error else (None, None)


class TestEnvelope:
    good = envelope("packet", payload_bytes(PACKET))
    decision = envelope("decision", payload_bytes(DECISION))

    @pytest.mark.parametrize("kind", ["packet", "decision"])
    def test_every_byte_of_the_header(self, kind: Kind) -> None:
        good = self.good if kind == "packet" else self.decision
        length = PACKET_HEADER if kind == "packet" else DECISION_HEADER
        for at in range(length):
            data = good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1 :]
            in_kid = length - 9 <= at < length - 1
            assert judged(data) == ((None, None) if in_kid else ("envelope", at))
            assert judged(good[:at]) == ("truncated", at)

    def test_the_longer_of_two_common_prefixes(self) -> None:
        # A packet's length with a decision's type: the packet's template fits up to the length of its type.
        data = self.decision[:3] + b"\x38" + self.decision[4:]
        assert judged(data) == ("envelope", 9)

    def test_an_untagged_message(self) -> None:
        assert judged(self.good[1:]) == ("envelope", 0)

    @pytest.mark.parametrize(
        ("head_bytes", "rule", "shift"),
        [
            (b"\x38\x40", "type", 0),
            (b"\x5c", "head", 0),
            (b"\x5f", "head", 0),
            (b"\x59\x00\x40", "shortest", 0),
            (b"\x5b\x00\x20\x00\x00\x00\x00\x00\x00", "range", 0),
            (b"\x59\xff\xff", "truncated", 0),
        ],
    )
    def test_the_payloads_head(self, head_bytes: bytes, rule: str, shift: int) -> None:
        data = self.good[:PACKET_HEADER] + head_bytes + self.good[PACKET_HEADER + 2 :]
        assert judged(data) == (rule, PACKET_HEADER + shift)

    def test_it_ends_within_the_payload(self) -> None:
        end = len(self.good) - 66
        for length in range(PACKET_HEADER + 1, end):
            assert judged(self.good[:length]) == ("truncated", PACKET_HEADER)
        assert judged(self.good[:PACKET_HEADER]) == ("truncated", PACKET_HEADER)

    def test_the_signature(self) -> None:
        at = len(self.good) - 66
        body = self.good[:at]
        assert judged(body) == ("truncated", at)
        assert judged(body + b"\x58") == ("truncated", at + 1)
        assert judged(body + b"\x59") == ("envelope", at)
        assert judged(body + b"\x40") == ("envelope", at)
        assert judged(body + b"\x58\x3f" + bytes(63)) == ("envelope", at + 1)
        assert judged(body + b"\x58\x41" + bytes(65)) == ("envelope", at + 1)
        for length in range(64):
            assert judged(body + b"\x58\x40" + bytes(length)) == ("truncated", at)
        for length in (65, 66, 1000):
            assert judged(body + b"\x58\x40" + bytes(length)) == ("trailing", at + 66)

    def test_the_envelope_is_judged_before_the_payload(self) -> None:
        data = envelope("packet", b"\xff")
        assert judged(data) == ("type", PACKET_HEADER + 1)
        assert judged(data + b"\x00") == ("trailing", len(data))
        assert judged(data[:-1]) == ("truncated", len(data) - 66)
        assert judged(envelope("packet", b"")) == ("truncated", PACKET_HEADER + 1)

    def test_the_size_is_judged_first(self) -> None:
        assert judged(b"\xff" * 16_385) == ("size", 16_384)
        assert judged(b"\xff" * 16_384) == ("envelope", 0)

    def test_the_largest_statement(self) -> None:
        overhead = (
            len(envelope("packet", payload_bytes((A32, 1, 1, 1, b"", 0, (1, 0, A32, ((1, (24,) * 256),))))))
            - 2 * 256
        )
        for votes, verdict in (
            ((16_384 - overhead) // 2, (None, None)),
            ((16_384 - overhead) // 2 + 1, ("size", 16_384)),
        ):
            content: Content = (A32, 1, 1, 1, b"", 0, (1, 0, A32, ((1, (24,) * votes),)))
            assert judged(envelope("packet", payload_bytes(content))) == verdict


def test_an_encoding_that_is_not_the_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second belt: should a reader ever let another encoding through, writing it again shows it."""
    data = envelope("packet", payload_bytes(PACKET))
    monkeypatch.setattr(cbor, "encode", lambda _content: payload_bytes((*PACKET[:5], 2, PACKET[6])))
    assert judged(data) == ("envelope", data.index(payload_bytes(PACKET)))


class CoseCases(TypedDict):
    pk: str
    m: dict[str, str]


@pytest.mark.shared
@pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is absent")
def test_generic_cose_is_refused() -> None:
    cases = cast(CoseCases, json.loads((VECTORS / "cose_cases.json").read_text(encoding="utf-8")))
    verdicts = {name: judged(bytes.fromhex(message)) for name, message in cases["m"].items()}
    assert len(verdicts) == 8
    assert all(rule == "envelope" for rule, _ in verdicts.values())
    assert verdicts["untagged"] == ("envelope", 0)
    assert verdicts["eddsa-8"] == ("envelope", 2)


class TestWriting:
    key = SigningKey(b"\x07" * 32)
    content: Content = (A32, 7, 8, 1, b"", 1, (2, 5, ((3, 100),)))

    def test_signing_and_verifying(self) -> None:
        data = statement.sign("packet", self.content, self.key)
        decoded = statement.decode(data)
        public_key = bytes(self.key.verify_key)
        assert decoded.content == self.content
        assert decoded.kid == keys.kid(public_key)
        statement.verify(decoded, public_key)
        assert data == statement.sign("packet", self.content, self.key)

    def test_the_signed_bytes(self) -> None:
        """Sig_structure of RFC 9052, section 4.4, made by hand."""
        payload = statement.encode_payload("packet", self.content)
        header = b"\xa3\x01\x27\x03\x78\x28application/vnd.tallygate.packet.v1+cbor\x04\x48kid-of-8"
        expected = b"\x84\x6aSignature1\x58\x38" + header + b"\x40\x58" + bytes([len(payload)]) + payload
        assert statement.signed_bytes("packet", b"kid-of-8", payload) == expected

    def test_a_signature_of_something_else(self) -> None:
        data = statement.sign("packet", self.content, self.key)
        public_key = bytes(self.key.verify_key)
        for at in (55, len(data) - 67, len(data) - 1):  # in the kid, the last figure, the signature
            wrong = statement.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(WireError, match=r"statement\.signature"):
                statement.verify(wrong, public_key)
        with pytest.raises(WireError, match=r"statement\.signature"):
            statement.verify(statement.decode(data), bytes(SigningKey(bytes(32)).verify_key))
        with pytest.raises(WireError, match=r"statement\.signature"):
            statement.verify(statement.decode(data), b"")

    @pytest.mark.parametrize(
        ("content", "rule"),
        [
            ((A32, 7, 8, 1, b"", 1, (2, 5, ((3, -1),))), "type"),
            ((A32, 7, 8, 1, b"", 1, (2, 5, ((3, 2**53),))), "range"),
            ((A32, 7, 8, 1, b"", 1, (2, 5, ((3, 2**64),))), "range"),
            ((A32, 7, 8, 1, b"", 1, (2, 5, ())), "length"),
            ((A32, 7, 8, 1, A32, 1, (2, 5, ((3, 1),))), "previous"),
            ((A32, 7, 8, 1, b"", 1, (9, 5, ((3, 1),))), "report"),
            ((A32, 7, 8, 1, b"", 1, (2, 5, ((3, 1), (3, 2)))), "order"),
            ((A32, 7, 8, 1, "", 1, (2, 5, ((3, 1),))), "type"),
            ((), "length"),
            ((A32, 7, 8, 1, b"", 1, (1, 0, A32, ((1, (256,) * 6000),))), "size"),
        ],
    )
    def test_what_decode_would_refuse_is_not_written(self, content: Content, rule: str) -> None:
        with pytest.raises(WireError) as caught:
            statement.encode_payload("packet", content)
        assert (caught.value.code, caught.value.rule) == ("statement.malformed", rule)
        with pytest.raises(WireError, match=r"statement\.malformed"):
            statement.sign("packet", content, self.key)

    @pytest.mark.parametrize(
        ("kid", "signature"), [(bytes(7), bytes(64)), (bytes(9), bytes(64)), (bytes(8), bytes(63))]
    )
    def test_parts_of_another_length(self, kid: bytes, signature: bytes) -> None:
        payload = statement.encode_payload("packet", self.content)
        with pytest.raises(WireError, match=r"statement\.malformed"):
            statement.encode("packet", kid, payload, signature)


@given(contents())
def test_what_is_valid_comes_back(kind_and_content: tuple[Kind, Content]) -> None:
    kind, content = kind_and_content
    payload = payload_bytes(content)
    data = envelope(kind, payload)
    decoded = statement.decode(data)
    assert (decoded.kind, decoded.content, decoded.payload) == (kind, content, payload)
    assert statement.encode_payload(kind, content) == payload
    assert statement.encode(kind, b"kid-of-8", payload, bytes(64)) == data


@given(broken_statements())
def test_what_is_broken_is_refused_or_read_as_it_is(kind_and_data: tuple[Kind, bytes]) -> None:
    _, data = kind_and_data
    error = refusal(data)
    if error is None:
        decoded = statement.decode(data)
        assert envelope(decoded.kind, payload_bytes(decoded.content), decoded.kid, decoded.signature) == data
    else:
        assert error.code == "statement.malformed"
        assert error.rule is not None
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
