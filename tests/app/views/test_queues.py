"""Queues and schedules as lists show them, and why jobs died."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.views.queue_text import job_text, paused_note
from app.views.queues import (
    STATES,
    JobRow,
    JobState,
    NoSuchJobError,
    count_jobs,
    fingerprint,
    read_causes,
    read_job,
    read_jobs,
    read_queues,
)
from app.views.schedules import read_locks, read_schedules, upcoming
from app.views.streams import payload_bytes, read_gaps, read_streams
from storage.engine import Database


def fill(db: Database) -> None:
    """In `mail`: one that is ready, one delayed, one running with an error behind it, three dead of two causes."""
    queue = db.queue("mail")
    for number in range(3):
        queue.enqueue({"n": number}, max_attempts=1)
        (job,) = db.queue("mail").claim_batch("w", 1)
        job.fail(f"HTTP 50{number % 2} from /var/mail/{number}.eml" if number < 2 else "no route")
    queue.enqueue({"n": 3}, max_attempts=5)
    (job,) = queue.claim_batch("w", 1)
    job.retry(0, "timeout")
    assert queue.claim_batch("w1", 1)
    queue.enqueue({"n": 4})
    queue.enqueue({"n": 5}, delay=3_600)


def test_a_queue_is_counted_by_state(tenant: Database) -> None:
    fill(tenant)
    with tenant.snapshot() as snapshot:
        (row,) = read_queues(snapshot)
        assert (row.name, row.ready, row.delayed, row.running, row.dead) == ("mail", 1, 1, 1, 3)
        assert row.oldest_ms is not None
        jobs = read_jobs(snapshot, "mail")
        assert [job.state for job in jobs] == ["delayed", "ready", "running", "dead", "dead", "dead"]
        assert [job.id for job in jobs] == sorted((job.id for job in jobs), reverse=True)
        assert [job.error for job in read_jobs(snapshot, "mail", "running")] == ["timeout"]
        assert len(read_jobs(snapshot, "mail", limit=2)) == 2
        assert read_jobs(snapshot, "other") == []
        job, payload = read_job(snapshot, jobs[0].id)
        assert (job, json.loads(payload)) == (jobs[0], {"n": 5})
        with pytest.raises(NoSuchJobError):
            read_job(snapshot, 10**6)


def test_a_queue_that_rests_says_so_with_and_without_jobs(tenant: Database) -> None:
    fill(tenant)
    for name in ("mail", "empty"):
        tenant.queue(name).pause()
    with tenant.snapshot() as snapshot:
        empty, mail = read_queues(snapshot)
        assert (empty.name, empty.ready, empty.dead, empty.oldest_ms) == ("empty", 0, 0, None)
        assert (mail.ready, mail.delayed, mail.running, mail.dead) == (1, 1, 1, 3)
        assert empty.paused_ms is not None
        assert mail.paused_ms is not None
        told = {job.state: "\n".join(job_text(job, "1", str)) for job in read_jobs(snapshot, "mail")}
    waits = f"waits     mail is paused ({mail.paused_ms}): spoke queue resume mail"
    assert {state: waits in text for state, text in told.items()} == {
        "ready": True,
        "delayed": True,
        "running": False,  # goes on
        "dead": False,
    }


def test_queues_that_rest_are_told_in_a_line_with_the_next_step() -> None:
    assert paused_note({}, 0) is None
    assert paused_note({"m\x1bail": 0}, 61_000) == ("queue m␛ail paused 1 min ago", "spoke queue resume m␛ail")
    assert paused_note(dict.fromkeys("abcde", 0), 0) == ("5 queues paused: a, b, c and 2 more", "spoke queue list")


@pytest.mark.parametrize("state", [None, *STATES])
def test_pages_are_the_whole_list(tenant: Database, state: JobState | None) -> None:
    fill(tenant)
    with tenant.snapshot() as snapshot:
        jobs = read_jobs(snapshot, "mail", state)
        assert count_jobs(snapshot, "mail", state) == len(jobs)
        pages: list[JobRow] = []
        while page := read_jobs(snapshot, "mail", state, 2, pages[-1].id if pages else None):
            pages += page
    assert pages == jobs


def test_dead_jobs_are_grouped_by_cause(tenant: Database) -> None:
    fill(tenant)
    with tenant.snapshot() as snapshot:
        causes = read_causes(snapshot, "mail")
    assert [(cause.error, cause.jobs) for cause in causes] == [("HTTP # from #", 2), ("no route", 1)]


@given(st.text(max_size=200))
def test_a_fingerprint_is_one_line_and_stable(error: str) -> None:
    found = fingerprint(error)
    assert "\n" not in found
    assert fingerprint(error) == found


@given(st.integers(0, 10**9), st.uuids(), st.from_regex(r"(/[a-z]{1,8}){2,4}", fullmatch=True))
def test_what_varies_is_no_cause(number: int, job: object, path: str) -> None:
    assert fingerprint(f"job {job} failed after {number} s: {path}") == "job # failed after # s: #"


def test_schedules_show_their_next_times(tenant: Database) -> None:
    tenant.scheduler().add(name="ping", queue="pings", schedule="@every 60s", payload={"a": 1})
    tenant.scheduler().add(name="off", queue="pings", schedule="@hourly")
    tenant.scheduler().pause("off")
    tenant.queue("pings").enqueue({})
    with tenant.snapshot() as snapshot:
        off, ping = read_schedules(snapshot)
    assert (off.enabled, off.next_ms) == (False, ())
    first, second, third = ping.next_ms
    assert (second - first, third - second) == (60_000, 60_000)
    assert (ping.waiting, ping.dead) == (1, 0)


def test_an_expression_of_another_program_has_its_next_time_alone() -> None:
    assert upcoming("what is this", 5) == (5_000,)


def test_locks_that_have_expired_are_not_held(tenant: Database) -> None:
    with tenant.lock("backup", ttl=60), tenant.snapshot() as snapshot:
        (lock,) = read_locks(snapshot)
        assert lock.name == "backup"
    with tenant.transaction() as tx:
        tx.execute("INSERT INTO _honker_locks VALUES ('old', 'x', 1)")
    with tenant.snapshot() as snapshot:
        assert read_locks(snapshot) == []


def test_streams_have_consumers_with_what_they_have_not_read(tenant: Database) -> None:
    for number in range(5):
        tenant.stream("s").publish({"n": number})
    tenant.stream("s").save_offset("reader@spoke", 2)
    with tenant.snapshot() as snapshot:
        (row,) = [one for one in read_streams(snapshot) if one.name == "s"]
        assert (row.events, row.lag, row.per_minute) == (5, 3, 5)
        assert [(one.name, one.offset, one.lag) for one in row.consumers] == [("reader@spoke", 2, 3)]
        assert payload_bytes(snapshot, "s") == 5 * len('{"n":0}')
        assert read_gaps(snapshot) == []
