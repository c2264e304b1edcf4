"""Ed25519 at its edges: the core, PyNaCl and the published vectors give one verdict on every case.

The rule is libsodium's `crypto_sign_verify_detached`; a key may be enrolled exactly if libsodium's
`crypto_core_ed25519_is_valid_point` holds (docs/packet.md). The vectors stay beside the project.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add, crypto_core_ed25519_is_valid_point
from nacl.signing import SigningKey

from clients.wire import keys
from gateway import _core

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"

# RFC 8032, section 5.1: the field's prime.
PRIME = 2**255 - 19
# The y coordinates of the points whose order divides 8: of the identity, of the point of order 2, of the two
# points of order 4, and of two pairs of order 8.
_ORDER_8 = (
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
)
_SMALL_ORDER_Y = (1, PRIME - 1, 0, *_ORDER_8)


class Case(NamedTuple):
    """A signature and who is said to have made it."""

    name: str
    key: bytes
    message: bytes
    signature: bytes


class _Cctv(TypedDict):
    number: int
    key: str
    sig: str
    msg: str


class _Named(TypedDict):
    pub_key: str
    message: str
    signature: str


def vectors(file: str) -> str:
    path = VECTORS / file
    if not path.exists():
        pytest.skip("the vectors beside the project are absent")
    return path.read_text()


def cctv() -> list[Case]:
    cases = cast(list[_Cctv], json.loads(vectors("cctv/ed25519vectors.json")))
    return [
        Case(
            str(case["number"]), bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"])
        )
        for case in cases
    ]


def named(name: str, case: _Named) -> Case:
    return Case(
        name, *(bytes.fromhex(part) for part in (case["pub_key"], case["message"], case["signature"]))
    )


def speccheck() -> list[Case]:
    cases = cast(list[_Named], json.loads(vectors("speccheck/cases.json")))
    return [named(str(place), case) for place, case in enumerate(cases)]


def edges() -> list[Case]:
    cases = cast(dict[str, _Named], json.loads(vectors("ed25519_edge.json")))
    return [named(name, case) for name, case in cases.items()]


def accepted(cases: list[Case]) -> list[str]:
    """The names of the accepted cases; PyNaCl and the core, in a batch and one by one, must agree on each."""
    batch = _core.verify_signatures([(case.key, case.message, case.signature) for case in cases])
    for case, verdict in zip(cases, batch, strict=True):
        assert keys.verifies(case.key, case.message, case.signature) == verdict, case.name
        assert _core.verify_signature(case.key, case.message, case.signature) == verdict, case.name
    return [case.name for case, verdict in zip(cases, batch, strict=True) if verdict]


@pytest.mark.shared
def test_cctv_accepts_43_of_914() -> None:
    cases = cctv()
    assert len(cases) == 914
    assert len(accepted(cases)) == 43


@pytest.mark.shared
def test_speccheck_accepts_only_case_3() -> None:
    cases = speccheck()
    assert len(cases) == 12
    assert accepted(cases) == ["3"]


@pytest.mark.shared
def test_own_edges_have_one_verdict() -> None:
    cases = edges()
    assert len(cases) == 13
    # The second key could never be enrolled, but its signature satisfies the rule.
    assert accepted(cases) == ["honest torsion-free", "A mixed-order, k%8==0"]


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.binary(min_size=64, max_size=64))
def test_random_signatures_have_one_verdict(key: bytes, message: bytes, signature: bytes) -> None:
    assert accepted([Case("random", key, message, signature)]) == []


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=64),
    st.integers(0, 64 * 8 - 1),
    st.sampled_from(["key", "message", "signature", "none"]),
)
def test_nearly_good_signatures_have_one_verdict(seed: bytes, message: bytes, bit: int, part: str) -> None:
    signer = SigningKey(seed)
    parts = {
        "key": bytes(signer.verify_key),
        "message": message,
        "signature": signer.sign(message).signature,
    }
    if parts.get(part):
        changed = bytearray(parts[part])
        changed[bit // 8 % len(changed)] ^= 1 << bit % 8
        parts[part] = bytes(changed)
        expected: list[str] = []
    else:
        expected = ["near"]
    assert accepted([Case("near", parts["key"], parts["message"], parts["signature"])]) == expected


def test_wrong_lengths_do_not_verify() -> None:
    signer = SigningKey(bytes(32))
    key, message, signature = bytes(signer.verify_key), b"m", signer.sign(b"m").signature
    cases = [
        Case("good", key, message, signature),
        Case("no key", b"", message, signature),
        Case("short key", key[:31], message, signature),
        Case("long key", key + b"\0", message, signature),
        Case("no signature", key, message, b""),
        Case("short signature", key, message, signature[:63]),
        Case("long signature", key, message, signature + b"\0"),
    ]
    assert accepted(cases) == ["good"]


def assert_enrollable_alike(candidates: list[bytes]) -> list[bool]:
    core = _core.enrollable(candidates)
    for key, verdict in zip(candidates, core, strict=True):
        assert crypto_core_ed25519_is_valid_point(key) == keys.enrollable(key) == verdict, key.hex()
    return core


@pytest.mark.shared
def test_every_key_of_the_vectors_is_enrolled_alike() -> None:
    candidates = [case.key for case in (*cctv(), *speccheck(), *edges())]
    # The first halves of signatures are points too, and odder ones.
    candidates += [case.signature[:32] for case in (*cctv(), *speccheck(), *edges())]
    verdicts = assert_enrollable_alike(candidates)
    assert True in verdicts
    assert False in verdicts


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=20))
def test_random_bytes_are_enrolled_alike(candidates: list[bytes]) -> None:
    assert_enrollable_alike(candidates)


def encodings(y: int) -> list[bytes]:
    """All 32 byte strings that a lax reader takes for the y coordinate, with either sign of x."""
    return [
        (value | sign << 255).to_bytes(32, "little")
        for value in (y, y + PRIME)
        if value < 2**255
        for sign in (0, 1)
    ]


def test_no_encoding_of_a_small_order_point_is_enrolled() -> None:
    candidates = [encoding for y in _SMALL_ORDER_Y for encoding in encodings(y)]
    assert len(candidates) == 14
    assert assert_enrollable_alike(candidates) == [False] * len(candidates)


@given(st.binary(min_size=32, max_size=32), st.sampled_from(_ORDER_8), st.integers(0, 1))
def test_a_key_with_a_small_order_part_is_not_enrolled(seed: bytes, y: int, sign: int) -> None:
    key = bytes(SigningKey(seed).verify_key)
    mixed = crypto_core_ed25519_add(key, (y | sign << 255).to_bytes(32, "little"))
    assert assert_enrollable_alike([key, mixed]) == [True, False]


def test_other_lengths_are_not_enrolled() -> None:
    key = _core.public_key(hashlib.sha256(b"k").digest())
    assert _core.enrollable([b"", key[:31], key + b"\0", key]) == [False, False, False, True]
    assert [keys.enrollable(candidate) for candidate in (b"", key[:31], key + b"\0", key)] == [
        False,
        False,
        False,
        True,
    ]
