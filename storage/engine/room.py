"""How much a database file holds, and may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from storage.engine.readers import Snapshot
    from storage.engine.transaction import Transaction


def used_bytes(source: Snapshot | Transaction) -> int:
    """Bytes of the pages that hold something, those of the write-ahead log among them; the same effort for any size.

    What is deleted leaves empty pages, which are taken again first: a file that does not shrink has room all the same.
    """
    ((pages,),) = source.rows("PRAGMA page_count")
    ((free,),) = source.rows("PRAGMA freelist_count")
    ((size,),) = source.rows("PRAGMA page_size")
    return int((pages - free) * size)


BIG_BYTES = 4 * 1024 * 1024
"""What a transaction writes at most, as a rule: a batch of the drop folder, four frames of the link."""
MAX_SKIPPED = 15


class Limit:
    """How much a file may hold. Asked by one transaction after the other."""

    def __init__(self, max_bytes: int, page_size: int) -> None:
        self.max_bytes = max_bytes
        self._page_size = page_size
        self._skip = 0

    def reached_by(self, connection: apsw.Connection) -> int | None:
        """Bytes that the file holds if that is all it may, else None; on the connection that writes.

        Two microseconds are a tenth of a commit that waits for no disk. So a file that is far from its limit is not
        looked at for as many times as it takes to get there, and its empty pages only when it has grown that far.
        """
        if self._skip:
            self._skip -= 1
            return None
        size = int(connection.execute("PRAGMA page_count").get) * self._page_size
        if size < self.max_bytes:
            self._skip = min(MAX_SKIPPED, (self.max_bytes - size) // BIG_BYTES)
            return None
        used = size - int(connection.execute("PRAGMA freelist_count").get) * self._page_size
        return None if used < self.max_bytes else used
