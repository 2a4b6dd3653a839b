"""How often calls ended in this process, by operation and outcome: for metrics, and gone with the process."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal, TypeAlias

Ended: TypeAlias = Literal["completed", "failed", "aborted"]

_counts: Counter[tuple[str, Ended]] = Counter()
_lock = threading.Lock()


def note(operation_id: str, ended: Ended) -> None:
    """Count one; only of operations that there are, for what anybody may ask for has no end."""
    with _lock:
        _counts[operation_id, ended] += 1


def counts() -> dict[tuple[str, Ended], int]:
    """What was counted so far."""
    with _lock:
        return dict(_counts)
