"""Errors of a call, with the codes of the protocol (`reference/alkdev.md` 2.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPERATION_NOT_FOUND = "OPERATION_NOT_FOUND"
ACCESS_DENIED = "ACCESS_DENIED"
VALIDATION_ERROR = "VALIDATION_ERROR"
TIMEOUT = "TIMEOUT"
ABORTED = "ABORTED"
EXECUTION_ERROR = "EXECUTION_ERROR"
UNKNOWN_ERROR = "UNKNOWN_ERROR"
MALFORMED = "MALFORMED"
"""Ours: what came is no request."""
BUSY = "BUSY"
"""Ours: too many calls of one caller at once."""
NOT_FOUND = "NOT_FOUND"
"""Ours: what the input names is not there."""


class CallFailed(Exception):
    """A call ended with an error; `code` is stable, `message` is for people."""

    code: str = EXECUTION_ERROR
    hint: str = ""

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details else None
        self.hint = hint or self.hint


class OperationNotFoundError(CallFailed):
    """No operation has that id."""

    code = OPERATION_NOT_FOUND
    hint = "`spoke operations` lists what this machine offers"


class AccessDeniedError(CallFailed):
    """The caller may not do this."""

    code = ACCESS_DENIED


class ValidationError(CallFailed):
    """The input does not fit the operation's schema."""

    code = VALIDATION_ERROR
    hint = "`spoke operations schema NAME` shows the schema"


class CallTimeoutError(CallFailed):
    """The call did not end in time."""

    code = TIMEOUT


class AbortedError(CallFailed):
    """The call was stopped because nobody wants its answer any more."""

    code = ABORTED


class ExecutionError(CallFailed):
    """The operation itself failed."""

    code = EXECUTION_ERROR


class NotFoundError(CallFailed):
    """What the input names is not there."""

    code = NOT_FOUND


class DeclaredError(CallFailed):
    """An error of the operation's own, with the code that its spec declares."""

    def __init__(self, code: str, message: str, *, details: Mapping[str, Any] | None = None, hint: str = "") -> None:
        super().__init__(message, details=details, hint=hint)
        self.code = code


class BusyError(CallFailed):
    """So many calls of this caller run that another one is not taken."""

    code = BUSY
    hint = "wait for an answer, then try again"


class RemoteError(DeclaredError):
    """The other end answered with this error."""


_BY_CODE: dict[str, type[CallFailed]] = {
    kind.code: kind
    for kind in (
        OperationNotFoundError,
        AccessDeniedError,
        ValidationError,
        CallTimeoutError,
        AbortedError,
        ExecutionError,
        NotFoundError,
        BusyError,
    )
}


def from_code(code: str, message: str, details: Mapping[str, Any] | None = None, hint: str = "") -> CallFailed:
    """The error that a `call.error` speaks of; a code that nobody here knows is kept."""
    kind = _BY_CODE.get(code)
    if kind is None:
        return RemoteError(code, message, details=details, hint=hint)
    return kind(message, details=details, hint=hint)
