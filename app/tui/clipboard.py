"""Copies: OSC-52 to the terminal, and a file for those that do not take it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.environment import child_environment
from app.views.text import count
from storage.private_file import write_private

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

TMUX_S = 2.0
"""So long tmux may take to say what it does with copies."""


class Clipboard:
    """Copies for a person. OSC-52 works over ssh but has no answer: nobody knows whether the terminal took the text.

    tmux, which stands between, takes it only with `set-clipboard on`; where that is not so, it is said once.
    """

    def __init__(self, app: SpokeApp) -> None:
        self._app = app
        self._asked = False

    def copy(self, text: str, *, secret: bool = False) -> None:
        """Give a text to the terminal, keep it in a file unless it is a secret, and say so."""
        app = self._app
        if not text:
            app.notify("nothing to copy: the list is empty")
            return
        app.copy_to_clipboard(text)
        kept = "; a secret is kept in no file" if secret else keep_copy(text, os.environ)
        app.notify(f"copied {count(len(text))} characters{kept}")
        if "TMUX" in os.environ and not self._asked:
            self._asked = True
            app.run_worker(self._hint(), group="clipboard")

    async def _hint(self) -> None:
        said = await asyncio.to_thread(ask_tmux)
        if said != "on":
            what = f"tmux passes no copies on (set-clipboard {said})" if said else "tmux may pass no copies on"
            self._app.notify(f"{what}; let it: tmux set -g set-clipboard on", severity="warning")


def ask_tmux() -> str | None:
    """What `set-clipboard` of the tmux around us is: on, external or off; None: it cannot be asked."""
    try:
        done = subprocess.run(
            ["tmux", "show", "-gv", "set-clipboard"],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TMUX_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def keep_copy(text: str, environment: Mapping[str, str]) -> str:
    """Keep the text in $XDG_RUNTIME_DIR/spoke-clip (mode 0600), and return what to say about it."""
    folder = environment.get("XDG_RUNTIME_DIR")
    if not folder or not Path(folder).is_dir():
        return ""
    path = Path(folder) / "spoke-clip"
    try:
        write_private(path, text)
    except OSError as error:
        return f"; not in {path}: {error.strerror}"
    return f"; also in {path}"
