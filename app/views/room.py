"""How full a database file is, against `storage.max_bytes`, in words: the same everywhere. Pure but for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.views.text import size
from storage.engine import Snapshot, used_bytes

Policy: TypeAlias = Literal["block"]
Level: TypeAlias = Literal["ok", "warning", "critical"]

POLICY: Policy = "block"
"""What becomes of new events at the limit: they are refused. There is no other policy (docs/decisions/0028)."""
WARN_PERCENT = 80
DO = "spoke sync now; spoke db retention; or raise storage.max_bytes"


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that a file holds, and may hold; None: no limit but the disk."""

    used_bytes: int
    max_bytes: int | None

    @property
    def policy(self) -> Policy | None:
        """What happens at the limit, if there is one."""
        return None if self.max_bytes is None else POLICY

    @property
    def percent(self) -> int:
        """How full it is; 0 without a limit. Rounded down: 100 is when the engine begins to refuse."""
        return 0 if self.max_bytes is None else 100 * self.used_bytes // self.max_bytes

    @property
    def level(self) -> Level:
        """`warning` from 80 % on, `critical` when new events are refused."""
        return "critical" if self.percent >= 100 else "warning" if self.percent >= WARN_PERCENT else "ok"


UNKNOWN = Room(0, None)
"""Of a file that nobody has looked at."""


def read_room(snapshot: Snapshot, max_bytes: int | None) -> Room:
    """Measure a file; the same effort for any size."""
    return Room(used_bytes(snapshot), max_bytes)


def room_text(room: Room) -> str:
    """How full it is.

    >>> room_text(Room(12_000_000, 20_000_000)), room_text(Room(12_000_000, None))
    ('12.0 MB of 20.0 MB (60 %), policy block', '12.0 MB, no limit but the disk')
    """
    if room.max_bytes is None:
        return f"{size(room.used_bytes)}, no limit but the disk"
    return f"{size(room.used_bytes)} of {size(room.max_bytes)} ({room.percent} %), policy {POLICY}"


def room_json(room: Room) -> dict[str, int | str | None]:
    """The same for programs."""
    return {"usedBytes": room.used_bytes, "maxBytes": room.max_bytes, "policy": room.policy, "level": room.level}


def room_note(room: Room) -> tuple[str, str, str] | None:
    """What wants attention: what, what it means, what to do; None when all is well."""
    match room.level:
        case "critical":
            means = "nothing new is recorded; what is here is still sent"
            return f"storage {room.percent} % full", means, DO
        case "warning":
            return f"storage {room.percent} % full", "at 100 % new events, calls and jobs are refused", DO
        case _:
            return None


def room_lines(room: Room) -> list[str]:
    """For a screen: nothing without a limit, how full it is, and what wants attention."""
    if room.max_bytes is None:
        return []
    lines = [f"storage    {room_text(room)}"]
    if note := room_note(room):
        what, means, do = note
        lines += [f"! {what}: {means}", f"  -> {do}"]
    return lines
