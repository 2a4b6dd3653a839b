"""The audit trail of a node: who did what that is no operation. An event with the deed, or before it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from app.paths import Paths
from storage import engine
from storage.engine import EngineError, Transaction
from storage.events.operator_events import Operator, publish_act

T = TypeVar("T")
Said = str | int | bool | None


def this_operator() -> Operator:
    """Who runs this process."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # an account that was removed, or a container's
        user = str(uid)
    return Operator(f"local:{uid}", user, _tty())


def _tty() -> str | None:
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            return os.ttyname(descriptor)
    return None


def audit(tx: Transaction, action: str, **arguments: Said) -> None:
    """Leave an event of a deed in its own transaction: both are there, or neither."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    publish_act(tx, action, this_operator(), arguments, at)


def audited(action: str, change: Callable[[Transaction], T], **arguments: Said) -> Callable[[Transaction], T]:
    """`change`, with its event."""

    def both(tx: Transaction) -> T:
        done = change(tx)
        audit(tx, action, **arguments)
        return done

    return both


def audit_before(paths: Paths, action: str, tell: Callable[[str], None], **arguments: Said) -> None:
    """Leave an event of what is going to be tried, where it is no transaction of the database.

    Before, so that no deed is without one, also where it replaces the database or the program that could write it. It
    is in the node's database, else in the hub's; where there is neither, nothing is there that could be done to it.
    Where it cannot be written the person is told: care that a full disk or a damaged file needs is not refused for it.
    """
    file = next((each for each in (paths.tenant_db, paths.system_db) if each.is_file()), None)
    if file is None:
        return
    try:
        db = engine.open(file)  # of any version: a stream needs no migration
        try:
            with db.transaction() as tx:
                audit(tx, action, **arguments)
        finally:
            db.close()
    except (EngineError, OSError) as error:
        tell(f"attention: {action} is not in the audit trail: {error}")
