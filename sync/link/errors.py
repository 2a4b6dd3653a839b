"""What goes wrong on a link: a stable code, whether trying again can help, and what to do."""

from __future__ import annotations

from typing import ClassVar

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that plain text may go to: it does not leave the machine."""


class LinkError(Exception):
    """Base of the link's errors.

    `code` is stable and travels in the FAILURE frame; a `permanent` error is not retried at full speed, since it
    needs somebody to do what `hint` says.
    """

    code: ClassVar[str] = "INTERNAL"
    permanent: ClassVar[bool] = False
    hint: ClassVar[str] = "it is tried again by itself; if it goes on, please report it with the logs of both ends"
    close_code: ClassVar[int] = 4500
    """With which the WebSocket is closed, for programs and people that see nothing else."""
    retry_after_ms: int | None = None
    """The other end asked to be left alone for so long."""


class MalformedError(LinkError):
    """The other end sent something that is not a frame, or not one that may come now."""

    code = "MALFORMED"
    close_code = 4400


class TooLargeError(LinkError):
    """A frame or an event is larger than the link carries."""

    code = "TOO_LARGE"
    close_code = 4413
    permanent = True
    hint = "publish smaller events: put the bulk into a file and its path into the event"


class VersionError(LinkError):
    """The two ends have no protocol version in common."""

    code = "VERSION"
    close_code = 4406
    permanent = True
    hint = "upgrade the older of the two programs"


class UnauthorizedError(LinkError):
    """The hub refused the key."""

    code = "UNAUTHORIZED"
    close_code = 4401
    permanent = True
    hint = "ask the hub's operator for a token (spoke hub token create) or a key (spoke hub key create); spoke join URL"


class PlainTextError(LinkError):
    """The address would send the key and the data readable over the network."""

    code = "PLAIN_TEXT"
    permanent = True
    hint = "use wss://, on the hub after `spoke hub init`; or set hub.allow_plain when you know what you do"


class GapError(LinkError):
    """Events are missing between what the hub has and what came."""

    code = "GAP"


class CorruptFrameError(LinkError):
    """The events of a frame are not those that were sent: its chain hash differs."""

    code = "CORRUPT_FRAME"
    close_code = 4400


class ParkedError(LinkError):
    """A stream was healed or forked again and again: two ends disagree in a circle."""

    code = "PARKED"
    close_code = 4410
    permanent = True
    hint = "it is tried again in 10 minutes; `spoke sync generations` shows them"


class StorageFullError(LinkError):
    """The other end cannot store anything just now."""

    code = "STORAGE_FULL"
    close_code = 4507
    hint = "nothing is lost: events wait here until there is room there"


class OverloadedError(LinkError):
    """The hub is stopping, or has too much to do."""

    code = "OVERLOADED"
    close_code = 4503
    hint = "nothing is lost: the link comes back by itself"


class SilentError(LinkError):
    """Nothing was heard of the other end for too long."""

    code = "TIMEOUT"
    close_code = 4408
    hint = "nothing is lost: the link comes back by itself"


class SupersededError(LinkError):
    """A newer session of the same node is here; this one ends, and nothing of it is stored any more."""

    code = "SUPERSEDED"
    close_code = 4420
    hint = "nothing to do, unless it goes on: then two copies of this node run"


class IdentityConflictError(LinkError):
    """Two copies of this node are alive: one database was copied to another machine, or restored beside it."""

    code = "IDENTITY_CONFLICT"
    close_code = 4421
    permanent = True
    hint = "stop the other copy, or make this one a node of its own: spoke reidentify; nothing that waits here is lost"


class RevokedError(LinkError):
    """The hub's operator has revoked this node."""

    code = "REVOKED"
    close_code = 4403
    permanent = True
    hint = "local work goes on; ask the hub's operator for a token for this node, then: spoke join URL"


class KeyExpiredError(LinkError):
    """The node's key is past its date, and past the time in which it could still be renewed."""

    code = "KEY_EXPIRED"
    close_code = 4402
    permanent = True
    hint = "is the clock right? Else ask the hub's operator for a token for this node, then: spoke join URL"


class DeviceKeyError(LinkError):
    """The file of the node's key is missing, readable by others, or no key."""

    code = "DEVICE_KEY"
    permanent = True
    hint = "restore it, or move it away and join again with a new token: spoke join URL"


class CertificateError(LinkError):
    """The hub's certificates are missing, damaged, or there already."""

    code = "CERTIFICATE"
    permanent = True
    hint = "`spoke hub init` makes them; `--renew` makes a new server certificate from the CA that there is"


class TokenError(LinkError):
    """This is no join token."""

    code = "BAD_TOKEN"
    permanent = True
    hint = "make one on the hub: spoke hub token create; copy all of it, it begins with spk1."


class JoinRefusedError(LinkError):
    """The hub did not take the token; for every reason the same words."""

    code = "JOIN_REFUSED"
    permanent = True
    hint = "tokens work once and for an hour: make a new one on the hub: spoke hub token create"


class RateError(LinkError):
    """Too many came at once."""

    code = "RATE"
    close_code = 4429
    hint = "try again in a few seconds"


class TrustError(LinkError):
    """The other end is not the hub that it should be, or TLS with it failed: nothing was sent to it."""

    code = "TLS"
    permanent = True
    hint = "is this the address of the hub, and is nothing in between?"


_BY_CODE: dict[str, type[LinkError]] = {
    kind.code: kind
    for kind in (
        MalformedError,
        TooLargeError,
        VersionError,
        UnauthorizedError,
        PlainTextError,
        GapError,
        CorruptFrameError,
        ParkedError,
        StorageFullError,
        OverloadedError,
        SilentError,
        SupersededError,
        IdentityConflictError,
        RevokedError,
        KeyExpiredError,
        TokenError,
        JoinRefusedError,
        RateError,
    )
}


def from_code(code: str, message: str) -> LinkError:
    """Return the error that a FAILURE frame speaks of; an unknown code is an internal error of the other end."""
    return _BY_CODE.get(code, LinkError)(message)
