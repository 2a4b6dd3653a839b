"""Secrets as lists show them: names and dates, never a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from app.views.text import ago, clip, fit, safe
from storage.engine import Snapshot
from storage.secrets import list_secrets


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret without its value; times in unix milliseconds, None: never, or not set."""

    name: str
    description: str
    key_version: int
    updated_ms: int
    used_ms: int | None
    expires_ms: int | None

    def expired(self, now_ms: int) -> bool:
        """Whether it is past its date: then it cannot be shown any more, only set again."""
        return self.expires_ms is not None and self.expires_ms <= now_ms


def read_secrets(snapshot: Snapshot) -> list[SecretRow]:
    """Every secret, by name."""
    return [
        SecretRow(
            name=info.name,
            description=info.description or "",
            key_version=info.key_version,
            updated_ms=info.updated_at * 1000,
            used_ms=_ms(info.last_used_at),
            expires_ms=_ms(info.expires_at),
        )
        for info in list_secrets(snapshot)
    ]


def secret_line(row: SecretRow, now_ms: int, width: int, name_width: int = 24) -> str:
    """A secret in a list: name, version of the key, when it was set, used and ends, what it is for."""
    used = "never used" if row.used_ms is None else f"used {ago(row.used_ms, now_ms)}"
    name, ends = fit(safe(row.name), name_width), _ends(row, now_ms)
    line = f"{name} key {row.key_version:<3} set {ago(row.updated_ms, now_ms):<7} {used:<11} {ends:<15} "
    return clip(line + safe(row.description), width).rstrip()


def _ends(row: SecretRow, now_ms: int) -> str:
    if row.expires_ms is None:
        return ""
    day = datetime.fromtimestamp(row.expires_ms / 1000, UTC).strftime("%Y-%m-%d")
    return "EXPIRED" if row.expired(now_ms) else f"ends {day}"


def _ms(text: str | None) -> int | None:
    try:
        return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0  # no time: another program wrote it; `get_secret` will not take it for one either
