"""The unit, as systemd itself reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.systemd_unit import HUB, NAME, system_unit, user_unit

MOST_EXPOSED = 2.0


@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_it_and_finds_it_closed(tmp_path: Path, hub: bool) -> None:
    unit = tmp_path / (HUB if hub else NAME)
    unit.write_text(system_unit("/bin/true", hub=hub))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(rf"exposure level for {unit.name}: ([0-9.]+)", scored.stdout)
    assert found, scored.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_reload_is_a_hangup() -> None:
    for unit in (system_unit("/usr/bin/spoke"), user_unit("/home/a/spoke", Path("/d"), Path("/c"))):
        assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit
