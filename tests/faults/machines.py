"""Hubs, spokes and writers as processes of their own, on folders of a test: `python -m app`, or SPOKE_BINARY."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from storage.engine import Database
from storage.tenants import open_tenant_database
from sync.spoke.status import NUDGE, LinkStatus, read_status
from tests.faults.ledger import STREAM, Verdict, judge
from tests.sync.rig import make_key

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("SPOKE_BINARY")
LIMIT_S = 30
INHERITED = ("SPOKE_SESSION_ID", "SPOKE_PARENT_REQUEST_ID", "SPOKE_HUB__URL", "SPOKE_HUB__API_KEY")


def rounds(few: int) -> int:
    """How often a random fault is repeated: `few` in CI, times FAULTS_ROUNDS when somebody has the time."""
    return few * int(os.environ.get("FAULTS_ROUNDS", "1"))


def until(look: Callable[[], T | None], process: subprocess.Popen[bytes] | None = None, limit_s: float = LIMIT_S) -> T:
    """Look until there is something; another process does it, so there is nothing to wait on."""
    ends = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        assert process is None or process.poll() is None, f"it ended by itself: {process.args!r}"
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.01)


class Machines:
    """One hub and its spokes. Processes that still run are killed by `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub_folder = folder / "hub-machine" / "hub"
        (folder / "hub-machine").mkdir(parents=True)
        self.ledger = folder / "ledger.txt"
        self.port = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.wrap: Sequence[str] = ()
        """What every command of a spoke is run under (`ip netns exec …`)."""
        self._written = 0

    # -- processes -------------------------------------------------------------------------------------------------

    def start(
        self,
        folder: Path,
        *arguments: str,
        under: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] | None = None,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start `spoke` on a data directory; returns the process and the file of what it says."""
        inherited = {name: value for name, value in os.environ.items() if name not in INHERITED}
        spoken = self.folder / f"said-{len(self.processes)}.log"
        with spoken.open("wb") as file:
            process = subprocess.Popen(
                [*under, *(program or ([BINARY] if BINARY else [sys.executable, "-m", "app"])), *arguments],
                env={
                    **inherited,
                    "SPOKE_DATA_DIR": str(folder),
                    "SPOKE_CONFIG": str(self.folder / "none.toml"),
                    **(environment or {}),
                },
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # the one-file executable is two processes: a signal goes to both
            )
        self.processes.append(process)
        return process, spoken

    def start_hub(self, *options: str, **how: object) -> subprocess.Popen[bytes]:
        """Start the hub, on the same port as before, and wait until it listens."""
        command = ("hub", "run", "--port", str(self.port), *options)
        process, spoken = self.start(self.folder / "hub-machine", *command, **how)  # type: ignore[arg-type]
        found = until(lambda: re.search(r"hub listens on wss?://\S+:(\d+)", spoken.read_text()), process)
        self.port = int(found[1])
        return process

    def spoke(self, name: str = "edge", tenant: str = "local") -> Spoke:
        """A spoke with a key, which is not started yet."""
        return Spoke(self, self.folder / name, make_key(self.hub_folder, name, tenant))

    def kill(self, *processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.wait()

    def stop(self) -> None:
        self.kill(*(process for process in self.processes if process.poll() is None))

    # -- looking ---------------------------------------------------------------------------------------------------

    @contextmanager
    def hub_file(self, tenant: str = "local") -> Iterator[Database]:
        db = open_tenant_database(self.hub_folder / f"tenant-{tenant}.db")
        try:
            yield db
        finally:
            db.close()

    def stored(self, tenant: str = "local", stream: str = STREAM) -> int:
        """Events of a stream on the hub, of all spokes of a tenant."""
        if not (self.hub_folder / f"tenant-{tenant}.db").exists():
            return 0
        with self.hub_file(tenant) as db:
            rows = db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic LIKE ?", (f"{stream}@%",))
            return int(rows[0]["n"])


class Spoke:
    """One spoke's data directory; its file is opened beside the process, as another program would."""

    def __init__(self, machines: Machines, folder: Path, key: str) -> None:
        self.machines = machines
        self.folder = folder
        self.key = key
        self.ledger = folder.parent / f"ledger-{folder.name}.txt"
        folder.mkdir(exist_ok=True)
        self.file = folder / "tenant-local.db"
        self.url: str | None = None
        """Where the hub is for it; None: at the hub's own port."""
        self._writers = 0

    def environment(self) -> dict[str, str]:
        return {
            "SPOKE_HUB__URL": self.url or f"ws://127.0.0.1:{self.machines.port}",
            "SPOKE_HUB__API_KEY": self.key,
            "SPOKE_HUB__STREAMS": json.dumps([STREAM]),
            "SPOKE_HUB__ALLOW_PLAIN": "true",
            "SPOKE_NAME": self.folder.name,
        }

    def start(self, *, more: Mapping[str, str] | None = None, **how: object) -> subprocess.Popen[bytes]:
        """Run its services."""
        environment = {**self.environment(), **(more or {})}
        process, _ = self.machines.start(self.folder, "run", environment=environment, **how)  # type: ignore[arg-type]
        return process

    def writer(self, count: int = 0, size: int = 100, **how: object) -> subprocess.Popen[bytes]:
        """A writer that notes what it was told; each has a tag of its own."""
        self._writers += 1
        arguments = (str(self.file), str(self.ledger), f"w{self._writers}", str(count), str(size))
        program = [sys.executable, "-m", "tests.faults.ledger"]
        process, _ = self.machines.start(self.folder, *arguments, program=program, **how)  # type: ignore[arg-type]
        return process

    def write(self, count: int, size: int = 100) -> None:
        process = self.writer(count, size)
        assert process.wait(LIMIT_S) == 0

    @contextmanager
    def opened(self) -> Iterator[Database]:
        db = open_tenant_database(self.file)
        try:
            yield db
        finally:
            db.close()

    def status(self) -> LinkStatus:
        with self.opened() as db, db.snapshot() as snapshot:
            return read_status(snapshot)

    def nudge(self) -> None:
        """`spoke sync now`: the link does not wait for its backoff."""
        with self.opened() as db, db.transaction() as tx:
            tx.notify(NUDGE, {})

    def wait_for(
        self, good: Callable[[LinkStatus], bool], process: subprocess.Popen[bytes] | None = None
    ) -> LinkStatus:
        """Wait until the link stands as a test wants it, dialling at once whenever it rests."""
        with self.opened() as db:

            def look() -> LinkStatus | None:
                with db.snapshot() as snapshot:
                    status = read_status(snapshot)
                if good(status):
                    return status
                if status.state == "offline":
                    with db.transaction() as tx:
                        tx.notify(NUDGE, {})
                return None

            return until(look, process)

    def wait_synced(self, process: subprocess.Popen[bytes] | None = None) -> LinkStatus:
        """Wait until everything that the file holds is acknowledged, and the link says so."""
        with self.opened() as db:
            ((last,),) = [
                tuple(row.values())
                for row in db.query("SELECT coalesce(max(offset), 0) FROM _honker_stream WHERE topic = ?", (STREAM,))
            ]

        def good(status: LinkStatus) -> bool:
            acked = {stream.topic: stream.acked_offset for stream in status.streams}
            return acked.get(STREAM, 0) >= last and status.unsent == 0

        return self.wait_for(good, process)

    def verdict(self, tenant: str = "local") -> Verdict:
        with self.opened() as ours, self.machines.hub_file(tenant) as theirs:
            return judge(self.ledger, ours, theirs)
