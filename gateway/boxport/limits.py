"""What a stranger, a certificate and all of them together may take of the box port.

What lives here: the port's own limits that nobody configures, and the rate of requests that a certificate may
make. Limits that an operator may set are in `gateway.base.limits`; who is connected is known to
`gateway.boxport.slots`.
"""

from typing import Final, TypeAlias

from gateway.base.config import Limits
from gateway.sequencer.protocol import Role

# Connections taken in one go before others get their turn; nginx's multi_accept takes all there are.
ACCEPT_BATCH: Final = 32
# Connections that the kernel holds for us while we are busy; it takes its own somaxconn if that is less.
BACKLOG: Final = 4_096
# Seconds without a look at the backlog after there was no file for a connection: files come free as requests
# end, and those in the backlog lose nothing but this time.
ACCEPT_PAUSE: Final = 0.1
# Seconds that the kernel may keep a connection back until its first bytes are there (TCP_DEFER_ACCEPT; the
# kernel makes one retransmission of it). A silent stranger then costs no task.
DEFER_SECONDS: Final = 1

# Bytes of one read: a handshake's flight, or a whole statement with its head and two TLS records around it.
RECEIVE_BYTES: Final = 18_432
# Bytes that the kernel holds of one connection in each direction (Linux doubles it): 4,096 connections that
# send and never read cannot take more than a gigabyte.
SOCKET_BUFFER: Final = 65_536

# Bytes of a statement at most (docs/packet.md): a body that says it is longer is not read.
MAX_BODY: Final = 16_384

# Seconds and bytes in which the client of a refused request can read its answer while it is still sending:
# whoever closes on unread bytes makes the kernel throw the answer away (RFC 9112, section 9.6).
LINGER_SECONDS: Final = 2
LINGER_BYTES: Final = 1_048_576

# Seconds of a paper without a byte: whoever is silent for longer has lost the line, and would keep its slot
# for the hours that a slow one may need.
SILENT_SECONDS: Final = 60

# Answers 429 in a row that end a connection: whoever does not wait has to shake hands before the next.
TURNED_AWAY: Final = 3

# Seconds that requests in work get after the end was asked for (docs/operations.md).
STOP_SECONDS: Final = 10

# From this part of the cap on, an answer ends its connection: idle ones take nobody's slot.
PRESSURE: Final = 0.75

# Certificates in the table of rates before the first look at who can be forgotten.
SWEEP: Final = 8_192

Holder: TypeAlias = tuple[Role, int]


class Rates:
    """Requests a minute of each certificate's holder.

    A token bucket that holds a minute's share and refills evenly, kept as the one time at which it will be
    full again (the "generic cell rate algorithm"). A full bucket is the same as none: such holders are
    forgotten, so the table is never larger than twice the holders who spoke in the last minute.

    Holders and not serial numbers: a certificate that was renewed has no second share.
    """

    def __init__(self, limits: Limits) -> None:
        device = 60 / limits.device_requests_per_minute
        courier = 60 / limits.courier_requests_per_minute
        self._seconds: Final[dict[Role, float]] = {
            "box": device,
            "terminal": device,
            "desk": device,
            "courier": courier,
            "commission": courier,
        }
        self._full_at: dict[Holder, float] = {}
        self._sweep_at = SWEEP

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, holder: Holder, now: float) -> float:
        """Takes one request from the holder's share.

        Args:
            holder: role and number of the certificate.
            now: seconds, of a clock that never runs backwards.

        Returns:
            0, or the seconds until there is a request again: then nothing was taken.
        """
        seconds = self._seconds[holder[0]]
        full_at = max(self._full_at.get(holder, now), now) + seconds
        # Half a request of slack: sums of floats, at exactly the sixtieth second.
        wait = full_at - now - 60 - seconds / 2
        if wait > 0:
            return wait
        self._full_at[holder] = full_at
        if len(self._full_at) > self._sweep_at:
            self._full_at = {holder: at for holder, at in self._full_at.items() if at > now}
            self._sweep_at = max(SWEEP, 2 * len(self._full_at))
        return 0.0
