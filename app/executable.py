"""The program itself: which file it was started from, and how to start it again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STARTED_FROM = os.environ.pop("SPOKE_EXECUTABLE", None)  # taken out: a child may be another version, or no one file


def own_file() -> Path | None:
    """The one file that was started; None for an installed release and for Python sources.

    `FILE --unpack DIR` makes a release folder of it, with nothing but DIR left behind.
    """
    return Path(_STARTED_FROM) if _STARTED_FROM and getattr(sys, "frozen", False) else None


def own_command() -> list[str]:
    """The beginning of a command line that starts this program."""
    if not getattr(sys, "frozen", False):
        return [sys.executable, "-m", "app"]
    file = own_file()
    # The one file first: what it unpacked may have been cleaned up since.
    return [str(file)] if file is not None and file.exists() else [sys.executable]
