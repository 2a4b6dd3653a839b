"""Operations that every node offers. Those whose modules are slow to import are made when they are asked for."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from app.config import Settings
from app.operations import files, shell, system, tables
from app.paths import Paths
from sync.calls.registry import Registry


def node_registry(settings: Settings, paths: Paths) -> Registry:
    """The built-in operations and the user's own.

    Raises:
        ConfigError: an operation of the user's cannot be used.
    """
    registry = builtin_registry(settings, paths.key_file)
    if settings.operations:
        from app.operations import declared

        declared.register(registry, settings.operations)
    if not getattr(sys, "frozen", False) and paths.operations.is_dir():
        from app.operations import declared

        declared.load_files(registry, paths.operations)
    return registry


def builtin_registry(settings: Settings, key_file: Path) -> Registry:
    """A registry with the built-in operations, as the configuration limits them."""
    registry = Registry()
    system.register(registry)
    files.register(registry, settings.fs)
    shell.register(registry, settings.commands)
    registry.register_later(("secret",), partial(_secrets, key_file))
    _add_file_operations(registry)
    return registry


def hub_registry() -> Registry:
    """What the spokes of a tenant may call on their hub: operations on the tenant's file, and on nothing else."""
    registry = Registry()
    _add_file_operations(registry)
    return registry


def _add_file_operations(registry: Registry) -> None:
    registry.register_later(("graph", "acl"), _graphs)
    registry.register_later(("stream", "queue", "schedule", "lock", "session", "calls"), _engine)
    tables.register(registry)


def _secrets(key_file: Path, registry: Registry) -> None:
    from app.operations import secrets

    secrets.register(registry, key_file)


def _graphs(registry: Registry) -> None:
    from app.operations import graphs

    graphs.register(registry)


def _engine(registry: Registry) -> None:
    from app.operations import durable_calls, locks, queues, schedules, sessions, streams

    for module in (streams, queues, schedules, locks, sessions, durable_calls):
        module.register(registry)
