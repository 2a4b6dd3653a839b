"""Schedules: cron expressions of 5 or 6 fields, names like `@hourly`, and `@every <n><s|m|h|d>`. Pure.

Standard expressions follow Debian's cron (cronsim): names of days and months, 7 for Sunday, and day of month OR day of
week when both are given (Honker takes AND, and no names: its defect 14). With six fields the first is seconds. Times
are the system's local time: a time that a clock change skips fires when the clock has changed, one that comes twice
fires the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

from storage.engine.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY = re.compile(r"@every\s+([0-9]+)([smhd])")
_LONGEST_GAP_S = 7_200


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """When something is due. Make it with `crontab` or `every_s`; `str()` gives the expression."""

    expr: str

    def __post_init__(self) -> None:
        next_fire(self.expr, 0)

    def next_after(self, moment: datetime) -> datetime:
        """The next time after `moment` (naive: local time), with the same time zone or lack of one."""
        found = datetime.fromtimestamp(next_fire(self.expr, moment.timestamp()), moment.tzinfo)
        return found if moment.tzinfo is not None else found.replace(tzinfo=None)

    def __str__(self) -> str:
        return self.expr


def crontab(expr: str) -> CronSchedule:
    """A cron expression of 5 or 6 fields, or a name such as `@daily`.

    Raises:
        UsageError: it is none (`@every` has a function of its own).
    """
    if expr.strip().startswith("@every"):
        raise UsageError("use every_s() for intervals")
    return CronSchedule(expr)


def every_s(seconds: int) -> CronSchedule:
    """Every so many whole seconds, counted from when it is registered."""
    if int(seconds) != seconds or seconds < 1:
        raise UsageError("every_s() takes whole seconds, at least 1")
    return CronSchedule(f"@every {int(seconds)}s")


def next_fire(expr: str, after: float) -> int:
    """Return the first time strictly after `after` at which the expression is due; both in unix seconds.

    Raises:
        UsageError: it is no schedule, or is never due.
    """
    text = expr.strip()
    every = _EVERY.fullmatch(text)
    if every:
        seconds = int(every[1]) * _UNITS[every[2]]
        if seconds < 1:
            raise UsageError(f"{expr!r}: an interval is at least a second")
        return int(after) + seconds
    try:
        moments = CronSim(_NAMED.get(text, text), datetime.fromtimestamp(int(after)))
        for moment in moments:
            at = _as_timestamp(moment, int(after))
            if at is not None:
                return at
    except CronSimError as error:
        raise UsageError(f"{expr!r} is no schedule: {error}") from error
    raise UsageError(f"{expr!r} is never due")


def _as_timestamp(moment: datetime, after: int) -> int | None:
    """A local time as unix seconds; None when it lies before `after` (the hour that comes twice)."""
    for _ in range(_LONGEST_GAP_S):
        first = int(moment.timestamp())
        if datetime.fromtimestamp(first) == moment:
            break
        moment += timedelta(seconds=1)  # the clock skips this time: the next one that there is
    for fold in (0, 1):
        at = int(moment.replace(fold=fold).timestamp())
        if at > after:
            return at
    return None
