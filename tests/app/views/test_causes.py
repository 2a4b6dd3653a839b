"""What dead jobs died of, grouped."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.views.queues import by_cause, fingerprint, read_causes
from storage.tenants import open_tenant_database

ERRORS = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.text(alphabet="0123456789abcdefx-/'\" .#E\n", max_size=60),
    st.text(alphabet="'\"1/a \x85", min_size=390, max_size=410),
)


@given(ERRORS)
def test_a_fingerprint_is_its_own_fingerprint(error: str | None) -> None:
    assert fingerprint(fingerprint(error)) == fingerprint(error)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.uuids(), st.uuids())
def test_what_varies_makes_no_cause(first: int, second: int, one: object, other: object) -> None:
    assert fingerprint(f"E{first}: no /srv/{first}/a for {one} after {first}.5 s") == fingerprint(
        f"E{second}: no /srv/{second}/a for {other} after {second}.5 s\nTraceback"
    )


@given(st.lists(st.tuples(ERRORS, st.integers(1, 1000), st.integers(0, 1000))))
def test_every_dead_job_is_in_one_cause(dead: list[tuple[str | None, int, int]]) -> None:
    causes = by_cause(dead)
    assert sum(cause.jobs for cause in causes) == len(dead)
    for cause in causes:
        of_it = [job for job in dead if fingerprint(job[0]) == cause.error]
        assert cause.jobs == len(of_it)
        assert cause.newest_ms == max(died for _, _, died in of_it)
        assert (cause.example, cause.newest_ms) in {(job, died) for _, job, died in of_it}
    assert causes == sorted(causes, key=lambda cause: (-cause.jobs, cause.error))


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_oldest_dead_job_counts_too(tmp_path: Path, jobs: int) -> None:
    """A list with `LIMIT -1` that is cut at -1 lost it; a queue with one dead job said that it had none."""
    with closing(open_tenant_database(tmp_path / "t.db")) as db:
        queue = db.queue("mail")
        for _ in range(jobs):
            queue.enqueue({})
            job = queue.claim_one("w")
            assert job is not None
            job.fail("no room")
        with db.snapshot() as snapshot:
            (cause,) = read_causes(snapshot, "mail")
    assert (cause.error, cause.jobs) == ("no room", jobs)
