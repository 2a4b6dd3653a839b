"""JSON as lines that fold."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.views.json_tree import all_levels, first_levels, lines, pretty, read_json
from app.views.text import safe
from tests import hostile

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda held: st.lists(held, max_size=4) | st.dictionaries(st.text(max_size=5), held, max_size=4)
)
NODES = st.lists(VALUES, max_size=4) | st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


def indented(root: Any, opened: set[int] | None = None) -> str:
    return "\n".join("  " * line.depth + line.text for line in lines(root, opened))


@given(NODES)
def test_unfolded_it_is_indented_json(root: Any) -> None:
    assert indented(root) == json.dumps(root, ensure_ascii=False, indent=2)


@given(NODES)
def test_for_other_programs_it_is_json_without_what_a_terminal_obeys(root: Any) -> None:
    text = pretty(root)
    assert json.loads(text) == root
    assert not hostile.hidden(text.replace("\n", ""))


def test_hostile_texts_are_json_escapes() -> None:
    root = {hostile.EVIL: [hostile.EVIL, "\ud800"]}
    assert json.loads(pretty(root)) == root
    assert all(safe(line) == line or hostile.crowded(line) for line in pretty(root).split("\n"))


@given(NODES, st.integers(1, 30))
def test_folding_leaves_a_line_for_each_that_is_folded(root: Any, most: int) -> None:
    opened = first_levels(root, most)
    shown = list(lines(root, opened))
    assert id(root) in opened
    assert len(shown) <= most or opened == {id(root)}
    assert len({line.place for line in shown}) == len(shown)
    everything = {line.node for line in lines(root) if line.node is not None}
    assert {line.node for line in shown if line.folded} == (everything & {line.node for line in shown}) - opened


def test_a_folded_line_says_what_it_holds() -> None:
    root = {"a": {"b": 1, "c": [1]}, "d": [], "e": [0]}
    assert indented(root, {id(root)}) == '{\n  "a": {…},  2 keys\n  "d": [],\n  "e": […]  1 item\n}'


def test_levels_are_opened_while_they_fit() -> None:
    inner = [1, 2]
    held: dict[str, Any] = {"few": {"one": inner}, "many": [{"n": number} for number in range(500)]}
    root, few, one, many = held, id(held["few"]), id(inner), id(held["many"])
    assert first_levels(root, 100) == {id(root)}
    assert first_levels(root, 600) == {id(root), few, many}
    assert len(first_levels(root, 3_000)) == 4 + 500
    assert all_levels(root, 4) == {id(root), few, one}


def test_what_is_no_tree_is_text() -> None:
    assert [read_json(text) for text in ("", "12", '"a"', "{", "no json", hostile.DEEP)] == [None] * 6
    assert read_json(' {"a": 1}') == {"a": 1}
    deepest = json.loads("[" * 900 + "]" * 900)
    assert len(list(lines(deepest))) == 2 * 900 - 1  # the innermost is empty: one line
