"""The support bundle: what helps to find out what is wrong, and nothing that is secret or anybody's data.

Every text goes through `app.redact`; the secrets that are known on this machine (the hub's key, secret variables) are
taken out wherever they stand. Payloads, titles, keys and databases are not in it: of tables it says how large they are.
"""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app import __version__
from app.paths import Paths
from app.redact import MASK, is_secret_name, redact
from storage.engine import Snapshot, sqlite_version
from storage.engine.errors import EngineError
from storage.looking import look

LOG_TAIL_BYTES = 1_000_000
SHOWN_NAMES = ("SPOKE_", "LANG", "LC_", "TERM", "COLORTERM", "NO_COLOR", "XDG_", "TMPDIR", "PATH", "SHELL", "SSH_TTY")
"""Beginnings of the names of variables whose values may help; of others not even the name is in the bundle."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the bundle: what it is, for the person who decides whether to send it."""

    name: str
    what: str
    text: str


def collect(paths: Paths, flags: tuple[str, ...], environment: Mapping[str, str]) -> list[Part]:
    """Everything that goes in; nothing is written, and what cannot be read says so in its place."""
    known = secrets_of(paths, environment)
    parts = [
        Part("versions.json", "program, Python, SQLite, system", _json(versions())),
        Part("doctor.json", "what `spoke doctor` finds", _safely(lambda: _doctor(paths, flags))),
        Part(
            "config.json", "the configuration, secrets masked, and what set it", _safely(lambda: _config(paths, flags))
        ),
        Part("environment.json", "variables of the environment, secrets masked", _json(shown_environment(environment))),
        Part("status.json", "the link, unsent events, metrics", _safely(lambda: _status(paths))),
        Part("tables.json", "rows of each table, sizes of files", _safely(lambda: _tables(paths))),
        *_logs(paths, flags),
    ]
    return [Part(part.name, part.what, redact(part.text, known)) for part in parts]


def write(parts: Iterable[Part], file: Path, at: datetime) -> int:
    """Write the bundle, readable by this user alone; returns its size in bytes.

    Raises:
        FileExistsError: there is such a file.
        OSError: it cannot be written.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for part in parts:
            data = part.text.encode(errors="replace")
            entry = tarfile.TarInfo(f"spoke-bundle/{part.name}")
            entry.size, entry.mtime, entry.mode = len(data), int(at.timestamp()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return file.stat().st_size


def secrets_of(paths: Paths, environment: Mapping[str, str]) -> list[str]:
    """The secrets of this machine that can be known: longest first, so that none leaves a part of another."""
    found = {value for name, value in environment.items() if is_secret_name(name) and len(value) >= 6}
    for name in list(environment):
        if name.startswith("SPOKE_") and name.endswith("_FILE") and is_secret_name(name):
            found.add(_read(Path(environment[name])).strip())
    found |= set(_secret_values(_parsed(paths.hub_file)))
    for key in ("keyring.json", "api-keys.json"):
        found |= {text for text in _texts(_parsed(paths.data_dir / key)) if len(text) >= 16}
    return sorted((secret for secret in found if len(secret) >= 6), key=len, reverse=True)


def shown_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may help, by name; values of those that may be secret are masked."""
    return {
        name: MASK if is_secret_name(name) and name != "SPOKE_SESSION_ID" else redact(value)
        for name, value in sorted(environment.items())
        if name.startswith(SHOWN_NAMES) or name.lower() in PROXIES
    }


def versions() -> dict[str, str]:
    """What runs here."""
    return {
        "spoke": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "libc": "-".join(platform.libc_ver()),
    }


def _doctor(paths: Paths, flags: tuple[str, ...]) -> Any:
    from app.doctor.examine import examine

    return [asdict(one) for one in examine(paths, flags)]


def _config(paths: Paths, flags: tuple[str, ...]) -> Any:
    from app.config import ConfigError, read
    from app.config.reference import rows

    try:
        found = rows(read(paths, flags))
    except ConfigError as error:
        return {"problems": [str(problem) for problem in error.problems]}
    # What commands are given may be anything; their names say enough.
    return [
        {"key": row.key, "value": MASK if _is_private(row.key) else row.value, "where": row.origin.where}
        for row in found
    ]


def _is_private(key: str) -> bool:
    return key.startswith(("commands.", "operations.")) or (is_secret_name(key) and not key.startswith("keys."))


def _status(paths: Paths) -> Any:
    from app.views.metrics import read_metrics
    from sync.spoke.status import read_status

    def read(snapshot: Snapshot) -> Any:
        found = [asdict(one) for one in read_metrics(snapshot, paths.tenant_db, 0)]
        return {"link": asdict(read_status(snapshot)), "metrics": found}

    return _look(paths.tenant_db, read)


def _tables(paths: Paths) -> Any:
    def read(snapshot: Snapshot) -> Any:
        names = [row[0] for row in snapshot.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        counts = {
            name: snapshot.rows(f'SELECT count(*) FROM "{name.replace(chr(34), chr(34) * 2)}"')[0][0] for name in names
        }
        return {"version": snapshot.rows("PRAGMA user_version")[0][0], "rows": counts}

    files = [paths.tenant_db, *sorted(paths.hub_dir.glob("*.db"))]
    sizes = {str(path): path.stat().st_size for path in sorted(paths.data_dir.rglob("*")) if path.is_file()}
    return {"databases": {path.name: _look(path, read) for path in files if path.exists()}, "files": sizes}


def _look(path: Path, read: Callable[[Snapshot], Any]) -> Any:
    if not path.exists():
        return None
    try:
        return look(path, read)
    except EngineError as error:
        return {"error": str(error)}


def _logs(paths: Paths, flags: tuple[str, ...]) -> Iterator[Part]:
    from app.config import ConfigError, load

    files = [paths.log_file]
    try:
        own = load(paths, flags).log.file
    except ConfigError:
        own = None
    files += [own] if own is not None else []
    for file in files:
        if file.exists():
            yield Part(f"logs/{file.name}", f"the end of {file}", _tail(file))


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _safely(make: Callable[[], Any]) -> str:
    """A part that cannot be made must not keep the others from helping."""
    try:
        return _json(make())
    except Exception as error:  # noqa: BLE001
        return _json({"error": f"{type(error).__name__}: {error}"})


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _parsed(path: Path) -> Any:
    try:
        return json.loads(_read(path) or "null")
    except ValueError:
        return None


def _secret_values(value: Any) -> Iterator[str]:
    """The values of a document whose names say that they are secret."""
    if isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str) and is_secret_name(name):
                yield one
            yield from _secret_values(one)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
