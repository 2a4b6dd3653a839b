"""Keys to the local API on a port: a private file of SHA-256 hashes, as on the hub shown once and never stored."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from storage.engine.errors import EngineError
from storage.identity.api_keys import PREFIX, hash_of
from storage.operations.spec import Identity
from storage.private_file import write_private
from storage.scopes import is_scope


class ApiKeyError(EngineError, ValueError):
    """A key cannot be made or found, or the file cannot be read."""

    hint = "`spoke key list` shows the keys; a scope is such as system:read, session:* or *"


class ApiKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key without its secret; `created_at` is unix seconds."""

    id: str
    name: str
    hash: str
    scopes: list[str]
    created_at: int


def read_keys(path: Path) -> list[ApiKey]:
    """The keys, oldest first; none when there is no file.

    Raises:
        ApiKeyError: the file is not what we wrote.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[ApiKey])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise ApiKeyError(f"{path}: {error}; move it away, and make new keys") from error


def create_key(path: Path, name: str, scopes: Sequence[str], now: int) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret: the only time that it is seen.

    Raises:
        ApiKeyError: a scope is none, or the file cannot be read.
    """
    wrong = [scope for scope in scopes if not is_scope(scope)]
    if wrong or not scopes:
        raise ApiKeyError(f"{', '.join(wrong) or 'nothing'} is no scope")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(uuid.uuid4().hex, name, hash_of(secret), list(scopes), now)
    _write(path, [*read_keys(path), key])
    return key, secret


def find_key(path: Path, name_or_id: str) -> ApiKey:
    """The key of that name or id, or whose id begins so.

    Raises:
        ApiKeyError: there is none, or several.
    """
    keys = read_keys(path)
    found = [key for key in keys if name_or_id == key.name or (len(name_or_id) >= 4 and key.id.startswith(name_or_id))]
    if len(found) != 1:
        raise ApiKeyError(f"{len(found)} keys are called {name_or_id!r}; say its id")
    return found[0]


def revoke_key(path: Path, name_or_id: str) -> ApiKey:
    """Forget a key; programs that are connected with it are cut off when they connect again.

    Raises:
        ApiKeyError: as `find_key`.
    """
    found = find_key(path, name_or_id)
    _write(path, [key for key in read_keys(path) if key != found])
    return found


def identity_of(path: Path, secret: str) -> Identity | None:
    """Who shows this key; None when nobody."""
    wanted = hash_of(secret)
    for key in read_keys(path):
        if secrets.compare_digest(key.hash, wanted):
            everything = {"*": ("*",)} if "*" in key.scopes else {}
            return Identity(f"key:{key.name}", tuple(key.scopes), everything)
    return None


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    write_private(path, msgspec.json.encode(list(keys)).decode())
