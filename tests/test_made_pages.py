"""docs/errors.md and docs/schema.md are what the code says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.made_pages import DOCS, PAGES, TABLES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_is_made(name: str) -> None:
    """In a process of its own: it imports every module that there is, and other tests would notice."""
    command = [sys.executable, "-m", "tests.made_pages", name]
    done = subprocess.run(command, cwd=DOCS.parent, check=True, capture_output=True, text=True)
    assert (DOCS / name).read_text() == done.stdout, "run: make pages"


def test_no_table_is_explained_that_there_is_not() -> None:
    assert set(TABLES) <= {line.removeprefix("### ") for line in (DOCS / "schema.md").read_text().splitlines()}
