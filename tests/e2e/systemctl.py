"""`systemctl --user` for a machine without systemd: it starts what units say, and waits until that says it is ready.

`systemctl.py FOLDER ARGUMENTS`; FOLDER has the pids of what runs, by unit, and what they print. Restarts nobody.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 60.0


def main(folder: Path, words: list[str]) -> int:
    verb, *names = [word for word in words if not word.startswith("--")]
    units = {name: Path(os.environ["HOME"], ".config", "systemd", "user", name) for name in names}
    match verb:
        case "is-system-running":
            print("running")
        case "is-active":
            print(*("active" if pid_of(folder, name) else "inactive" for name in units), sep="\n")
        case "restart":
            for name, unit in units.items():
                stop(folder, name)
                if not start(folder, name, unit):
                    print(f"{name} did not start", file=sys.stderr)
                    return 1
        case "stop" | "disable":
            for name in units:
                stop(folder, name)
    return 0


def pid_of(folder: Path, name: str) -> int | None:
    """The process that runs a unit. Who waits for one that has ended is not ours to say: it may be a zombie."""
    try:
        pid = int((folder / name).read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None
    return None if state == "Z" else pid


def stop(folder: Path, name: str) -> None:
    limit, pid = time.monotonic() + LIMIT_S, pid_of(folder, name)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while pid_of(folder, name) is not None:
        assert time.monotonic() < limit
        time.sleep(0.02)


def start(folder: Path, name: str, unit: Path) -> bool:
    lines = [line.partition("=") for line in unit.read_text().splitlines() if "=" in line]
    said = {key: value for key, _, value in lines}
    own = dict(word.split("=", 1) for word in shlex.split(said["Environment"]))
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (folder / f"{name}.log").open("ab") as log:
        told.bind(str(address))
        told.settimeout(0.1)
        process = subprocess.Popen(
            shlex.split(said["ExecStart"]),
            env={**os.environ, **own, "NOTIFY_SOCKET": str(address)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        (folder / name).write_text(str(process.pid))
        limit = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < limit:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in told.recv(4096):
                    return True
    return False


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
