"""`spoke queue`: pausing as it is used and seen, and lists that end before the queue does."""

from __future__ import annotations

import json
from pathlib import Path

from app.cli.exit_codes import ExitCode
from storage.tenants import open_tenant_database
from tests.app.cli.test_cli import Spoke, check_refused, node, spoke  # noqa: F401


def fill(file: Path, number: int) -> None:
    file.parent.mkdir(mode=0o700)
    db = open_tenant_database(file)
    with db.transaction() as tx:
        for n in range(number):
            db.queue("mail").enqueue(n, tx=tx)
    db.close()


def test_a_queue_is_paused_and_resumed_and_whoever_looks_is_told(spoke: Spoke, node: Path) -> None:  # noqa: F811
    fill(node / "tenant-local.db", 1)
    assert spoke("queue", "pause", "mail") == (0, "mail is paused\n", "")
    check_refused(spoke("queue", "pause", "mail"), ExitCode.FAILURE, "paused already")
    (row,) = json.loads(spoke("queue", "list", "--json")[1])
    assert row["pausedMs"] is not None
    assert "paused" in spoke("queue", "list")[1]
    assert "spoke queue resume mail" in spoke("queue", "show", "1")[1]
    assert "attention  queue mail paused" in spoke("status")[1]
    assert json.loads(spoke("status", "--json")[1])["pausedQueues"] == ["mail"]
    (found,) = [one for one in json.loads(spoke("doctor", "--json")[1])["findings"] if one["name"] == "queues"]
    assert (found["level"], found["fix"]) == ("warning", "spoke queue resume mail")
    metrics = json.loads(spoke("call", "system.metrics", "--json")[1])["output"]["metrics"]
    assert [one["labels"] for one in metrics if one["name"] == "spoke_queue_paused"] == [{"queue": "mail"}]
    assert json.loads(spoke("queue", "resume", "mail", "--json")[1]) == {"done": True}
    check_refused(spoke("queue", "resume", "mail"), ExitCode.FAILURE, "not paused")
    (row,) = json.loads(spoke("queue", "list", "--json")[1])
    assert row["pausedMs"] is None
    assert "attention" not in spoke("status")[1]
    recorded = spoke("sql", "select payload from _honker_stream where topic = 'call-protocol'")[1]
    assert "queue.pause" in recorded
    assert "queue.resume" in recorded


def test_jobs_that_a_list_leaves_out_are_told_and_can_be_reached(spoke: Spoke, node: Path) -> None:  # noqa: F811
    fill(node / "tenant-local.db", 5)
    code, out, err = spoke("queue", "jobs", "mail", "--limit", "2", "--json")
    assert (code, [job["id"] for job in json.loads(out)]) == (0, [5, 4])
    assert "2 of 5 jobs; older ones: --before 4" in err
    code, out, err = spoke("queue", "jobs", "mail", "--limit", "2", "--before", "4", "--json")
    assert [job["id"] for job in json.loads(out)] == [3, 2]
    assert "--before 2" in err
    code, out, err = spoke("queue", "jobs", "mail", "--limit", "2", "--before", "2", "--json")
    assert [job["id"] for job in json.loads(out)] == [1]
    assert err == ""
    assert "no older jobs in mail" in spoke("queue", "jobs", "mail", "--before", "1")[2]
