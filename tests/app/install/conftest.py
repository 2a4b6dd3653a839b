"""A machine for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.install.fakes import Machine, on_path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path / "machine")
    made.make()
    monkeypatch.setenv("PATH", on_path(made))
    return made
