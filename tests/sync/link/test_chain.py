"""The chain does not care how a log is cut into frames, and the receiver takes only what continues it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.chain import Cursor, LogEvent, extend, receive
from sync.link.errors import CorruptFrameError, GapError, MalformedError

GEN = b"g" * 16


def log_of(texts: list[str], gaps: list[int]) -> list[LogEvent]:
    offset, events = 0, []
    for text, gap in zip(texts, gaps, strict=False):
        offset += 1 + gap
        events.append(LogEvent(offset, text or None, text, len(text)))
    return events


logs = st.builds(log_of, st.lists(st.text(), max_size=20), st.lists(st.integers(0, 3), min_size=20, max_size=20))


@given(logs, st.integers(0, 20))
def test_any_cut_gives_the_same_hash(log: list[LogEvent], cut: int) -> None:
    assert extend(extend(GEN, log[:cut]), log[cut:]) == extend(GEN, log)


@given(logs, st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=30))
def test_frames_in_any_order_and_number_never_make_a_hole_or_a_duplicate(
    log: list[LogEvent], pieces: list[tuple[int, int]]
) -> None:
    cursor, stored = Cursor(0, GEN), list[LogEvent]()
    for start, length in [*pieces, (0, len(log))]:
        events = log[start : start + length]
        if not events:
            continue
        after = log[start - 1].offset if start else 0
        try:
            fresh, cursor = receive(cursor, after, events, extend(GEN, log[: start + len(events)]))
        except GapError:
            assert after > cursor.offset
            continue
        stored += fresh
        assert stored == log[: len(stored)]
    assert stored == log


@given(logs.filter(bool), st.data())
def test_a_changed_event_is_found(log: list[LogEvent], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log) - 1))
    changed = [event._replace(payload=event.payload + "!") if i == at else event for i, event in enumerate(log)]
    with pytest.raises(CorruptFrameError):
        receive(Cursor(0, GEN), 0, changed, extend(GEN, log))


def test_offsets_must_ascend() -> None:
    events = [LogEvent(2, None, "a", 0), LogEvent(2, None, "b", 0)]
    with pytest.raises(MalformedError):
        receive(Cursor(0, GEN), 0, events, b"")
    with pytest.raises(MalformedError):
        receive(Cursor(0, GEN), 5, events[:1], b"")
