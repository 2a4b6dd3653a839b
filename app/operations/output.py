"""Keeping the first and the last part of an output of any length in bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO


class Tail:
    """The first and the last half of `limit_bytes` of what is fed in; `total` counts everything."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(1, limit_bytes // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: len(self._tail) - self._half]

    @property
    def truncated(self) -> bool:
        """Whether something in the middle was dropped."""
        return self.total > 2 * self._half

    @property
    def head(self) -> str:
        """The first part as text; bytes that are not UTF-8 become the replacement character."""
        return self._head.decode(errors="replace")

    @property
    def tail(self) -> str:
        """The last part as text, as far as it is not in `head`."""
        return bytes(self._tail[-self._half :]).decode(errors="replace")

    def text(self) -> str:
        """Both parts, with a line between them that says how much is missing."""
        if not self.truncated:
            return (bytes(self._head) + bytes(self._tail)).decode(errors="replace")
        return f"{self.head}\n… {self.total - 2 * self._half} bytes left out …\n{self.tail}"

    def read_in_thread(self, pipe: IO[bytes] | None, echo: Callable[[bytes], None] | None = None) -> threading.Thread:
        """Read a pipe to its end on a thread of its own, passing everything on to `echo` as it comes.

        When the reader behind `echo` has left (`| head`), or what is behind it cannot be written (a full disk), the
        pipe is closed: the program gets an error where it would get one without us between.
        """
        assert pipe is not None, "the process was started with pipes"
        source = pipe

        def work() -> None:
            with source, suppress(OSError):
                while data := os.read(source.fileno(), 65_536):
                    self.feed(data)
                    if echo is not None:
                        echo(data)

        thread = threading.Thread(target=work, name="output", daemon=True)
        thread.start()
        return thread
