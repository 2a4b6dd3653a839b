"""No payload can move the cursor, hide itself or break a column."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.text import ago, clip, duration, fit, safe

HOSTILE = [
    "\x1b[2J\x1b[H",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b31m",
    "a\rb",
    "a\u202egnp.exe",
    "zero\u200bwidth",
    "\ufeffbom",
    "\x00",
    "\u2028",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_shown(text: str) -> None:
    shown = safe(text)
    assert shown != text
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@given(st.text(st.characters()))
def test_safe_text_is_printable_on_one_line(text: str) -> None:
    shown = safe(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in shown)
    assert safe(shown) == shown
    assert safe(text, ascii_only=True).isascii()


@given(st.text(), st.integers(0, 80))
def test_a_column_is_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(clip(safe(text), width)) <= width
    assert cell_len(fit(safe(text), width)) == width


def test_wide_characters_keep_columns() -> None:
    assert cell_len(fit("宽字符宽字符", 7)) == 7
    assert cell_len(fit("👩‍👩‍👧", 7)) == 7


@given(st.floats(0, 1e12))
def test_a_duration_is_short(ms: float) -> None:
    assert 3 <= len(duration(ms)) <= 9


@given(st.integers(0, 10**13), st.integers(0, 10**13))
def test_how_long_ago_never_fails(then_ms: int, now_ms: int) -> None:
    assert ago(then_ms, now_ms)
