"""inotify on the files of a database, by path: a hint that another process wrote something (Linux).

By path and on the directory, never through a descriptor of the database's own files: closing one would drop SQLite's
locks. The hint comes *before* the commit is visible (frames first, then the index), so whoever gets it looks again for
a while (`wake.WakeHub`).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys

_IN_MODIFY = 0x2
_IN_CREATE = 0x100
_IN_DELETE = 0x200
_IN_MOVED = 0xC0
_IN_CLOEXEC = os.O_CLOEXEC
_IN_NONBLOCK = os.O_NONBLOCK
_HEADER = struct.Struct("iIII")


class Inotify:
    """Watches the directory of a database for changes of the file and of its `-wal`.

    Raises:
        OSError: there is no inotify here, or no watch is left; poll instead.
    """

    def __init__(self, path: str) -> None:
        if sys.platform != "linux":
            raise OSError("inotify is of Linux")
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._wake_read, self._wake_write = os.pipe2(_IN_CLOEXEC | _IN_NONBLOCK)
        folder, name = os.path.split(os.path.abspath(path))
        mask = _IN_MODIFY | _IN_CREATE | _IN_DELETE | _IN_MOVED
        if libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) < 0:
            error = ctypes.get_errno()
            self.close()
            raise OSError(error, "inotify_add_watch", folder)
        self._names = {os.fsencode(name), os.fsencode(name + "-wal")}
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a change of our files; False when `timeout_s` passed, or only other files changed."""
        if not self._poll.poll(timeout_s * 1000):
            return False
        return self._drain()

    def _drain(self) -> bool:
        found = False
        while True:
            try:
                data = os.read(self._descriptor, 65_536)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                _, _, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                found = found or data[at : at + length].rstrip(b"\0") in self._names
                at += length

    def interrupt(self) -> None:
        """End a `wait` of another thread."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self._descriptor, self._wake_read, self._wake_write):
            os.close(descriptor)
