"""ctrl+z: back to the shell, until `fg`."""

from __future__ import annotations

import os


def why_not_suspend() -> str | None:
    """Why nobody could wake this process up again; None: a shell with job control waits for it.

    Such a shell gives every job a process group of its own. In that of the session's leader (`ssh host spoke`, a window
    of tmux that was opened for it, a container) a process that stops stays stopped, and the terminal with it.
    """
    return "no shell waits here that could wake it up again" if os.getpgrp() == os.getsid(0) else None
