"""From an exception to one line and an exit code."""

from __future__ import annotations

import errno

from app.cli.exit_codes import ExitCode
from app.paths import NoHomeError
from app.views.graphs.catalogue import NoSuchGraphError
from app.views.graphs.nodes import NoSuchNodeError
from app.views.sessions import NoSuchSessionError
from storage.archive import ArchiveError
from storage.engine import errors as engine
from storage.events.envelope import EventShapeError
from storage.graphs.errors import NotFoundError
from storage.identity.errors import IdentityError
from storage.migrations import NewerFileError, OlderFileError
from storage.process_lock import LockHeldError
from storage.query import BadQueryError, OnlyReadingError, TooLongError
from sync.calls import errors as calls
from sync.durable import errors as durable
from sync.link import errors as link
from sync.spoke.address import BadAddressError


class CommandError(Exception):
    """A command cannot go on; carries what to do next and how to exit."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


_BY_TYPE: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (engine.BusyError, ExitCode.TEMPORARY),
    (engine.FullError, ExitCode.IO),
    (engine.DiskError, ExitCode.IO),
    (engine.ReadOnlyError, ExitCode.CANNOT_CREATE),
    (engine.CannotOpenError, ExitCode.CANNOT_CREATE),
    (engine.NotADatabaseError, ExitCode.DATA),
    (engine.CorruptError, ExitCode.DATA),
    (engine.PayloadError, ExitCode.DATA),
    (EventShapeError, ExitCode.DATA),
    (NewerFileError, ExitCode.DATA),
    (OlderFileError, ExitCode.DATA),
    (ArchiveError, ExitCode.DATA),
    (LockHeldError, ExitCode.TEMPORARY),
    (BadQueryError, ExitCode.DATA),
    (OnlyReadingError, ExitCode.DENIED),
    (TooLongError, ExitCode.TEMPORARY),
    (calls.OperationNotFoundError, ExitCode.USAGE),
    (calls.NotFoundError, ExitCode.USAGE),
    (calls.ValidationError, ExitCode.DATA),
    (calls.AccessDeniedError, ExitCode.DENIED),
    (calls.CallTimeoutError, ExitCode.TEMPORARY),
    (durable.PeerAwayError, ExitCode.UNAVAILABLE),
    (durable.QuotaExceededError, ExitCode.TEMPORARY),
    (durable.KeyTakenError, ExitCode.DATA),
    (durable.TooLargeError, ExitCode.DATA),
    (durable.NoSuchCallError, ExitCode.USAGE),
    (calls.CallFailed, ExitCode.FAILURE),
    (link.UnauthorizedError, ExitCode.DENIED),
    (link.JoinRefusedError, ExitCode.DENIED),
    (link.RevokedError, ExitCode.DENIED),
    (link.KeyExpiredError, ExitCode.DENIED),
    (link.IdentityConflictError, ExitCode.DENIED),
    (link.TokenError, ExitCode.DATA),
    (link.CertificateError, ExitCode.CONFIG),
    (link.DeviceKeyError, ExitCode.CONFIG),
    (link.PlainTextError, ExitCode.USAGE),
    (BadAddressError, ExitCode.USAGE),
    (link.LinkError, ExitCode.UNAVAILABLE),
    (NoHomeError, ExitCode.CONFIG),
    (NoSuchSessionError, ExitCode.USAGE),
    (NoSuchGraphError, ExitCode.USAGE),
    (NoSuchNodeError, ExitCode.USAGE),
    (IdentityError, ExitCode.USAGE),
    (NotFoundError, ExitCode.USAGE),
    (engine.UsageError, ExitCode.USAGE),
    (engine.EngineError, ExitCode.FAILURE),
)


_OF_SYSTEM = {
    errno.EACCES: "check its owner and permissions",
    errno.EPERM: "check its owner and permissions",
    errno.ENOSPC: "free some disk space and try again",
    errno.EDQUOT: "free some disk space and try again: your share of it is used up",
    errno.EROFS: "choose a place on a disk that can be written",
    errno.ENOENT: "check the path",
}


def _exit_code(error: OSError) -> ExitCode:
    if isinstance(error, FileNotFoundError):
        return ExitCode.NO_INPUT
    return ExitCode.CANNOT_CREATE if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else ExitCode.IO


def describe(error: Exception) -> tuple[str, str, ExitCode] | None:
    """Return message, next step and exit code of an error that is not a bug; None for one that is."""
    if isinstance(error, CommandError):
        return str(error), error.hint, error.code
    for kind, code in _BY_TYPE:
        if isinstance(error, kind):
            return str(error), getattr(error, "hint", ""), code
    if type(error).__name__ in ("InstallError", "ReleaseError"):  # for the same reason
        return str(error), getattr(error, "hint", ""), ExitCode.FAILURE
    if type(error).__name__ == "ConfigError":  # app.config costs pydantic; an error from there has it imported
        return str(error), getattr(error, "hint", ""), ExitCode.CONFIG
    if isinstance(error, UnicodeEncodeError):
        return "what was given is no UTF-8", "use a UTF-8 locale: LC_ALL=C.UTF-8", ExitCode.USAGE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = _OF_SYSTEM.get(error.errno or 0, "")
        return f"{where}{error.strerror or error}", hint, _exit_code(error)
    return None
