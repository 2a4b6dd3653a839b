"""`python -m tests.app.killed_restore FOLDER BACKUP`: restores again and again, each time killed one operation later.

An operation is whatever changes names or opens a file for writing. Prints for each kill whether it had been decided,
and what is there when somebody opens the directory as a command does. A process of its own, since it forks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from app.paths import Paths
from app.restore import finish_restore, restore
from storage.replacing import waits
from tests.app.backups import SECRET, marks

OPERATIONS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"})


def die_before(number: int) -> None:
    """SIGKILL before the operation of that number."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in OPERATIONS or writes:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def keys(paths: Paths) -> list[str]:
    return [(paths.data_dir / name).read_text() for name in SECRET]


def main(folder: Path, backup: Path) -> None:
    number = 0
    while True:
        number += 1
        paths = Paths(folder / "data", folder / "spoke.toml")
        shutil.rmtree(paths.data_dir, ignore_errors=True)
        shutil.copytree(folder / "template", paths.data_dir)
        child = os.fork()
        if child == 0:
            die_before(number)
            restore(paths, backup, passphrase="horse", replace=True, now_ms=1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        decided = waits(paths.data_dir)
        finish_restore(paths)
        found = {"decided": decided, "marks": marks(paths), "keys": keys(paths)}
        print(json.dumps({"done": status == 0, **found}), flush=True)
        if status == 0:
            return
        assert os.WIFSIGNALED(status), status


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
