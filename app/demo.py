"""The demonstration: real processes of this very program, real files, real sockets, real SIGKILLs.

A node records a session with no hub; a hub starts; the node syncs a large backlog; the node is killed in the middle of
it and started again; the hub is killed once too; at the end both logs are compared event by event.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from app.environment import child_environment
from app.executable import own_command
from app.views.text import of
from storage import engine
from storage.engine import Database
from storage.tenants import node_id
from sync.hub.compare import Comparison, compare
from sync.spoke.status import LOGS as TOPICS
from sync.spoke.status import read_status

T = TypeVar("T")
Process: TypeAlias = "subprocess.Popen[str]"

WAIT_S = 120.0
POLL_S = 0.01
SHARE_AT_KILL = 0.02
"""Early: what arrives until the kill hits comes on top, on a busy machine a third of everything and more."""
TRIES = 5


class DemoFailedError(Exception):
    """The demonstration did not show what it should."""

    hint = "please report it with the output above"


class Demo:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, backlog_calls: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._calls = backlog_calls
        self._say = say
        self._began = time.monotonic()
        self._processes: list[subprocess.Popen[str]] = []
        self._program = own_command()
        self._environment = child_environment(
            SPOKE_DATA_DIR=str(folder / "spoke"),
            SPOKE_CONFIG=str(folder / "spoke.toml"),
            SPOKE_FS__ROOTS=json.dumps([str(folder), "/etc"]),
            SPOKE_NAME="edge-demo",
        )
        for inherited in ("SPOKE_SESSION_ID", "SPOKE_PARENT_REQUEST_ID", "SPOKE_HUB__URL", "SPOKE_HUB__API_KEY"):
            self._environment.pop(inherited, None)
        self._hub_environment = dict(self._environment, SPOKE_DATA_DIR=str(folder / "hub-machine"))

    def run(self) -> bool:
        """Run it all; True when every event arrived exactly once."""
        self._step("1. Offline: record a session on this machine. There is no hub anywhere.")
        session = self._record_session()
        self._step(f"2. Still offline: {self._calls:,} more calls, recorded as {2 * self._calls:,} events.")
        self._record_backlog()
        self._step("3. A hub starts; this node gets a key and joins.")
        key = self._spoke("hub", "key", "create", "edge-demo", hub=True).stdout.strip()
        try:
            hub, url = self._start_hub(0)
            self._spoke("join", url, "--key-file", "-", stdin=key)
            sync_s, share = self._sync_through_kills(hub, url)
        finally:
            self._stop_everything()
        self._step("6. Compare both logs, event by event.")
        good = self._report(sync_s, share)
        self._step("7. The session, as the node's own database tells it:")
        print(self._spoke("session", "show", session, "--width", "78").stdout.rstrip(), flush=True)
        return good

    # -- recording -------------------------------------------------------------------------------------------------

    def _record_session(self) -> str:
        session = self._spoke("session", "start", "first light").stdout.strip()
        environment = dict(self._environment, SPOKE_SESSION_ID=session)
        me = " ".join(f"'{part}'" for part in self._program)
        for command in (
            ["uname", "-a"],
            ["sh", "-c", f"{me} record -- ls -l /etc; {me} record -- du -s /usr/share/doc; {me} call system.info"],
            ["sh", "-c", "sleep 0.2; echo counted; grep -c ^processor /proc/cpuinfo"],
            ["sh", "-c", "echo this one fails >&2; exit 3"],
        ):
            subprocess.run(
                [*self._program, "record", "--", *command], env=environment, check=False, stdout=subprocess.DEVNULL
            )
        self._spoke("session", "end", session)
        return session

    def _record_backlog(self) -> None:
        some_file = self._folder / "note.txt"
        some_file.write_text("What happens offline stays on the disk until the hub has it on its own.\n" * 4)
        kinds = (
            {"operation": "system.info"},
            {"operation": "fs.list", "input": {"path": str(self._folder)}},
            {"operation": "fs.read", "input": {"path": str(some_file)}},
        )
        batch = self._folder / "calls.ndjson"
        with batch.open("w") as file:
            for number in range(self._calls):
                file.write(json.dumps(kinds[number % len(kinds)]) + "\n")
        done = json.loads(self._spoke("call", "--batch", str(batch)).stdout)
        if done["calls"] != self._calls or done["failed"]:
            raise DemoFailedError(f"the backlog was not recorded: {done}")
        self._note(
            f"{done['calls']:,} calls in {done['seconds']:.1f} s ({done['calls'] / done['seconds']:,.0f} a second)"
        )

    # -- syncing ---------------------------------------------------------------------------------------------------

    def _sync_through_kills(self, hub: subprocess.Popen[str], url: str) -> tuple[float, list[int]]:
        """Start the node, kill it, start it, kill the hub, start it; returns the seconds and where each kill hit."""
        port = int(url.rsplit(":", 1)[1])
        with self._open(self._folder / "spoke" / "tenant-local.db") as local:
            began = time.monotonic()
            self._step("4. The node syncs; it gets SIGKILL in the middle of it, and is started again.")
            node_kills = self._kill_in_the_middle(local, "node", self._start_node(), self._start_node)
            self._start_node()
            self._step("5. Now the hub gets SIGKILL in the middle of it, and is started again.")
            hub_kills = self._kill_in_the_middle(local, "hub", hub, lambda: self._start_hub(port)[0])
            self._start_hub(port)
            self._wait_until(lambda: self._unsent(local), lambda n: n == 0)
            return time.monotonic() - began, [*node_kills, *hub_kills]

    def _kill_in_the_middle(
        self, local: Database, name: str, process: Process, start: Callable[[], Process]
    ) -> list[int]:
        """Kill a process when SHARE_AT_KILL of what the hub has not got yet is there; returns what it had at each kill.

        Looking takes time, and a hub that is busy takes much in one transaction: everything may have arrived by then.
        Then there was no middle: twice as much is recorded while the process is dead, and it is done again.

        Raises:
            DemoFailedError: it was too late each time.
        """
        kills: list[int] = []
        for _ in range(TRIES):
            total, there = self._total(local), self._arrived(local)
            goal = there + max(1, round((total - there) * SHARE_AT_KILL))
            kills.append(self._wait_until(lambda: self._arrived(local), goal.__le__))
            self._kill(process)
            self._note(f"{name} killed with at least {kills[-1]:,} of {total:,} events on the hub")
            if kills[-1] < total:
                return kills
            self._note("that was too late, all had arrived: twice as much is recorded, and it is done again")
            self._calls *= 2
            self._record_backlog()
            process = start()
        raise DemoFailedError(f"{TRIES} times all had arrived before the {name} was killed; is the machine very busy?")

    def _total(self, local: Database) -> int:
        return sum(int(self._count(local, topic)) for topic in TOPICS)

    def _arrived(self, local: Database) -> int:
        """Events that the hub has acknowledged, from the node's own notes: the hub has at least these."""
        with local.snapshot() as snapshot:
            acked = snapshot.rows("SELECT topic, offset FROM link_positions")
            return sum(
                int(snapshot.rows("SELECT count(*) FROM _honker_stream WHERE topic = ? AND offset <= ?", row)[0][0])
                for row in acked
            )

    def _unsent(self, local: Database) -> int:
        with local.snapshot() as snapshot:
            link = read_status(snapshot)
        return link.unsent if link.hub_id else -1

    @staticmethod
    def _count(db: Database, topic: str) -> int:
        return int(db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (topic,))[0]["n"])

    # -- the result ------------------------------------------------------------------------------------------------

    def _report(self, seconds: float, kills: list[int]) -> bool:
        spoke_file = self._folder / "spoke" / "tenant-local.db"
        hub_file = self._folder / "hub-machine" / "hub" / "tenant-local.db"
        with self._open(spoke_file) as ours, self._open(hub_file) as theirs:
            with ours.snapshot() as local, theirs.snapshot() as remote:
                me = node_id(local)
                results = {topic: compare(local, remote, me, topic) for topic in TOPICS}
                link = read_status(local)
            (row,) = theirs.query("SELECT sessions FROM link_spokes WHERE node_id = ?", (me,))
        for topic, result in results.items():
            self._note(_in_words(topic, result))
        total = sum(result.matched for result in results.values())
        self._note(
            f"{len(kills)} SIGKILLs, {row['sessions']} connections,"
            f" the node saw its link break {of(link.breaks, 'time')}"
        )
        self._note(
            f"{total:,} events in {seconds:.1f} s, both kills and restarts included: {total / seconds:,.0f} a second"
        )
        good = all(result.agrees for result in results.values())
        self._note("EVERY EVENT ARRIVED EXACTLY ONCE" if good else "THE LOGS DIFFER")
        return good

    # -- processes -------------------------------------------------------------------------------------------------

    def _spoke(self, *arguments: str, hub: bool = False, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command of this program to its end."""
        done = subprocess.run(
            [*self._program, *arguments],
            env=self._hub_environment if hub else self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoFailedError(f"spoke {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done

    def _start(self, name: str, environment: dict[str, str], *arguments: str) -> tuple[subprocess.Popen[str], Path]:
        log = self._folder / f"{name}-{time.monotonic_ns()}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*self._program, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                text=True,
                start_new_session=True,  # the one-file executable is two processes: SIGKILL goes to both
            )
        self._processes.append(process)
        return process, log

    def _start_node(self) -> subprocess.Popen[str]:
        return self._start("node", self._environment, "run")[0]

    def _start_hub(self, port: int) -> tuple[subprocess.Popen[str], str]:
        process, log = self._start("hub", self._hub_environment, "hub", "run", "--port", str(port))
        found: list[str] = []

        def address() -> bool:
            match = re.search(r"hub listens on (ws://\S+)", log.read_text())
            if match:
                found.append(match[1])
            elif process.poll() is not None:
                raise DemoFailedError(f"the hub did not start: {log.read_text().strip()}")
            return bool(found)

        self._wait_until(address, bool)
        self._note(f"hub: {found[0]}")
        return process, found[0]

    @staticmethod
    def _kill(process: subprocess.Popen[str]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _stop_everything(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            process.wait(WAIT_S)

    @contextmanager
    def _open(self, file: Path) -> Iterator[Database]:
        db = engine.open(file)
        try:
            yield db
        finally:
            db.close()

    # -- telling ---------------------------------------------------------------------------------------------------

    def _wait_until(self, look: Callable[[], T], good: Callable[[T], bool]) -> T:
        limit = time.monotonic() + WAIT_S
        while True:
            seen = look()
            if good(seen):
                return seen
            if time.monotonic() > limit:
                raise DemoFailedError(f"nothing happened for {WAIT_S:g} s; logs are in {self._folder}")
            time.sleep(POLL_S)

    def _step(self, text: str) -> None:
        self._say(f"\n[{time.monotonic() - self._began:5.1f} s] {text}")

    def _note(self, text: str) -> None:
        self._say(f"          {text}")


def _in_words(topic: str, result: Comparison) -> str:
    return (
        f"{topic:<15} {result.matched:>8,} the same, {result.missing} missing, {result.duplicates} duplicates,"
        f" {result.different} different, {result.phantom} phantoms"
    )


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and a terminal that is closed end the block as ^C does: the processes in it would outlive us."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(backlog_calls: int, folder: Path | None, say: Callable[[str], None]) -> bool:
    """Run the demonstration in `folder` (kept), or in a temporary one (removed). Nothing goes on running after it."""
    with _unwound_by_signals():
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise DemoFailedError(f"{folder} is not empty")
            return Demo(folder, backlog_calls, say).run()
        with tempfile.TemporaryDirectory(prefix="spoke-demo-") as made:
            return Demo(Path(made), backlog_calls, say).run()
