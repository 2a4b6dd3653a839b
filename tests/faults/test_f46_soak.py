"""F-46, for a few seconds; `make soak SECONDS=3600` is the real thing."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.machines import rounds
from tests.faults.soak import slope, soak


def test_f46_a_short_soak(tmp_path: Path) -> None:
    seed, seconds = random.randrange(1 << 32), float(rounds(10))
    report = soak(tmp_path / "machines", seconds, seed)
    print(report)
    assert report.problems(seconds) == [], seed
    assert sum(verdict.ok for verdict in report.verdicts) > 0
    assert sum(report.deeds.values()) > 0


def test_the_slope_of_a_line() -> None:
    assert slope([0, 1, 2], [5, 6, 7]) == 60
    assert slope([1], [5]) == 0
