"""The built executable as a daemon: tables, secrets, the local API and the drop folder, with SIGKILL in between."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.binary import BINARY, LIMIT_S, spoke

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@contextmanager
def daemon(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [BINARY, "run"], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait(lambda: (folder / "spoke.sock").exists() and can_connect(folder / "spoke.sock"))
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def wait(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def ask(path: Path, operation: str, **value: Any) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with client.makefile("rw") as lines:
            request = {"type": "call.requested", "id": "1", "payload": {"operationId": operation, "input": value}}
            print(json.dumps(request), file=lines, flush=True)
            return json.loads(lines.readline())


def test_tables_and_secrets_from_the_command_line(environment: dict[str, str]) -> None:
    graph = json.loads(spoke(environment, "call", "graphs.create", '{"name": "g", "graphTypeId": "task-dependencies"}'))
    node = {"graphId": graph["id"], "type": "task", "key": "a", "attributes": {"name": "a task"}}
    spoke(environment, "call", "graph.put_node", json.dumps(node))
    found = json.loads(spoke(environment, "call", "nodes.list", json.dumps({"where": {"graphId": graph["id"]}})))
    assert [row["attributes"] for row in found["rows"]] == [{"name": "a task"}]
    export = json.dumps({"graphId": graph["id"], "format": "dot"})
    assert "a task" in json.loads(spoke(environment, "call", "graph.export", export))["text"]
    bad = subprocess.run(
        [BINARY, "call", "graph.put_node", json.dumps({**node, "attributes": {}})],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (bad.returncode, bad.stdout) == (65, "")
    assert "'name' is a required property" in bad.stderr
    subprocess.run([BINARY, "secret", "set", "a"], env=environment, input="hunter2", text=True, check=True)
    assert spoke(environment, "secret", "get", "a") == "hunter2"
    assert "hunter2" not in spoke(environment, "tail", "call-protocol", "--json")
    accounts = json.loads(spoke(environment, "hub", "call", "accounts.list"))
    assert [row["email"] for row in accounts["rows"]] == ["hub@localhost"]


def test_the_daemon_takes_calls_and_dropped_lines_and_survives_sigkill(environment: dict[str, str]) -> None:
    folder = Path(environment["SPOKE_DATA_DIR"])
    inbox = folder / "inbox"

    def count(topic: str) -> int:
        events = ask(folder / "spoke.sock", "stream.read", topic=topic, limit=1000)["payload"]["output"]["data"][
            "events"
        ]
        return (
            len({event["payload"]["n"] for event in events}) if len(events) == len({e["key"] for e in events}) else -1
        )

    written = 0
    for _ in range(2):
        with daemon(environment, folder) as process:
            answer = ask(folder / "spoke.sock", "session.start", title="over the socket")
            assert answer["type"] == "call.responded", answer
            with (inbox / "a.ndjson").open("a") as file:
                for _ in range(100):
                    file.write(json.dumps({"topic": "dropped", "payload": {"n": written}, "key": str(written)}) + "\n")
                    written += 1
            some = written - 100
            wait(lambda some=some: count("dropped") > some)  # type: ignore[misc]
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with daemon(environment, folder) as process:
        wait(lambda: count("dropped") == written)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert not (folder / "spoke.sock").exists()
    sessions = json.loads(spoke(environment, "session", "list", "--json"))
    assert [session["title"] for session in sessions] == ["over the socket"] * 2
