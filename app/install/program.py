"""The programs of releases at work, each in a process: what they say of themselves, what they do with the data."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.backup import is_tenant
from app.environment import child_environment
from app.install.layout import InstallError
from app.paths import Paths
from app.systemd_unit import HUB, NAME
from storage import engine
from storage.process_lock import holder

LIMIT_S = 3_600.0
"""A backup of a large database takes its time."""


class Schemas(msgspec.Struct, frozen=True):
    """The newest schema versions that a program knows: of a tenant's file, of a hub's own."""

    tenant: int
    system: int


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a release: why it does not work (None: it does), and which processes did, with what failures.

    Two looks with the same `mark` have seen the same processes, of which nothing crashed between them.
    """

    reason: str | None
    mark: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a release and the data it is to work with.

    For root it runs as the owner of the data, so that nothing there becomes root's.
    """

    file: Path
    paths: Paths

    def run(self, *arguments: str, timeout_s: float = LIMIT_S) -> str:
        """Return what a command printed.

        Raises:
            InstallError: it failed, or did not end in time; the message is its own last line.
        """
        command = [str(self.file), f"--data-dir={self.paths.data_dir}", f"--config={self.paths.config_file}"]
        try:
            done: subprocess.CompletedProcess[str] = subprocess.run(
                [*command, *arguments],
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                cwd="/",
                **_owner(self.paths.data_dir),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallError(f"{' '.join(arguments)}: {error}") from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise InstallError(f"{arguments[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
        return done.stdout

    def schemas(self) -> Schemas:
        """What it can read."""
        try:
            return msgspec.json.decode(self.run("selftest", "--schemas", timeout_s=60), type=Schemas)
        except msgspec.DecodeError as error:
            raise InstallError(f"{self.file}: it does not say which databases it reads: {error}") from error

    def look(self, units: tuple[str, ...]) -> Look:
        """How it works with the data as it is now. Opens the database, which migrates it.

        The services that are to run have to answer, none of a node's crashing, and a hub's has to take connections.
        """
        mark: list[Any] = []
        try:
            if NAME in units or self.paths.tenant_db.is_file():
                said: dict[str, Any] = json.loads(self.run("status", "--json", timeout_s=600))
                services = said.get("services", [])
                if NAME in units and not services:
                    return Look("the services do not answer")
                failing = [f"{one['name']}: {one['error']}" for one in services if one["state"] == "waiting"]
                if failing:
                    return Look(f"failing: {'; '.join(failing)}")
                mark += [said.get("daemonPid"), sum(one.get("failures", 0) for one in services)]
            if HUB in units:
                mark.append(self.run("health", "--hub", "ready", timeout_s=60))
        except (InstallError, ValueError) as error:
            return Look(str(error))
        return Look(None, tuple(mark))


def newer(paths: Paths, known: Schemas) -> list[str]:
    """The databases, by their place, that are newer than what a program knows."""
    found = []
    for path in paths.databases:
        db = engine.open(path, read_only=True, max_readers=1)
        try:
            with db.snapshot() as snapshot:
                ((version,),) = snapshot.rows("PRAGMA user_version")
        finally:
            db.close()
        if version > (known.tenant if is_tenant(path.name) else known.system):
            found.append(str(path.relative_to(paths.data_dir)))
    return found


def works_there(paths: Paths, *, but: tuple[str, ...] = ()) -> int | None:
    """The process that runs the services or the hub of this data, None if there is none; units in `but` may."""
    locks = {NAME: paths.daemon_lock, HUB: paths.hub_dir / "hub.lock"}
    return next((pid for unit, lock in locks.items() if unit not in but and (pid := holder(lock)) is not None), None)


def make_owned(folder: Path, like: Path) -> None:
    """Make a folder (0700) of the owner of another."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)


def _owner(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0 or not folder.exists():
        return {}
    found = folder.stat()
    return {} if found.st_uid == 0 else {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
