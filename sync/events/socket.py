"""What the adapters need of a WebSocket; `websockets` connections have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

SUBSCRIBE = "__subscribe"
UNSUBSCRIBE = "__unsubscribe"
MAX_MESSAGE_BYTES = 1_048_576


class Socket(Protocol):
    """An open WebSocket."""

    async def send(self, message: str) -> None:
        """Send a text message; waits while the peer does not read."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until the connection ends."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""


class TopicPayload(msgspec.Struct, frozen=True):
    """The payload of `__subscribe` and `__unsubscribe`."""

    topic: str
