"""What every test of the built executable needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.binary import BINARY


@pytest.fixture(autouse=True)
def binary() -> None:
    assert Path(BINARY).is_file(), f"{BINARY} is missing: make build"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it unpacks itself: once, not for each test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    """That of a machine without Python: no PATH to one, no variables of ours."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "SPOKE_CACHE": str(cache),
        "SPOKE_DATA_DIR": str(tmp_path / "data"),
        "SPOKE_CONFIG": str(tmp_path / "spoke.toml"),
    }
