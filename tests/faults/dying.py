"""`spoke`, but it kills itself with SIGKILL at a point of the link: POINT ARGUMENTS of `spoke`…

A point is a function of the program and whether it dies before or after it. What the function has
read or written is then as a crash leaves it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

OUTGOING = "sync.logs.outgoing:OutgoingLogs."
INCOMING = "sync.logs.incoming:IncomingLogs."
TALK = "sync.peer.conversation:Conversation."
POINTS: dict[str, tuple[str, str]] = {
    # a spoke
    "ratchet.before_persist": ("sync.spoke.introduction:save_ratchet", "before"),
    "ratchet.after_persist": ("sync.spoke.introduction:save_ratchet", "after"),
    "ready.before_send": ("sync.spoke.introduction:Ready", "before"),
    "ready.after_send": ("sync.spoke.uplink:introduce", "after"),
    "lineage.before": (OUTGOING + "_lineage", "before"),
    "lineage.after": (OUTGOING + "_lineage", "after"),
    "send.before_read": (OUTGOING + "_read", "before"),
    "ratchet.after_barrier": ("storage.engine.database:Database.barrier", "after"),
    "send.after_read": (OUTGOING + "_read", "after"),
    "send.after_write": ("websockets.asyncio.connection:Connection.send", "after"),
    "ack.before_persist": (OUTGOING + "_save", "before"),
    "ack.in_transaction": (OUTGOING + "_save", "after"),
    "ack.after_persist": (TALK + "_save_acks", "after"),
    "status.in_transaction": ("sync.spoke.uplink:write_status", "after"),
    # a hub
    "admit.in_transaction": ("sync.hub.session:judge_session", "after"),
    "ratchet.after_next": ("sync.hub.session:Reception._admit", "after"),
    "confirm.in_transaction": ("sync.hub.session:confirm_session", "after"),
    "recv.before_store": (TALK + "_store", "before"),
    "commit.before": (INCOMING + "store", "before"),
    "store.in_transaction": (INCOMING + "store", "after"),
    "commit.after": (TALK + "_store", "after"),
    "position.after": (INCOMING + "load_position", "after"),
    "ack.before_send": ("sync.link.receiver:Receiver.on_answer", "after"),
}
_NAMES = list(POINTS)
SPOKE_POINTS = _NAMES[: _NAMES.index("admit.in_transaction")]
HUB_POINTS = _NAMES[_NAMES.index("admit.in_transaction") :]


def arm(point: str) -> None:
    """Replace the function by one that dies."""
    where, when = POINTS[point]
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _deadly(getattr(owner, name), when == "before"))


def _deadly(function: Callable[..., Any], before: bool) -> Callable[..., Any]:

    def die(now: bool) -> None:
        if now:
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*arguments: Any, **named: Any) -> Any:
            die(before)
            result = await function(*arguments, **named)
            die(not before)
            return result

        return later

    @functools.wraps(function)
    def at_once(*arguments: Any, **named: Any) -> Any:
        die(before)
        result = function(*arguments, **named)
        die(not before)
        return result

    return at_once


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    from app.main import main

    main()
