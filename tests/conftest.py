"""Fixtures that every test may use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from storage.engine import Database
from storage.tenants import open_tenant_database

settings.register_profile("spoke", deadline=None)  # how fast this machine is today is nothing a test may hang on
settings.load_profile("spoke")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that ran in this process leaves no handler, the next test has another stderr or none, and no level."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for name in list(root.manager.loggerDict):
        if name.startswith("spoke."):
            logging.getLogger(name).setLevel(logging.NOTSET)
    for handler in set(root.handlers) - set(before):
        if not handler.__class__.__module__.startswith("_pytest"):  # pytest changes its own with every phase of a test
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Database]:
    """A new tenant file."""
    database = open_tenant_database(tmp_path / "tenant-local.db")
    yield database
    database.close()


@pytest.fixture(scope="session")
def trajectories() -> list[Path]:
    """Real SWE-agent trajectories; they are not part of the repository."""
    found = sorted((SHARED / "data" / "swe-agent").glob("*.traj"))
    if not found:
        pytest.skip("shared data absent: swe-agent trajectories")
    return found
