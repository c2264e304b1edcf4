"""The COSE library cwt judges our statements: each good one is a COSE_Sign1 message that it verifies.

The other way round nothing follows: generic libraries accept messages that our one profile refuses; some of
those stand in `cose_cases.json` beside the project.
"""

import hashlib
import json
from pathlib import Path
from typing import TypedDict, cast

import pytest
from cwt import COSE, COSEKey, VerifyError
from cwt.cose_key_interface import COSEKeyInterface
from hypothesis import given
from nacl.signing import SigningKey

from clients.wire import keys, statement
from clients.wire.errors import WireError
from gateway import _core
from gateway.base.errors import CoreError
from tests.peers.statements import every_kind
from tests.strategies import Content, Kind, contents

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"

SEED = hashlib.sha256(b"the signer of tests with cwt").digest()
PUBLIC_KEY = _core.public_key(SEED)

# Labels of RFC 9052 (headers, section 3.1; keys, section 7.1) and RFC 9053 (OKP keys, section 7.2).
ALG, CONTENT_TYPE, KID = 1, 3, 4
KTY, KEY_ALG, CRV, X = 1, 3, -1, -2
OKP, EDDSA, ED25519 = 1, -8, 6


def cose_key(public_key: bytes) -> COSEKeyInterface:
    return COSEKey.new({KTY: OKP, 2: keys.kid(public_key), KEY_ALG: EDDSA, CRV: ED25519, X: public_key})


def assert_cwt_accepts(kind: Kind, content: Content) -> None:
    signed = _core.sign(kind, content, SEED)
    assert statement.sign(kind, content, SigningKey(SEED)) == signed
    protected, unprotected, payload = COSE.new(verify_kid=True).decode_with_headers(
        signed, cose_key(PUBLIC_KEY)
    )
    media_type = f"application/vnd.tallygate.{kind}.v1+cbor"
    assert protected == {ALG: EDDSA, CONTENT_TYPE: media_type, KID: keys.kid(PUBLIC_KEY)}
    assert unprotected == {}
    assert payload == _core.decode(signed).payload == statement.decode(signed).payload


@pytest.mark.parametrize(("kind", "content"), every_kind())
def test_cwt_accepts_every_kind(kind: Kind, content: Content) -> None:
    assert_cwt_accepts(kind, content)


@given(contents())
def test_cwt_accepts_every_good_statement(drawn: tuple[Kind, Content]) -> None:
    assert_cwt_accepts(*drawn)


@pytest.mark.parametrize(("kind", "content"), every_kind()[::5])
def test_cwt_writes_the_same_bytes(kind: Kind, content: Content) -> None:
    """A box may be written with a generic library: what that signs is the same statement, byte for byte."""
    private = COSEKey.new(
        {KTY: OKP, 2: keys.kid(PUBLIC_KEY), KEY_ALG: EDDSA, CRV: ED25519, X: PUBLIC_KEY, -4: SEED}
    )
    media_type = f"application/vnd.tallygate.{kind}.v1+cbor"
    header = {ALG: EDDSA, CONTENT_TYPE: media_type, KID: keys.kid(PUBLIC_KEY)}
    payload = _core.encode_payload(kind, content)
    assert COSE.new().encode_and_sign(payload, private, protected=header) == _core.sign(kind, content, SEED)


def test_cwt_does_verify() -> None:
    kind, content = every_kind()[0]
    signed = _core.sign(kind, content, SEED)
    other = SigningKey(SEED[::-1])
    with pytest.raises(VerifyError):
        COSE.new().decode(signed[:-1] + bytes([signed[-1] ^ 1]), cose_key(PUBLIC_KEY))
    changed = bytearray(signed)
    changed[80] ^= 1
    with pytest.raises(VerifyError):
        COSE.new().decode(bytes(changed), cose_key(PUBLIC_KEY))
    with pytest.raises(ValueError, match="key is not found"):
        COSE.new().decode(signed, cose_key(bytes(other.verify_key)))


class _Cases(TypedDict):
    pk: str
    m: dict[str, str]


def generic_cases() -> tuple[bytes, dict[str, bytes]]:
    path = VECTORS / "cose_cases.json"
    if not path.exists():
        pytest.skip("the vectors beside the project are absent")
    cases = cast(_Cases, json.loads(path.read_text()))
    return bytes.fromhex(cases["pk"]), {name: bytes.fromhex(message) for name, message in cases["m"].items()}


@pytest.mark.shared
def test_generic_messages_are_refused_by_both() -> None:
    _, messages = generic_cases()
    assert len(messages) == 8
    for name, message in messages.items():
        with pytest.raises(CoreError) as core:
            _core.decode(message)
        with pytest.raises(WireError) as wire:
            statement.decode(message)
        verdicts = {(error.value.code, error.value.rule, error.value.offset) for error in (core, wire)}
        # D2 84 fits; our protected header is longer than 23 bytes, so its head already differs.
        offset = 0 if name == "untagged" else 2
        assert verdicts == {("statement.malformed", "envelope", offset)}, name


@pytest.mark.shared
def test_a_generic_library_accepts_what_we_refuse() -> None:
    """Why packet.md never asks one for a verdict: cwt takes trailing bytes and a doubled label."""
    public_key, messages = generic_cases()
    key = COSEKey.new({KTY: OKP, KEY_ALG: EDDSA, CRV: ED25519, X: public_key})
    for name in ("crit unknown", "dup alg label", "trailing byte"):
        assert COSE.new().decode(messages[name], key) == b"hello ballot box"
