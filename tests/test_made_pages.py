"""docs/errors.md and docs/schema.md are what the code says."""

from __future__ import annotations

import pytest

from tests.made_pages import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_is_made(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: make pages"
