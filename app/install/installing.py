"""The first release comes onto a machine, and all of it goes again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.install.extras import files, give_to_account, has_account, lay_out, make_account
from app.install.layout import Installed, InstallError, Layout, make_folder, point, write
from app.install.program import works_there
from app.install.releases import prune, take_in, tidy
from app.install.service import Service
from app.paths import Paths
from app.systemd_unit import ACCOUNT, HUB, SYSTEM_CONFIG, SYSTEM_DATA, unit_names
from storage.private_file import sync
from storage.process_lock import ProcessLock, refuse_held

TARGET = "../lib/spoke/current/spoke"
"""What `bin/spoke` links to."""


def planned(layout: Layout, paths: Paths, *, service: bool, hub: bool = False) -> Installed:
    """What `install` will note, and with what data: a service of the machine has its own places.

    `service` is a node's, `hub` a hub's; both work with the same data.

    Raises:
        InstallError: other places were asked for.
    """
    before = layout.installed()
    units = unit_names(node=service, hub=hub)
    if units and layout.system and paths != Paths(SYSTEM_DATA, SYSTEM_CONFIG):
        raise InstallError(
            f"a service of the machine has its data in {SYSTEM_DATA} and its configuration in {SYSTEM_CONFIG}",
            "leave --data-dir, --config and SPOKE_… out; or say --user, or --no-service",
        )
    made = [str(path) for path in files(layout, units)]
    kept = () if before is None else tuple(name for name in before.files if name not in made)
    previous, backup = (None, None) if before is None else (before.previous, before.backup)
    return Installed(
        layout.system, service, str(paths.data_dir), str(paths.config_file), (*made, *kept), previous, backup, hub
    )


def startable(installed: Installed) -> tuple[str, ...]:
    """The units that can start: a hub needs a certificate before, from `spoke hub init`."""
    return tuple(unit for unit in installed.units if unit != HUB or installed.paths.hub_certificates.is_dir())


def steps(layout: Layout, installed: Installed) -> Iterator[str]:
    """What `install` does, a line each, for --print."""
    yield f"unpack this release into {layout.releases}"
    yield f"link {layout.current} to it, and {layout.command} to {TARGET}"
    for name in installed.files:
        if name != str(layout.command):
            yield f"write {name}"
    service, units = Service(layout.system), installed.units
    if not units:
        return
    if layout.system:
        if not has_account():
            yield f"make the account {ACCOUNT}"
        yield f"make {installed.data_dir} for it, and let it read {installed.config_file}"
    if service.manager():
        yield service.command("daemon-reload")
        yield service.command("enable", *units)
        if begins := startable(installed):
            yield service.command("restart", *begins)
    else:
        yield f"(systemd does not run here: {service.command('enable', '--now', *units)} is left to you)"


def install(layout: Layout, file: Path | None, installed: Installed) -> str:
    """Install, or mend what is installed; returns the name of the current release.

    Whatever cuts it off, doing it again goes on from there.

    Args:
        layout: where.
        file: the one file to unpack; None keeps the release that is current.
        installed: see `planned`.

    Raises:
        InstallError: something else is in its place, or there is nothing to install.
        OSError: something cannot be written.
    """
    refuse_foreign(layout, file)
    make_folder(layout.root)
    with ProcessLock(layout.lock):
        release = layout.current_release() if file is None else take_in(layout, file, None)
        if release is None:
            raise InstallError(f"{layout.root}: nothing is installed there", "run `install` of the downloaded file")
        if installed.units and layout.system:
            make_account()
            give_to_account(installed.paths)
        before = layout.installed()
        gone = () if before is None else tuple(unit for unit in before.units if unit not in installed.units)
        Service(layout.system, gone).end()
        for unit in gone:
            (layout.units / unit).unlink(missing_ok=True)
        write(layout.record, installed)
        point(layout.current, f"releases/{release}")
        lay_out(layout, installed, release)
        make_folder(layout.command.parent)
        point(layout.command, TARGET)
        prune(layout, {release, *([installed.previous] if installed.previous else [])})
        service = Service(layout.system, installed.units)
        if installed.units and service.manager():
            service.enable()
            Service(layout.system, startable(installed)).start()
    return release


def refuse_foreign(layout: Layout, file: Path | None) -> None:
    """Refuse to put the command where another program is.

    Raises:
        InstallError: there is one.
    """
    command = layout.command
    if not os.path.lexists(command) or (command.is_symlink() and str(command.readlink()) == TARGET):
        return
    if file is not None and command.exists() and command.samefile(file):
        return  # it was downloaded to just there: the link takes its place, its contents are in the release
    raise InstallError(f"{command} is another program", "move it away, or choose another --prefix")


def going(layout: Layout, installed: Installed, *, purge: bool) -> list[Path]:
    """What `uninstall` removes, of what is there."""
    found = [*map(Path, installed.files), layout.root]
    if purge:
        found += [installed.paths.data_dir, installed.paths.config_file]
    return [path for path in found if os.path.lexists(path)]


def uninstall(layout: Layout, installed: Installed, *, purge: bool) -> None:
    """Stop the service and remove all of `going`. Doing it again goes on where it was cut off.

    Raises:
        InstallError: somebody works with the data that is to go.
        OSError: something cannot be removed.
    """
    service = Service(layout.system, installed.units)
    service.end()
    with ProcessLock(layout.lock):
        _refuse_data_in_use(installed, purge=purge)
        doomed = going(layout, installed, purge=purge)
        tidy(layout)
        # The record of what is here goes last.
        for path in [path for path in doomed if path != layout.root] + [layout.releases, layout.root]:
            _remove(path)
    if installed.units:
        service.reread()


def refuse_while_in_use(layout: Layout, installed: Installed, *, purge: bool) -> None:
    """What `uninstall` would refuse, without doing it; the services, which it ends, may run.

    Raises:
        LockHeldError, InstallError: who is in the way.
    """
    refuse_held(layout.lock)
    _refuse_data_in_use(installed, purge=purge, but=Service(layout.system, installed.units).active())


def _refuse_data_in_use(installed: Installed, *, purge: bool, but: tuple[str, ...] = ()) -> None:
    if purge and (pid := works_there(installed.paths, but=but)) is not None:
        raise InstallError(f"process {pid} works with {installed.data_dir}", "stop it first")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    sync(path.parent)
