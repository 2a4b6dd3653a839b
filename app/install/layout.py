"""Where an installed Spoke is, below one prefix, and what was installed there.

`lib/spoke/releases/VERSION-HASH` are release folders, `lib/spoke/current` a link to one of them, `bin/spoke` a link to
the program in that one. Data is elsewhere (`app.paths`): removing the program leaves it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from app.paths import Paths
from app.systemd_unit import unit_names
from storage.private_file import sync, write_private

READABLE = 0o644
FOLDER = 0o755


class InstallError(Exception):
    """It cannot be installed, upgraded or removed like this; nothing was changed unless the message says so."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Installed(msgspec.Struct, frozen=True):
    """What `spoke install` made beside the releases; the file `installed.json`.

    `service` is whether a node has one, `hub` whether a hub has. `files` are those outside of `lib/spoke`. `previous`
    is the release before the current one, and `backup` what was saved before the step from that to this.
    """

    system: bool
    service: bool
    data_dir: str
    config_file: str
    files: tuple[str, ...] = ()
    previous: str | None = None
    backup: str | None = None
    hub: bool = False

    @property
    def units(self) -> tuple[str, ...]:
        """The names of its services."""
        return unit_names(node=self.service, hub=self.hub)

    @property
    def paths(self) -> Paths:
        """The data that upgrades look after."""
        return Paths(Path(self.data_dir), Path(self.config_file))


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one installation."""

    prefix: Path
    system: bool
    units: Path
    """Where its systemd units belong."""

    @property
    def root(self) -> Path:
        """All that is ours."""
        return self.prefix / "lib" / "spoke"

    @property
    def releases(self) -> Path:
        """The release folders."""
        return self.root / "releases"

    @property
    def current(self) -> Path:
        """The link that says which release counts."""
        return self.root / "current"

    @property
    def command(self) -> Path:
        """What people type."""
        return self.prefix / "bin" / "spoke"

    @property
    def record(self) -> Path:
        """`Installed`."""
        return self.root / "installed.json"

    @property
    def journal(self) -> Path:
        """An upgrade that is going on, or was cut off."""
        return self.root / "upgrade.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the installation."""
        return self.root / "lock"

    def installed(self) -> Installed | None:
        """What was installed, None if nothing was.

        Raises:
            InstallError: the record is damaged.
        """
        return read(self.record, Installed)

    def current_release(self) -> str | None:
        """The name of the release that counts."""
        return self.current.readlink().name if self.current.is_symlink() else None

    def program(self, release: str) -> Path:
        """The program of a release."""
        return self.releases / release / "spoke"


def choose(system: bool | None, prefix: Path | None) -> Layout:
    """Return the layout: for the machine (below /usr/local) or for one person (~/.local); root's choice is the machine.

    Nothing said, it is that of the release which is running, if one is.
    """
    if system is None and prefix is None and (own := running()) is not None:
        return own
    if system is None:
        known = None if prefix is None else read(prefix.absolute() / "lib" / "spoke" / "installed.json", Installed)
        system = os.geteuid() == 0 if known is None else known.system
    if prefix is None:
        prefix = Path("/usr/local") if system else Path.home() / ".local"
    return Layout(prefix.absolute(), system, _units(system))


def running() -> Layout | None:
    """That of the release that is running; None for the one file, a package's, or Python sources."""
    program = Path(sys.executable).resolve()
    if not getattr(sys, "frozen", False) or len(program.parents) < 5 or program.parents[1].name != "releases":
        return None
    prefix = program.parents[4]
    known = read(program.parents[2] / "installed.json", Installed)
    return None if known is None else Layout(prefix, known.system, _units(known.system))


def _units(system: bool) -> Path:
    if system:
        return Path("/etc/systemd/system")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


Kept = TypeVar("Kept", bound=msgspec.Struct)


def read(path: Path, kind: type[Kept]) -> Kept | None:
    """Read one of our small files, None if there is none.

    Raises:
        InstallError: it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise InstallError(f"{path}: {error}", "remove it and run: spoke install") from error


def write(path: Path, value: msgspec.Struct) -> None:
    """Write one of our small files, whole or not at all; it is on the disk when this returns."""
    write_private(path, msgspec.json.format(msgspec.json.encode(value)).decode() + "\n", mode=READABLE)


def make_folder(path: Path) -> None:
    """Make a folder that everybody may read, and those above it, whatever the umask."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(FOLDER)
        path.chmod(FOLDER)
        sync(path.parent)


def point(link: Path, target: str) -> None:
    """Let a link name another target, in one step; on the disk when this returns."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
    sync(link.parent)
