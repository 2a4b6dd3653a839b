"""The drop folder: every line once, whatever happens to the files and to the process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import ingest
from app.services.ingest import LineError, parse, sweep
from app.services.projector import catch_up
from storage.engine import Database
from storage.tenants import open_tenant_database


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def own(number: int) -> str:
    return json.dumps({"topic": "mine", "payload": {"n": number}, "key": str(number)}) + "\n"


def numbers(db: Database) -> list[int]:
    return [event.payload["n"] for event in db.stream("mine").read(limit=100_000)]


def rejected(path: Path) -> list[tuple[int, str]]:
    lines = path.with_name(f"{path.name}.rejected").read_text().splitlines()
    return [(entry["line"], entry["text"]) for entry in map(json.loads, lines)]


def test_lines_become_events(tenant: Database, inbox: Path) -> None:
    lines = [
        {"type": "session.started", "sessionId": "s", "title": "dropped", "source": "x", "slug": "dropped"},
        {
            "type": "call.requested",
            "requestId": "r",
            "operationId": "op",
            "input": {"a": 1},
            "identity": {"id": "root", "scopes": ["*"]},
            "metadata": {"sessionId": "s"},
        },
        {"type": "call.responded", "requestId": "r", "output": {"data": 1}},
        {"topic": "mine", "payload": {"n": 1}},
    ]
    (inbox / "a.ndjson").write_text("".join(json.dumps(line) + "\r\n" for line in lines) + "\n\n")
    assert sweep(tenant, inbox) == 4
    assert sweep(tenant, inbox) == 0
    catch_up(tenant)
    assert tenant.query("SELECT title FROM sessions") == [{"title": "dropped"}]
    attributes = json.loads(tenant.query("SELECT attributes FROM nodes")[0]["attributes"])
    assert (attributes["status"], attributes["identity"]["id"]) == ("completed", "ingest")  # not who they say they are
    assert not list(inbox.glob("*.rejected"))


def test_a_file_grows_line_by_line_and_half_a_line_waits(tenant: Database, inbox: Path) -> None:
    file = inbox / "a.jsonl"
    file.write_text(own(1)[:10])
    assert sweep(tenant, inbox) == 0
    with file.open("a") as more:
        more.write(own(1)[10:] + own(2) + own(3)[:-1])
        more.flush()
        assert sweep(tenant, inbox) == 2
        more.write("\n")
    assert sweep(tenant, inbox) == 1
    assert numbers(tenant) == [1, 2, 3]


def test_rotation_truncation_and_a_new_file_of_the_same_name(tenant: Database, inbox: Path) -> None:
    file = inbox / "a.ndjson"
    file.write_text(own(1) + own(2))
    sweep(tenant, inbox)
    with file.open("a") as writer:  # a program that keeps its file open while it is renamed
        file.rename(inbox / "a.1.ndjson")
        writer.write(own(3))
    file.write_text(own(4))
    sweep(tenant, inbox)
    assert sorted(numbers(tenant)) == [1, 2, 3, 4]
    file.write_text(own(5))  # cut to nothing and begun anew: another first line
    sweep(tenant, inbox)
    assert sorted(numbers(tenant)) == [1, 2, 3, 4, 5]
    with file.open("a") as writer:
        writer.write(own(6))
    file.unlink()
    (inbox / "a.1.ndjson").unlink()
    assert sweep(tenant, inbox) == 0


def test_bad_lines_go_to_quarantine_and_block_nothing(tenant: Database, inbox: Path) -> None:
    file = inbox / "a.ndjson"
    bad = [
        "nonsense",
        "[1]",
        '{"type": "call.requested"}',
        '{"type": "unknown"}',
        '{"topic": "call-protocol", "payload": 1}',
    ]
    file.write_bytes(
        "".join(f"{own(n)}{text}\n" for n, text in enumerate(bad)).encode()
        + b'{"topic": "mine", "payload": "\xff"}\n'
        + b"x" * (3 * ingest.MAX_LINE_BYTES)
        + b"\n"
        + own(5).encode()
    )
    assert sweep(tenant, inbox) == 6
    assert numbers(tenant) == [0, 1, 2, 3, 4, 5]
    found = rejected(file)
    assert [line for line, _ in found] == [2, 4, 6, 8, 10, 11, 12]
    assert [text for _, text in found[:5]] == bad
    assert found[6][1] == "x" * ingest.KEEP_TEXT
    with file.open("a") as more:
        more.write("again\n")
    sweep(tenant, inbox)
    assert [line for line, _ in rejected(file)] == [2, 4, 6, 8, 10, 11, 12, 14]
    assert file.with_name("a.ndjson.rejected").stat().st_mode & 0o777 == 0o600


def test_what_is_no_plain_file_is_left_alone(tenant: Database, inbox: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ndjson"
    secret.write_text(own(1))
    (inbox / "link.ndjson").symlink_to(secret)
    (inbox / "folder.ndjson").mkdir()
    os.mkfifo(inbox / "pipe.ndjson")
    (inbox / "notes.txt").write_text(own(2))
    (inbox / "empty.ndjson").touch()
    (inbox / "good.ndjson").write_text(own(3))
    assert sweep(tenant, inbox) == 1
    assert numbers(tenant) == [3]


def test_two_sweeps_at_once_take_each_line_once(tenant: Database, inbox: Path) -> None:
    (inbox / "a.ndjson").write_text("".join(own(n) for n in range(20_000)))
    code = SWEEP.replace("while True", "for _ in range(3)")
    processes = [subprocess.Popen([sys.executable, "-c", code, tenant.path, str(inbox)]) for _ in range(2)]
    assert [process.wait(100) for process in processes] == [0, 0]
    assert sorted(numbers(tenant)) == list(range(20_000))


SWEEP = """
import sys
from pathlib import Path
from app.services.ingest import sweep
from storage.tenants import open_tenant_database
db = open_tenant_database(sys.argv[1])
print("begun", flush=True)
while True:
    sweep(db, Path(sys.argv[2]))
"""


def test_sigkill_loses_nothing_and_doubles_nothing(tenant: Database, inbox: Path) -> None:
    """Killed a few times at different places, while the file grows and is rotated."""
    written = 0
    file = inbox / "a.ndjson"
    for round_number in range(6):
        worker = subprocess.Popen([sys.executable, "-c", SWEEP, tenant.path, str(inbox)], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        with file.open("a") as writer:
            for _ in range(8_000):
                writer.write("bad\n" if written % 1_000 == 999 else own(written))
                written += 1
        target = written // 2 if round_number % 2 else 1
        while len(numbers(tenant)) < min(target, 1_000):
            assert worker.poll() is None
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(120)
        worker.stdout.close()
        if round_number % 2:
            file.rename(inbox / f"a.{round_number}.ndjson")
    sweep(tenant, inbox)
    assert sorted(numbers(tenant)) == [n for n in range(written) if n % 1_000 != 999]
    assert tenant.query("SELECT sum(rejected) AS n FROM ingest_files") == [{"n": written // 1_000}]
    assert tenant.query("SELECT count(*) AS n FROM ingest_rejects") == [{"n": written // 1_000}]


async def test_a_new_line_is_taken_at_once(tmp_path: Path) -> None:
    db, inbox, stop = open_tenant_database(tmp_path / "t.db"), tmp_path / "inbox", asyncio.Event()
    running = asyncio.create_task(ingest.run(db, inbox, stop))
    waiter = db.wake.add([("stream", "mine")])
    async with asyncio.timeout(60):
        while not inbox.exists():
            await asyncio.sleep(0.001)
        for number in range(3):
            waiter.clear()
            await asyncio.to_thread(_append, inbox / "a.ndjson", own(number))
            while len(numbers(db)) <= number:
                await waiter.wait()
                waiter.clear()
    stop.set()
    await asyncio.wait_for(running, 60)
    db.close()
    assert inbox.stat().st_mode & 0o777 == 0o700


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@settings(max_examples=300)
@given(
    line=st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: json.dumps({"topic": text, "payload": 1}).encode())
)
def test_fuzz_a_line_is_an_event_or_a_line_error(line: bytes) -> None:
    try:
        entry: Any = parse(line)
    except LineError:
        return
    assert entry.topic not in ingest.RESERVED or b'"type"' in line
    json.loads(entry.text)
