"""Writes the first inputs of every fuzz target into rust_core/fuzz/corpus; `make fuzz` runs it.

They are good inputs of every kind, made by the gateway's core, so that a run of seconds starts from what is
accepted and mutates it. Inputs that libFuzzer has found stay beside them.
"""

import contextlib
import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

from gateway import _core
from tests.peers.statements import chain, every_kind

_HERE = Path(__file__).parent
_CORPUS = _HERE / "corpus"
_BASE = _HERE / "base"

# As in src/lib.rs.
_SEED = b"\x01" * 32
_ORIGIN = "election.example/2027/log"
# The tree of the receipts' target.
_LEAVES = 600

# As FILES in src/folder.rs.
_TABLES = {
    "definition": ("areas", "contests", "choices", "stations", "figures", "checks"),
    "roster": ("devices", "couriers", "firmware"),
    "information": ("areas", "contests", "choices", "stations", "figures", "checks"),
}
_MANIFESTS = {"definition": "election.json", "roster": "roster.json", "information": "information.json"}


def main() -> None:
    """Write all seeds; the names are those of the contents, so that a second run adds nothing."""
    for target, inputs in {
        "definition": _definition(),
        "http_head": (b"\x07" + request for request in _requests()),
        "item": _payloads(b""),
        "json": (content for _, content in _manifests()),
        "note": _notes(),
        "payload": _payloads(None),
        "proof": _proofs(),
        "receipt": _receipts(),
        "statement": (_core.sign(kind, content, _SEED) for kind, content in every_kind()),
        "tally": _logs(),
        "tile": _tiles(),
        "tls_feed": _connections(),
        "vkey": _keys(),
    }.items():
        folder = _CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for content in inputs:
            (folder / f"seed-{hashlib.sha256(content).hexdigest()[:16]}").write_bytes(content)


def _payloads(selector: bytes | None) -> Iterator[bytes]:
    """Payloads after a constant, or after the byte that says of which kind they are."""
    for kind, content in every_kind():
        first = bytes([kind != "packet"]) if selector is None else selector
        yield first + _core.encode_payload(kind, content)


def _manifests() -> Iterator[tuple[str, bytes]]:
    """Each part's name and manifest, with its tables and definition filled in as src/folder.rs does."""
    definition = bytes(32).hex()
    for part, names in _TABLES.items():
        tables = {}
        for name in names:
            content = (_BASE / part / f"{name}.csv").read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            tables[name] = {"rows": content.count(b"\n") - 1, "sha256": sha256, "size": len(content)}
        template = (_BASE / part / _MANIFESTS[part]).read_text().rstrip("\n")
        entries = json.dumps(tables, sort_keys=True, separators=(",", ":"))
        manifest = template.replace("@tables@", entries).replace("@definition@", definition).encode()
        if part == "definition":
            definition = hashlib.sha256(manifest).hexdigest()
        yield part, manifest


def _definition() -> Iterator[bytes]:
    place = 0
    for part, manifest in _manifests():
        yield bytes([place]) + manifest
        for name in _TABLES[part]:
            place += 1
            yield bytes([place]) + (_BASE / part / f"{name}.csv").read_bytes()
        place += 1


def _notes() -> Iterator[bytes]:
    signer = _core.NoteSigner(_ORIGIN, _SEED)
    for size in (0, 1, 2**53 - 1):
        text = _core.Checkpoint(_ORIGIN, size, hashlib.sha256(b"").digest()).text
        note = signer.sign(text)
        yield text.encode()
        yield note.encode()
        yield (note + _core.NoteSigner("witness.example/w1", _ORIGIN.encode().ljust(32)).sign(text)).encode()
        yield note.partition("\n\n")[2].encode()


def _receipts() -> Iterator[bytes]:
    leaves = [_core.leaf_hash(index.to_bytes(8, "big")) for index in range(_LEAVES)]
    tree = _core.Tree()
    tree.append(leaves)
    note = _core.NoteSigner(_ORIGIN, _SEED).sign(_core.Checkpoint(_ORIGIN, _LEAVES, tree.root()).text)
    for index in (0, 255, 256, _LEAVES - 1):
        yield _core.format_receipt(index, tree.inclusion(index, _LEAVES), note).encode()
    yield _core.format_receipt(0, [], note).encode()


def _tiles() -> Iterator[bytes]:
    entries = chain(24)
    for width in (1, 2, 24):
        yield width.to_bytes(2, "big") + _core.encode_bundle(entries[:width])
    for width in (1, 3, 256):
        yield width.to_bytes(2, "big") + bytes(range(32)) * width
    yield (256).to_bytes(2, "big") + _core.encode_bundle([b"entry"] * 256)


def _keys() -> Iterator[bytes]:
    for name in (_ORIGIN, "a", "Å/É"):
        yield name.encode()
        yield _core.vkey(name, _core.public_key(_SEED)).encode()


def _proofs() -> Iterator[bytes]:
    """`arbitrary` reads these as one of three kinds of input; which bytes do not matter much."""
    for kind in range(3):
        first = bytes([0, 0, 0, kind * 0x55])
        for numbers in (b"\xff\x03\x07\x01", b"\x00\x02\xff\x00", b"\x06\x04\x00\x00"):
            yield first + numbers + hashlib.sha256(numbers).digest() * 4


def _logs() -> Iterator[bytes]:
    """`arbitrary` reads these as steps of a log; which bytes matters little, but there must be enough."""
    for seed in range(64):
        yield b"".join(hashlib.sha256(bytes([seed, part])).digest() for part in range(1 + seed % 16))


def _requests() -> Iterator[bytes]:
    """Good ones, and those that two readers could read in two ways."""
    head = b"POST /v1/statements HTTP/1.1\r\nHost: a:8443\r\n"
    yield b"GET /v1/self HTTP/1.1\r\nHost: [::1]:8443\r\nConnection: close\r\n\r\n" * 2
    yield head + b"Content-Type: application/cose\r\nContent-Length: 5\r\n\r\nhello"
    yield head + b"Expect: 100-continue\r\nContent-Length: 500\r\n\r\n" + b"x" * 500
    paper = b"PUT /v1/attachments/" + b"ab" * 32 + b" HTTP/1.1\r\nHost: a:8443\r\nContent-Type: image/png\r\n"
    for expects in (b"", b"Expect: 100-continue\r\n"):
        yield paper + expects + b"Content-Length: 5\r\n\r\nhello"
        yield paper + expects + b"Content-Length: 500\r\n\r\n" + b"x" * 500
    for line in (
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked",
        b"Content-Length : 5",
        b"X: a\r\n Content-Length: 5",
        b"Content-Length: 5\nX: a",
        b"Upgrade: h2c",
    ):
        yield head + line + b"\r\n\r\nhello"


def _connections() -> Iterator[bytes]:
    """A client's first flight, and requests of one that is let in, each behind the target's two bytes."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    for step in (1, 255):
        yield bytes([0, step]) + hello
        for mode in (1, 3):
            for request in _requests():
                yield bytes([mode, step]) + request


if __name__ == "__main__":
    main()
