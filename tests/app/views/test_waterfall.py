"""The waterfall's layout, whatever the log holds."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.calls import Call, CallStatus
from app.views.waterfall import (
    Row,
    Window,
    bar,
    call_tree,
    centred,
    critical_path,
    deeper_than,
    fall_of,
    header,
    layout,
    matching,
    name_width,
    render_row,
    succeeded,
    whole,
    zoomed,
)
from app.views.waterfall.window import LEAST_MS


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


# -- zoom, critical path, retries, folds -------------------------------------------------------------------------------


def ids(rows: Iterable[Row]) -> list[str]:
    return [row.call.request_id for row in rows]


def test_the_critical_path_is_what_the_end_waited_for() -> None:
    calls = [
        call("run", None, 0, 100),
        call("early", "run", 0, 30),
        call("beside", "run", 20, 50),
        call("slow", "run", 30, 90),
        call("within", "slow", 40, 90),
        call("unneeded", "slow", 35, 60),
        call("later", "run", 95, 140),
    ]
    # `later` outlives its caller, and counts until the caller's end; `beside` still ran when `slow` began.
    assert critical_path(call_tree(calls), 0) == {"run", "early", "slow", "within", "later"}
    fall = fall_of(call_tree(calls), 0, critical=critical_path(call_tree(calls), 0))
    assert [render_row(row, fall, 12, 60)[1] for row in fall.rows] == list("** ** *")


def test_there_is_no_critical_path_without_starts() -> None:
    assert critical_path(call_tree([call("a", start=None, end=None), call("b", "a", None, None)]), 0) == frozenset()


def test_a_second_try_says_so() -> None:
    calls = [
        call("run", None, 0, 100),
        call("1", "run", 0, 10, "failed", "http.get"),
        call("x", "run", 10, 12, "completed", "sleep"),
        call("2", "run", 12, 20, "failed", "http.get"),
        call("3", "run", 20, 30, "completed", "http.get"),
        call("4", "run", 30, 40, "completed", "http.get"),
    ]
    tree = call_tree(calls)
    assert {tree.calls[position].request_id: attempt for position, attempt in tree.attempts.items()} == {"2": 2, "3": 3}
    shown = lines(calls, 60)
    assert "├─http.get ↻2" in shown[4]
    assert "http.get r3" in lines(calls, 60, ascii_only=True)[5]


def test_calls_beside_one_that_fails_are_no_retries() -> None:
    beside = [call("1", None, 0, 10, "failed"), call("2", None, 5, 20)]
    assert call_tree(beside).attempts == {}


def test_zooming_keeps_the_call_in_the_middle() -> None:
    tree = call_tree([call("a", None, 0, 1_000), call("b", "a", 480, 520)])
    window = zoomed(tree, None, 1, 0.5, 0)
    assert window == Window(250, 750)
    window = zoomed(tree, window, 1, 0.5, 0)
    assert window == Window(375, 625)
    fall = fall_of(tree, 0, window=window)
    assert bar(fall.rows[1], fall, 25).split() == ["▐███▌"]
    assert header(fall, 12, 60).split() == ["375", "ms", "625", "ms"]
    assert centred(tree, window, 0, 0) == window
    assert zoomed(tree, zoomed(tree, window, 1, 2, 0), 1, 2, 0) is None


def test_what_lies_outside_the_window_is_an_arrow() -> None:
    tree = call_tree([call("a", None, 0, 10), call("b", None, 500, 510), call("c", None, 990, 1_000)])
    fall = fall_of(tree, 0, window=Window(400, 600))
    bars = [render_row(row, fall, 12, 60)[24:].strip() for row in fall.rows]
    assert (bars[0], bars[2]) == ("‹", "›")
    assert bars[1] == "█▊"


def test_the_axis_of_what_runs_has_room_to_grow() -> None:
    tree = call_tree([call("a", None, 0, None, "running"), call("b", "a", 0, 400)])
    assert {whole(tree, now).end for now in range(5_001, 6_001, 7)} == {6_000}
    assert whole(call_tree([call("b", None, 0, 5_100)]), 0).end == 5_100


def test_folds_by_depth_and_of_what_went_well() -> None:
    calls = [call("a"), call("b", "a"), call("c", "b"), call("d", "a"), call("e", "d", status="failed"), call("f")]
    tree = call_tree(calls)
    assert ids(fall_of(tree, 0, deeper_than(tree, 2)).rows) == ["a", "b", "d", "f"]
    assert ids(fall_of(tree, 0, succeeded(tree)).rows) == ["a", "b", "d", "e", "f"]


def test_a_filter_keeps_what_led_to_a_match() -> None:
    tree = call_tree([call("a"), call("b", "a"), call("c", "b", status="failed"), call("d", "a"), call("e")])
    base = matching(tree, lambda c: c.status == "failed")
    fall = fall_of(tree, 0, base=base)
    assert ids(fall.rows) == ["a", "b", "c"]
    assert ids(fall_of(tree, 0, {"b"}, base=base).rows) == ["a", "b"]
    assert [fall.rows.index_of(position) for position in range(5)] == [0, 1, 2, 2, 2]


def test_deep_names_stay_readable() -> None:
    shown = lines([call(str(i), str(i - 1) if i else None) for i in range(40)], 80)
    assert all("fs.list" in line for line in shown[1:])
    assert "… " in shown[-1]


@given(calls_of, st.floats(0.01, 4), st.integers(0, 11), st.integers(1, 5))
def test_windows_stay_on_the_axis_and_folds_hide_what_they_say(
    calls: list[Call], factor: float, position: int, depth: int
) -> None:
    tree = call_tree(calls)
    if not calls:
        return
    position %= len(calls)
    window = zoomed(tree, None, position, factor, 1e12)
    if window is not None:
        everything = whole(tree, 1e12)
        assert everything.start - 1 <= window.start < window.end <= everything.end + 1
        assert window.length <= everything.length * factor + LEAST_MS
    fall = fall_of(tree, 1e12, deeper_than(tree, depth), window=window, critical=critical_path(tree, 1e12))
    assert all(row.depth < depth for row in fall.rows)
    assert len(fall.rows) + sum(row.hidden for row in fall.rows) == len(calls)
    for row in fall.rows:
        text = render_row(row, fall, name_width(fall, 60), 60)
        assert cell_len(text) == 60
        assert bar(row, fall, 20).strip(), "at least one mark"
    for position, parent in enumerate(tree.parents):
        assert parent < position
        assert tree.depths[position] == (tree.depths[parent] + 1 if parent >= 0 else 0)
        assert all(p < position + tree.sizes[position] for p in range(len(calls)) if position in tree.path(p))
