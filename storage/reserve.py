"""Space that is kept for the link: without it a full disk could begin no session, and no session would make room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

RESERVE_BYTES = 8 * 1024 * 1024


class Reserve:
    """A file beside the database that holds nothing but space. `release` gives the space back when the disk is full."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    def take(self) -> bool:
        """Hold the space, if as much is free besides; False when there is not. Never an error: it is a precaution."""
        try:
            if self._path.exists():
                return True
            if shutil.disk_usage(self._path.parent).free < 2 * self._size:
                return False
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Give the space back; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
