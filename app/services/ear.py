"""The ear: hears what happens on the channels and streams of a file, counts it and says it in the log.

Payloads stay out of the log, but for the ids in them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.services.waiting import until_stopped
from storage.engine import Database

log = logging.getLogger("spoke.ear")

heard: Counter[str] = Counter()
"""How often each channel and stream was heard in this process."""


async def listen(db: Database, channels: Sequence[str], streams: Sequence[str], stop: asyncio.Event) -> None:
    """Listen until `stop`. Streams are followed as the consumer `ear@spoke`, from where it was left off."""
    works = [_channel(db, name) for name in channels] + [_stream(db, name) for name in streams]
    await until_stopped(stop, *works)


async def _channel(db: Database, name: str) -> None:
    async for notification in db.listen(name):
        heard[name] += 1
        log.info("%s %s", name, _ids(notification.payload))


async def _stream(db: Database, name: str) -> None:
    async for event in db.stream(name).subscribe(consumer="ear@spoke"):
        heard[name] += 1
        action = event.payload.get("action", "") if isinstance(event.payload, dict) else ""
        log.info("%s %d %s %s", name, event.offset, action, _ids(event.payload))


def _ids(payload: Any) -> str:
    if not isinstance(payload, dict):
        return ""
    return " ".join(f"{key}={value}" for key, value in payload.items() if key.endswith("Id") and isinstance(value, str))
