"""How long the built executable takes to start, against bare Python; interleaved, in one run.

`benchmarks/start.py [NAME=FILE …]` measures other built files beside dist/spoke. A "first start" finds no cache; a
"paint" ends when the terminal UI has drawn its last line. Medians and minima of ROUNDS rounds, in milliseconds.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 11
DIST = Path(__file__).parents[1] / "dist" / "spoke"
SIGN_OF_PAINT = b"quit"
LIMIT_S = 60


def timed(*command: str, env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1e3


def paint(*command: str, env: dict[str, str]) -> float:
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, env)
    seen = b""
    while SIGN_OF_PAINT not in seen:
        if not select.select([terminal], [], [], LIMIT_S)[0]:
            raise SystemExit(f"{command[0]} painted nothing")
        seen += os.read(terminal, 1 << 16)
    took = (time.perf_counter() - began) * 1e3
    os.write(terminal, b"q")
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:  # the other end is closed
        os.waitpid(pid, 0)
    os.close(terminal)
    return took


def resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Rss:")[1].split()[0])


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def daemon(command: list[str], env: dict[str, str]) -> str:
    """Processes and resident memory of the idle `spoke run`."""
    socket = Path(env["SPOKE_DATA_DIR"]) / "spoke.sock"
    process = subprocess.Popen([*command, "run"], env=env, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + LIMIT_S
    while not socket.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(2)  # idle
    sizes = [resident(pid) for pid in family(process.pid)]
    process.send_signal(signal.SIGTERM)
    process.wait()
    return f"{len(sizes)} process(es), RSS {sum(sizes) / 1e3:.1f} MB"


def main() -> None:
    files = {"dist/spoke": DIST} | {name: Path(file) for name, _, file in (a.partition("=") for a in sys.argv[1:])}
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": folder,
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "SPOKE_CACHE": f"{folder}/cache",
            "SPOKE_DATA_DIR": f"{folder}/data",
            "SPOKE_CONFIG": f"{folder}/spoke.toml",
        }
        programs = {name: [str(path)] for name, path in files.items()}
        programs["python -m app"] = [sys.executable, "-m", "app"]
        work: dict[tuple[str, str], Callable[[], float]] = {
            ("python -c pass", "nothing"): lambda: timed(sys.executable, "-c", "pass", env=env)
        }

        def first(command: list[str]) -> float:
            shutil.rmtree(f"{folder}/cache", ignore_errors=True)
            return timed(*command, "--version", env=env)

        for name, command in programs.items():
            if name in files:
                work[name, "first start"] = lambda command=command: first(command)  # type: ignore[misc]
            for arguments in ("--version", "status"):
                work[name, arguments] = lambda c=command, a=arguments: timed(*c, a, env=env)  # type: ignore[misc]
            work[name, "paint"] = lambda command=command: paint(*command, env=env)  # type: ignore[misc]
        subprocess.run([*programs["python -m app"], "record", "--", "true"], env=env, check=True)
        found: dict[tuple[str, str], list[float]] = {key: [] for key in work}
        for _ in range(ROUNDS):
            for key, measure in work.items():
                found[key].append(measure())
        for name, path in files.items():
            print(f"{name}: {path.stat().st_size / 1e6:.1f} MB; {daemon(programs[name], env)}")
        print(f"python -m app: {daemon(programs['python -m app'], env)}")
        for (name, what), times in found.items():
            print(f"{name:16} {what:12} median {statistics.median(times):7.1f}  min {min(times):7.1f} ms")


if __name__ == "__main__":
    main()
