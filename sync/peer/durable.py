"""What durable calls need to hear of the link: what was sent, what arrived, and what arrives for the second time."""

from __future__ import annotations

from collections.abc import Sequence

from storage.engine import Transaction
from sync.durable import caller, received
from sync.durable.topics import CALLS, calls_to
from sync.link.chain import LogEvent
from sync.logs.incoming import OnStored


class CallMarks:
    """Tells the calls that wait for a peer how far they have come (`sync.logs.outgoing.Marks`)."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def sent(self, tx: Transaction, topic: str, offset: int) -> None:
        """Events of a topic are about to be sent, up to this offset."""
        if topic == calls_to(self._peer):
            caller.sent(tx, self._peer, offset)

    def acked(self, tx: Transaction, topic: str, offset: int) -> None:
        """The peer has a topic on its disk, up to this offset."""
        if topic == calls_to(self._peer):
            caller.acked(tx, self._peer, offset)

    def concerns(self, topic: str) -> bool:
        """Whether anybody wants to hear of this topic."""
        return topic == calls_to(self._peer)


def doubt_old_calls(peer: str, began_ms: int) -> OnStored:
    """For a session of a file that was restored: calls from before the session may have run before it was.

    Returns what is called with every batch that is stored, in its transaction.
    """

    def stored(tx: Transaction, name: str, events: Sequence[LogEvent]) -> None:
        if name == CALLS and any(event.created_at * 1000 < began_ms for event in events):
            received.doubt(tx, peer)

    return stored
