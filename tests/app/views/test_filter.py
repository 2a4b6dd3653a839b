"""The filter language: what each form means, and that nothing a person types is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.views.filter import near, parse_filter

FIELDS = {"state": "failed", "lag": 120, "took": 1_500.0, "name": "fs.list", "none": None}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("shell run", True),
        ("SHELL", True),
        ("shell !fx", True),
        ("!shell", False),
        ("~shrn", True),
        ("~zz", False),
        ("!~zz", True),
        ('"shell run"', True),
        ('"run shell"', False),
        ("state:failed", True),
        ("state:ok,failed", True),
        ("!state:failed", False),
        ("state:fail", True),
        ("name:~fsl", False),  # the tilde stands before the name
        ("~name:fsl", True),
        ("lag:>100", True),
        ("lag:>=120", True),
        ("lag:<120", False),
        ("lag:120", True),
        ("lag:12", False),  # a number is meant whole
        ("lag:>0.1k", True),
        ("took:>1s", True),
        ("took:<1.5s", False),
        ("took:<=1500ms", True),
        ("none:>1", False),
        ("none:x", False),
        ("http://x", False),
        ("x:y", False),  # no such field: a word with a colon
        ("lag:>", True),  # half typed
        ("lag:", True),
        ('"', True),
    ],
)
def test_what_a_filter_means(text: str, passes: bool) -> None:
    wanted = parse_filter(text, FIELDS)
    assert wanted.matches("Shell run fs.read", FIELDS) is passes


@given(st.text(max_size=40), st.text(max_size=40))
def test_nothing_that_is_typed_is_an_error(text: str, line: str) -> None:
    parse_filter(text, FIELDS).matches(line, FIELDS)


@given(st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=8), st.text(max_size=40))
def test_inverse_is_the_opposite(word: str, line: str) -> None:
    assert parse_filter(word).matches(line, {}) is not parse_filter(f"!{word}").matches(line, {})


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=6), unique=True), st.data())
def test_what_was_typed_is_found_by_its_beginning(names: list[str], data: st.DataObject) -> None:
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    beginning = name[: data.draw(st.integers(1, len(name)))]
    found = near(beginning, names)
    assert name in found
    assert found[0].startswith(beginning)
