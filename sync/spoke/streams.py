"""Which streams pass between this node and its hub, and where they lie in this file."""

from __future__ import annotations

from collections.abc import Iterable

from sync.link.exchange import Outgoing

HUB = "hub"
"""What the hub is called in this node's file."""
LOGS = ("call-protocol", "session-events")
"""The logs that every node sends; a configuration may name more."""


def sent(extra: Iterable[str] = ()) -> dict[str, tuple[Outgoing, str]]:
    """What this node sends, by name on the wire. Calls and results first, sessions before the bulk of calls."""
    found = {
        "calls": (Outgoing("calls", priority=0), f"calls>{HUB}"),
        "results": (Outgoing("results", priority=0), f"results>{HUB}"),
        "node": (Outgoing("node", priority=0), "node"),
        "session-events": (Outgoing("session-events", priority=1), "session-events"),
        "call-protocol": (Outgoing("call-protocol", priority=2), "call-protocol"),
    }
    return found | {name: (Outgoing(name, priority=2), name) for name in extra}


def accepts(name: str) -> bool:
    """Whether the hub may send a stream of this name: calls, results, and streams of other nodes."""
    return name in ("calls", "results") or "@" in name


def topic_of(name: str) -> str:
    """The topic in which a stream of the hub lies here; those of other nodes keep their name."""
    return name if "@" in name else f"{name}@{HUB}"
