"""Who is here: the spokes of a tenant, in the tenant's file."""

from __future__ import annotations

from storage.engine import Transaction
from sync.link.errors import UnauthorizedError
from sync.link.frames import Hello


def greet(tx: Transaction, hello: Hello, account_id: str, at_ms: int, *, has_own_key: bool) -> None:
    """Note that a spoke is here. A node that has shown a key of its own may have come with an API key before.

    Raises:
        UnauthorizedError: the node belongs to another account of this tenant.
    """
    owner = tx.rows("SELECT account_id FROM link_spokes WHERE node_id = ?", (hello.node_id,))
    if owner and owner[0][0] != account_id and not has_own_key:
        raise UnauthorizedError(f"node {hello.node_id} belongs to another key's account")
    tx.execute(
        "INSERT INTO link_spokes (node_id, name, agent, account_id, connected, sessions, connected_at, seen_at)"
        " VALUES (?, ?, ?, ?, 1, 1, ?, ?) ON CONFLICT (node_id) DO UPDATE SET name = excluded.name,"
        " agent = excluded.agent, account_id = excluded.account_id, connected = connected + 1, sessions = sessions + 1,"
        " connected_at = excluded.connected_at, seen_at = excluded.seen_at",
        (hello.node_id, hello.name, hello.agent, account_id, at_ms, at_ms),
    )
    tx.touch("link", "peers")


def part(tx: Transaction, node_id: str, at_ms: int) -> None:
    """Note that a connection of a spoke has ended."""
    tx.execute(
        "UPDATE link_spokes SET connected = max(0, connected - 1), seen_at = ? WHERE node_id = ?", (at_ms, node_id)
    )
    tx.touch("link", "peers")
