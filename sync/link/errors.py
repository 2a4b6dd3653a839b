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
    hint: ClassVar[str] = ""
    retry_after_ms: int | None = None
    """The other end asked to be left alone for so long."""


class MalformedError(LinkError):
    """The other end sent something that is not a frame, or not one that may come now."""

    code = "MALFORMED"


class TooLargeError(LinkError):
    """A frame or an event is larger than the link carries."""

    code = "TOO_LARGE"
    permanent = True
    hint = "publish smaller events: put the bulk into a file and its path into the event"


class VersionError(LinkError):
    """The two ends have no protocol version in common."""

    code = "VERSION"
    permanent = True
    hint = "upgrade the older of the two programs"


class UnauthorizedError(LinkError):
    """The hub refused the key."""

    code = "UNAUTHORIZED"
    permanent = True
    hint = "make a key on the hub (`spoke hub key create NAME`) and give it to `spoke join`"


class PlainTextError(LinkError):
    """The address would send the key and the data readable over the network."""

    code = "PLAIN_TEXT"
    permanent = True
    hint = "use wss://, or set hub.allow_plain when you know what you do"


class GapError(LinkError):
    """Events are missing between what the hub has and what came."""

    code = "GAP"


class CorruptFrameError(LinkError):
    """The events of a frame are not those that were sent: its chain hash differs."""

    code = "CORRUPT_FRAME"


class ParkedError(LinkError):
    """A stream was healed or forked again and again: two ends disagree in a circle."""

    code = "PARKED"
    permanent = True
    hint = "it is tried again in 10 minutes; `spoke sync status` shows its generations"


class StorageFullError(LinkError):
    """The other end cannot store anything just now."""

    code = "STORAGE_FULL"
    hint = "nothing is lost: events wait here until there is room there"


class OverloadedError(LinkError):
    """The hub is stopping, or has too much to do."""

    code = "OVERLOADED"
    hint = "nothing is lost: the link comes back by itself"


class SilentError(LinkError):
    """Nothing was heard of the other end for too long."""

    code = "TIMEOUT"
    hint = "nothing is lost: the link comes back by itself"


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
    )
}


def from_code(code: str, message: str) -> LinkError:
    """Return the error that a FAILURE frame speaks of; an unknown code is an internal error of the other end."""
    return _BY_CODE.get(code, LinkError)(message)
