"""Generations: the lives that a log has had. A restored copy that writes on begins a new one and overwrites nothing.

The events of a topic lie in one table by ascending offset. A generation is a part of that table: the events behind
`base` and, once it is sealed, up to `end`. Its chain of hashes begins with its random id. The active generations of a
log follow each other: each begins where the one before it was sealed, or behind it where events are gone for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from sync.link.chain import HASH_BYTES
from sync.link.errors import MalformedError

MAX_GENERATIONS = 256

Reason: TypeAlias = Literal["first", "restored", "diverged", "stale", "gap", "reidentified"]
"""Why a generation began: `first`; the log had lost its tail and wrote on (`restored`); two copies of the log wrote
on (`diverged`); a copy older than the newest generation has something to say (`stale`); events that the other end lacks
are gone here too (`gap`); a copy became a node of its own (`reidentified`)."""


class Generation(msgspec.Struct, frozen=True, array_like=True):
    """One life of a log. `number` orders them, `gen_id` (16 random bytes) tells two with the same number apart.

    `parent` is the `gen_id` that it branched from (empty for the first), at offset `base` or before. `end` is the last
    offset that counts (None while it is open). `seen` is the furthest offset that the other end was known to have
    of it when it was sealed: what lies behind `end` is a tail that only the other end has.
    """

    number: int
    gen_id: bytes
    base: int = 0
    parent: bytes = b""
    end: int | None = None
    seen: int = 0
    reason: Reason = "first"

    @property
    def active(self) -> bool:
        """Whether the other end must hear of it: it has, or may get, events of this log, or there is a tail only there.

        Without the last, a receiver that is restored twice would lose such a tail in silence (tests/sim).
        """
        return self.end is None or self.end > self.base or self.seen > self.end


def check(generations: Sequence[Generation]) -> None:
    """Accept what a sender says of its log.

    Raises:
        MalformedError: it cannot be: numbers or offsets do not ascend, ids of a wrong length, none open or too many.
    """
    if not 1 <= len(generations) <= MAX_GENERATIONS:
        raise MalformedError(f"{len(generations)} generations; a log has 1 to {MAX_GENERATIONS}")
    if len({generation.gen_id for generation in generations}) != len(generations):
        raise MalformedError("two generations with one id")
    number, reached = 0, 0
    for generation in generations:
        end = generation.end if generation.end is not None else generation.base
        if len(generation.gen_id) != HASH_BYTES or len(generation.parent) not in (0, HASH_BYTES):
            raise MalformedError(f"a generation id has {HASH_BYTES} bytes")
        if generation.number <= number or generation.base < reached or end < generation.base or generation.seen < 0:
            raise MalformedError("generations do not follow each other")
        number, reached = generation.number, end
    if any(generation.end is None for generation in generations[:-1]) or generations[-1].end is not None:
        raise MalformedError("the last generation is open, and only that one")
