"""`docs/backup.md`: every command block works, in the order of the page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "backup.md").read_text()


def test_every_command_block_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```") // 2 >= 8, "every block is one of commands"
    spoke = tmp_path / "bin" / "spoke"
    spoke.parent.mkdir()
    spoke.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n')
    spoke.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{spoke.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SPOKE_DATA_DIR": str(tmp_path / "data"),
        "SPOKE_CONFIG": str(tmp_path / "spoke.toml"),
    }
    script = "spoke record -- true\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    assert "manifest.json" in done.stdout
    assert "what was here before is in" in done.stderr
    assert "0 problems" in done.stderr
