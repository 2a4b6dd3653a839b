"""`spoke health`: one line and an exit code, of every state; it reads files and asks processes that run."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.run_cli import run
from app.services.local_client import NoDaemonError, ask_health
from app.views.health import Health, Lag, State, storage, sync, worst
from app.views.room import Room
from storage.engine.stream import append_event
from storage.process_lock import ProcessLock
from storage.tenants import open_tenant_database
from sync.spoke.status import LinkStatus, StreamStatus, write_status
from tests.app.cli.joinable import beside
from tests.sync.rig import running_hub

LIMIT_S = 60
LAG = Lag(10, 100, 60, 600)
Spoke = Callable[..., tuple[int, str, str]]


def link(state: Any, unsent: int = 0, **more: Any) -> LinkStatus:
    stream = StreamStatus("call-protocol", unsent, 0, unsent, None)
    return replace(LinkStatus(state, 0, "wss://h", "h", None, None, None, None, 0, (stream,)), **more)


@pytest.mark.parametrize(
    ("status", "since", "running", "state"),
    [
        (link("unpaired", 500), 0, False, State.OK),
        (link("live"), None, True, State.OK),
        (link("live", 9), 990, True, State.OK),
        (link("live", 10), 999, True, State.WARNING),
        (link("live", 100), 999, True, State.CRITICAL),
        (link("live", 1), 940, True, State.WARNING),
        (link("live", 1), 400, True, State.CRITICAL),
        (link("live", 1), 2_000, True, State.OK),  # a clock that was set back
        (link("offline"), None, True, State.WARNING),
        (link("live"), None, False, State.WARNING),
        (link("paused", paused_at_ms=1), None, True, State.WARNING),
        (link("refused", error="the hub refused the key"), None, True, State.CRITICAL),
    ],
)
def test_every_state_of_the_link(status: LinkStatus, since: int | None, running: bool, state: State) -> None:
    waiting = replace(status.streams[0], unsent_since_ms=None if since is None else since * 1000)
    assert sync(replace(status, streams=(waiting,)), 1_000, LAG, running=running).state is state


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [
        (10**12, None, State.OK),
        (79, 100, State.OK),
        (80, 100, State.WARNING),
        (99, 100, State.WARNING),
        (100, 100, State.CRITICAL),
        (180, 100, State.CRITICAL),
    ],
)
def test_how_full_the_file_is(used: int, limit: int | None, state: State) -> None:
    found = storage(Room(used, limit))
    assert found.state is state
    assert found.figures == (f"used={used}B" if limit is None else f"used={used}B;80;100;0",)
    assert (": " in found.text) == (state is not State.OK), "what it means"


def test_the_limit_of_the_configuration_counts(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    db = open_tenant_database(tmp_path / "data" / "tenant-local.db")
    db.stream("s").publish("x" * 15_000_000)
    db.close()
    assert " MB, no limit but the disk | used=" in spoke("storage")[1]
    (tmp_path / "spoke.toml").write_text("[storage]\nmax_bytes = 16_777_216\n")
    code, out, _ = spoke("storage", "--json")
    assert (code, json.loads(out)["state"]) == (State.WARNING, "WARNING")
    assert "policy block" in out
    (tmp_path / "spoke.toml").write_text("[storage]\nmax_bytes = 5\n")
    code, _, err = spoke("storage")
    assert code == 78
    assert "16777216" in err


@given(st.text(), st.sampled_from(State))
def test_it_is_one_line_with_figures_behind_the_only_bar(text: str, state: State) -> None:
    line = Health("sync", state, text, ("unsent=1;2;3;0",)).line
    assert len(line.splitlines()) == 1
    assert line.split("|")[1:] == [" unsent=1;2;3;0"]


def test_the_worst_counts() -> None:
    def of(*states: State) -> State:
        return worst([Health("live", state, "x") for state in states]).state

    assert of(State.OK, State.WARNING) is State.WARNING
    assert of(State.CRITICAL, State.WARNING) is State.CRITICAL
    assert of(State.OK, State.UNKNOWN) is State.UNKNOWN
    assert of(State.UNKNOWN, State.CRITICAL) is State.CRITICAL


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["health", *arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@contextmanager
def answering(folder: Path, payload: dict[str, Any]) -> Iterator[None]:
    """Something that holds the lock of a node and answers as its services would."""
    folder.mkdir(exist_ok=True)
    path = folder / "spoke.sock"
    with ProcessLock(folder / "daemon.lock"), socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, client.makefile("rw") as lines:
                    asked = json.loads(lines.readline())
                    assert asked["type"] == "__health", "a call would be recorded"
                    print(
                        json.dumps({"type": "__health", "id": asked["id"], "payload": payload}), file=lines, flush=True
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT_S)


def test_without_anything(spoke: Spoke, tmp_path: Path) -> None:
    assert spoke("live")[0] == State.CRITICAL
    assert spoke("ready")[0] == State.CRITICAL
    assert spoke("sync")[0] == State.UNKNOWN
    code, out, err = spoke()
    assert (code, err, out.count("\n")) == (State.CRITICAL, "", 1)
    assert out.startswith("SPOKE HEALTH CRITICAL - ready: nothing runs on ")
    assert spoke("storage")[0] == State.UNKNOWN
    assert spoke("sync", "--hub")[0] == spoke("storage", "--hub")[0] == 2
    assert spoke("--hub")[1].startswith("SPOKE HEALTH CRITICAL - ready: no hub runs on ")
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_with_services(spoke: Spoke, tmp_path: Path) -> None:
    service = {"name": "a", "state": "running"}
    with answering(tmp_path / "data", {"services": [service], "notReady": [], "version": "x"}):
        assert spoke("live") == (0, f"SPOKE LIVE OK - process {os.getpid()}, 1 services\n", "")
        assert spoke("ready")[0] == 0
    (tmp_path / "data" / "spoke.sock").unlink()
    with answering(tmp_path / "data", {"services": [service], "notReady": ["a: it | broke"], "version": "x"}):
        assert spoke("live")[0] == 0
        assert spoke("ready") == (State.CRITICAL, "SPOKE READY CRITICAL - a: it / broke\n", "")
    (tmp_path / "data" / "spoke.sock").unlink()
    with ProcessLock(tmp_path / "data" / "daemon.lock"):
        code, out, _ = spoke("live")
        assert (code, "does not answer" in out) == (State.CRITICAL, True)


def test_sync_reads_the_file_without_writing(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "tenant-local.db"
    db = open_tenant_database(path)
    with db.transaction() as tx:
        write_status(tx, state="live", at_ms=1, hub_url="wss://h", hub_id="h")
        for number in range(20):
            append_event(tx, "call-protocol", None, json.dumps({"n": number}))
        tx.execute("UPDATE _honker_stream SET created_at = unixepoch() - 100")
    db.close()
    before = path.read_bytes()
    with ProcessLock(tmp_path / "data" / "daemon.lock"):
        code, out, _ = spoke("sync", "--lag-warning", "30")
        assert (code, "live, 20 unsent" in out) == (0, True)
        assert "| unsent=20;30;100000;0 oldest=1" in out
        assert spoke("sync", "--lag-warning", "20")[0] == State.WARNING
        assert spoke("sync", "--lag-critical", "20")[0] == State.CRITICAL
        assert spoke("sync", "--age-critical", "100")[0] == State.CRITICAL
        found = json.loads(spoke("sync", "--json")[1])
        assert found["state"] == "OK"
    assert path.read_bytes() == before
    path.write_bytes(b"not a database" * 99)
    assert spoke("sync")[0] == State.UNKNOWN


def test_of_a_hub(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with beside(running_hub(tmp_path / "data" / "hub")) as hub:
        assert spoke("live", "--hub")[0] == 0
        code, out, _ = spoke("--hub")
        assert (code, f":{hub.port}" in out) == (0, True)
    with ProcessLock(tmp_path / "data" / "hub" / "hub.lock"):  # it hangs: it holds its lock and listens no more
        assert spoke("--hub")[0] == State.CRITICAL
        assert spoke("live", "--hub")[0] == 0


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError):
        ask_health(tmp_path / "none.sock")
