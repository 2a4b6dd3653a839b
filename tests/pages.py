"""Command blocks of the pages, run as a person would: `spoke` on the PATH, a home of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, which is also where the node's files are; they must all succeed."""
    spoke = folder / "bin" / "spoke"
    spoke.parent.mkdir(exist_ok=True)
    spoke.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n')
    spoke.chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{spoke.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SPOKE_DATA_DIR": str(folder / "data"),
        "SPOKE_CONFIG": str(folder / "spoke.toml"),
    }
    return run_commands(script, folder, environment)


def run_commands(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder and an environment; they must all succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done
