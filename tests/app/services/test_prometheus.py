"""Metrics as Prometheus reads them: a strict parser of the text format, and the page that names them all."""

from __future__ import annotations

import asyncio
import math
import os
import re
import urllib.request
from pathlib import Path

import pytest

from app.config import Settings
from app.operations import builtin_registry
from app.services import loopback, readiness, supervisor
from app.services.hub import run_hub
from app.services.loopback import Pages
from app.services.prometheus import node_exposition
from app.services.supervisor import ServiceState
from app.views.metrics import BY_NAME, DECLARED, table
from storage.engine import Database
from storage.engine.durations import BOUNDS_S, Durations
from storage.engine.errors import DiskError
from storage.engine.stream import append_event
from sync.calls.access import owner
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.hub.server import Hub
from sync.spoke.status import write_status
from tests.app.operations.clock import ids, now

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (NaN|[+-]Inf|[-+0-9.e]+)")
LIMIT_S = 60

CALLED = ("system.info", "fs.list", "no.such")
Samples = dict[tuple[str, str], float]


def parse(text: str) -> tuple[dict[str, str], Samples]:
    """Types and samples; refuses what `promtool check metrics` refuses."""
    types: dict[str, str] = {}
    helps: set[str] = set()
    samples: Samples = {}
    families: list[str] = []
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, said = line[7:].partition(" ")
            assert name not in helps, f"{name}: two HELP lines"
            assert said, f"{name}: no help"
            helps.add(name)
            continue
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in types, f"{name}: two TYPE lines"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped")
            types[name] = kind
            families.append(name)
            continue
        found = SAMPLE.fullmatch(line)
        assert found, f"no sample: {line!r}"
        name, labels, value = found[1], found[2] or "", found[3]
        family = re.sub("_(bucket|sum|count)$", "", name) if name not in types else name
        assert families[-1:] == [family], f"{name} stands outside its family"
        assert (name, labels) not in samples, f"{line}: twice"
        samples[name, labels] = float(value)
    assert helps == set(types)
    for name, kind in types.items():
        assert (kind == "counter") <= name.endswith("_total"), f"{name}: a counter without _total"
        if kind == "histogram":
            _check_histogram(name, samples)
    return types, samples


def _check_histogram(name: str, samples: Samples) -> None:
    buckets = [(labels, value) for (one, labels), value in samples.items() if one == f"{name}_bucket"]
    bounds = [float(labels.removeprefix('le="').removesuffix('"')) for labels, _ in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == math.inf
    counts = [value for _, value in buckets]
    assert counts == sorted(counts), "buckets hold what those below them hold"
    assert counts[-1] == samples[f"{name}_count", ""]
    assert samples[f"{name}_sum", ""] >= 0


def check_declared(types: dict[str, str], samples: Samples) -> None:
    """Everything of ours is in the table, with its type and labels."""
    for name, kind in types.items():
        if name.startswith("spoke_"):
            assert kind == BY_NAME[name].type
    for name, labels in samples:
        if name in BY_NAME:
            found = tuple(label.split("=")[0] for label in re.findall(LABEL, labels))
            assert found == BY_NAME[name].labels, name


@pytest.mark.parametrize(
    "bad", ["a 1", "# TYPE a gauge\na 1\na 1\n", '# HELP a b\n# TYPE a gauge\na{x="\n"} 1\n', "# TYPE a counter\n"]
)
def test_the_parser_is_strict(bad: str) -> None:
    with pytest.raises(AssertionError):
        parse(bad)


def test_a_node(tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor.states, "up", ServiceState("up", "running", 0.0))
    monkeypatch.setitem(supervisor.restarts, "up", 3)
    recorder = Recorder(tenant, now, ids())
    registry = builtin_registry(Settings(), tmp_path / "k")
    calls = [
        Call(operation_id=name, identity=owner(0), input={"path": "/etc"} if name == "fs.list" else {})
        for name in CALLED
    ]
    recorder.execute(registry, calls)
    evil = 'evil "\\\n topic'
    tenant.stream(evil).publish({})
    tenant.queue(evil).enqueue({})
    tenant.queue(evil).pause()
    tenant.max_bytes = 50_000_000
    with tenant.transaction() as tx:
        write_status(tx, state="offline", at_ms=1, hub_url="wss://h", hub_id="h")
        append_event(tx, "session-events", None, "{}")
        tx.execute(
            "UPDATE _honker_stream SET created_at = ? WHERE topic = 'session-events'", (int(tenant.clock()) - 70,)
        )
    types, samples = parse(node_exposition(tenant).decode())
    check_declared(types, samples)
    assert samples["spoke_service_restarts_total", 'service="up"'] == 3
    assert samples["spoke_calls_total", 'operation="system.info",outcome="completed"'] >= 1
    assert samples["spoke_calls_total", 'operation="fs.list",outcome="failed"'] >= 1
    assert not any("no.such" in labels for _, labels in samples), "what anybody may ask for is not counted by name"
    assert 70 <= samples["spoke_link_unsent_seconds", 'topic="session-events"'] < 600
    assert samples["spoke_link_unsent_bytes", 'topic="session-events"'] == 2
    assert samples["spoke_storage_max_bytes", 'policy="block"'] == 50_000_000
    assert 0 < samples["spoke_storage_used_bytes", ""] <= samples["spoke_database_bytes", ""]
    assert samples["spoke_commit_seconds_count", ""] > 3
    assert samples["spoke_link_state", 'state="offline"'] == 1
    assert any(name == "spoke_queue_jobs" for name, _ in samples)
    assert [value for (name, _), value in samples.items() if name == "spoke_queue_paused"] == [1]
    node = {one.name for one in DECLARED if not one.name.startswith("spoke_hub_")}
    assert node - set(types) == {"spoke_queue_dead_jobs", "spoke_sessions", "spoke_consumer_offset"}, (
        "those have nothing to say here"
    )


async def test_a_hub_answers_on_its_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, stop, ready = Hub(tmp_path, port=0, max_bytes=50_000_000), asyncio.Event(), asyncio.Event()
    ports: list[int] = []
    monkeypatch.setattr(loopback.log, "info", lambda _, *args: ports.append(args[0]))
    running = asyncio.create_task(run_hub(hub, tmp_path, stop, lambda _: ready.set(), health_port=0))
    async with asyncio.timeout(LIMIT_S):
        await ready.wait()
        db = await hub.tenant("acme")
        with db.transaction() as tx:
            tx.execute("INSERT INTO link_spokes VALUES ('n', 'edge-1', 'spoke/0', 'a', 1, 1, 0, 5)")
        while not ports:
            await asyncio.sleep(0.01)
        page = await asyncio.to_thread(get, ports[0], "/metrics")
        assert (await asyncio.to_thread(get, ports[0], "/readyz")) == "ready\n"
        types, samples = parse(page)
        check_declared(types, samples)
        assert samples["spoke_hub_spokes", 'tenant="acme"'] == 1
        assert samples["spoke_hub_sessions", 'tenant="acme"'] == 0
        assert samples["spoke_hub_database_bytes", 'database="system"'] > 0
        assert samples["spoke_hub_database_bytes", 'database="tenant-acme"'] > 0
        assert samples["spoke_hub_storage_max_bytes", 'database="tenant-acme",policy="block"'] == 50_000_000
        assert samples["spoke_hub_storage_used_bytes", 'database="system"'] > 0
        assert ("spoke_hub_storage_max_bytes", 'database="system",policy="block"') not in samples
        assert samples["spoke_service_up", 'service="acme.queues"'] == 1
        stop.set()
        await running


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as answer:
        return str(answer.read().decode())


async def test_what_is_not_ready_says_why(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    pages = Pages(tenant, lambda: b"", stop)

    async def ready() -> tuple[int, str]:
        found = await pages.page("/readyz")
        assert found is not None
        return found.status, found.body.decode()

    assert await ready() == (200, "ready\n")
    monkeypatch.setitem(readiness.not_ready, "projector", "rows are brought up to the log")
    assert await ready() == (503, "projector: rows are brought up to the log\n")
    monkeypatch.delitem(readiness.not_ready, "projector")
    stop.set()
    assert await ready() == (503, "stopping\n")

    async def broken(_: object) -> None:
        raise DiskError("it is gone")

    monkeypatch.setattr(tenant, "read", broken)
    assert await ready() == (503, "stopping\ndatabase: it is gone\n")


def test_durations() -> None:
    found = Durations()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 99.0):
        found.note(seconds)
    assert (found.counts[0], found.counts[1], found.counts[-1], sum(found.counts)) == (2, 1, 1, 4)
    assert found.total_s == pytest.approx(99.0, abs=0.01)


def test_the_page_names_them_all() -> None:
    text = DOCS.read_text()
    head, _, _ = text.partition("| name | type |")
    if os.environ.get("SPOKE_UPDATE_GOLDEN"):
        DOCS.write_text(head + table() + "\n")
    assert DOCS.read_text() == head + table() + "\n", "SPOKE_UPDATE_GOLDEN=1 makes it anew"
    assert len(BY_NAME) == len(DECLARED)
