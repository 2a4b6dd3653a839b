"""Giving the terminal to another program for a while: a pager, an editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from app.environment import child_environment


def pager() -> str:
    """The user's pager."""
    return os.environ.get("PAGER") or "less"


def editor() -> str:
    """The user's editor."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"


def show_in(app: App[None], program: str, text: str, name: str = "text.txt", *, read_only: bool = False) -> str | None:
    """Open a file with the text in a program, and return what is in it when the program has ended.

    The file is this user's alone, in a folder of its own, and is gone afterwards; with `read_only` editors say that it
    cannot be written. None: the program could not be run, or left something that is no text; the person is told why.
    """
    with tempfile.TemporaryDirectory(prefix="spoke-") as folder:
        path = Path(folder) / name
        path.touch(0o600)
        path.write_text(text, encoding="utf-8")
        if read_only:
            path.chmod(0o400)
        try:
            with app.suspend():
                subprocess.run([*shlex.split(program), str(path)], env=child_environment(), check=False)
            return path.read_text(encoding="utf-8")
        except SuspendNotSupported:
            app.notify("this terminal cannot be given to another program", severity="warning")
        except (OSError, ValueError) as error:
            app.notify(f"{program}: {error}; set PAGER or EDITOR", severity="error")
    return None
