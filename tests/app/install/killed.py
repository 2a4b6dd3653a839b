"""`python -m tests.app.install.killed SCENARIO FOLDER`: does it again and again, each time killed one operation later.

An operation is whatever changes a name, opens a file for writing, or starts a program. Prints for each kill what is
there, and what is there after the next command. A process of its own, since it forks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from app.install.layout import read
from app.install.upgrade import Journal, resume, roll_back, upgrade
from tests.app.install.fakes import NOW_WAITING, Machine, on_path, release, schema_of

OPERATIONS = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree", "subprocess.Popen"}
)
AT = datetime(2026, 11, 25, tzinfo=UTC)


def die_before(number: int, counts: Callable[[], bool]) -> None:
    """SIGKILL before the operation of that number, of those that count."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in OPERATIONS or writes) and counts():
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fresh(machine: Machine, files: Path) -> None:
    machine.make_data()


def install(machine: Machine, files: Path) -> None:
    machine.install(files / "spoke-1.0.0")


def follow(machine: Machine, file: Path) -> None:
    upgrade(machine.layout, file, None, allow_downgrade=False, gate=NOW_WAITING, now=AT, tell=lambda text: None)


def good(machine: Machine, files: Path) -> None:
    follow(machine, files / "spoke-2.0.0")


def bad(machine: Machine, files: Path) -> None:
    follow(machine, files / "spoke-3.0.0")


def back(machine: Machine, files: Path) -> None:
    roll_back(machine.layout, restore=True, gate=NOW_WAITING, tell=lambda text: None)


SCENARIOS: dict[str, tuple[tuple[Callable[[Machine, Path], None], ...], Callable[[Machine, Path], None]]] = {
    "install": ((fresh,), install),
    "good": ((fresh, install), good),
    "bad": ((fresh, install), bad),
    "back": ((fresh, install, good), back),
}
"""What is done before, and what is killed."""


def seen(machine: Machine) -> dict[str, object]:
    release, journal = machine.layout.current_release(), read(machine.layout.journal, Journal)
    return {
        "step": None if journal is None else journal.step,
        "current": release and release.partition("-")[0],
        "runs": machine.layout.command.exists(),
        "schema": schema_of(machine.paths) if machine.paths.tenant_db.exists() else None,
        "state": machine.state,
    }


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def main(name: str, folder: Path) -> None:
    files = folder / "files"
    for version, schema, broken in (("1.0.0", 1, 0), ("2.0.0", 2, 0), ("3.0.0", 2, 1)):
        release(files, version, schema=schema, broken=broken)
    machine = Machine(folder / "machine")
    machine.make()
    os.environ["PATH"] = on_path(machine)
    before, killed = SCENARIOS[name]
    for each in before:
        each(machine, files)
    shutil.copytree(machine.folder, folder / "template", symlinks=True)
    number = 0
    while True:
        number += 1
        shutil.rmtree(machine.folder)
        shutil.copytree(folder / "template", machine.folder, symlinks=True)
        child = os.fork()
        if child == 0:
            # Until it is undone, an upgrade that fails is one that succeeds.
            die_before(number, lambda: name != "bad" or b'"undoing"' in _bytes(machine.layout.journal))
            killed(machine, files)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        cut = seen(machine)
        if name == "install":
            install(machine, files)
        else:
            resume(machine.layout, NOW_WAITING, lambda text: None)
        after = seen(machine) | {"left": machine.leftovers()}
        print(json.dumps({"done": status == 0, "cut": cut, "after": after}), flush=True)
        if status == 0:
            return
        assert os.WIFSIGNALED(status), status


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
