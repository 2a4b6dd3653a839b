"""The contract of event targets: where events go and come from (`reference/alkdev.md` 3.2).

A topic is `type:id`; a listener on `type:*` hears every id of a type (for request ids, of which there are many).
All targets keep the same promises; `tests/storage/events/test_targets.py` is the suite that all of them pass:

* a listener hears each event of its topic once, in the order in which they were dispatched;
* a listener that raises is logged, and harms no other;
* removing the last listener of a topic releases what the topic cost;
* `close()` may be called twice; after it every method does nothing. What the target stands on stays open.

Targets belong to one event loop. Listeners are plain functions and must not block it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from storage.engine.errors import EngineError
from storage.events.envelope import EventEnvelope

Listener: TypeAlias = Callable[[EventEnvelope], None]

log = logging.getLogger("spoke.events")


class ReservedTypeError(EngineError, ValueError):
    """Types that begin with `__` are control messages, and nobody's to publish."""

    hint = "choose a type without leading underscores"


class EventTarget(Protocol):
    """See the module."""

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """Hear a topic from now on; the same listener twice counts once, None does nothing."""

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """Hear it no longer; an unknown listener does nothing."""

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """Send an event; always True. What it promises when it returns is up to the target."""

    async def close(self) -> None:
        """Stop; idempotent."""


def topic_of(event_type: str, event_id: str = "") -> str:
    """The topic of a type and an id.

    >>> topic_of("call.responded", "r1"), topic_of("call.responded")
    ('call.responded:r1', 'call.responded:')
    """
    return f"{event_type}:{event_id}"


class Listeners:
    """Listeners by topic, and the one way to call them."""

    def __init__(self) -> None:
        self._by_topic: dict[str, list[Listener]] = {}

    @property
    def topics(self) -> frozenset[str]:
        """Topics that somebody hears."""
        return frozenset(self._by_topic)

    def add(self, topic: str, listener: Listener) -> bool:
        """Add a listener; True when it is the first of its topic."""
        known = self._by_topic.setdefault(topic, [])
        if listener not in known:
            known.append(listener)
            return len(known) == 1
        return False

    def remove(self, topic: str, listener: Listener) -> bool:
        """Remove a listener; True when it was the last of its topic."""
        known = self._by_topic.get(topic, [])
        if listener in known:
            known.remove(listener)
            if not known:
                del self._by_topic[topic]
                return True
        return False

    def clear(self) -> None:
        """Remove all."""
        self._by_topic.clear()

    def call(self, event: EventEnvelope) -> None:
        """Tell everybody who hears the event's topic, or all ids of its type."""
        for topic in (event.topic, f"{event.type}:*"):
            for listener in list(self._by_topic.get(topic, ())):
                try:
                    listener(event)
                except Exception:
                    log.exception("a listener of %s failed", topic)


_decoder = msgspec.json.Decoder(EventEnvelope)


def read_envelope(text: str | bytes) -> EventEnvelope:
    """Decode an envelope; its payload stays as it is.

    Raises:
        msgspec.DecodeError: it is none, or nested deeper than the decoder goes.
    """
    try:
        return _decoder.decode(text)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
