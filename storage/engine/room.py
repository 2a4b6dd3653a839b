"""How much a database file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
