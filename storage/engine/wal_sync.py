"""Brings the write-ahead log to the disk without writing to it, so that it works on a full disk, and under no lock."""

from __future__ import annotations

import os
import threading

from storage.engine.errors import DiskError


class WalSync:
    """Syncs the write-ahead log of one database file, through a descriptor of its own.

    Closing it drops no lock of SQLite's: those lie on the database and on `-shm`. It is kept open because the kernel
    tells of a write that failed only who had the file open then.
    """

    def __init__(self, file: str) -> None:
        self._path = f"{file}-wal"
        self._descriptor: int | None = None
        self._lock = threading.RLock()
        self.failed = False
        """A sync has failed: the kernel forgets what it could not write, so that another sync would say yes."""

    def sync(self) -> None:
        """Return when everything that was written to the log so far is on disk.

        Raises:
            DiskError: it could not be brought there; nobody knows what is.
        """
        with self._lock:
            try:
                self._open_again()
                if self._descriptor is not None:
                    sync_descriptor(self._descriptor, self._path)
            except OSError as error:
                self.failed = True
                raise DiskError(f"{self._path}: cannot sync: {error}") from error

    def _open_again(self) -> None:
        """Follow a log that was replaced; its entry in the folder is brought to the disk, too."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            self.close()  # nothing is in it
            return
        if self._descriptor is not None and os.path.samestat(there, os.fstat(self._descriptor)):
            return
        self.close()
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        folder = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def sync_descriptor(descriptor: int, path: str) -> None:
    """What `fdatasync` does; a function of its own, so that tests lose power here. `path` is for them."""
    os.fdatasync(descriptor)
