"""Finding copies of a node: the ratchet, and the epochs of its sessions (`docs/decisions/0011-joining.md`).

A session gives the spoke 32 fresh random bytes; it stores them, together with the session's epoch, says READY, and
shows them in its next HELLO. Until READY has come, the hub takes what was shown last time as well: a crash in between
leaves the spoke with one of the two. Whoever shows an older value is a copy, or was restored from one.

Pure: the clock and the random bytes are arguments. The hub keeps hashes only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sync.link.errors import MalformedError, SupersededError

RATCHET_BYTES = 32
KNOWN = 64
"""How many older values the hub remembers; a value that is older still shows itself by its epoch."""
SILENT_MS = 10 * 60_000
"""A copy that was not heard of for so long is taken for gone: the other one was restored."""
RACE_MS = 5 * 60_000
RACES = 3
"""More races than this within `RACE_MS` are two copies that chase each other away."""
MAX_EPOCH = 2**62
"""So that a node cannot claim one that has no successor."""

Kind: TypeAlias = Literal["first", "continued", "restored", "hub_restored", "conflict"]


@dataclass(frozen=True, slots=True)
class RatchetState:
    """What the hub knows of a node; values are SHA-256 hashes, `older` newest first."""

    current: bytes
    next: bytes | None = None
    older: tuple[bytes, ...] = ()
    epoch: int = 0
    """Of the newest session; each accepted one has a higher one."""
    last_seen_ms: int = 0
    """When a session of the node was last known to be alive; refused attempts do not count."""
    races_ms: tuple[int, ...] = ()
    """When a session was superseded before it had stored its ratchet."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a HELLO.

    Accepted: store `state`, then send WELCOME with its epoch and the fresh ratchet; a live session of the node is
    closed with SUPERSEDED. Not accepted: IDENTITY_CONFLICT; `state` is stored too, and `both` says that the live
    session gets the same.
    """

    kind: Kind
    state: RatchetState
    both: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the session may go on."""
        return self.kind != "conflict"


def hash_of(ratchet: bytes) -> bytes:
    """What the hub keeps of a value."""
    return hashlib.sha256(ratchet).digest()


def begin(first: bytes) -> RatchetState:
    """The state of a node that was just enrolled and got its first ratchet."""
    return RatchetState(hash_of(first))


def offer(state: RatchetState, fresh: bytes) -> RatchetState:
    """The state after the node was enrolled once more and got a ratchet outside of a session; its old one works too."""
    return replace(state, next=hash_of(fresh), older=_older(state.next, state.older))


def judge(state: RatchetState | None, shown: bytes, epoch: int, now_ms: int, *, live: bool, fresh: bytes) -> Verdict:
    """Judge a HELLO whose signature, or key, is good.

    Args:
        state: what the hub has; None for a node that was never here.
        shown: the ratchet in HELLO; empty when the spoke has none yet.
        epoch: of the last session that the spoke knows.
        now_ms: the hub's clock.
        live: whether a session of this node is open.
        fresh: 32 random bytes, for WELCOME.

    Raises:
        MalformedError: no session has such an epoch.
    """
    if not 0 <= epoch < MAX_EPOCH:
        raise MalformedError(f"no session has the epoch {epoch}")
    value = hash_of(shown)
    if state is None:
        kind: Kind = "hub_restored" if epoch > 0 else "first"
        return Verdict(kind, RatchetState(value, hash_of(fresh), (), epoch + 1, now_ms))
    races = tuple(at for at in state.races_ms if 0 <= now_ms - at < RACE_MS)
    if value in (state.current, state.next):
        kind = "continued"
        if live and state.next is not None and value == state.current:
            # A sole owner does this only when its link breaks between HELLO and READY; two copies do it in turns.
            if len(races) >= RACES:
                return Verdict("conflict", replace(state, races_ms=races), both=True)
            races = (*races, now_ms)
    elif value not in state.older and epoch > state.epoch:
        kind = "hub_restored"
    elif live or abs(now_ms - state.last_seen_ms) < SILENT_MS:
        return Verdict("conflict", replace(state, races_ms=races))
    else:
        kind = "restored"
    gone = [known for known in (state.next, state.current) if known is not None and known != value]
    older = state.older
    for known in reversed(gone):
        older = _older(known, older)
    after = RatchetState(
        value,
        hash_of(fresh),
        tuple(known for known in older if known != value),
        max(state.epoch, epoch) + 1,
        now_ms,
        races,
    )
    return Verdict(kind, after)


def confirm(state: RatchetState, epoch: int, now_ms: int) -> RatchetState:
    """READY came: the spoke has stored the ratchet; from now on nothing else is shown by it.

    Raises:
        SupersededError: a newer session is here.
    """
    fence(state, epoch)
    if state.next is None:
        return replace(state, last_seen_ms=now_ms)
    older = _older(state.current, state.older)
    return replace(state, current=state.next, next=None, older=older, last_seen_ms=now_ms)


def fence(state: RatchetState, epoch: int) -> None:
    """Refuse what a session of an older epoch still does.

    Raises:
        SupersededError: it is not the newest.
    """
    if epoch != state.epoch:
        raise SupersededError(f"session {epoch} of this node ended when session {state.epoch} began")


def seen(state: RatchetState, now_ms: int) -> RatchetState:
    """The newest session was alive at this time; say so at its end, and every minute or so."""
    return replace(state, last_seen_ms=max(state.last_seen_ms, now_ms))


def _older(value: bytes | None, older: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return older if value is None else (value, *older)[:KNOWN]
