"""`spoke selftest` can fail: a check whose result is wrong is told, with and without `python -O`."""

from __future__ import annotations

import subprocess
import sys

import pytest

BROKEN = """
from app import selftest
from sync.link import frames
selftest.CHECKS = {"frames": selftest._frames}
frames.unpack = lambda frame: []
print(selftest.run(print))
"""


@pytest.mark.parametrize("flags", [[], ["-O"]])
def test_a_wrong_result_fails_the_selftest(flags: list[str]) -> None:
    done = subprocess.run([sys.executable, *flags, "-c", BROKEN], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "✗ frames: SelftestFailed: not so: a frame gives back its events",
        "['frames']",
    ]


def test_stripped_assertions_are_told() -> None:
    code = (
        "from app import selftest; selftest.CHECKS = {'interpreter': selftest._interpreter}; print(selftest.run(print))"
    )
    good = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert good.stdout.splitlines() == ["✓ interpreter: assertions on", "[]"]
    bad = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, timeout=60)
    assert bad.stdout.splitlines()[-1] == "['interpreter']"
