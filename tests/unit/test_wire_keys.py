"""Ed25519 by libsodium's rule: every published edge vector, and which keys may be enrolled."""

import json
from pathlib import Path
from typing import TypedDict, cast

import pytest
from nacl.signing import SigningKey

from clients.wire import keys

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"

pytestmark_shared = [
    pytest.mark.shared,
    pytest.mark.skipif(
        not VECTORS.is_dir(), reason="../shared/vectors is absent: these vectors are others' own"
    ),
]


class CctvCase(TypedDict):
    number: int
    key: str
    sig: str
    msg: str


class EdgeCase(TypedDict):
    pub_key: str
    signature: str
    message: str


def accepted(case: EdgeCase) -> bool:
    return keys.verifies(
        bytes.fromhex(case["pub_key"]), bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    )


class TestVectorsOfOthers:
    pytestmark = pytestmark_shared

    def test_cctv(self) -> None:
        text = (VECTORS / "cctv" / "ed25519vectors.json").read_text(encoding="utf-8")
        cases = cast(list[CctvCase], json.loads(text))
        good = [
            case["number"]
            for case in cases
            if keys.verifies(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
        ]
        assert (len(good), len(cases)) == (43, 914)

    def test_speccheck(self) -> None:
        text = (VECTORS / "speccheck" / "cases.json").read_text(encoding="utf-8")
        cases = cast(list[EdgeCase], json.loads(text))
        assert len(cases) == 12
        assert [number for number, case in enumerate(cases) if accepted(case)] == [3]

    def test_edges(self) -> None:
        text = (VECTORS / "ed25519_edge.json").read_text(encoding="utf-8")
        cases = cast(dict[str, EdgeCase], json.loads(text))
        assert len(cases) == 13
        assert {name for name, case in cases.items() if accepted(case)} == {
            "honest torsion-free",
            # Accepted, and harmless: a key of mixed order is never enrolled.
            "A mixed-order, k%8==0",
        }
        enrolled = {name for name, case in cases.items() if keys.enrollable(bytes.fromhex(case["pub_key"]))}
        assert enrolled == {name for name in cases if "A torsion-free" in name} | {
            "honest torsion-free",
            "S+L (scalar malleability)",
        }


# RFC 8032, section 7.1, test 2.
RFC_KEY = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_a_known_signature() -> None:
    assert keys.verifies(RFC_KEY, b"\x72", RFC_SIGNATURE)
    assert not keys.verifies(RFC_KEY, b"\x73", RFC_SIGNATURE)
    assert keys.enrollable(RFC_KEY)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_lengths_are_judged_not_thrown(length: int) -> None:
    assert not keys.verifies(bytes(length), b"\x72", RFC_SIGNATURE)
    assert not keys.verifies(RFC_KEY, b"\x72", bytes(length + 1))
    assert not keys.enrollable(bytes(length))


@pytest.mark.parametrize(
    "key",
    [
        "0000000000000000000000000000000000000000000000000000000000000000",  # order 4
        "0100000000000000000000000000000000000000000000000000000000000000",  # the identity
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # the identity, not canonical
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  # order 8
        "fed4cd31726398fa98db5ac09c3f3e7d591fde23918f78be09c582af38cf67d3",  # mixed order
        "0200000000000000000000000000000000000000000000000000000000000000",  # not on the curve
    ],
)
def test_keys_that_are_not_enrolled(key: str) -> None:
    assert not keys.enrollable(bytes.fromhex(key))


def test_a_kid_is_eight_bytes_of_the_hash() -> None:
    key = bytes(SigningKey(bytes(32)).verify_key)
    assert key.hex() == "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    assert keys.kid(key).hex() == "139e3940e64b5491"
