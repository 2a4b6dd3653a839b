"""The terminal UI on a real pty of 80x24: first paint, and bytes a second when nothing and when something happens.

The floors: an interpreter that does nothing, and one that imports Textual; for bytes, the text of one line.
SPOKE_BINARY=dist/spoke measures the built executable, otherwise it runs from source.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from storage.engine import Database
from storage.tenants import open_tenant_database

ROUNDS = 7
SPOKE = [os.environ["SPOKE_BINARY"]] if os.environ.get("SPOKE_BINARY") else [sys.executable, "-m", "app"]
WATCHED_S = 12.0
LINE = 80
"""Bytes of a line of text."""


class Pty:
    """A program on a pty; counts what it writes."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = b""

    def read(self, seconds: float) -> int:
        """Read for so long; the number of bytes that came."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                piece = os.read(self.master, 65536)
                self.seen += piece
                count += len(piece)
        return count

    def wait(self, words: bytes) -> float:
        """Seconds from the start until the words were written."""
        while words not in self.seen:
            self.read(0.002)
            assert time.perf_counter() < self.began + 60, self.seen[-2000:]
        return time.perf_counter() - self.began

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self.master)


def run_ms(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def publish(db: Database, session: str, call: str, kind: str, **more: object) -> None:
    payload = {"type": kind, "requestId": call, "metadata": {"sessionId": session}, **more}
    db.stream("call-protocol").publish(payload, key=call)


def starts(environment: dict[str, str]) -> None:
    bare: list[float] = []
    textual: list[float] = []
    painted: list[float] = []
    status: list[float] = []
    for _ in range(ROUNDS):
        bare.append(run_ms(sys.executable, "-c", "pass"))
        textual.append(run_ms(sys.executable, "-c", "import textual.app"))
        began = time.perf_counter()
        subprocess.run([*SPOKE, "status"], env=environment, check=True, stdout=subprocess.DEVNULL)
        status.append((time.perf_counter() - began) * 1000)
        screen = Pty(SPOKE, environment)
        painted.append(screen.wait(b"of the bench") * 1000)
        screen.end()
    floor = statistics.median(bare)
    for name, values in (
        ("python -c pass", bare),
        ("python -c 'import textual.app'", textual),
        ("spoke status", status),
        ("first paint of the TUI", painted),
    ):
        middle = statistics.median(values)
        print(f"{name:<34} {middle:6.0f} ms, {middle / floor:5.1f} times the bare interpreter")


def bytes_over_ssh(environment: dict[str, str], db: Database) -> None:
    """The tail again, as it is over ssh."""
    screen = Pty(SPOKE, environment | {"SSH_TTY": "/dev/pts/0"})
    screen.wait(b"of the bench")
    for key in b"4\r":
        os.write(screen.master, bytes([key]))
        screen.read(2)
    total, updates = 0, round(WATCHED_S * 4)
    for number in range(updates):
        publish(db, "s1", f"ssh-{number}", "call.requested", operationId="x.y")
        total += screen.read(0.25)
    print(f"tail of a stream over ssh, 4 times a second: {total / WATCHED_S:,.0f} bytes/s")
    screen.end()


def bytes_written(environment: dict[str, str], db: Database) -> None:
    screen = Pty(SPOKE, environment)
    screen.wait(b"of the bench")
    screen.read(3)  # the first picture and what the services write when they begin
    os.write(screen.master, b"2")
    screen.read(2)
    print(f"idle for {WATCHED_S:.0f} s: {screen.read(WATCHED_S) / WATCHED_S:.1f} bytes/s")
    for name, keys, sign in (
        ("sessions: a row changes", b"2", b"sessions 1"),
        ("tail of a stream: a row comes", b"4\r", b"following"),
        ("waterfall of a running session: a call comes", b"2\r", b"running"),
    ):
        for key in keys:
            os.write(screen.master, bytes([key]))
            screen.read(2)
        assert sign in screen.seen, screen.seen[-2000:]
        screen.seen = b""
        total, updates = 0, round(WATCHED_S * 4)
        for number in range(updates):
            publish(db, "s1", f"{name}-{number}", "call.requested", operationId="x.y")
            total += screen.read(0.25)
        rate = total / WATCHED_S
        print(f"{name}, 4 times a second: {rate:,.0f} bytes/s = {total / updates / LINE:.1f} lines of text an update")
    screen.end()


def main() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {
            "SPOKE_DATA_DIR": folder,
            "SPOKE_CONFIG": f"{folder}/spoke.toml",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        db = open_tenant_database(Path(folder) / "tenant-local.db")
        db.stream("session-events").publish(
            {
                "type": "session.started",
                "sessionId": "s1",
                "title": "of the bench",
                "source": "x",
                "slug": "s",
                "timestamp": "2026-11-01T08:00:00Z",  # an age in days: one in seconds is painted when it changes
            }
        )
        subprocess.run([*SPOKE, "status"], env=environment, check=True, stdout=subprocess.DEVNULL)
        starts(environment)
        bytes_written(environment, db)
        bytes_over_ssh(environment, db)
        db.close()


if __name__ == "__main__":
    main()
