"""`spoke health`: for Nagios, Icinga, container probes. Imports little: it runs every few seconds."""

from __future__ import annotations

import socket
import time
from functools import partial
from urllib.parse import urlsplit

import click

from app.cli.context import Context, json_option, print_json
from app.services.local_client import NoDaemonError, ask_health
from app.views.health import Health, Lag, State, storage, sync, worst
from app.views.room import read_room
from storage.engine.errors import EngineError
from storage.looking import look
from storage.process_lock import holder
from sync.spoke.status import read_status

TIMEOUT_S = 5.0


@click.command()
@click.argument("stage", type=click.Choice(["live", "ready", "sync", "storage"]), required=False)
@click.option("--hub", is_flag=True, help="Of the hub on this machine: live, ready.")
@click.option("--lag-warning", default=1_000, show_default=True, type=click.IntRange(0), help="Unsent events.")
@click.option("--lag-critical", default=100_000, show_default=True, type=click.IntRange(0), help="Unsent events.")
@click.option("--age-warning", default=3_600, show_default=True, type=click.IntRange(0), help="Seconds unsent.")
@click.option("--age-critical", default=86_400, show_default=True, type=click.IntRange(0), help="Seconds unsent.")
@json_option
@click.pass_obj
def health(
    context: Context,
    stage: str | None,
    hub: bool,
    lag_warning: int,
    lag_critical: int,
    age_warning: int,
    age_critical: int,
    as_json: bool,
) -> int:
    """One line, and how it is as exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    \b
    Example:
      spoke health || echo "exit code $?"
      spoke health sync --lag-critical 50000 --json

    \b
    live     the services run and answer
    ready    and none of them has crashed, or is still catching up with the log
    sync     the hub has what is here, but for so many events or seconds
    storage  the database has room: less than 80 % of storage.max_bytes

    Without one, all four; the worst counts. These exit codes are those of
    monitoring plugins, not of other commands.
    """
    if hub and stage in ("sync", "storage"):
        raise click.UsageError("of a hub: live, ready")
    lag = Lag(lag_warning, lag_critical, age_warning, age_critical)
    stages = [stage] if stage else ["ready"] if hub else ["ready", "sync", "storage"]  # what is ready is live
    looks = {"sync": lambda: _sync(context, lag), "storage": lambda: _storage(context)}
    found = [_hub(context, one) if hub else looks.get(one, partial(_node, context, one))() for one in stages]
    said = worst(found) if stage is None else found[0]
    if as_json:
        print_json({"stage": said.stage, "state": said.state.name, "text": said.text})
    else:
        click.echo(said.line)
    return said.state


def _node(context: Context, stage: str) -> Health:
    pid = holder(context.paths.daemon_lock)
    if pid is None:
        return Health(stage, State.CRITICAL, f"nothing runs on {context.paths.data_dir}")
    try:
        said = ask_health(context.paths.socket)
    except NoDaemonError as error:
        return Health(stage, State.CRITICAL, f"process {pid} does not answer: {error}")
    problems = said.get("notReady", [])
    if stage == "ready" and problems:
        return Health(stage, State.CRITICAL, "; ".join(problems))
    return Health(stage, State.OK, f"process {pid}, {len(said['services'])} services")


def _sync(context: Context, lag: Lag) -> Health:
    path = context.paths.tenant_db
    if not path.exists():
        return Health("sync", State.UNKNOWN, f"{path} is not made yet")
    try:
        status = look(path, read_status)
    except EngineError as error:
        return Health("sync", State.UNKNOWN, str(error))
    running = holder(context.paths.daemon_lock) is not None
    return sync(status, time.time(), lag, running=running)


def _storage(context: Context) -> Health:
    path, limit = context.paths.tenant_db, context.max_bytes
    if not path.exists():
        return Health("storage", State.UNKNOWN, f"{path} is not made yet")
    try:
        return storage(look(path, lambda snapshot: read_room(snapshot, limit)))
    except EngineError as error:
        return Health("storage", State.UNKNOWN, str(error))


def _hub(context: Context, stage: str) -> Health:
    """A hub lives when its process does; it is ready when it takes connections."""
    folder = context.paths.hub_dir
    pid = holder(folder / "hub.lock")
    if pid is None:
        return Health(stage, State.CRITICAL, f"no hub runs on {folder}")
    if stage == "live":
        return Health(stage, State.OK, f"process {pid}")
    try:
        rows = look(
            folder / "system.db", lambda system: system.rows("SELECT value FROM hub_facts WHERE name = 'address'")
        )
    except EngineError as error:
        return Health(stage, State.CRITICAL, str(error))
    if not rows:
        return Health(stage, State.CRITICAL, f"process {pid} does not listen yet")
    address = urlsplit(str(rows[0][0]))
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.hostname or "", address.hostname)
    try:
        socket.create_connection((host, address.port), TIMEOUT_S).close()
    except OSError as error:
        return Health(stage, State.CRITICAL, f"process {pid}: {address.geturl()}: {error.strerror or error}")
    return Health(stage, State.OK, f"process {pid} takes connections on {address.geturl()}")
