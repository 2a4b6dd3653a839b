"""docs/ux.md names tests that exist, and leaves no row out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "ux.md"
LATER = {8, 41, 51, 69}
"""Rows of A to E with priority 2."""
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| (done|partly: [^|]+|not: [^|]+) \| ([^|]+) \|$", re.MULTILINE)


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_row_is_there_once() -> None:
    page = PAGE.read_text()
    numbers = [int(number) for number, _, _ in ROW.findall(page)]
    assert len(numbers) == len(set(numbers)) == len(re.findall(r"^\| \d", page, re.MULTILINE))
    assert set(range(1, 72)) - LATER <= set(numbers)


def test_every_test_that_is_named_exists() -> None:
    for number, state, proof in ROW.findall(PAGE.read_text()):
        named = re.findall(r"`([^`]+)`", proof)
        assert named or state != "done", f"row {number} is done, says who?"
        for one in named:
            file, _, name = one.partition("::")
            assert name in names_in(TESTS / file), f"row {number}: {one}"
