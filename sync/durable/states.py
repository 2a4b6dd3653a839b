"""The life of a durable call, as a pure state machine. Both ends go by it; each sees a part."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How a durable call stands."""

    QUEUED = "QUEUED"
    """In the caller's log; the peer is away, or the link has not come to it."""
    SENT = "SENT"
    RECEIVED = "RECEIVED"
    """On the peer's disk; waits for its lane, or for its hub's time."""
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    """Its deadline passed before it began, or while it ran."""
    CANCELLED = "CANCELLED"
    INDETERMINATE = "INDETERMINATE"
    """It had begun when the callee crashed. It may have done anything between nothing and everything."""
    REJECTED = "REJECTED"
    """The callee does not know the operation, or refuses the caller, the input or the execution class."""


ENDED = frozenset(
    {State.DONE, State.FAILED, State.EXPIRED, State.CANCELLED, State.INDETERMINATE, State.REJECTED},
)
GIVEN_UP = frozenset({State.EXPIRED, State.CANCELLED})
"""Ends that one side alone decides: the other may have got further."""

_ORDER = (State.QUEUED, State.SENT, State.RECEIVED, State.RUNNING)


class IllegalMoveError(RuntimeError):
    """A call was to go back, or on after its end: a defect of whoever moved it."""


def may_move(state: State, to: State) -> bool:
    """Whether a call may go from one state to another: forward, perhaps over some; an end is an end.

    What runs has been accepted, so it is not rejected any more.
    """
    if state in ENDED:
        return False
    if to in ENDED:
        return not (state is State.RUNNING and to is State.REJECTED)
    return _ORDER.index(to) > _ORDER.index(state)


def move(state: State, to: State) -> State:
    """Go to another state.

    Raises:
        IllegalMoveError: there is no way.
    """
    if not may_move(state, to):
        raise IllegalMoveError(f"a call does not go from {state} to {to}")
    return to


def hear(state: State, heard: State) -> tuple[State, bool]:
    """What the caller makes of a state that the callee reports: the new state, and whether the report is a late result.

    Late is what comes of a call that was given up here and went on over there. Anything else that leads nowhere is
    old news.
    """
    if may_move(state, heard):
        return heard, False
    return state, state in GIVEN_UP and heard in ENDED - GIVEN_UP
