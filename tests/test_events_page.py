"""`docs/events.md` names exactly what the code produces and consumes."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any, cast

from app.services import hub, live_calls, scheduler, tenant
from storage import maintenance, secrets, tenant_files
from storage.delegation import intents
from storage.engine import Database
from storage.events import call_events, operator_events, session_events
from storage.graphs import types, writing
from storage.identity import accounts, api_keys, audit
from sync.spoke import status

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "events.md").read_text()


def table(heading: str) -> set[tuple[str, str]]:
    """Rows of a section: file and name."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return {
        (file.strip(), name)
        for row in re.findall(r"^\| (.*)", section, re.MULTILINE)
        if (match := re.match(r"([a-z, ]+) \| `([^`]+)`", row))
        for file, name in [(match[1], match[2])]
    }


def told() -> set[str]:
    """Every channel that some `tx.notify("…")` of ours tells."""
    found = set()
    for file in [*(ROOT / "storage").rglob("*.py"), *(ROOT / "app").rglob("*.py"), *(ROOT / "sync").rglob("*.py")]:
        if {"engine", "tui", "ephemeral.py"} & set(file.relative_to(ROOT).parts):
            continue  # Honker's own channels; Textual's toasts; the channels of whoever uses that target
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "notify":
                (name, *_) = node.args
                assert isinstance(name, ast.Constant), f"{file}: a channel is named by a constant"
                found.add(str(name.value))
    return found


def test_channels() -> None:
    listed = table("Channels")
    assert {name for _, name in listed} == told()
    heard = {("tenant", name) for name in (*tenant.CHANNELS, *status.CHANNELS, *live_calls.CHANNELS)}
    assert listed == heard | {("system", name) for name in hub.CHANNELS}


def test_streams() -> None:
    names = {("tenant", call_events.STREAM), ("tenant", session_events.STREAM), ("tenant", operator_events.STREAM)}
    assert table("Streams") == names | {("system", audit.STREAM)}
    assert hub.STREAMS == (audit.STREAM,)


def test_queues_have_a_worker_and_a_producer() -> None:
    async def worked() -> set[tuple[str, str]]:
        nothing = cast(Any, None)
        system = hub.handlers(cast(Database, nothing), nothing, Path(), asyncio.get_running_loop())
        return {("tenant", name) for name in tenant.handlers(cast(Database, nothing), Path())} | {
            ("system", name) for name in system
        }

    listed = table("Queues")
    assert listed == asyncio.run(worked())
    produced = {
        ("tenant", writing.EVALUATION_QUEUE),
        ("tenant", secrets.QUEUE),
        ("tenant", types.MIGRATION_QUEUE),
        *(("tenant", schedule.queue) for schedule in maintenance.SCHEDULES),
        ("system", api_keys.QUEUE),
        ("system", accounts.QUEUE),
        ("system", tenant_files.QUEUE),
        ("system", intents.QUEUE),
    }
    assert listed - produced == {("tenant", "graph-maintenance")}  # for people and programs: nothing of ours asks


def test_locks_and_schedules() -> None:
    assert table("Locks") == {("tenant, system", scheduler.LOCK)}
    assert table("Schedules") == {("tenant", schedule.name) for schedule in maintenance.SCHEDULES} | {
        ("system", schedule.name) for schedule in hub.SCHEDULES
    }
