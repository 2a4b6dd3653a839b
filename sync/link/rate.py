"""Token buckets: how many may come, by whom and in all. Pure; the clock is an argument."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once."""

    per_s: float
    burst: float


@dataclass(slots=True)
class Bucket:
    """A bucket; full at first."""

    rate: Rate
    level: float = field(init=False)
    at_s: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.level = self.rate.burst

    def fill(self, now_s: float) -> None:
        """Let time pass; a clock that went back lets none pass."""
        if self.at_s is not None:
            self.level = min(self.rate.burst, self.level + max(0.0, now_s - self.at_s) * self.rate.per_s)
        self.at_s = now_s

    def take(self, now_s: float) -> float:
        """Take one; returns 0, or the seconds after which there is one (then nothing was taken)."""
        self.fill(now_s)
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.rate.per_s


class Gate:
    """Lets callers in, each address at a rate and all of them at a rate; in bounded memory.

    Of an IPv6 address the first 64 bits count: one machine has all the others. When more addresses come than are
    remembered, those that were quiet longest are forgotten; what all of them may do together still holds.
    """

    def __init__(self, each: Rate, together: Rate, *, callers: int = MAX_CALLERS) -> None:
        self._each = each
        self._all = Bucket(together)
        self._callers = callers
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()

    def admit(self, address: str, now_s: float) -> float:
        """Returns 0 when the caller may come in, else the seconds after which it may try again."""
        key = _network(address)
        bucket = self._by_address.pop(key, None) or Bucket(self._each)
        self._by_address[key] = bucket
        if len(self._by_address) > self._callers:
            self._by_address.popitem(last=False)
        wait_s = bucket.take(now_s)
        if wait_s:
            return wait_s  # before the common bucket: who is refused takes nothing from the others
        return self._all.take(now_s)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
