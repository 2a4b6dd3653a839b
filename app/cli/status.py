"""`spoke status`."""

from __future__ import annotations

from typing import Any

import click
from msgspec import to_builtins

from app import __version__
from app.cli.context import Context, as_wanted, json_option, now, print_json, say
from app.cli.projecting import project
from app.views.link import link_details
from app.views.overview import copy_lines, read_overview
from app.views.queue_text import paused_note
from app.views.report import session_line
from app.views.room import room_json, room_note, room_text
from app.views.text import count, of
from storage.process_lock import holder


@click.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """What this node holds and how it stands.

    \b
    Example:
      spoke status
    """
    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            found = read_overview(snapshot, db.max_bytes)
    pid = holder(context.paths.daemon_lock)
    services = _services(context) if pid else []
    if as_json:
        print_json(
            {
                "version": __version__,
                "nodeId": found.node_id,
                "dataDir": str(context.paths.data_dir),
                "daemonPid": pid,
                "services": services,
                "link": {"state": found.link.state, "unsent": found.link.unsent, "errorCode": found.link.error_code},
                "sessions": found.sessions,
                "activeSessions": found.active_sessions,
                "calls": found.calls,
                "events": found.events,
                "rejectedEvents": found.rejects,
                "pausedQueues": list(found.paused),
                "sizeBytes": found.size_bytes,
                "storage": room_json(found.room),
                "lastBackup": to_builtins(found.backup),
                "restored": to_builtins(found.restored),
            }
        )
        return
    now_ms = round(now().timestamp() * 1000)
    lines = [
        f"node       {found.node_id}",
        f"program    {_program()}",
        f"data       {context.paths.data_dir} ({found.size_bytes / 1e6:.1f} MB)",
        f"services   {_told(pid, services)}",
        f"holds      {of(found.sessions, 'session')} ({count(found.active_sessions)} active),"
        f" {of(found.calls, 'call')}, {of(found.events, 'event')}",
    ]
    lines += [] if found.room.max_bytes is None else [f"storage    {room_text(found.room)}"]
    lines += copy_lines(found, now_ms, as_wanted())
    if full := room_note(found.room):
        lines.append(f"attention  {full[0]}: {full[1]}; {full[2]}")
    lines += [
        f"attention  service {one['name']} failed {one['failures']} times and is tried again: {one['error']}"
        for one in services
        if one["state"] == "waiting"
    ]
    if note := paused_note(found.paused, now_ms):
        lines.append(f"attention  {': '.join(note)}")
    if found.rejects:
        lines.append(f"attention  {of(found.rejects, 'event')} not of the stream's kind (table projection_rejects)")
    details = link_details(found.link, now_ms, running=pid is not None, when=as_wanted())
    lines += ["", *details, ""]
    lines += [session_line(row, 100, when=as_wanted()) for row in found.recent[:5]]
    click.echo("\n".join(lines).rstrip())


def _program() -> str:
    """The version, and where it is installed, if it is."""
    from app.install.layout import running

    layout = running()
    return __version__ if layout is None else f"{__version__}, {layout.current_release()} in {layout.root}"


def _services(context: Context) -> list[dict[str, Any]]:
    """The services as the process that runs them tells; none when it does not answer."""
    from app.services.local_client import NoDaemonError, ask_health

    try:
        found: list[dict[str, Any]] = ask_health(context.paths.socket)["services"]
    except NoDaemonError as error:
        say(f"the services do not answer on {context.paths.socket}: {error}")
        return []
    return found


def _told(pid: int | None, services: list[dict[str, Any]]) -> str:
    if pid is None:
        return "not running here: spoke run"
    running = sum(one["state"] == "running" for one in services)
    return f"process {pid}" + (f", {running} of {len(services)} running" if services else "")
