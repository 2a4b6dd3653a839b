"""Encryption of secrets: AES-256-GCM under a key that is derived anew for every secret (`reference/alkdev.md` 1.9).

| version | derivation | note |
|---|---|---|
| 1 | PBKDF2-HMAC-SHA-256, 100 000 iterations | what the seed's system wrote first |
| 2 | PBKDF2-HMAC-SHA-256, 200 000 iterations | and later; not the Rust system's version 2 |
| 3 and up | Argon2id, 19 MiB, 2 passes | ours; the secret's name is authenticated too |

The version says which key of the keyring, and how. A wrong key, a changed byte and a value that is none give one and
the same error, so that an error tells nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storage.engine.errors import EngineError

PBKDF2_ITERATIONS = {1: 100_000, 2: 200_000}
ARGON2_PASSES = 2
ARGON2_KIB = 19_456
SALT_BYTES = 16
IV_BYTES = 12
KEY_BYTES = 32
DEFAULT_VERSION = 3


class DecryptionError(EngineError):
    """The value cannot be decrypted with this key."""

    hint: ClassVar[str] = "is this the key file that belongs to this database?"


class EncryptedData(BaseModel):
    """A secret as it is stored; binary as base64, the GCM tag at the end of `data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keyVersion: int = Field(ge=1)  # the name on disk
    salt: str
    iv: str
    data: str


def generate_encryption_key() -> str:
    """A fresh key of 256 random bits, as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def encrypt(plaintext: str, key: str, key_version: int = DEFAULT_VERSION, *, context: str = "") -> EncryptedData:
    """Encrypt a text with a fresh salt and a fresh nonce.

    Args:
        plaintext: what to hide.
        key: from `generate_encryption_key`, or a passphrase.
        key_version: which key this is, and how it is derived.
        context: what the value is for; from version 3 on it must be the same to decrypt, so that nobody can put one
            secret in another's place.
    """
    salt, iv = os.urandom(SALT_BYTES), os.urandom(IV_BYTES)
    box = AESGCM(_derive(key, salt, key_version))
    data = box.encrypt(iv, plaintext.encode(), _authenticated(key_version, context))
    return EncryptedData(keyVersion=key_version, salt=_text(salt), iv=_text(iv), data=_text(data))


def decrypt(value: EncryptedData | Mapping[str, Any], key: str, *, context: str = "") -> str:
    """Return the text.

    Raises:
        DecryptionError: for every reason the same.
    """
    try:
        found = value if isinstance(value, EncryptedData) else EncryptedData.model_validate(value)
        salt, iv, data = (base64.b64decode(text, validate=True) for text in (found.salt, found.iv, found.data))
        if len(iv) != IV_BYTES or len(salt) < 8:
            raise ValueError("sizes")
        box = AESGCM(_derive(key, salt, found.keyVersion))
        return box.decrypt(iv, data, _authenticated(found.keyVersion, context)).decode()
    except (InvalidTag, ValidationError, binascii.Error, ValueError, OverflowError, UnicodeError):
        # `from None`: the cause would tell which of them it was
        raise DecryptionError("this value cannot be decrypted with this key") from None


def _derive(key: str, salt: bytes, version: int) -> bytes:
    if version in PBKDF2_ITERATIONS:
        return PBKDF2HMAC(SHA256(), KEY_BYTES, salt, PBKDF2_ITERATIONS[version]).derive(key.encode())
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=ARGON2_PASSES, lanes=1, memory_cost=ARGON2_KIB)
    return kdf.derive(key.encode())


def _authenticated(version: int, context: str) -> bytes | None:
    return None if version in PBKDF2_ITERATIONS else f"{version}:{context}".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
