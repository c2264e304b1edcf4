"""Who has knocked lately, and why whoever was refused was: for the operator who looks for one station.

What lives here: `Handshakes`, the last good and the last refused handshake of every certificate holder, and
how many there were in the last minutes. A refused certificate names somebody and proves nothing: certificates
are no secret, and so this decides nothing. It lives as long as the process; a box knocks again each minute.
"""

from collections import OrderedDict, deque
from typing import Final, NamedTuple, TypeAlias

from gateway.base.clock import MINUTE, Clock

# Role and number, as the certificate names them.
Shown: TypeAlias = tuple[str, int]

# Holders that are remembered, some 400 bytes each; whoever has not knocked for longest is forgotten.
MOST_HOLDERS: Final = 65_536
# Minutes that `recent` looks back: long enough that every box of a country knocks once.
RECENT_MINUTES: Final = 5
# Characters of a TLS library's words; they may quote what a stranger has sent.
_MAX_WORDS: Final = 200
# Results that say something of the certificate, or that there is none; the rest are lines that break, and
# strangers who look for open ports.
CERTIFICATE: Final = frozenset({"expired", "revoked", "unknown_ca", "no_certificate"})


class Failed(NamedTuple):
    """A refused handshake.

    Attributes:
        at: real time, ms.
        result: as the metric has it.
        words: of the TLS library.
        peer: the address it came from.
        times: how many there were since the last good one.
    """

    at: int
    result: str
    words: str
    peer: str
    times: int


class Knocks(NamedTuple):
    """The last handshakes of one holder; `good_at` in real time, ms."""

    good_at: int | None
    failed: Failed | None


class Recent(NamedTuple):
    """How many handshakes there were lately; `refused` only those for their certificate."""

    good: int
    refused: int


class _Minute:
    """What happened in one minute of real time."""

    __slots__ = ("good", "number", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.good = 0
        self.refused = 0


class Handshakes:
    """Used on the event loop alone.

    Args:
        clock: the machine's, ms.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._knocks: OrderedDict[Shown, Knocks] = OrderedDict()
        self._minutes: deque[_Minute] = deque(maxlen=RECENT_MINUTES)

    def good(self, holder: Shown) -> None:
        """A handshake is finished."""
        now = self._clock()
        self._minute(now).good += 1
        self._note(holder, Knocks(now, None))

    def refused(self, shown: Shown | None, result: str, words: str | None, peer: str) -> None:
        """A handshake has failed.

        Args:
            shown: whom the certificate names; None: nobody, or none was shown.
            result: as the metric has it.
            words: of the TLS library.
            peer: its address.
        """
        now = self._clock()
        if result in CERTIFICATE:
            self._minute(now).refused += 1
        if shown is not None:
            before = self._knocks.get(shown, Knocks(None, None))
            times = 1 if before.failed is None else before.failed.times + 1
            failed = Failed(now, result, (words or "")[:_MAX_WORDS], peer, times)
            self._note(shown, Knocks(before.good_at, failed))

    def of(self, holder: Shown) -> Knocks:
        """What is known of a holder."""
        return self._knocks.get(holder, Knocks(None, None))

    def recent(self) -> Recent:
        """Those of the last minutes, the present one among them."""
        oldest = self._clock() // MINUTE - RECENT_MINUTES
        minutes = [minute for minute in self._minutes if minute.number > oldest]
        return Recent(sum(one.good for one in minutes), sum(one.refused for one in minutes))

    def _minute(self, now: int) -> _Minute:
        number = now // MINUTE
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        return self._minutes[-1]

    def _note(self, holder: Shown, knocks: Knocks) -> None:
        self._knocks[holder] = knocks
        self._knocks.move_to_end(holder)
        if len(self._knocks) > MOST_HOLDERS:
            self._knocks.popitem(last=False)
