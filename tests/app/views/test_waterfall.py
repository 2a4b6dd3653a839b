"""The waterfall's layout, whatever the log holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.calls import Call, CallStatus
from app.views.waterfall import header, layout, name_width, render_row


def call(
    request_id: str,
    parent: str | None = None,
    start: float | None = 0,
    end: float | None = 100,
    status: CallStatus = "completed",
    operation: str = "fs.list",
    took: float | None = None,
) -> Call:
    lasted = took if took is not None else end - start if start is not None and end is not None else None
    return Call(request_id, parent, operation, status, start, end, lasted, None)


def lines(calls: list[Call], width: int = 60, *, ascii_only: bool = False, now_ms: float = 1_000) -> list[str]:
    fall = layout(calls, now_ms)
    names = name_width(fall, width)
    rows = [render_row(row, fall, names, width, ascii_only=ascii_only).rstrip() for row in fall.rows]
    return [header(fall, names, width).rstrip(), *rows]


EXPECTED = [
    "                         0                                800 ms",
    "✓ session.run     800 ms ███████████████████████████████████████",
    "✓ ├─graph.load    200 ms █████████▊",
    "✗ └─task.exec     600 ms          ▐█████████████████████████████",
    "▶   └─llm.chat   400 ms+                    ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
]


def test_a_tree_of_timed_calls() -> None:
    calls = [
        call("a", start=0, end=800, operation="session.run"),
        call("b", "a", 0, 200, operation="graph.load"),
        call("c", "a", 200, 800, "failed", "task.exec"),
        call("d", "c", 400, None, "pending", "llm.chat"),
    ]
    assert lines(calls, 64, now_ms=800) == EXPECTED


def test_calls_without_times_stand_in_log_order_and_say_so() -> None:
    shown = lines([call("a", start=None, end=None), call("b", "a", None, None), call("c", "a", None, None)])
    assert "times unknown: in log order" in shown[0]
    assert shown[2].index("█") < shown[3].index("█")


def test_known_durations_are_used_where_starts_are_not_known() -> None:
    calls = [
        call("a", start=None, end=None),
        call("b", "a", None, None, took=300),
        call("c", "a", None, None, took=100),
    ]
    fall = layout(calls, 0)
    assert fall.note == "starts unknown: in log order"
    assert [(row.start, row.end) for row in fall.rows] == [(0, 400), (0, 300), (300, 400)]


def test_a_folded_call_hides_what_is_below_it() -> None:
    calls = [call("a"), call("b", "a"), call("c", "b"), call("d")]
    fall = layout(calls, 0, {"a"})
    assert [(row.call.request_id, row.hidden) for row in fall.rows] == [("a", 2), ("d", 0)]
    assert "(+2)" in render_row(fall.rows[0], fall, 20, 60)


def test_calls_that_are_each_others_ancestors_are_shown_once() -> None:
    fall = layout([call("a", "b"), call("b", "a"), call("c", "c")], 0)
    assert sorted(row.call.request_id for row in fall.rows) == ["a", "b", "c"]


def test_a_hundred_thousand_calls_deep_and_wide() -> None:
    deep = [call(str(i), str(i - 1) if i else None) for i in range(50_000)]
    wide = [call(f"w{i}", "0") for i in range(50_000)]
    assert len(layout([*deep, *wide], 0).rows) == 100_000


statuses: st.SearchStrategy[CallStatus] = st.sampled_from(["pending", "running", "completed", "failed", "aborted"])
times = st.none() | st.floats(0, 1e12)
calls_of = st.lists(
    st.builds(
        Call,
        st.integers(0, 12).map(str),
        st.none() | st.integers(0, 15).map(str),
        st.text(max_size=30),
        statuses,
        times,
        times,
        st.none() | st.floats(0, 1e9),
        st.none(),
    ),
    max_size=12,
    unique_by=lambda c: c.request_id,
)


@given(calls_of, st.integers(20, 200), st.booleans(), st.sets(st.integers(0, 12).map(str)))
def test_every_call_once_and_every_row_exactly_as_wide_as_asked(
    calls: list[Call], width: int, ascii_only: bool, folded: set[str]
) -> None:
    fall = layout(calls, 1e12, folded)
    shown = [row.call.request_id for row in fall.rows]
    assert len(shown) == len(set(shown))
    assert len(shown) + sum(row.hidden for row in fall.rows) == len(calls)
    names = name_width(fall, width)
    assert cell_len(header(fall, names, width)) == width
    for row in fall.rows:
        text = render_row(row, fall, names, width, ascii_only=ascii_only)
        assert cell_len(text) == width
        assert "\x1b" not in text
        if ascii_only:
            assert text.isascii()


@pytest.mark.parametrize("status", ["completed", "failed", "aborted", "running"])
def test_state_is_a_glyph_and_never_colour_alone(status: CallStatus) -> None:
    glyphs = {render_row(row, fall, 12, 60)[0] for fall in [layout([call("a", status=status)], 0)] for row in fall.rows}
    assert glyphs <= set("✓✗⊘▶")
