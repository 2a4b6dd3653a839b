"""Everything that is looked at, on this machine, each with a limit of time."""

from __future__ import annotations

import locale
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from app import __version__
from app.audit import this_operator
from app.doctor import files, machine, running
from app.doctor.finding import Finding
from app.paths import Paths
from app.views.room import Room, read_room
from storage.copies import last_backup
from storage.engine import Snapshot, sqlite_version
from storage.engine.errors import EngineError
from storage.engine.pauses import paused_queues
from storage.looking import look
from storage.process_lock import holder
from sync.spoke.status import LinkStatus, read_status

if TYPE_CHECKING:
    from app.config import Settings

LIMIT_S = 10.0
FULL_LIMIT_S = 3_600.0

Look: TypeAlias = Callable[[], "Finding | list[Finding] | None"]


@dataclass(frozen=True, slots=True)
class World:
    """What all looks share."""

    paths: Paths
    settings: Settings | None
    """None: the configuration is wrong."""
    link: LinkStatus | None
    """None: there is no database yet, or it cannot be read."""
    full: bool

    @property
    def hub_is_here(self) -> bool:
        """Whether this machine is a hub."""
        return (self.paths.hub_dir / "system.db").exists()

    @property
    def joined(self) -> bool:
        """Whether this node has a hub."""
        return self.settings is not None and self.settings.hub.url is not None


def examine(paths: Paths, flags: tuple[str, ...] = (), *, full: bool = False) -> list[Finding]:
    """Look at everything; never raises and never hangs: a look that takes too long is a finding."""
    configuration, settings = _configuration(paths, flags)
    world = World(paths, settings, limited("link", partial(_link, paths), None, LIMIT_S), full)
    found = [configuration]
    limit_s = FULL_LIMIT_S if full else LIMIT_S
    for name, one in looks(world):
        slow = Finding(
            name, "warning", f"no answer in {limit_s:g} s", "it is not known how it is", "spoke doctor --full"
        )
        result = limited(name, one, slow, limit_s)
        found += result if isinstance(result, list) else [result] if result is not None else []
    return found


def looks(world: World) -> Iterator[tuple[str, Look]]:
    """What is looked at, in the order in which it is shown."""
    paths, settings = world.paths, world.settings
    now_ms = round(time.time() * 1000)
    known = files.mounts(_text("/proc/self/mounts"))
    data = paths.data_dir.resolve()
    there = next(folder for folder in (data, *data.parents) if folder.exists())
    private = files.private_files(paths.data_dir)
    yield "permissions", lambda: files.permissions(paths.data_dir, private, os.geteuid())
    yield "filesystem", lambda: files.filesystem(data, known)
    yield "disk", lambda: files.disk(there, shutil.disk_usage(there).free, shutil.disk_usage(there).total)
    yield "reserve", lambda: files.reserve(paths.reserve, joined=world.joined)
    for path in paths.databases:
        yield "database", partial(_database, paths, path, full=world.full)
        if settings is not None and settings.storage.max_bytes is not None and path != paths.system_db:
            yield "limit", partial(_limit, path, settings.storage.max_bytes)
    yield "copies", lambda: files.copies(paths.databases)
    if paths.tenant_db.exists():
        yield "backup", lambda: running.backup(_of_file(paths.tenant_db, last_backup), now_ms)
        yield "queues", lambda: running.queues(_of_file(paths.tenant_db, paused_queues) or {}, now_ms)
    yield "services", partial(_services, world)
    if settings is not None:
        yield "key", partial(_key, paths, settings)
        for url in settings.hub.addresses:
            yield "hub", partial(_hub, url, settings)
    if (link := world.link) is not None:
        pid = holder(paths.daemon_lock)
        yield "link", lambda: running.link(link, now_ms, running=pid is not None)
        yield "clock", lambda: running.clock(link)
    if world.hub_is_here:
        yield "hub-runs", partial(_own_hub, paths, now_ms)
    yield "sqlite", lambda: machine.sqlite(sqlite_version())
    temporary = Path(tempfile.gettempdir()).resolve()
    frozen = bool(getattr(sys, "frozen", False))
    yield "noexec", lambda: machine.temporary(temporary, files.mount_of(temporary, known), frozen=frozen)
    yield "locale", lambda: machine.encoding(locale.getpreferredencoding(do_setlocale=False), os.environ)
    yield "terminal", lambda: machine.terminal(os.environ, is_terminal=sys.stdout.isatty())
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield "open-files", lambda: machine.open_files(soft, hub=world.hub_is_here)
    inotify = "/proc/sys/fs/inotify"
    yield (
        "inotify",
        lambda: machine.inotify(_text(f"{inotify}/max_user_watches"), _text(f"{inotify}/max_user_instances")),
    )
    if os.geteuid() != 0:
        user, unit = this_operator().user, Path.home() / ".config/systemd/user/spoke.service"
        yield "linger", lambda: machine.linger(unit, Path("/var/lib/systemd/linger") / user, user)


def limited(name: str, find: Callable[[], Any], slow: Any, limit_s: float) -> Any:
    """What a look finds, or `slow` when it takes too long; one that fails is a finding too."""
    result: list[Any] = []

    def work() -> None:
        try:
            result.append(find())
        except Exception as error:  # noqa: BLE001 - a look that fails must not keep the others from being made
            what = f"could not be looked at: {type(error).__name__}: {error}"
            result.append(Finding(name, "warning", what, "it is not known how it is", "report it, please"))

    thread = threading.Thread(target=work, name=f"doctor-{name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    return result[0] if result else slow


def _configuration(paths: Paths, flags: tuple[str, ...]) -> tuple[Finding, Settings | None]:
    from app.config import ConfigError, load

    try:
        settings = load(paths, flags)
    except ConfigError as error:
        what = f"{len(error.problems)} problems: {error.problems[0]}" if len(error.problems) > 1 else str(error)
        return Finding("config", "problem", what, "most commands refuse to run", "spoke config check"), None
    there = str(paths.config_file) if paths.config_file.exists() else f"{paths.config_file} is not there: all defaults"
    return Finding("config", "ok", there), settings


def _link(paths: Paths) -> LinkStatus | None:
    found = _of_file(paths.tenant_db, read_status)
    return found if isinstance(found, LinkStatus) else None


def _of_file(path: Path, read: Callable[[Snapshot], Any]) -> Any:
    """What `read` finds in a database; None where there is none, or it cannot be read: `database` says so."""
    if not path.exists():
        return None
    try:
        return look(path, read)
    except EngineError:
        return None


def _database(paths: Paths, path: Path, *, full: bool) -> list[Finding]:
    from app.checking import check_database

    return files.database(path, check_database(paths, path, quick=not full))


def _limit(path: Path, max_bytes: int) -> Finding | None:
    room = _of_file(path, lambda snapshot: read_room(snapshot, max_bytes))
    return files.limit(path.name, room) if isinstance(room, Room) else None


def _services(world: World) -> list[Finding]:
    from app.services.local_client import ask_health

    paths = world.paths
    pid = holder(paths.daemon_lock)
    return running.services(pid, lambda: ask_health(paths.socket), __version__, joined=world.joined)


def _key(paths: Paths, settings: Settings) -> Finding:
    from sync.link.device import load_device_key

    return running.key(
        paths.device_key, load_device_key, api_key=settings.hub.api_key is not None, hub_id=settings.hub.hub_id
    )


def _hub(url: str, settings: Settings) -> Finding:
    from app.doctor import network

    hub = settings.hub
    return network.hub(url, trust=hub.trust, proxy=hub.proxy, allow_plain=hub.allow_plain)


def _own_hub(paths: Paths, now_ms: int) -> list[Finding]:
    from sync.hub.certificates import load_certificates

    folder = paths.hub_dir
    rows = _of_file(
        folder / "system.db", lambda system: system.rows("SELECT value FROM hub_facts WHERE name='address'")
    )
    own = load_certificates(paths.hub_certificates)
    ends_ms = None if own is None else round(own.server.certificate.not_valid_after_utc.timestamp() * 1000)
    return running.hub(holder(folder / "hub.lock"), rows[0][0] if rows else None, ends_ms, now_ms)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
