"""The services of a node, as the daemon and the TUI run them."""

from __future__ import annotations

import asyncio
import random
import uuid
from functools import partial
from typing import TYPE_CHECKING

from app import __version__
from app.paths import Paths
from app.services import durable_calls, ingest, projector, tenant
from app.services.durable_calls import now, wall_ms
from app.services.reload import Reloading, run_reloading
from app.services.supervisor import Service, supervise
from storage.engine import Database, Limits
from storage.operations.spec import Identity
from storage.reserve import Reserve
from sync.durable import caller
from sync.durable.hub_time import HubTime
from sync.durable.messages import CALLEE, CALLER
from sync.spoke.status import TOPICS, UPLINK

if TYPE_CHECKING:
    from app.config import Settings


def services(db: Database, settings: Settings, paths: Paths) -> dict[str, Service]:
    """What runs: projector, the background of the tenant file, the local API, and the uplink when there is a hub."""
    limits = retention(settings)
    found: dict[str, Service] = {
        "projector": partial(projector.run, db),
        **tenant.services(db, paths.key_file, limits),
        "api": partial(_serve_api, db, settings, paths),
        "ingest": partial(ingest.run, db, settings.ingest.folder or paths.inbox),
    }
    hub = settings.hub
    if hub.url is not None:
        # The link tells it when it hears the hub's time; until then calls with a deadline wait.
        hub_time = HubTime()
        found["uplink"] = partial(keep_link, db, settings, paths, hub_time)
        found["callee"] = partial(_answer_hub, db, settings, paths, hub_time)
        found["caller"] = partial(
            durable_calls.hear, db, durable_calls.hub_alone, lambda peer: [caller.results(peer, wall_ms)], hub_time
        )
    return found


def retention(settings: Settings) -> tenant.Retention:
    """How much of the log this node keeps, and who must have read what goes."""
    keep, hub = settings.retention, settings.hub
    sent = () if hub.url is None else (UPLINK,)
    projected = {projection.topic: (projection.consumer,) for projection in projector.PROJECTIONS}
    return tenant.Retention(
        Limits(
            max_age_s=None if keep.max_age_days is None else keep.max_age_days * 86_400,
            max_count=keep.max_events,
            max_bytes=keep.max_bytes,
        ),
        required=(CALLEE, CALLER, *sent),
        awaited={topic: (*projected.get(topic, ()), *sent) for topic in (*TOPICS, *hub.streams)},
    )


async def keep_link(db: Database, settings: Settings, paths: Paths, hub_time: HubTime, stop: asyncio.Event) -> None:
    """Keep the link to the hub until `stop`; one process per data directory.

    Raises:
        DeviceKeyError: this node's key cannot be read.
    """
    # Imported late: it costs 100 ms, and a node without a hub does without.
    from app.operations import node_registry
    from app.services import live_calls
    from sync.spoke.device_keys import DeviceKeys
    from sync.spoke.uplink import Dialling, Uplink

    hub = settings.hub
    dialling = Dialling(
        urls=hub.addresses,
        api_key=None if hub.api_key is None else hub.api_key.get_secret_value(),
        device_keys=None if hub.api_key is not None else DeviceKeys(paths.device_key),
        hub_id=hub.hub_id,
        trust=hub.trust,
        allow_plain=hub.allow_plain,
        proxy=hub.proxy,
    )
    uplink = Uplink(
        db,
        dialling=dialling,
        name=settings.name,
        agent=f"spoke/{__version__}",
        random=random.random,
        hub_time=hub_time,
        streams=tuple(hub.streams),
        follows=tuple(hub.follows),
        on_call=live_calls.answers(db, partial(node_registry, settings, paths), lambda: _hub_as(settings), hub_time),
        reserve=Reserve(paths.reserve),
    )
    await uplink.run(stop)


def _hub_as(settings: Settings) -> Identity:
    """What the hub may do here, whichever way it calls."""
    scopes = settings.hub.scopes
    return Identity("hub", scopes, {"*": ("*",)} if "*" in scopes else {})


async def _answer_hub(db: Database, settings: Settings, paths: Paths, hub_time: HubTime, stop: asyncio.Event) -> None:
    """Tell the hub what this node offers, and execute what it asks for."""
    from app.operations import node_registry
    from sync.calls.recorder import Recorder
    from sync.durable.callee import Callee
    from sync.durable.catalogue import catalogue, publish

    registry = node_registry(settings, paths)
    offered = await asyncio.to_thread(catalogue, registry)
    await db.run(lambda tx: publish(tx, offered))
    hub = _hub_as(settings)
    recorder = Recorder(db, now, lambda: str(uuid.uuid4()))
    await durable_calls.answer(
        Callee(db, registry, recorder, lambda _: hub, hub_time, now), db, durable_calls.hub_alone, stop
    )


async def _serve_api(db: Database, settings: Settings, paths: Paths, stop: asyncio.Event) -> None:
    from app.operations import node_registry
    from app.operations.services import register
    from app.services.local_api import LocalApi
    from app.services.local_connection import Serving
    from sync.calls.recorder import Recorder

    registry = node_registry(settings, paths)
    register(registry)
    recorder = Recorder(db, now, lambda: str(uuid.uuid4()))
    serving = Serving(db, registry, recorder)
    works = [LocalApi(serving, paths.socket).run(stop)]
    if settings.api.port is not None:
        from app.services.loopback import Loopback

        works.append(Loopback(serving, settings.api.port, paths.api_keys).run(stop))
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def run_node(db: Database, paths: Paths, reloading: Reloading, stop: asyncio.Event) -> None:
    """Run the services until `stop`; a changed configuration makes them begin anew.

    On stop nothing new is claimed or accepted, and what runs has `draining.DRAIN_S` to end; closing the database
    brings the write-ahead log into the file.
    """

    async def run(current: Settings, pause: asyncio.Event) -> None:
        await supervise(services(db, current, paths), pause, random.random)

    await run_reloading(reloading, stop, run)
