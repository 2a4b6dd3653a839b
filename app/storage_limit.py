"""`storage.max_bytes` for every command that opens a database. Most read no configuration: that costs pydantic."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from app.paths import Paths

if TYPE_CHECKING:
    from app.config import Settings

MIN_BYTES = 16 * 1024 * 1024
"""An empty file with all its tables has half a megabyte, and what makes room needs some itself."""


class Limited(Protocol):
    """A database, or a hub with those of its tenants."""

    max_bytes: int | None


def obey(limited: Limited, settings: Settings) -> None:
    """Have a limit that was changed hold at once."""
    limited.max_bytes = settings.storage.max_bytes


def configured_limit(
    paths: Paths, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> int | None:
    """What `app.config.load` would say of it; None where nobody has said anything. `flags` as there.

    Raises:
        ConfigError: something is said of it, and the configuration cannot be used. What else is wrong is not noticed.
    """
    said = os.environ if environment is None else environment
    nearer = any(name.upper().startswith("SPOKE_STORAGE") for name in said) or any(
        flag.startswith("storage") for flag in flags
    )
    value = _in_file(paths)
    if not nearer and (value is None or (type(value) is int and value >= MIN_BYTES)):
        return value
    from app.config import read

    return read(paths, flags, said).settings.storage.max_bytes


def _in_file(paths: Paths) -> Any:
    """What the file says, fit or not; None: nothing, or there is none that can be read."""
    try:
        text = paths.config_file.read_bytes()
    except OSError:
        return None
    if b"storage" not in text:
        return None
    import tomllib  # here: 10 ms, for those who have said something

    try:
        table = tomllib.loads(text.decode()).get("storage", {})
    except ValueError:
        return "?"  # no TOML: the whole of it says where
    return table.get("max_bytes") if isinstance(table, dict) else table
