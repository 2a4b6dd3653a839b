"""F-24: wall clocks that are days, or decades, off; the order of the log and the link do not care."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.machines import Machines

LIBRARY = next(
    (str(file) for file in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")),
    None,
)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")


def clock(text: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": text, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}


@pytest.mark.parametrize(
    ("end", "text"),
    [("spoke", "-3d"), ("spoke", "@1970-01-03 00:00:00"), ("spoke", "@2106-02-08 00:00:00"), ("hub", "+3d")],
)
def test_f24_a_clock_that_is_wrong(machines: Machines, end: str, text: str) -> None:
    hub = machines.start_hub(environment=clock(text) if end == "hub" else {})
    spoke = machines.spoke()
    process = spoke.start(more=clock(text) if end == "spoke" else {})
    spoke.write(50)
    status = spoke.wait_synced(process)
    spoke.write(50)
    status = spoke.wait_synced(process)
    assert status.skew_ms is not None
    ahead = text.startswith(("+", "@2106")) == (end == "spoke")
    assert (status.skew_ms > 0) == ahead, "the difference is noted"
    assert abs(status.skew_ms) > 86_400_000
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 100), verdict
    assert hub.poll() is None
    assert process.poll() is None


def test_f24_a_clock_that_jumps_between_sessions(machines: Machines) -> None:
    """Forth and back, with the node's sessions in between: it is never taken for a copy of itself."""
    machines.start_hub()
    spoke = machines.spoke()
    for number, text in enumerate(("+1h", "-1h", "+3d")):
        spoke.write(20)
        process = spoke.start(more=clock(text))
        spoke.wait_synced(process)
        machines.kill(process)
        assert spoke.verdict().ok == 20 * (number + 1)
    assert spoke.verdict().good
