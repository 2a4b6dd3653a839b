"""Copies that a terminal may not take: kept in a file too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage.private_file import write_private


def keep_copy(text: str, environment: Mapping[str, str]) -> str:
    """Keep the text in $XDG_RUNTIME_DIR/spoke-clip (mode 0600), and return what to say about it.

    OSC-52 has no answer: nobody knows whether the terminal took the text. tmux takes it only with `set-clipboard on`.
    """
    folder = environment.get("XDG_RUNTIME_DIR")
    said = "; in tmux it needs: set -g set-clipboard on" if environment.get("TMUX") else ""
    if not folder or not Path(folder).is_dir():
        return said
    path = Path(folder) / "spoke-clip"
    try:
        write_private(path, text)
    except OSError as error:
        return f"{said}; not in {path}: {error.strerror}"
    return f"{said}; also in {path}"
