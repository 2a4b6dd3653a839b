"""Token buckets against the arithmetic that they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.rate import Bucket, Gate, Rate


@given(
    steps=st.lists(st.floats(0, 5, allow_nan=False), max_size=60),
    per_s=st.floats(0.1, 20),
    burst=st.integers(1, 10),
)
def test_never_more_than_burst_and_rate(steps: list[float], per_s: float, burst: int) -> None:
    bucket = Bucket(Rate(per_s, burst))
    now, taken = 0.0, 0
    for step in steps:
        now += step
        wait_s = bucket.take(now)
        taken += wait_s == 0
        assert taken <= burst + now * per_s + 1e-6
        if wait_s:
            assert wait_s <= 1 / per_s + 1e-9


def test_who_waits_as_told_gets_in() -> None:
    bucket = Bucket(Rate(2, 1))
    assert bucket.take(0.0) == 0
    wait_s = bucket.take(0.0)
    assert wait_s == pytest.approx(0.5)
    assert bucket.take(wait_s + 1e-9) == 0
    assert bucket.take(-100.0) > 0, "a clock that goes back gives nothing"
    assert bucket.take(-99.0) == 0, "and takes nothing for ever"


def test_addresses_have_buckets_of_their_own_and_one_together() -> None:
    gate = Gate(Rate(1, 2), Rate(1, 5))
    assert [gate.admit("192.0.2.1", 0.0) == 0 for _ in range(4)] == [True, True, False, False]
    assert [gate.admit("192.0.2.2", 0.0) == 0 for _ in range(3)] == [True, True, False]
    assert gate.admit("192.0.2.3", 0.0) == 0
    assert gate.admit("192.0.2.4", 0.0) > 0, "all together"
    assert gate.admit("192.0.2.4", 1.0) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("?", "?", True),
    ],
)
def test_which_addresses_are_one_caller(one: str, other: str, same: bool) -> None:
    gate = Gate(Rate(1, 1), Rate(100, 100))
    assert gate.admit(one, 0.0) == 0
    assert (gate.admit(other, 0.0) > 0) == same


def test_memory_is_bounded() -> None:
    gate = Gate(Rate(1, 1), Rate(1e6, 1e6), callers=10)
    for number in range(1_000):
        gate.admit(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(gate._by_address) == 10
