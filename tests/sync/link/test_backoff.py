"""Full jitter, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.link.backoff import CAP_S, FIRST_S, PERMANENT_S, delay_s


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_delay_grows_to_the_cap_and_no_further(failures: int, luck: float) -> None:
    waited = delay_s(failures, lambda: luck)
    assert 0 <= waited <= CAP_S
    assert waited <= FIRST_S * 2 ** min(failures, 30)
    assert PERMANENT_S / 2 <= delay_s(failures, lambda: luck, permanent=True) <= PERMANENT_S
