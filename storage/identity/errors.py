"""What the identity tables refuse; nothing was written when one of these is raised."""

from __future__ import annotations

from storage.engine.errors import EngineError


class IdentityError(EngineError, ValueError):
    """Base: a name that is none, a rule that is broken."""


class UnknownIdentityError(IdentityError, LookupError):
    """There is no such account, organisation, member or key."""

    hint = "`spoke hub key list` shows the keys that there are"


class BadNameError(IdentityError):
    """A name that cannot be part of a file's name or of an address."""

    hint = "choose one such as acme or workshop-pc"


class TakenError(IdentityError):
    """There is one of that name already."""

    hint = "use that one, or choose another name"


class KeyRefusedError(IdentityError):
    """The key opens nothing: unknown, disabled, expired, revoked, or of an account that is not active.

    The same words for all of them, so that a thief learns nothing.
    """

    hint = "ask the hub's operator for a new key: spoke hub key create NAME"
