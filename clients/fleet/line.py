"""How a fleet reaches the gateway: many connections at once but not too many, some of them cut on purpose.

What lives here: each device's TLS context, made when it is first needed; a bound on what is open at once;
where the gateway is now; and ways that break within the handshake, within a request, or before the answer.
"""

import contextlib
import ipaddress
import random
import socket
import ssl
import struct
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec
import trio

from clients import files
from clients.box.send import Line
from clients.wire import client
from clients.wire.client import Reach
from clients.wire.errors import WireError
from clients.wire.site import Address, Site

# Attempts under way at once. One process does some 600 handshakes a second: with more of them at a time each
# would only take longer, and the gateway ends one that takes 10 seconds.
MOST_OPEN = 128
# TLS contexts that are kept, of 20 KiB each; making one anew takes 0.9 ms.
MOST_CONTEXTS = 16_384
# run/ingest.json: addresses and a verifier key.
_MAX_READY_BYTES = 65_536
# Bytes that a client sends in a handshake, about: a cut lies anywhere in it.
_HANDSHAKE_BYTES = 1_500
# SO_LINGER on, 0 seconds: closing resets the connection, as a modem that is switched off looks later on.
_RESET = struct.pack("ii", 1, 0)

# Where a gateway listens on every address, this machine reaches it here.
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a comparison, nothing is bound

Cut = Literal["handshake", "request", "answer"]
CUTS: Final[tuple[Cut, ...]] = ("handshake", "request", "answer")


class _Ready(msgspec.Struct, frozen=True):
    """What a fleet reads of `run/ingest.json`."""

    box: tuple[str, ...]


class Gateways:
    """Where the gateway of a night is: it may be started anew at another address."""

    def __init__(self, ready: Path, site: Site) -> None:
        """Look nowhere yet.

        Args:
            ready: `run/ingest.json` of the night.
            site: has the addresses for a night that is served on another machine.
        """
        self._ready = ready
        self._site = site
        self._seen: tuple[int, int] | None = None
        self._addresses: tuple[Address, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a gateway of this folder has said where it is."""
        return bool(self._look())

    def choose(self, chance: random.Random) -> Address:
        """An address to try now."""
        return chance.choice(self._look() or self._site.addresses)

    def _look(self) -> tuple[Address, ...]:
        try:
            found = self._ready.stat()
        except OSError:
            # It ends, and will be back: who still tries hears that nobody is there.
            return self._addresses
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            with contextlib.suppress(WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                data = files.read(self._ready, _MAX_READY_BYTES, "run/ingest.json")
                listed = map(Address.parse, msgspec.json.decode(data, type=_Ready).box)
                self._addresses = tuple(
                    Address(_HERE.get(address.host, address.host), address.port)
                    for address in listed
                    if address is not None
                )
                self._seen = seen
        return self._addresses


class Lines:
    """The connections of a whole fleet.

    Attributes:
        made: connections that were tried so far.
        cut: how many of them were cut on purpose.
    """

    def __init__(self, gateways: Gateways, ca: str, cut: float = 0.0) -> None:
        """Connect nowhere yet.

        Args:
            gateways: where to.
            ca: the election CA's certificate in PEM.
            cut: share of the connections that are cut.
        """
        self.made = 0
        self.cut = 0
        self._gateways = gateways
        self._ca = ca
        self._rate = cut
        self._room = trio.CapacityLimiter(MOST_OPEN)
        self._contexts: OrderedDict[int, ssl.SSLContext] = OrderedDict()

    @property
    def open(self) -> int:
        """How many are open now."""
        return self._room.borrowed_tokens

    @contextlib.asynccontextmanager
    async def dial(
        self, device: int, certificate: str, key: str, chance: random.Random
    ) -> AsyncIterator[Line]:
        """Connect as a device, as soon as there is room; the block's end ends the connection.

        Args:
            device: its number.
            certificate: in PEM.
            key: of the certificate, in PEM.
            chance: draws the address, and whether and where the connection is cut.

        Raises:
            WireError: `line.*`.
        """
        async with self._room:
            self.made += 1
            reach: Reach
            where = chance.choice(CUTS) if self._rate and chance.random() < self._rate else None
            if where is None:
                reach = _reach
            else:
                self.cut += 1
                reach = _Cutter(where, chance)
            context = self._context(device, certificate, key)
            async with client.connected(self._gateways.choose(chance), context, reach) as connection:
                if isinstance(reach, _Cutter):
                    reach.handshake_done()
                yield connection

    def prepare(self, device: int, certificate: str, key: str) -> None:
        """Make a device's TLS context now, if there is room to keep it: it takes longer than a handshake."""
        if len(self._contexts) < MOST_CONTEXTS:
            self._context(device, certificate, key)

    def stop_cutting(self) -> None:
        """Leave every connection alone from now on."""
        self._rate = 0.0

    def _context(self, device: int, certificate: str, key: str) -> ssl.SSLContext:
        context = self._contexts.get(device)
        if context is None:
            if len(self._contexts) >= MOST_CONTEXTS:
                self._contexts.popitem(last=False)
            context = self._contexts[device] = client.tls_context_of(self._ca, certificate, key)
        else:
            self._contexts.move_to_end(device)
        return context


async def _reach(address: Address) -> trio.SocketStream:
    """As `clients.wire.client.reach`; for an IP address without the race that a name's addresses run.

    Ten thousand connections to one address have nothing to find out there.
    """
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        return await trio.open_tcp_stream(address.host, address.port)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await made.connect((address.host, address.port))
    except BaseException:
        made.close()
        raise
    return trio.SocketStream(made)


class _Cutter:
    """Makes one way that breaks."""

    def __init__(self, where: Cut, chance: random.Random) -> None:
        self._where = where
        self._chance = chance
        self._way: _CutWay | None = None

    async def __call__(self, address: Address) -> trio.abc.Stream:
        left = self._chance.randrange(_HANDSHAKE_BYTES) if self._where == "handshake" else None
        self._way = _CutWay(await _reach(address), left, self._chance)
        return self._way

    def handshake_done(self) -> None:
        """Cut from now on where the cut is to be behind the handshake."""
        if self._way is not None:
            self._way.arm(self._where)


class _CutWay(trio.abc.Stream):
    """A TCP stream that ends after so many sent bytes, or where an answer begins."""

    def __init__(self, stream: trio.SocketStream, left: int | None, chance: random.Random) -> None:
        self._stream = stream
        self._chance = chance
        self._left = left
        self._at_answer = False
        self._broken = False

    def arm(self, where: Cut) -> None:
        """What happens to the request that comes next."""
        if where == "answer":
            self._at_answer = True
        else:
            # Within a statement's bytes, which are some hundreds.
            self._left = self._chance.randrange(400)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._broken:
            self._fail()
        if self._left is not None and len(data) > self._left:
            await self._stream.send_all(data[: self._left])
            self._break()
        await self._stream.send_all(data)
        if self._left is not None:
            self._left -= len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if self._at_answer:
            # The statement is in the log, and nobody here knows.
            self._break()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _break(self) -> NoReturn:
        self._broken = True
        # The gateway may have been faster, and has ended it already.
        with contextlib.suppress(OSError):
            if self._chance.random() < 0.5:
                self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._stream.socket.shutdown(socket.SHUT_RD)
            else:
                self._stream.socket.shutdown(socket.SHUT_RDWR)
        # Whoever reads here meanwhile finds the end.
        self._fail()

    def _fail(self) -> NoReturn:
        raise trio.BrokenResourceError("cut on purpose")
