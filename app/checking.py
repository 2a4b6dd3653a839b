"""Looking a database of this machine over: which tables and rows it should have depends on whose it is."""

from __future__ import annotations

from pathlib import Path

from app.paths import Paths
from app.services.projector import PROJECTIONS
from storage.check import Finding, check
from storage.migrations import system, tenant


def check_database(paths: Paths, path: Path, *, quick: bool) -> list[Finding]:
    """What is wrong with one of `paths.databases`; see `storage.check.check`."""
    if path == paths.system_db:
        return check(path, system.MIGRATIONS, quick=quick)
    return check(path, tenant.MIGRATIONS, PROJECTIONS if path == paths.tenant_db else (), quick=quick)
