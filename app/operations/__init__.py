"""Operations that every node offers: system.*, fs.*, shell.*."""

from __future__ import annotations

from app.config import Settings
from app.operations import files, shell, system
from sync.calls.registry import Registry


def builtin_registry(settings: Settings) -> Registry:
    """A registry with the built-in operations, as the configuration limits them."""
    registry = Registry()
    system.register(registry)
    files.register(registry, settings.fs)
    shell.register(registry, settings.commands)
    return registry
