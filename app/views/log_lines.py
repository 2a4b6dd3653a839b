"""Lines of the logs, plain or JSON, as lists show them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from app.views.text import safe
from app.views.times import When
from app.views.times import when as in_format

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PLAIN = re.compile(
    r"(?:<\d>)?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[,.](\d{1,6}))?(Z?)\S* (\w+) ([\w.]+): (.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """An entry; what follows its first line (a traceback) is in `more`.

    Attributes:
        number: its position in what was read.
        at_ms: unix milliseconds; None where the line says none.
        level: one of `LEVELS`; of what is no entry of ours, `INFO`.
    """

    number: int
    at_ms: int | None
    level: str
    logger: str
    text: str
    more: tuple[str, ...] = ()

    @property
    def severity(self) -> int:
        """Its place in `LEVELS`."""
        return LEVELS.index(self.level)


def parse_log(lines: Iterable[str], zone: tzinfo | None = None) -> Iterator[LogLine]:
    """Entries of a log. Plain times without a `Z` are local times, in `zone` (None: the machine's)."""
    entry: LogLine | None = None
    more: list[str] = []
    for number, raw in enumerate(lines):
        line = raw.rstrip("\n")
        found = _json(number, line) or _plain(number, line, zone)
        if found is None and entry is not None:
            more.append(line)
            continue
        if entry is not None:
            yield _with(entry, more)
        entry, more = found or LogLine(number, None, "INFO", "", line), []
    if entry is not None:
        yield _with(entry, more)


def _with(entry: LogLine, more: list[str]) -> LogLine:
    return LogLine(entry.number, entry.at_ms, entry.level, entry.logger, entry.text, entry.more + tuple(more))


def _plain(number: int, line: str, zone: tzinfo | None) -> LogLine | None:
    found = _PLAIN.fullmatch(line)
    if found is None or found[4] not in LEVELS:
        return None
    try:
        at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC if found[3] else zone).timestamp()
    except (ValueError, OverflowError):
        return None
    return LogLine(number, int(at * 1000) + int((found[2] or "0")[:3].ljust(3, "0")), found[4], found[5], found[6])


def _json(number: int, line: str) -> LogLine | None:
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or str(value.get("level", "")).upper() not in LEVELS:
        return None
    known = {"time", "level", "logger", "event", "traceback"}
    ids = " ".join(f"{name}={item}" for name, item in value.items() if name not in known)
    text = f"{value.get('event', '')} {ids}".strip()
    return LogLine(
        number,
        _at(value.get("time")),
        str(value["level"]).upper(),
        str(value.get("logger", "")),
        text,
        tuple(str(value["traceback"]).splitlines()) if value.get("traceback") else (),
    )


def _at(value: object) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 1000)
    try:
        return int(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def log_line(entry: LogLine, when: When | None = None) -> list[str]:
    """An entry as text: when (`when` writes it; local time without), how grave, who, what; then what belongs to it."""
    told = when or (lambda at_ms: in_format(at_ms, 0, "local"))
    at = "" if entry.at_ms is None else f"{told(entry.at_ms)} "
    return [
        f"{at}{entry.level:<8} {safe(entry.logger)}: {safe(entry.text)}",
        *(f"  {safe(line)}" for line in entry.more),
    ]
