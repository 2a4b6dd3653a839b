"""The services of a node, as the daemon and the TUI run them."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__
from app.services import projector, tenant
from app.services.supervisor import Service, supervise
from storage.engine import Database

if TYPE_CHECKING:
    from app.config import Settings


def services(db: Database, settings: Settings, key_file: Path) -> dict[str, Service]:
    """What runs: the projector, the background of the tenant file, and the uplink when there is a hub."""
    found: dict[str, Service] = {"projector": partial(projector.run, db), **tenant.services(db, key_file)}
    hub = settings.hub
    if hub.url is not None and hub.api_key is not None:
        from sync.spoke.uplink import Uplink  # costs 100 ms, and a node without a hub does without

        uplink = Uplink(
            db,
            url=hub.url,
            api_key=hub.api_key.get_secret_value(),
            name=settings.name,
            agent=f"spoke/{__version__}",
            random=random.random,
            allow_plain=hub.allow_plain,
        )
        found["uplink"] = uplink.run
    return found


async def run_node(db: Database, settings: Settings, key_file: Path, stop: asyncio.Event) -> None:
    """Run the services until `stop`."""
    await supervise(services(db, settings, key_file), stop, random.random)
