"""What a person did to this node from a terminal: events of the file's `audit-events`, beside the recorded calls.

What is an operation is a recorded call with its identity already, and what a hub's commands change is in `audit_logs`;
this is for the rest: pausing the link, vacuuming, upgrading (decision 0025).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.engine import Transaction
from storage.engine.payload import dumps
from storage.identity.audit import STREAM as STREAM

ACTED = "operator.acted"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who it was, as the system knows it: `local:UID`, the login name, and the terminal, None where there was none."""

    id: str
    user: str
    tty: str | None

    def __str__(self) -> str:
        return f"{self.user} ({self.id}{f', {self.tty}' if self.tty else ''})"


def publish_act(
    tx: Transaction, action: str, operator: Operator, arguments: Mapping[str, str | int | bool | None], timestamp: str
) -> None:
    """Leave the event, in the transaction of the deed where that is one. `arguments` never hold a secret.

    Args:
        tx: the transaction.
        action: the command's words, joined with dots: `sync.pause`.
        operator: who it was.
        arguments: what was said that matters; those that are None are left out.
        timestamp: ISO-8601, UTC.
    """
    event = {
        "type": ACTED,
        "action": action,
        "actorId": operator.id,
        "user": operator.user,
        "tty": operator.tty,
        "arguments": {name: value for name, value in arguments.items() if value is not None},
        "timestamp": timestamp,
    }
    tx.execute("SELECT honker_stream_publish(?, ?, ?)", (STREAM, action, dumps(event)))
