"""Who is connected, and who goes when there is no room.

What lives here: the cap of connections and the two of one certificate (docs/box-port.md, "Limits"). At the
cap the oldest connection without a finished handshake is closed for a newcomer, an authenticated one never;
with none to close, newcomers wait in the kernel's backlog. Of one certificate the newest connection wins over
one that waits for a request or for the rest of it, and loses against those whose request is in work: a box
whose line broke can come back, and what is in work gets its receipt. Against somebody who has the box's key
and is always there it does not help: the certificate has to be revoked, and a courier brings what is signed.
"""

from typing import Final, Literal, Protocol, TypeAlias

import trio

from gateway.base.config import Limits
from gateway.boxport.limits import PRESSURE, Holder

# Of a connection whose handshake is finished; replaced: it has its slot from another one of its holder.
Introduced: TypeAlias = Literal["taken", "replaced", "refused"]


class Occupant(Protocol):
    """A connection, as far as it is about its slot."""

    @property
    def idle(self) -> bool:
        """Whether it waits for a request to begin."""

    @property
    def in_work(self) -> bool:
        """Whether a whole request waits for its answer."""

    def displace(self) -> None:
        """Ends it; its slot is somebody else's already."""

    def end_if_idle(self) -> None:
        """Ends it, if no request is lost by that."""


class Slots:
    """The slots of one port. Used from the event loop only."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.connections
        self._limit_of_one = limits.connections_per_certificate
        self._pressure: Final = int(limits.connections * PRESSURE)
        # Every connection without a finished handshake, the oldest first.
        self._strangers: dict[Occupant, None] = {}
        # Those with one, by holder, the oldest first; together with the strangers they are all there are.
        self._of: dict[Holder, list[Occupant]] = {}
        self._open = 0
        self._left: trio.Event | None = None

    @property
    def open(self) -> int:
        """How many connections there are."""
        return self._open

    @property
    def pressed(self) -> bool:
        """Whether connections should end with their answer."""
        return self._open >= self._pressure

    @property
    def full(self) -> bool:
        """Whether a newcomer needs somebody else's slot."""
        return self._open >= self._limit

    @property
    def closed(self) -> bool:
        """Whether there is no slot that a newcomer could have."""
        return self._open >= self._limit and not self._strangers

    async def wait_for_one(self) -> None:
        """Returns when somebody has left."""
        if self._left is None:
            self._left = trio.Event()
        await self._left.wait()

    def enter(self, newcomer: Occupant) -> bool:
        """Gives a newcomer its slot; the port is not `closed`.

        Returns:
            Whether somebody was displaced for it.
        """
        displaced = self._open >= self._limit and self.displace_stranger()
        self._strangers[newcomer] = None
        self._open += 1
        return displaced

    def displace_stranger(self) -> bool:
        """Displaces the oldest connection without a finished handshake; False: there is none."""
        oldest = next(iter(self._strangers), None)
        if oldest is None:
            return False
        self._leave_strangers(oldest)
        oldest.displace()
        return True

    def introduce(self, occupant: Occupant, holder: Holder) -> Introduced:
        """The occupant's handshake is finished.

        Returns:
            refused: the holder has its connections already and all are in work. The occupant keeps its slot
            as a stranger until it has been told.
        """
        introduced: Introduced = "taken"
        own = self._of.get(holder)
        if own is None:
            self._of[holder] = [occupant]
        else:
            if len(own) >= self._limit_of_one:
                displaced = next(
                    (one for one in own if one.idle), next((one for one in own if not one.in_work), None)
                )
                if displaced is None:
                    return "refused"
                introduced = "replaced"
                own.remove(displaced)
                self._open -= 1
                displaced.displace()
            own.append(occupant)
        del self._strangers[occupant]
        return introduced

    def leave(self, occupant: Occupant, holder: Holder | None) -> None:
        """The occupant's connection is closed; one that was displaced has left before."""
        if occupant in self._strangers:
            self._leave_strangers(occupant)
        elif holder is not None and occupant in (own := self._of.get(holder, [])):
            own.remove(occupant)
            self._open -= 1
            if not own:
                del self._of[holder]
        if self._left is not None:
            self._left.set()
            self._left = None

    def end_idle(self) -> None:
        """Ends every connection that has no request under way."""
        for occupant in (*self._strangers, *(one for own in self._of.values() for one in own)):
            occupant.end_if_idle()

    def _leave_strangers(self, occupant: Occupant) -> None:
        del self._strangers[occupant]
        self._open -= 1
