"""Writes docs/screens/*.txt: what the built executable shows at 80x24, captured in tmux. Run: make screens."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("SPOKE_BINARY", str(ROOT / "dist" / "spoke"))
TARGET = ROOT / "docs" / "screens"
STEPS = (
    ("overview", "", "a look around"),
    ("sessions", "2", "sessions"),
    ("session", "Enter", "calls"),
    ("call-detail", "e Enter", "requestId"),
    ("streams", "Escape 3", "stream "),
    ("help", "?", "keys of"),
)
LIMIT_S = 60


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(
            os.environ,
            SPOKE_DATA_DIR=f"{folder}/data",
            SPOKE_CONFIG=f"{folder}/spoke.toml",
            SPOKE_NAME="workshop-pc",
            TERM="xterm-256color",
            LANG="C.UTF-8",
        )
        for trajectory in sys.argv[1:]:
            subprocess.run([BINARY, "import", "swe-agent", trajectory], env=environment, check=True)
        script = (
            f"{BINARY} record -- ls /; {BINARY} call system.info; {BINARY} record -- sh -c 'sleep 0.3; exit 2'; true"
        )
        subprocess.run(
            [BINARY, "record", "--title", "a look around", "--", "sh", "-c", script],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        tmux = ["tmux", "-S", f"{folder}/tmux", "-f", "/dev/null"]
        subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", BINARY], env=environment, check=True)
        try:
            TARGET.mkdir(parents=True, exist_ok=True)
            for name, keys, sign in STEPS:
                for key in keys.split():
                    subprocess.run([*tmux, "send-keys", key], env=environment, check=True)
                    time.sleep(0.7)  # Escape and what follows must not become Alt
                (TARGET / f"{name}.txt").write_text(capture(tmux, environment, sign))
        finally:
            subprocess.run([*tmux, "kill-server"], env=environment, check=True)


def capture(tmux: list[str], environment: dict[str, str], sign: str) -> str:
    limit = time.monotonic() + LIMIT_S
    while True:
        done = subprocess.run(
            [*tmux, "capture-pane", "-p"], env=environment, check=True, capture_output=True, text=True
        )
        if sign in done.stdout:
            return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"
        if time.monotonic() > limit:
            raise SystemExit(f"{sign!r} was never shown:\n{done.stdout}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
