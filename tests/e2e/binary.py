"""The built executable."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BINARY = os.environ.get("SPOKE_BINARY", str(Path(__file__).parents[2] / "dist" / "spoke"))
LIMIT_S = 60


def spoke(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([BINARY, *arguments], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
