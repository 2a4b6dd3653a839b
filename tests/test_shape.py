"""The shape of the house: what the rules say of files, a test holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(file for floor in ("app", "storage", "sync") for file in (ROOT / floor).rglob("*.py"))
MAX_LINES = 450


def test_packaging_is_no_python_package() -> None:
    """It would shadow the PyPA library of that name, and PyInstaller would not start."""
    assert not (ROOT / "packaging" / "__init__.py").exists()
    assert not (ROOT / "packaging.py").exists()


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_fits_in_the_head(file: Path) -> None:
    text = file.read_text()
    assert text.count("\n") <= MAX_LINES
    assert text.startswith('"""')
    assert len(text.split("\n", 1)[0]) > 15, "says what it is for"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def test_names_of_rooms_say_what_is_in_them() -> None:
    banned = re.compile(r"^(utils?|helpers?|common|misc|managers?|base)$")
    assert not [file for file in CODE if banned.match(file.stem) or banned.match(file.parent.name)]


def test_nothing_of_shared_is_committed() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    files = done.stdout.split()
    assert not [file for file in files if file.endswith((".traj", ".db")) or file.startswith("shared/")]


def test_the_engine_stands_alone() -> None:
    """In a process of its own: static checks cannot tell what is imported late."""
    code = "import sys, storage.engine; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "apsw" in loaded
    assert not loaded & {"sqlite3", "pydantic", "textual", "websockets", "sqlalchemy", "click", "storage.events"}
