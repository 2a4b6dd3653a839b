"""Operations that every node offers: system.*, fs.*, shell.*, secret.*, and those of its tables."""

from __future__ import annotations

from pathlib import Path

from app.config import Settings
from app.operations import files, secrets, shell, system, tables
from sync.calls.registry import Registry


def builtin_registry(settings: Settings, key_file: Path) -> Registry:
    """A registry with the built-in operations, as the configuration limits them."""
    registry = Registry()
    system.register(registry)
    files.register(registry, settings.fs)
    shell.register(registry, settings.commands)
    secrets.register(registry, key_file)
    tables.register(registry)
    return registry
