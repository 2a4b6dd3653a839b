"""What this program is made of: the commit, the interpreter, the libraries and the wheels that they came in.

`packaging/build_info.py` writes `build.json` beside this file into what is built. From source there is none: then what
only a build can know is None, and nothing is guessed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

from app import __version__
from storage.engine import sqlite_version

BUILD_FILE = Path(__file__).with_name("build.json")
DIRECT = (
    "apsw",
    "backports-zstd",
    "click",
    "cronsim",
    "cryptography",
    "jsonschema",
    "msgspec",
    "platformdirs",
    "prometheus-client",
    "pydantic",
    "pydantic-settings",
    "pydot",
    "sqlalchemy",
    "textual",
    "watchfiles",
    "websockets",
)
"""What pyproject.toml names, which is what is told from source."""


@dataclass(frozen=True, slots=True)
class Library:
    """A Python library; `wheel` and `sha256` are of the file that pip installed, None where nobody wrote it down."""

    name: str
    version: str
    wheel: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """See the module. `changed`: the sources were not those of the commit; `made_at` is the commit's time, ISO, UTC."""

    version: str
    commit: str | None
    changed: bool | None
    made_at: str | None
    python: str
    sqlite: str
    openssl: str
    libraries: tuple[Library, ...]


def provenance(build_file: Path = BUILD_FILE) -> Provenance:
    """What we are made of.

    Raises:
        ValueError: the build file is not what `packaging/build_info.py` writes.
    """
    import ssl  # costs 10 ms

    built = json.loads(build_file.read_text()) if build_file.is_file() else {}
    return Provenance(
        version=__version__,
        commit=built.get("commit"),
        changed=built.get("changed"),
        made_at=built.get("madeAt"),
        python=platform.python_version(),
        sqlite=sqlite_version(),
        openssl=ssl.OPENSSL_VERSION,
        libraries=tuple(Library(**one) for one in built["libraries"]) if built else _installed(),
    )


def _installed() -> tuple[Library, ...]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in DIRECT:
        try:
            found.append(Library(name, version(name)))
        except PackageNotFoundError:  # backports.zstd is part of Python 3.14
            continue
    return tuple(found)
