"""Whether a node or a hub lives, is ready, and is in sync, in the words of Nagios plugins. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, TypeAlias

from app.views.room import WARN_PERCENT, Room, room_note, room_text
from app.views.text import count, duration, safe
from sync.spoke.status import LinkStatus

Stage: TypeAlias = Literal["live", "ready", "sync", "storage"]


class State(IntEnum):
    """The exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)


@dataclass(frozen=True, slots=True)
class Health:
    """How it is, and figures for graphs (`name=value;warning;critical`)."""

    stage: str
    state: State
    text: str
    figures: tuple[str, ...] = field(default=())

    @property
    def line(self) -> str:
        """The one line that a plugin prints."""
        figures = f" | {' '.join(self.figures)}" if self.figures else ""
        # A bar begins the figures.
        return f"SPOKE {self.stage.upper()} {self.state.name} - {safe(self.text).replace('|', '/')}{figures}"


@dataclass(frozen=True, slots=True)
class Lag:
    """From how many unsent events on, and how many seconds of the oldest of them, it is worth a word, and bad."""

    warning: int
    critical: int
    age_warning_s: int
    age_critical_s: int


def sync(status: LinkStatus, now_s: float, lag: Lag, *, running: bool) -> Health:
    """How far the hub has this node's log."""
    since_ms = status.unsent_since_ms
    age_s = 0 if since_ms is None else max(0, round(now_s - since_ms / 1000))
    figures = (
        f"unsent={status.unsent};{lag.warning};{lag.critical};0",
        f"oldest={age_s}s;{lag.age_warning_s};{lag.age_critical_s};0",
    )
    if status.state == "unpaired":
        return Health("sync", State.OK, "no hub", figures)
    text = f"{status.state}, {count(status.unsent)} unsent"
    if since_ms is not None:
        text += f", the oldest for {duration(age_s * 1000)}"
    if status.state == "refused":
        return Health("sync", State.CRITICAL, f"{text}: {status.error or status.error_code}", figures)
    if status.unsent >= lag.critical or age_s >= lag.age_critical_s:
        return Health("sync", State.CRITICAL, text, figures)
    if status.unsent >= lag.warning or age_s >= lag.age_warning_s:
        return Health("sync", State.WARNING, text, figures)
    if status.paused_at_ms is not None:
        return Health("sync", State.WARNING, f"{text}; paused", figures)
    if not running:
        return Health("sync", State.WARNING, f"{text}; nothing runs the link", figures)
    if status.state == "offline":
        return Health("sync", State.WARNING, f"{text}: {status.error or 'the hub is not reached'}", figures)
    return Health("sync", State.OK, text, figures)


_STATES = {"ok": State.OK, "warning": State.WARNING, "critical": State.CRITICAL}


def storage(room: Room) -> Health:
    """How full the file is."""
    limit = "" if room.max_bytes is None else f";{room.max_bytes * WARN_PERCENT // 100};{room.max_bytes};0"
    note = room_note(room)
    text = room_text(room) + (f": {note[1]}" if note else "")
    return Health("storage", _STATES[room.level], text, (f"used={room.used_bytes}B{limit}",))


def worst(found: list[Health]) -> Health:
    """All in one line: the worst state, and every text."""
    state = max((one.state for one in found), key=_WORST.index)
    figures = tuple(figure for one in found for figure in one.figures)
    bad = [one for one in found if one.state is state] if state is not State.OK else found
    return Health("health", state, "; ".join(f"{one.stage}: {one.text}" for one in bad), figures)
