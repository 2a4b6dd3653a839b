"""When to try again: full jitter, so that a thousand spokes do not come back in the same second."""

from __future__ import annotations

from collections.abc import Callable

FIRST_S = 0.5
CAP_S = 60.0
PERMANENT_S = 300.0
"""After an error that somebody must mend: rare enough to hurt nobody, often enough to notice that they did."""
STABLE_S = 30.0
"""A session that lasted this long makes the next failure the first one again."""


def delay_s(failures: int, random: Callable[[], float], *, permanent: bool = False) -> float:
    """Return the seconds to wait after the n-th failure in a row (from 0): U(0, min(60, 0.5 * 2^n)).

    `random` returns a number in [0, 1).
    """
    if permanent:
        return PERMANENT_S * (0.5 + random() / 2)
    return random() * min(CAP_S, FIRST_S * 2.0 ** min(failures, 30))
