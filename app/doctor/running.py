"""Looks at what runs: the services, their version, the link, the clock, backups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.doctor.finding import Finding
from app.services.local_client import NoDaemonError
from app.views.link import SKEW_MS, link_line
from app.views.queue_text import paused_note
from app.views.text import duration, of, since
from storage.copies import BackupNote
from sync.spoke.status import LinkStatus

OLD_BACKUP_MS = 7 * 86_400_000


def services(pid: int | None, ask: Callable[[], dict[str, Any]], version: str, *, joined: bool) -> list[Finding]:
    """Whether the services run, answer, and are of this version. `ask` is `ask_health`."""
    if pid is None:
        if joined:
            why = "nothing is sent to the hub, schedules and queues rest"
            return [Finding("services", "warning", "not running", why, "spoke run, or leave the terminal UI open")]
        return [Finding("services", "ok", "not running; spoke run starts them")]
    try:
        said = ask()
    except NoDaemonError as error:
        what = f"process {pid} runs but does not answer: {error}"
        why = "it hangs, was just started, or is of an older version"
        return [Finding("services", "problem", what, why, "look at its log; restart it")]
    found = []
    crashed = [f"{one['name']}: {one['error']}" for one in said["services"] if one["state"] == "waiting"]
    if crashed:
        fix = "look at its log; it tries again by itself"
        found.append(Finding("services", "problem", "; ".join(crashed), "it crashed and is started again", fix))
    else:
        found.append(Finding("services", "ok", f"process {pid}, {of(len(said['services']), 'service')}"))
    runs = said.get("version", "of an older version")
    if runs == version:
        found.append(Finding("version", "ok", version))
    else:
        what = f"{runs} runs, this is {version}"
        found.append(Finding("version", "warning", what, "what runs is not what was installed", "restart what runs"))
    return found


def link(status: LinkStatus, now_ms: int, *, running: bool) -> Finding:
    """How the link stands."""
    line = link_line(status, now_ms, running=running).partition(" ")[2]  # the glyph is ours
    if status.state == "refused":
        return Finding("link", "problem", line, status.error or "the hub refused this node", status.hint or "")
    if status.paused_at_ms is not None:
        return Finding("link", "warning", line, "somebody has paused it", "spoke sync resume")
    if running and status.state == "offline":
        return Finding("link", "warning", line, status.error or "the hub is not reached", status.hint or "see: hub")
    return Finding("link", "ok", line)


def queues(paused: Mapping[str, int], now_ms: int) -> Finding:
    """Whether queues rest (name, since when in unix seconds)."""
    note = paused_note(paused, now_ms)
    if note is None:
        return Finding("queues", "ok", "none is paused")
    return Finding("queues", "warning", note[0], "somebody has paused it: its jobs wait", note[1])


def clock(status: LinkStatus) -> Finding:
    """Whether this machine's clock is that of the hub."""
    if status.skew_ms is None:
        return Finding("clock", "ok", "not compared with a hub's yet")
    way = "ahead of" if status.skew_ms > 0 else "behind"
    what = f"{duration(abs(status.skew_ms))} {way} the hub's"
    if abs(status.skew_ms) <= SKEW_MS:
        return Finding("clock", "ok", what)
    return Finding(
        "clock",
        "warning",
        what,
        "deadlines and certificates are judged by it",
        "timedatectl set-ntp true, or the hub's",
    )


def backup(note: BackupNote | None, now_ms: int) -> Finding:
    """How old the last backup is, if this node knows of one."""
    if note is None:
        return Finding("backup", "ok", "none was made here; spoke backup FILE makes one")
    what = f"{since(note.at_ms, now_ms)}: {note.file}"
    if now_ms - note.at_ms <= OLD_BACKUP_MS:
        return Finding("backup", "ok", what)
    return Finding("backup", "warning", what, "what came since is on this disk alone", "spoke backup FILE")


def key(path: Path, load: Callable[[Path], object], *, api_key: bool, hub_id: str | None) -> Finding:
    """Whether this node has a key that it can show to its hub. `load` reads the file, or raises."""
    if api_key:
        return Finding("key", "ok", "an API key")
    if hub_id is None:
        return Finding("key", "ok", "not needed: no hub")
    try:
        load(path)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        fix = getattr(error, "hint", "") or "join again with a new token: spoke join URL"
        return Finding("key", "problem", str(error), "the hub cannot be told who this is", fix)
    return Finding("key", "ok", f"{path.name} is there and can be read")


def hub(pid: int | None, address: str | None, certificate_ends_ms: int | None, now_ms: int) -> list[Finding]:
    """How the hub of this machine stands; `certificate_ends_ms` is its own server certificate's, if it has one."""
    where = f" on {address}" if address else ""
    found = [
        Finding("hub-runs", "ok", f"process {pid}{where}")
        if pid is not None
        else Finding(
            "hub-runs", "warning", "not running", "spokes cannot send; they keep their events", "spoke hub run"
        )
    ]
    if certificate_ends_ms is not None:
        days = (certificate_ends_ms - now_ms) // 86_400_000
        what = f"ends in {of(max(0, days), 'day')}" if days >= 0 else "has ended"
        if days < 0:
            fix = "spoke hub init --renew, then restart the hub"
            found.append(Finding("certificate", "problem", what, "no spoke can connect", fix))
        elif days < 14:
            fix = "restart the hub: it renews its certificate"
            found.append(Finding("certificate", "warning", what, "spokes cannot connect after that", fix))
        else:
            found.append(Finding("certificate", "ok", what))
    return found
