"""What can be wrong with a durable call before it is one, and codes of results that only durable calls have."""

from __future__ import annotations

from sync.calls.errors import VALIDATION_ERROR, CallFailed

QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
PEER_AWAY = "PEER_AWAY"
INDETERMINATE = "INDETERMINATE"


class QuotaExceededError(CallFailed):
    """So many calls to this peer have not ended that another one is not taken; nothing was written."""

    code = QUOTA_EXCEEDED
    hint = "wait until some have ended, or cancel some"


class PeerAwayError(CallFailed):
    """The peer is not connected and the call was not to wait; nothing was written."""

    code = PEER_AWAY
    hint = "call it with offline=queue, and it runs when the peer comes back"


class KeyTakenError(CallFailed):
    """The idempotency key belongs to a call of another operation or input; nothing was written."""

    code = VALIDATION_ERROR
    hint = "make a fresh key for every intent"


class TooLargeError(CallFailed):
    """The request does not fit into an event that the link carries; nothing was written."""

    code = VALIDATION_ERROR
    hint = "send a reference to the data instead of the data"


class NoSuchCallError(CallFailed, LookupError):
    """No call has that id."""

    code = "NOT_FOUND"
    hint = "`spoke hub calls list` shows them"


class IndeterminateError(CallFailed):
    """The callee crashed while the call ran. It was not run again, and nobody knows how far it came."""

    code = INDETERMINATE
    hint = "look at what it should have done before you call again"
