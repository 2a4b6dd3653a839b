"""A hub that only enrols, and what a machine needs to join it: real sockets, real certificates, real files."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from storage.engine import Database
from sync.hub.certificates import SERVER_FILE, Certificates, make_certificates, server_context
from sync.hub.enrol import Desk, enrol
from sync.hub.tokens import create_token
from sync.link.enrolment import SUBPROTOCOL
from sync.link.token import Token

LIMIT_S = 60
NAMES = ["localhost", "127.0.0.1"]


def certificates(folder: Path, names: list[str] | None = None, *, days_ago: int = 0) -> Certificates:
    return make_certificates(folder, names or NAMES, datetime.now(UTC) - timedelta(days=days_ago))


def token(db: Database, pin: bytes | None, tenant: str = "local", **options: Any) -> Token:
    return create_token(db, pin, tenant, **{"random": secrets.token_bytes, "now": int(time.time()), **options})


@asynccontextmanager
async def enrolling(
    db: Database, own: Certificates | None, desk: Desk | None = None, *, ca_pem: str | None = None
) -> AsyncIterator[str]:
    """Serve; yields the address. `ca_pem` is what the hub says its CA is, when that is not the truth."""
    if desk is None:
        desk = Desk("hub-1", ca_pem or (own.ca.pem if own is not None else None))

    async def handler(connection: ServerConnection) -> None:
        await enrol(connection, db, desk)

    tls = None if own is None else server_context(own.folder / SERVER_FILE)
    async with serve(
        handler, "127.0.0.1", 0, ssl=tls, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, server_header=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'ws' if own is None else 'wss'}://127.0.0.1:{port}"


def trail(db: Database, *prefixes: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Actions and details of the audit trail."""
    import json

    rows = db.query("SELECT action, details FROM audit_logs ORDER BY rowid")
    return [(row["action"], json.loads(row["details"])) for row in rows if row["action"].startswith(prefixes)]
