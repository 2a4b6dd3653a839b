"""One process per data directory: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from storage.engine.errors import EngineError
from storage.private_file import belong


class LockHeldError(EngineError):
    """Another process works with this data directory."""

    hint = "stop it first, or use another --data-dir"

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path.parent}: in use by {f'process {pid}' if pid else 'another process'}")
        self.pid = pid


class ProcessLock:
    """An exclusive `flock` on a small file that holds the pid of its owner.

    Released by `release()` and by the end of the process, SIGKILL and power cuts included; never stale. It guards
    processes, not threads. Not for network file systems, where SQLite's own locks do not work either.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LockHeldError: another process holds it; nothing was changed.
            OSError: the file cannot be made.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise LockHeldError(self._path, int(text) if text.isdecimal() else None) from error
        except OSError:
            os.close(descriptor)
            raise
        try:
            belong(descriptor, self._path.parent)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            os.close(descriptor)  # the disk is full: nobody may be kept out by a lock that was not taken
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; idempotent. The file stays: removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProcessLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def refuse_held(path: Path) -> None:
    """Look whether a lock could be taken now, without taking it.

    Raises:
        LockHeldError: a process holds it.
    """
    if (pid := holder(path)) is not None:
        raise LockHeldError(path, pid)


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock, None when it is free. Takes nothing.

    A holder that has not written its pid yet is given as 0.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None
