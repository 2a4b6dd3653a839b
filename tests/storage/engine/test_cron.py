"""Cron expressions: standard meaning, named ones, intervals, clock changes; cronsim is the oracle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from storage.engine import UsageError, crontab, every_s
from storage.engine.cron import next_fire


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield "Europe/Berlin"
    monkeypatch.undo()
    time.tzset()


def after(expr: str, *moment: int) -> str:
    return crontab(expr).next_after(datetime(*moment)).strftime("%Y-%m-%d %H:%M:%S")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("0 9 * * MON", "2026-11-30 09:00:00"),
        ("0 0 * * 7", "2026-11-29 00:00:00"),
        ("*/10 * * * *", "2026-11-24 08:10:00"),
        ("*/10 * * * * *", "2026-11-24 08:00:10"),
        ("0 0 1 JAN *", "2027-01-01 00:00:00"),
        ("0 0 13 * FRI", "2026-11-27 00:00:00"),  # day of month OR day of week (Honker: AND)
        ("@hourly", "2026-11-24 09:00:00"),
        ("@daily", "2026-11-25 00:00:00"),
        ("@monthly", "2026-12-01 00:00:00"),
    ],
)
def test_expressions_mean_what_they_mean_to_cron_14(expr: str, expected: str) -> None:
    assert after(expr, 2026, 11, 24, 8, 0, 5) == expected


def test_intervals() -> None:
    assert next_fire("@every 30s", 100.9) == 130
    assert next_fire("@every 2h", 0) == 7_200
    assert str(every_s(5)) == "@every 5s"
    for bad in (0, -1, 1.5):
        with pytest.raises(UsageError):
            every_s(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expr", ["", "* * * *", "60 * * * *", "x", "@every 0s", "@every 5", "@sometimes", "0 0 31 2 *"]
)
def test_what_is_no_schedule(expr: str) -> None:
    with pytest.raises(UsageError):
        next_fire(expr, 0)
    with pytest.raises(ValueError, match="every_s"):
        crontab("@every 5s")


def test_a_time_that_the_clock_skips_fires_when_it_has_changed(zone: str) -> None:
    before = datetime(2026, 3, 29, 1, 59).timestamp()
    assert datetime.fromtimestamp(next_fire("30 2 * * *", before)) == datetime(2026, 3, 29, 3, 0)


def test_a_time_that_comes_twice_fires_the_first_time(zone: str) -> None:
    evening = datetime(2026, 10, 24, 20).timestamp()
    first = next_fire("30 2 * * *", evening)
    assert first == datetime(2026, 10, 25, 2, 30, fold=0).timestamp()
    assert datetime.fromtimestamp(next_fire("30 2 * * *", first)) == datetime(2026, 10, 25, 2, 30, fold=1) or (
        datetime.fromtimestamp(next_fire("30 2 * * *", first)) == datetime(2026, 10, 26, 2, 30)
    )


def test_the_hour_that_comes_twice_never_goes_back(zone: str) -> None:
    at = datetime(2026, 10, 25, 1, 55).timestamp()
    for _ in range(30):
        following = next_fire("*/10 * * * *", at)
        assert at < following <= at + 4_200
        at = following


fields = st.tuples(
    st.sampled_from(["*", "*/7", "5", "10-20", "0,30"]),
    st.sampled_from(["*", "*/5", "3", "8-17"]),
    st.sampled_from(["*", "1", "15", "*/9"]),
    st.sampled_from(["*", "6", "JAN-MAR"]),
    st.sampled_from(["*", "MON", "1-5", "7"]),
)


@given(fields, st.integers(0, 2_000_000_000))
def test_every_answer_is_cronsims(parts: tuple[str, ...], start: int) -> None:
    expr = " ".join(parts)
    expected = next(CronSim(expr, datetime.fromtimestamp(start)))
    found = datetime.fromtimestamp(next_fire(expr, start))
    gap = (found - expected).total_seconds()
    assert 0 <= gap <= 7_200
