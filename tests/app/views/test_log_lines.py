"""Logs are read in both formats; a line that is no entry belongs to the one before it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import logs
from app.views.log_lines import log_line, parse_log


def test_both_formats_and_a_traceback() -> None:
    entry = {"time": "2026-11-24T08:00:01Z", "level": "error", "logger": "spoke.x", "event": "broke", "session": "s1"}
    found = list(
        parse_log(
            [
                "begun by hand",
                "2026-11-24 08:00:00,250 INFO spoke.hub: a b: c",
                json.dumps(entry),
                "Traceback (most recent call last):",
                "  boom",
                "<3>2026-11-24 08:00:02 ERROR spoke.y: x",
            ],
            UTC,
        )
    )
    assert [(one.at_ms, one.level, one.logger, one.text) for one in found] == [
        (None, "INFO", "", "begun by hand"),
        (1_795_507_200_250, "INFO", "spoke.hub", "a b: c"),
        (1_795_507_201_000, "ERROR", "spoke.x", "broke session=s1"),
        (1_795_507_202_000, "ERROR", "spoke.y", "x"),
    ]
    assert found[2].more == ("Traceback (most recent call last):", "  boom")
    assert len(log_line(found[2])) == 3


@pytest.mark.parametrize("formatter", [logs.Text(), logs.Json()])
def test_what_our_own_logging_writes_is_read(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        record = logging.LogRecord("spoke.x", logging.WARNING, "f", 1, "it is %s", ("late",), sys.exc_info())
    record.created = 1_795_507_200.25
    (found,) = parse_log(formatter.format(record).splitlines())
    assert (found.level, found.logger, found.text, found.at_ms) == (
        "WARNING",
        "spoke.x",
        "it is late",
        1_795_507_200_250,
    )
    assert found.more[-1].strip() == "ValueError: boom"


@given(st.lists(st.text(max_size=60), max_size=10))
def test_nothing_is_lost_and_nothing_is_an_error(lines: list[str]) -> None:
    shown = [line for entry in parse_log(lines) for line in (entry.text, *entry.more)]
    assert len(shown) == len(lines)


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5)
)
def test_any_json_is_some_entry(value: object) -> None:
    assert len(list(parse_log([json.dumps(value)]))) == 1
