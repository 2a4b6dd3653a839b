"""A release has to get well in time, and then to stay so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.install.gate import Gate, unwell
from app.install.program import Look

ILL = Look("the services do not answer")
WELL, AGAIN = Look(None, (1, 0)), Look(None, (1, 1))
"""The same process, of which something crashed between two looks."""
OTHER = Look(None, (2, 0))


def ask(looks: Iterator[Look], *, failed: bool = False, limit_s: float = 10.0) -> tuple[str | None, float, list[str]]:
    """What the gate says, after how many seconds, and what it told meanwhile. A look takes no time."""
    passed: list[float] = []
    told: list[str] = []
    gate = Gate(limit_s, 5.0, 1.0, 4.0, lambda: sum(passed), passed.append)
    return unwell(lambda: next(looks), lambda: failed, gate, told.append), sum(passed), told


def looks(*those: tuple[Look, int]) -> Iterator[Look]:
    return (look for look, times in those for _ in range(times))


@pytest.mark.parametrize(
    ("seen", "said", "seconds"),
    [
        ([(WELL, 6)], None, 5.0),
        ([(ILL, 3), (WELL, 6)], None, 8.0),
        ([(WELL, 5), (ILL, 1), (WELL, 6)], None, 11.0),
        ([(WELL, 5), (AGAIN, 6)], None, 10.0),
        ([(WELL, 3), (OTHER, 6)], None, 8.0),
        ([(ILL, 10), (WELL, 6)], None, 15.0),
        ([(ILL, 11)], ILL.reason, 10.0),
        ([(ILL, 8), (WELL, 4), (ILL, 1)], ILL.reason, 12.0),
        ([(ILL, 8), (WELL, 4), (AGAIN, 1)], "its processes do not stay up", 12.0),
        ([(WELL, 2), (OTHER, 2)] * 2 + [(WELL, 2), (OTHER, 1)], "its processes do not stay up", 10.0),
    ],
)
def test_well_in_time_and_for_some_time(seen: list[tuple[Look, int]], said: str | None, seconds: float) -> None:
    rest = looks(*seen)
    assert ask(rest)[:2] == (said, seconds)
    assert list(rest) == [], "it looked as often as that"


def test_it_does_not_wait_for_what_systemd_gave_up() -> None:
    assert ask(looks((ILL, 1)), failed=True)[:2] == (ILL.reason, 0.0)


def test_it_says_how_it_stands() -> None:
    _, _, told = ask(looks((ILL, 6), (WELL, 6)))
    assert told == [
        "not yet: the services do not answer (10 s left)",
        "not yet: the services do not answer (6 s left)",
        "it works, and has to for some time (5 s left)",
        "it works, and has to for some time (1 s left)",
    ]
