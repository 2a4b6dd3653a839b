"""Conditions on events: paths, wild cards, and that no event breaks them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.views.conditions import parse_condition
from tests.json_values import json_values

EVENT: dict[str, Any] = {
    "offset": 7,
    "key": None,
    "type": "call.requested",
    "payload": {
        "type": "call.requested",
        "operationId": "fs.list",
        "input": {"path": "/etc", "deep": {"on": True}, "a.b": {"c.d": 1}},
        "parts": [{"type": "text"}, {"n": 1.5}],
    },
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("type=call.requested", True),
        ("type=call.*", True),
        ("type=call", False),
        ("offset=7", True),
        ("key=null", True),
        ("payload.operationId=fs.list", True),
        ("operationId=fs.list", True),
        ("operationId=fs.?ist", True),
        ("input.path=/etc", True),
        ("input.deep.on=true", True),
        ('input.deep={"on":true}', True),
        ("input.a.b.c.d=1", True),
        ("parts.0.type=text", True),
        ("parts.1.n=1.5", True),
        ("parts.2.n=1.5", False),
        ("parts.x=1", False),
        ("nothing=*", False),
        ("input.path.more=*", False),
        ("input.path=", False),
        ("input.path=a=b", False),
    ],
)
def test_paths_and_values(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(EVENT) is holds


@pytest.mark.parametrize("text", ["", "x", "=x", "a..b=c", ".=x", "a.=x"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="FIELD=VALUE"):
        parse_condition(text)


@given(json_values(keys=("a", "b", "0")), st.text(max_size=10))
def test_every_leaf_is_found_by_its_path(value: Any, wanted: str) -> None:
    event = {"payload": value}

    def leaves(at: Any, path: str) -> None:
        if isinstance(at, dict):
            for name, below in at.items():
                leaves(below, f"{path}.{name}")
        elif isinstance(at, list):
            for number, below in enumerate(at):
                leaves(below, f"{path}.{number}")
        elif isinstance(at, str) and all(path.split(".")) and path == path.strip() and "=" not in path:
            assert parse_condition(f"{path}={at}").holds(event)

    leaves(value, "payload")
    parse_condition(f"a.b={wanted}").holds(event)  # whatever is asked of whatever, an answer
