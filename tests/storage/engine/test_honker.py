"""A file that Honker wrote, its SQL functions, its API by name and argument."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import storage.engine as honker
from storage.engine import Database, LockHeld
from tests.conftest import SHARED
from tests.storage.engine.clock import Clock

FILE = SHARED / "data" / "honker" / "honker-0.5.0.db"


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[tuple[Database, Clock]]:
    if not FILE.is_file():
        pytest.skip("shared data absent: honker-0.5.0.db")
    shutil.copy(FILE, tmp_path / "honker.db")
    clock = Clock()
    db = honker.open(tmp_path / "honker.db", clock=clock)
    clock.now = db.query("SELECT max(created_at) AS t FROM _honker_live")[0]["t"]
    yield db, clock
    db.close()


def test_jobs_of_honker_are_claimed_and_finished(theirs: tuple[Database, Clock]) -> None:
    db, clock = theirs
    queue = db.queue("emails")
    clock.advance(10**9)

    def count(table: str) -> int:
        return int(db.query(f"SELECT count(*) AS n FROM {table} WHERE queue = 'emails'")[0]["n"])

    waiting, dead = count("_honker_live"), count("_honker_dead")
    claimed = queue.claim_batch("ours", 1_000)
    assert len(claimed) == waiting - (count("_honker_dead") - dead)
    assert len(claimed) > 10
    assert all(isinstance(job.payload, dict) for job in claimed)
    assert claimed[0].ack()
    assert claimed[1].retry(delay_s=1, error="later")
    assert claimed[2].fail("no")
    assert queue.ack_batch([job.id for job in claimed[3:]], "ours") == len(claimed) - 3


def test_streams_of_honker_go_on_where_they_were(theirs: tuple[Database, Clock]) -> None:
    db, _ = theirs
    (consumer,) = json.loads(FILE.with_suffix(".json").read_text())["consumers"]
    stream = db.stream(consumer["topic"])
    assert stream.get_offset(consumer["name"]) == consumer["offset"]
    newest = db.query("SELECT max(offset) AS o FROM _honker_stream")[0]["o"]
    assert stream.publish({"ours": 1}) == newest + 1


def test_locks_schedules_results_and_limits_of_honker_are_seen(theirs: tuple[Database, Clock]) -> None:
    db, clock = theirs
    (lock,) = db.query("SELECT * FROM _honker_locks")
    clock.now = lock["expires_at"] - 1
    with pytest.raises(LockHeld), db.lock(lock["name"]):
        pass
    clock.now = lock["expires_at"] + 1
    with db.lock(lock["name"]):
        pass
    assert len(db.scheduler().list()) == 2
    (result,) = db.query("SELECT * FROM _honker_results")
    clock.now = result["created_at"]
    found, value = db.queue("emails").get_result(result["job_id"])
    assert found
    assert value == json.loads(result["value"])


def test_the_column_of_a_newer_honker_is_filled(tmp_path: Path) -> None:
    db = honker.open(tmp_path / "new.db")
    with db.transaction() as tx:
        tx.execute("ALTER TABLE _honker_live ADD COLUMN claimed_at INTEGER")
    db.close()
    clock = Clock()
    db = honker.open(tmp_path / "new.db", clock=clock)
    queue = db.queue("q")
    queue.enqueue(1)
    job = queue.claim_one("w")
    assert job is not None
    assert db.query("SELECT claimed_at FROM _honker_live") == [{"claimed_at": int(clock())}]
    assert job.retry(0, "x")
    assert db.query("SELECT claimed_at FROM _honker_live") == [{"claimed_at": None}]
    db.close()


def test_every_sql_function_is_there(db: Database) -> None:
    schema = SHARED / "reference" / "honker-schema.txt"
    if not schema.is_file():
        pytest.skip("shared data absent: honker-schema.txt")
    line = schema.read_text().strip().splitlines()[-1]
    expected = set(eval(line, {}))
    assert len(expected) == 36
    with db.transaction() as tx:
        found = {
            (name, arguments)
            for name, arguments in tx.rows("SELECT name, narg FROM pragma_function_list")
            if name.startswith("honker_") or name == "notify"
        }
    assert found == expected
    with pytest.raises(RuntimeError):
        db.query("SELECT honker_scheduler_soonest()")  # readers do not have them


def test_sql_functions_do_what_the_methods_do(db: Database) -> None:
    def ask(sql: str, *params: Any) -> Any:
        return tx.rows(f"SELECT {sql}", params)[0][0]

    with db.transaction() as tx:
        job = ask("honker_enqueue('q', '{\"a\":1}', NULL, NULL, 5, 3, NULL)")
        assert ask("honker_queue_next_claim_at('q')") > 0
        (claimed,) = json.loads(ask("honker_claim_batch('q', 'w', 1, 60)"))
        assert (claimed["id"], claimed["payload"], claimed["priority"]) == (job, '{"a":1}', 5)
        assert json.loads(ask("honker_get_job(?)", job))["state"] == "processing"
        assert ask("honker_heartbeat(?, 'w', 60)", job) == 1
        assert ask("honker_retry(?, 'w', 0, 'err')", job) == 1
        assert len(json.loads(ask("honker_claim_batch('q', 'w', 9, 60)"))) == 1
        assert ask("honker_ack(?, 'other')", job) == 0
        assert ask("honker_ack_batch(?, 'w')", f"[{job}]") == 1
        assert ask("honker_get_job(?)", job) == ""
        second = ask("honker_enqueue('q', '1', NULL, NULL, 0, 3, NULL)")
        assert ask("honker_cancel(?)", second) == 1
        third = ask("honker_enqueue('q', '1', NULL, NULL, 0, 3, NULL)")
        ask("honker_claim_batch('q', 'w', 1, 60)")
        assert ask("honker_fail(?, 'w', 'no')", third) == 1
        assert ask("honker_sweep_expired('q')") == 0
        assert ask("honker_lock_acquire('l', 'me', 60)") == 1
        assert ask("honker_lock_acquire('l', 'you', 60)") == 0
        assert ask("honker_lock_renew('l', 'me', 60)") == 1
        assert ask("honker_lock_release('l', 'me')") == 1
        assert [ask("honker_rate_limit_try('r', 1, 3600)") for _ in range(2)] == [1, 0]
        assert ask("honker_rate_limit_sweep(0)") >= 0
        assert ask("honker_result_save(1, '[1]', 60)") == 1
        assert ask("honker_result_get(1)") == "[1]"
        assert ask("honker_result_get(2)") is None
        assert ask("honker_result_sweep()") == 0
        offset = ask("honker_stream_publish('t', 'k', '{}')")
        (event,) = json.loads(ask("honker_stream_read_since('t', 0, 10)"))
        assert (event["offset"], event["key"], event["payload"]) == (offset, "k", "{}")
        assert ask("honker_stream_save_offset('c', 't', ?)", offset) == 1
        assert ask("honker_stream_get_offset('c', 't')") == offset
        assert ask("honker_cron_next_after('@every 5s', 10)") == 15
        assert ask("honker_scheduler_register('s', 'q', '@every 5s', '1', 0, NULL)") == 1
        assert ask("honker_scheduler_register('s2', 'q', '@every 9s', '1', 0, NULL, 4)") == 1
        assert [row["name"] for row in json.loads(ask("honker_scheduler_list()"))] == ["s", "s2"]
        assert ask("honker_scheduler_pause('s2')") == 1
        assert ask("honker_scheduler_resume('s2')") == 1
        assert ask("honker_scheduler_update('s', NULL, '2', NULL, NULL, NULL)") == 1
        assert ask("honker_scheduler_update('s', NULL, NULL, 3, NULL, NULL, 1, 0)") == 1
        soonest = ask("honker_scheduler_soonest()")
        assert len(json.loads(ask("honker_scheduler_tick(?)", soonest))) == 1
        assert ask("honker_scheduler_unregister('s2')") == 1
        assert ask("notify('c', '{\"x\":1}')") >= 1
        assert ask("honker_bootstrap()") == 1


def test_an_error_in_a_function_undoes_nothing_else(db: Database) -> None:
    with db.transaction() as tx:
        tx.execute("CREATE TABLE t (n)")
        with pytest.raises(honker.PayloadError):
            tx.query("SELECT notify('c', 'not json')")
        tx.execute("INSERT INTO t VALUES (1)")
    assert db.query("SELECT n FROM t") == [{"n": 1}]


API: dict[str, dict[str, Any]] = {
    "open": {"path": ..., "max_readers": 8, "watcher_backend": None, "watcher_poll_interval_ms": None},
    "Database.query": {"sql": ..., "params": None},
    "Database.listen": {"channel": ..., "fallback_poll_s": 15.0},
    "Database.queue": {"name": ..., "visibility_timeout_s": None, "max_attempts": None},
    "Database.stream": {"name": ...},
    "Database.outbox": {
        "name": ...,
        "delivery": ...,
        "max_attempts": 5,
        "base_backoff_s": 5,
        "visibility_timeout_s": 60,
    },
    "Database.lock": {"name": ..., "ttl": 60, "owner": None},
    "Database.try_rate_limit": {"name": ..., "limit": ..., "per": ...},
    "Database.sweep_rate_limits": {"older_than_s": 3600},
    "Database.prune_notifications": {"older_than_s": None, "max_keep": None},
    "Database.run_workers": {"queue": None, "concurrency": None, "stop_event": None},
    "Database.task": {"queue": "default"},
    "Database.periodic_task": {"schedule": ..., "queue": "default"},
    "Transaction.execute": {"sql": ..., "params": None},
    "Transaction.query": {"sql": ..., "params": None},
    "Transaction.notify": {"channel": ..., "payload": ...},
    "Queue.enqueue": {
        "payload": ...,
        "tx": None,
        "run_at": None,
        "delay": None,
        "priority": 0,
        "expires": None,
        "max_attempts": None,
    },
    "Queue.claim": {"worker_id": ..., "idle_poll_s": 5.0},
    "Queue.claim_one": {"worker_id": ...},
    "Queue.claim_batch": {"worker_id": ..., "n": ...},
    "Queue.heartbeat": {"job_id": ..., "worker_id": ..., "extend_s": None},
    "Queue.save_result": {"job_id": ..., "value": ..., "ttl": None, "tx": None},
    "Queue.wait_result": {"job_id": ..., "timeout": None},
    "Queue.task": {
        "name": None,
        "retries": None,
        "retry_delay_s": 60,
        "timeout_s": None,
        "priority": 0,
        "expires_s": None,
        "store_result": True,
        "result_ttl_s": 3600,
    },
    "Queue.periodic_task": {
        "schedule": ...,
        "name": None,
        "scheduler_name": None,
        "expires_s": None,
        "priority": 0,
        "store_result": False,
        "result_ttl_s": 3600,
    },
    "Job.retry": {"delay_s": 60, "error": ""},
    "Job.fail": {"error": ""},
    "Job.heartbeat": {"extend_s": None},
    "Stream.publish": {"payload": ..., "key": None, "tx": None},
    "Stream.subscribe": {"consumer": None, "from_offset": None, "save_every_n": 1000, "save_every_s": 1.0},
    "Stream.save_offset": {"consumer": ..., "offset": ...},
    "Stream.get_offset": {"consumer": ...},
    "Scheduler.__init__": {"db": ..., "lock_name": None},
    "Scheduler.add": {
        "name": ...,
        "queue": ...,
        "schedule": ...,
        "payload": None,
        "priority": 0,
        "expires": None,
        "max_attempts": 3,
    },
    "Retryable.__init__": {"message": "", "delay_s": 60},
    "_worker.run_task": {
        "job": ...,
        "handler": ...,
        "timeout": None,
        "retries": None,
        "retry_delay": 60.0,
        "backoff": 1.0,
        "save_result": False,
        "result_ttl": 3600.0,
    },
}
NAMES = [
    "CronSchedule",
    "Database",
    "Event",
    "ExtensionLoadingUnsupported",
    "Job",
    "LeadershipLost",
    "Listener",
    "LockHeld",
    "Notification",
    "Outbox",
    "Queue",
    "Retryable",
    "Scheduler",
    "Stream",
    "TaskResult",
    "UnknownTaskError",
    "EXTENSION_ENTRYPOINT",
    "crontab",
    "every_s",
    "extension_info",
    "load_extension",
    "open",
    "registry",
    "run_workers",
]


@pytest.mark.parametrize("name", API)
def test_arguments_and_defaults_are_honkers(name: str) -> None:
    found: Any = honker
    for part in name.split("."):
        found = getattr(found, part)
    signature = inspect.signature(found).parameters
    for argument, default in API[name].items():
        expected = inspect.Parameter.empty if default is ... else default
        assert signature[argument].default == expected, argument


@pytest.mark.parametrize("name", NAMES)
def test_names_are_honkers(name: str) -> None:
    assert name in honker.__all__
    assert getattr(honker, name) is not None


def test_there_is_no_loadable_extension() -> None:
    with pytest.raises(honker.ExtensionLoadingUnsupported, match="honker_"):
        honker.load_extension(None)
    assert honker.extension_info()["loadable"] is False


@pytest.mark.parametrize("backend", ["shm", "x"])
def test_unknown_watchers_are_refused(tmp_path: Path, backend: str) -> None:
    with pytest.raises(ValueError, match="backend"):
        honker.open(tmp_path / "x.db", watcher_backend=backend)
    with pytest.raises(ValueError, match="positive"):
        honker.open(tmp_path / "x.db", watcher_poll_interval_ms=0)
