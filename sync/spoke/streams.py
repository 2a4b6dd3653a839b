"""Which streams pass between this node and its hub, and where they lie in this file."""

from __future__ import annotations

from collections.abc import Iterable

from sync.durable.topics import CALLS, HUB, NODE, RESULTS, calls_to, results_to
from sync.link.exchange import Outgoing


def sent(extra: Iterable[str] = ()) -> dict[str, tuple[Outgoing, str]]:
    """What this node sends, by name on the wire. Calls and results first, sessions before the bulk of calls."""
    found = {
        CALLS: (Outgoing(CALLS, priority=0), calls_to(HUB)),
        RESULTS: (Outgoing(RESULTS, priority=0), results_to(HUB)),
        NODE: (Outgoing(NODE, priority=0), NODE),
        "session-events": (Outgoing("session-events", priority=1), "session-events"),
        "call-protocol": (Outgoing("call-protocol", priority=2), "call-protocol"),
    }
    return found | {name: (Outgoing(name, priority=2), name) for name in extra}


def accepts(name: str) -> bool:
    """Whether the hub may send a stream of this name: calls, results, and streams of other nodes."""
    return name in (CALLS, RESULTS) or "@" in name


def topic_of(name: str) -> str:
    """The topic in which a stream of the hub lies here; those of other nodes keep their name."""
    return name if "@" in name else f"{name}@{HUB}"
