"""Releases of a few lines of shell, a database for them, and a systemctl that does as it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.install.gate import Gate
from app.install.installing import install, planned
from app.install.layout import Layout
from app.paths import Paths
from app.systemd_unit import HUB
from storage.tenants import open_tenant_database

USER_VERSION = 60
"""Where it is in the header of an SQLite file, four bytes."""
NOW_WAITING = Gate(limit_s=0.0, steady_s=0.0)

FILE = """#!/bin/sh
[ "$1" = --unpack ] || exit 2
mkdir "$2" || exit 73
cp '{tree}'/* "$2"
"""
# Migrates as ours does: when it opens a database. `broken` does not work, but its self-test does not see that.
PROGRAM = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for word; do
  case $word in
    --data-dir=*) data=${{word#*=}}; shift;;
    --config=*) shift;;
    *) break;;
  esac
done
db=$data/tenant-local.db
opened() {{
  [ -f "$db" ] || return 0
  found=$(od -An -j63 -N1 -tu1 "$db")
  [ "$found" -le {schema} ] || {{ echo "spoke: schema $found, this program knows {schema}" >&2; exit 65; }}
  [ "$found" -eq {schema} ] || {{ cp "$here/migrated.db" "$db.new"; mv "$db.new" "$db"; }}
  rm -f "$db-wal" "$db-shm"
}}
case $1 in
  --version) echo "spoke {version}";;
  selftest) if [ "$2" = --schemas ]; then echo '{{"tenant": {schema}, "system": 1}}'; else exit {selftest}; fi;;
  completion|man|install) echo "$1 $2 of {version}";;
  run) opened; exit {broken};;
  status) opened; [ {broken} = 0 ] || {{ echo "spoke: broken" >&2; exit 1; }}
    echo '{{"services": [{{"name": "projector", "state": "running"}}]}}';;
  backup) opened; cp "$db" "$2.new"; mv "$2.new" "$2";;
  db) echo "$2 $3" > "$data/asked";;
  health) echo "OK";;
  restore) cp "$2" "$db.new"; rm -f "$db-wal" "$db-shm"; mv "$db.new" "$db";;
  *) exit 2;;
esac
"""
SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/asked"
[ "$1" = --user ] && shift
start() { if "$(cat "$here/command")" "--data-dir=$(cat "$here/data")" run; then echo active; else echo failed; fi; }
verb=$1
[ "$verb" != is-system-running ] || cat "$here/manager"
for unit; do
  case $unit in spoke.service) state=$here/state;; *.service) state=$here/state.$unit;; *) continue;; esac
  case $verb in
    is-active) cat "$state";;
    restart) start > "$here/new"; mv "$here/new" "$state"; grep -q active "$state" || exit 1;;
    stop|disable) echo inactive > "$here/new"; mv "$here/new" "$state";;
  esac
done
"""


def release(folder: Path, version: str, *, schema: int = 1, selftest: int = 0, broken: int = 0) -> Path:
    """The one file of a release."""
    tree = folder / f"tree-{version}"
    tree.mkdir(parents=True)
    database(tree / "migrated.db", schema)
    text = PROGRAM.format(version=version, schema=schema, selftest=selftest, broken=broken)
    (tree / "MANIFEST").write_text(text)
    for path, content in ((tree / "spoke", text), (folder / f"spoke-{version}", FILE.format(tree=tree))):
        path.write_text(content)
        path.chmod(0o755)
    return folder / f"spoke-{version}"


def database(path: Path, schema: int) -> None:
    """A tenant's file that says it has this schema version."""
    open_tenant_database(path).close()
    with path.open("r+b") as file:
        file.seek(USER_VERSION)
        file.write(schema.to_bytes(4, "big"))


def schema_of(paths: Paths) -> int:
    """Which one the node's database has."""
    with paths.tenant_db.open("rb") as file:
        file.seek(USER_VERSION)
        return int.from_bytes(file.read(4), "big")


@dataclass(frozen=True)
class Machine:
    """A person's machine, with a systemd below them."""

    folder: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "home" / ".local", False, self.folder / "home" / "units")

    @property
    def paths(self) -> Paths:
        return Paths(self.folder / "data", self.folder / "etc" / "spoke.toml")

    @property
    def bin(self) -> Path:
        """What has to be in front of the PATH."""
        return self.folder / "bin"

    def make(self, *, manager: str = "running") -> None:
        """systemd, without anything of ours."""
        self.bin.mkdir(parents=True)
        for name, text in (
            ("systemctl", SYSTEMCTL),
            ("manager", f"{manager}\n"),
            ("state", "inactive\n"),
            (f"state.{HUB}", "inactive\n"),
            ("asked", ""),
            ("command", str(self.layout.command)),
            ("data", str(self.paths.data_dir)),
        ):
            (self.bin / name).write_text(text)
        (self.bin / "systemctl").chmod(0o755)

    def make_data(self) -> None:
        """The database of a node that is as old as the first release."""
        self.paths.data_dir.mkdir(parents=True)
        database(self.paths.tenant_db, 1)

    def install(self, file: Path, *, service: bool = True, hub: bool = False) -> str:
        """Install a file."""
        return install(self.layout, file, planned(self.layout, self.paths, service=service, hub=hub))

    @property
    def state(self) -> str:
        """That of the service."""
        return (self.bin / "state").read_text().strip()

    def asked(self) -> list[str]:
        """What systemctl was told, without the questions."""
        lines = (self.bin / "asked").read_text().splitlines()
        return [line.removeprefix("--user ") for line in lines if " is-" not in f" {line.removeprefix('--user ')}"]

    def leftovers(self) -> list[str]:
        """What should not be there when nothing goes on."""
        root = self.layout.root
        found = [path for path in (*root.glob(".*"), *self.layout.releases.glob(".*"))]
        return sorted(path.name for path in (*found, *root.glob("upgrade.json")))


def on_path(machine: Machine) -> str:
    """The PATH of that machine."""
    return f"{machine.bin}:{os.environ['PATH']}"
