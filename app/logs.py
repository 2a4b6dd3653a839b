"""How what happens is said: a line of text or a JSON object a line, on stderr, to the journal, or into a file.

One place for `spoke run`, `spoke hub run` and the terminal UI. Payloads are never logged; keys and tokens that a
message holds all the same (in an address, in an error of another program) are taken out here. docs/logs.md has the
format.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from app.redact import redact
from app.views.text import safe

if TYPE_CHECKING:
    from app.config import Settings

Format: TypeAlias = Literal["text", "json"]
Ids: TypeAlias = Mapping[str, str | int]
"""What a message is about, given as `extra={"ids": {"stream": …, "offset": …}}`: session, call, stream, offset, peer,
queue, job, service, tenant, node."""

CHATTY = ("websockets", "watchfiles", "asyncio")
_PRIORITY = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
"""syslog's, which the journal reads from the beginning of a line."""


@dataclass(frozen=True, slots=True)
class Logging:
    """Where the log goes and how much of it; `file` None is stderr."""

    level: str = "info"
    format: Format = "text"
    file: Path | None = None
    max_bytes: int = 10_000_000
    keep: int = 3

    @classmethod
    def of(cls, settings: Settings) -> Logging:
        """What the configuration says."""
        log = settings.log
        return cls(log.level, log.format, log.file, log.max_bytes, log.keep)


class Text(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO spoke.uplink: …`, tracebacks indented below; to the journal `<6>spoke.x: …`."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """A message is one line, whatever is in it."""
        said = f"{record.name}: {safe(redact(record.getMessage()))}"
        lines = [said if self._journal else f"{_time(record)} {record.levelname} {said}"]
        if record.exc_info:
            lines += [f"  {safe(line)}" for line in redact(_trace(record)).splitlines()]
        return "\n".join(_prefixed(record, line) if self._journal else line for line in lines)


class Json(logging.Formatter):
    """An object: `time`, `level`, `logger`, `event`, the ids that the message is about, `traceback`."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        ids: Ids = getattr(record, "ids", {})
        said: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
            **{name: redact(value) if isinstance(value, str) else value for name, value in ids.items()},
        }
        if record.exc_info:
            said["traceback"] = redact(_trace(record))
        line = json.dumps(said, ensure_ascii=True)
        return _prefixed(record, line) if self._journal else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(record: logging.LogRecord) -> str:
    assert record.exc_info is not None, "asked for"
    return "".join(traceback.format_exception(*record.exc_info)).rstrip()


def _prefixed(record: logging.LogRecord, line: str) -> str:
    return f"<{next((number for level, number in _PRIORITY if record.levelno >= level), 7)}>{line}"


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream is the journal's: systemd says which one that is, `JOURNAL_STREAM=device:inode`."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def set_up(wanted: Logging, stream: TextIO | None = None) -> None:
    """Log as wanted from now on; called again, what was set up before ends.

    Raises:
        OSError: the file cannot be written; the log is as it was.
    """
    handler: logging.Handler
    journal = False
    if wanted.file is None:
        stream = stream or sys.stderr
        journal = is_journal(stream, os.environ)
        handler = _Stream(stream)
    else:
        wanted.file.parent.mkdir(parents=True, exist_ok=True)
        handler = _Private(wanted.file, maxBytes=wanted.max_bytes, backupCount=wanted.keep, encoding="utf-8")
    handler.setFormatter(Text(journal=journal) if wanted.format == "text" else Json(journal=journal))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, (_Stream, _Private))]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(wanted.level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Stream(logging.StreamHandler[TextIO]):
    """A stream that is somebody else's to close."""


class _Private(RotatingFileHandler):
    """A file that its owner alone may read, begun anew when it is too large."""

    def _open(self) -> Any:
        return os.fdopen(
            os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
        )
