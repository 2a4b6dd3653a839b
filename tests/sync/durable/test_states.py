"""The state machine: forward only, ends are ends, and what is heard late is told apart from what is old."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.tables.durable_calls import CLASSES, STATES
from sync.durable.states import ENDED, GIVEN_UP, IllegalMoveError, State, hear, may_move, move

states = st.sampled_from(State)


def test_the_table_knows_every_state() -> None:
    assert set(STATES) == set(State)
    assert len(CLASSES) == 3


@given(st.lists(states))
def test_a_call_only_goes_forward_and_ends_once(wanted: list[State]) -> None:
    order = [State.QUEUED, State.SENT, State.RECEIVED, State.RUNNING]
    state, ends = State.QUEUED, 0
    for to in wanted:
        if may_move(state, to):
            assert state not in ENDED
            assert to in ENDED or order.index(to) > order.index(state)
            state = move(state, to)
            ends += to in ENDED
        else:
            with pytest.raises(IllegalMoveError):
                move(state, to)
    assert ends == (state in ENDED)


@given(states, states)
def test_nothing_moves_to_where_it_is_and_what_runs_is_not_rejected(state: State, to: State) -> None:
    assert not may_move(state, state)
    assert may_move(state, to) == (
        state not in ENDED
        and (to in ENDED or list(State).index(to) > list(State).index(state))
        and (state, to) != (State.RUNNING, State.REJECTED)
    )


@given(states, states)
def test_a_report_moves_or_is_late_or_is_old_news(state: State, heard: State) -> None:
    after, late = hear(state, heard)
    assert not (late and after is not state)
    assert late == (state in GIVEN_UP and heard in {State.DONE, State.FAILED, State.INDETERMINATE, State.REJECTED})
    assert (after is heard) or after is state


@given(st.lists(states))
def test_reports_in_any_order_and_twice_end_in_one_end(reports: list[State]) -> None:
    state = State.QUEUED
    for report in reports:
        state, _ = hear(state, report)
    again = state
    for report in reports:
        again, _ = hear(again, report)
    assert again is state or state not in ENDED
