"""The keys of the secrets, outside the database: a file that only its owner can read, or a systemd credential."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storage.crypto import DEFAULT_VERSION, generate_encryption_key
from storage.engine.errors import EngineError
from storage.private_file import read_private, write_private

CREDENTIAL = "spoke-keyring"
"""The name of the systemd credential (`LoadCredential=spoke-keyring:…`)."""


class KeyringError(EngineError):
    """The key file cannot be used."""

    hint = "restore it from where you keep it; without it the secrets cannot be read"


class MissingKeyError(KeyringError):
    """The keyring has no key of this version."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by version. `current` encrypts; the others still decrypt. Its repr never shows a key."""

    keys: Mapping[int, str] = field(repr=False)
    current: int

    def key(self, version: int) -> str:
        """The key of a version.

        Raises:
            MissingKeyError: it was removed, or never was here.
        """
        found = self.keys.get(version)
        if found is None:
            raise MissingKeyError(f"the keyring has no key of version {version}; it has {sorted(self.keys)}")
        return found

    def rotated(self) -> Keyring:
        """The keyring with a fresh key of the next version as the current one."""
        version = max(self.current + 1, DEFAULT_VERSION)
        return Keyring({**self.keys, version: generate_encryption_key()}, version)

    def without(self, versions: frozenset[int]) -> Keyring:
        """The keyring without old keys; the current one stays."""
        return Keyring({v: key for v, key in self.keys.items() if v == self.current or v not in versions}, self.current)


def load_keyring(path: Path) -> Keyring:
    """Read the keyring: the systemd credential when there is one, else the file.

    Raises:
        KeyringError: there is none, others may read it, or it is not a keyring.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / CREDENTIAL if folder else None
    chosen = credential if credential is not None and credential.exists() else path
    try:
        text = read_private(path) if chosen is path else chosen.read_bytes()
    except OSError as error:
        raise KeyringError(f"{chosen}: {error.strerror}") from error
    try:
        document = json.loads(text)
        keys = {int(version): key for version, key in document["keys"].items()}
        current = int(document["current"])
        if current not in keys or not all(isinstance(key, str) and key for key in keys.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyringError(f"{chosen}: this is no keyring") from None  # the cause would quote the file
    return Keyring(keys, current)


def open_keyring(path: Path) -> Keyring:
    """Like `load_keyring`; makes a keyring with one key where there is no file yet."""
    try:
        return load_keyring(path)
    except KeyringError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
    made = Keyring({DEFAULT_VERSION: generate_encryption_key()}, DEFAULT_VERSION)
    try:
        write_private(path, _text(made), replace=False)
    except FileExistsError:
        return load_keyring(path)  # another process was faster; its key counts
    return made


def save_keyring(path: Path, keyring: Keyring) -> None:
    """Replace the file, whole or not at all; it is on disk when this returns."""
    write_private(path, _text(keyring))


def _text(keyring: Keyring) -> str:
    return json.dumps({"current": keyring.current, "keys": {str(v): key for v, key in keyring.keys.items()}})
