"""`spoke health`: for Nagios, Icinga, container probes. Imports little: it runs every few seconds."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import click

from app.cli.context import Context, json_option, print_json
from app.services.local_client import NoDaemonError, ask_health
from app.views.health import Health, Lag, State, sync, worst
from storage.engine import Snapshot
from storage.engine.errors import EngineError
from storage.looking import look
from storage.process_lock import holder
from sync.spoke.status import LinkStatus, read_status, unsent_since

TIMEOUT_S = 5.0


@click.command()
@click.argument("stage", type=click.Choice(["live", "ready", "sync"]), required=False)
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
    live   the services run and answer
    ready  and none of them has crashed, or is still catching up with the log
    sync   the hub has what is here, but for so many events or seconds

    Without one, all three; the worst counts. These exit codes are those of
    monitoring plugins, not of other commands.
    """
    if hub and stage == "sync":
        raise click.UsageError("a hub has nothing to send: live, ready")
    lag = Lag(lag_warning, lag_critical, age_warning, age_critical)
    stages = [stage] if stage else ["ready"] if hub else ["ready", "sync"]  # what is ready is live
    found = [
        _hub(context, one) if hub else _sync(context, lag) if one == "sync" else _node(context, one) for one in stages
    ]
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
        status, since = look(path, _link)
    except EngineError as error:
        return Health("sync", State.UNKNOWN, str(error))
    running = holder(context.paths.daemon_lock) is not None
    return sync(status, since, time.time(), lag, running=running)


def _link(snapshot: Snapshot) -> tuple[LinkStatus, int | None]:
    """How the link stands, and when the oldest event came that the hub has not."""
    status = read_status(snapshot)
    since = [at for stream in status.streams if (at := unsent_since(snapshot, stream)) is not None]
    return status, min(since, default=None)


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
