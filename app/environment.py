"""The environment of commands that we start: that of the person who started us, not that of our own executable."""

from __future__ import annotations

import os
import sys


def child_environment(**extra: str) -> dict[str, str]:
    """Return the environment for a child process, with `extra` added.

    In the built executable PyInstaller's bootloader points LD_LIBRARY_PATH at our own libraries, which would break
    other programs, and passes its own variables on: another `spoke` would take itself for a part of us
    (https://pyinstaller.org/en/stable/common-issues-and-pitfalls.html).
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("_PYI_")}
    if getattr(sys, "frozen", False):
        original = environment.pop("LD_LIBRARY_PATH_ORIG", None)
        if original is None:
            environment.pop("LD_LIBRARY_PATH", None)
        else:
            environment["LD_LIBRARY_PATH"] = original
        environment["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    environment.update(extra)
    return environment
