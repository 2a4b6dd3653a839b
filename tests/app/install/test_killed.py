"""SIGKILL before each single operation of an installation, an upgrade, a rollback: what is there works, always."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.install.killed import SCENARIOS

ROOT = Path(__file__).parents[3]
KNOWS = {"1.0.0": 1, "2.0.0": 2, "3.0.0": 2}
ENDS = {"install": {"1.0.0"}, "good": {"1.0.0", "2.0.0"}, "bad": {"1.0.0"}, "back": {"1.0.0", "2.0.0"}}
FEWEST = {"install": 15, "good": 50, "bad": 20, "back": 20}
"""So many operations there are at least: the test would see nothing if the hook did not."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_before_each_operation(scenario: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.install.killed", scenario, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rounds: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) >= FEWEST[scenario]
    for number, each in enumerate(rounds, 1):
        cut, after = each["cut"], each["after"]
        where = f"operation {number}: {each}"
        if scenario != "install":
            assert cut["runs"], where
            assert cut["schema"] <= KNOWS[cut["current"]], where
        assert after["left"] == [], where
        assert (after["runs"], after["state"], after["step"]) == (True, "active", None), where
        assert after["current"] in ENDS[scenario], where
        assert after["schema"] == KNOWS[after["current"]], where
        if scenario == "good" and cut["step"] == "preparing":
            assert after["current"] == "1.0.0", where
        if cut["step"] in ("switching", "undoing"):
            assert after["current"] == ("2.0.0" if scenario == "good" else "1.0.0"), where
    assert rounds[-1]["after"]["current"] == ("2.0.0" if scenario == "good" else "1.0.0")
