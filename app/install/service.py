"""systemd, where it runs: the services of an installation."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from app.environment import child_environment
from app.install.layout import InstallError
from app.systemd_unit import NAME

RUNS = ("running", "degraded", "starting", "initializing", "maintenance", "stopping")
LIMIT_S = 700.0
"""More than the unit gives itself to start."""


@dataclass(frozen=True, slots=True)
class Service:
    """Units of the machine or of one person; what is done is done to all of them, and nothing where there are none."""

    system: bool
    units: tuple[str, ...] = (NAME,)

    def manager(self) -> bool:
        """Whether there is a systemd that can be asked."""
        return shutil.which("systemctl") is not None and self._ask("is-system-running") in RUNS

    def states(self) -> dict[str, str]:
        """By unit: `active`, `inactive`, `failed`, …; `unknown` where no systemd runs."""
        runs = bool(self.units) and self.manager()
        return {unit: self._ask("is-active", unit) if runs else "unknown" for unit in self.units}

    def active(self) -> tuple[str, ...]:
        """Those that run, or are about to."""
        return tuple(unit for unit, state in self.states().items() if state in ("active", "activating", "reloading"))

    def reread(self) -> None:
        """Let systemd read the unit's file again."""
        if self.manager():
            self._do("daemon-reload")

    def enable(self) -> None:
        """Let them start at each boot."""
        if self.units:
            self._do("enable", *self.units)

    def start(self) -> None:
        """Start them, or anew if they run; returns when they said that they are ready.

        Raises:
            InstallError: one did not come up.
        """
        if self.units:
            self._do("reset-failed", *self.units)
            self._do("restart", *self.units)

    def stop(self) -> None:
        """Stop them; returns when they have ended."""
        if self.units and self.manager():
            self._do("stop", *self.units)

    def end(self) -> None:
        """Stop them, and start them no more."""
        if self.units and self.manager():
            self._do("disable", "--now", *self.units)

    def command(self, *words: str) -> str:
        """What a person types for it.

        >>> Service(system=False).command("status", "spoke")
        'systemctl --user status spoke'
        """
        return " ".join(self._line(*words))

    def _line(self, *words: str) -> list[str]:
        return ["systemctl", *([] if self.system else ["--user"]), *words]

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            self._line(*words), env=child_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return done.stdout.strip()

    def _do(self, *words: str) -> None:
        done = subprocess.run(
            self._line(*words), env=child_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode != 0 and words[0] != "reset-failed":  # that one fails for a unit that is not loaded
            said = " ".join(done.stderr.split())
            which = " ".join(f"-u {unit}" for unit in self.units)
            raise InstallError(
                f"{self.command(*words)}: {said or f'exit code {done.returncode}'}",
                f"journalctl {'' if self.system else '--user '}{which} says more",
            )
