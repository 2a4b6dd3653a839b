"""Which streams pass between the hub and a spoke, and where they lie in the tenant's file."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from storage.engine import Snapshot, Transaction
from storage.scopes import grants
from sync.durable.topics import CALLS, RESULTS, calls_to, results_to
from sync.link.exchange import Outgoing

MAX_FOLLOWED = 48


def topic_of(node_id: str, name: str) -> str:
    """The topic in which the hub keeps a spoke's stream; neither part holds an '@'."""
    return f"{name}@{node_id}"


def accepts(name: str) -> bool:
    """Whether a spoke may send a stream of this name: any but those that would look like another node's."""
    return not any(c in "@>" for c in name)


def sent_to(node_id: str) -> dict[str, tuple[Outgoing, str]]:
    """What the hub sends to a spoke, by name on the wire: calls and results for it."""
    return {
        CALLS: (Outgoing(CALLS, priority=0, heals=False), calls_to(node_id)),
        RESULTS: (Outgoing(RESULTS, priority=0, heals=False), results_to(node_id)),
    }


def follower(topic: str) -> Outgoing:
    """Another node's stream, as it is sent on."""
    return Outgoing(topic, priority=2, heals=False)


def followable(
    source: Snapshot | Transaction, node_id: str, patterns: Iterable[str], scopes: Iterable[str]
) -> list[str]:
    """The streams of other spokes of this tenant that a spoke asked for and may read: scope `streams:read`, or
    `streams:read:NAME` for one stream of everybody.

    `patterns` are like `session-events@*`.
    """
    wanted = tuple(patterns)
    held = tuple(scopes)
    found = []
    for name, other in source.rows("SELECT DISTINCT topic, node_id FROM link_cursors ORDER BY topic, node_id"):
        topic = topic_of(other, name)
        asked = other != node_id and any(fnmatchcase(topic, pattern) for pattern in wanted)
        if asked and any(
            grants(scope, needed) for scope in held for needed in ("streams:read", f"streams:read:{name}")
        ):
            found.append(topic)
    return found[:MAX_FOLLOWED]
