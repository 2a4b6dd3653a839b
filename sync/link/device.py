"""The key of a machine: Ed25519, made where it is used; its private half never leaves the machine.

Each kind of signature has a domain of its own, so that none can be used as another.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from storage.private_file import read_private, write_private
from sync.link.errors import DeviceKeyError
from sync.link.frames import Rotation
from sync.link.pin import UNREADABLE

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A key pair; its repr shows the public half only."""

    public: bytes
    _private: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> DeviceKey:
        """A fresh key."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> DeviceKey:
        """The pair of a private key."""
        return cls(private.public_key().public_bytes_raw(), private)

    def sign(self, domain: str, *parts: object) -> bytes:
        """Sign some values under a domain."""
        return self._private.sign(_message(domain, parts))

    def save(self, path: Path, *, replace: bool = True) -> None:
        """Write the private key, mode 0600, whole or not at all.

        Raises:
            FileExistsError: there is a file, and `replace` is False.
            OSError: it cannot be written.
        """
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(path, pem.decode(), replace=replace)


def load_device_key(path: Path) -> DeviceKey:
    """Read a key.

    Raises:
        DeviceKeyError: there is none, others may read it, or it is no Ed25519 key.
    """
    try:
        found = load_pem_private_key(read_private(path), None)
    except OSError as error:
        raise DeviceKeyError(f"{path}: {error.strerror}") from error
    except UNREADABLE:
        raise DeviceKeyError(f"{path}: this is no key") from None  # the cause might quote the file
    if not isinstance(found, Ed25519PrivateKey):
        raise DeviceKeyError(f"{path}: this is no Ed25519 key")
    return DeviceKey.of(found)


def open_device_key(path: Path) -> DeviceKey:
    """Like `load_device_key`; makes a key where there is no file yet."""
    try:
        return load_device_key(path)
    except DeviceKeyError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
    with suppress(FileExistsError):  # another process was faster; its key counts
        DeviceKey.generate().save(path, replace=False)
    return load_device_key(path)


def verifies(public: bytes, signature: bytes, domain: str, *parts: object) -> bool:
    """Whether the holder of a key signed these values under this domain."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _message(domain, parts))
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_hello(key: DeviceKey, nonce: bytes, hub_id: str, node_id: str, ratchet_hash: bytes, boot_id: bytes) -> bytes:
    """The signature in HELLO; `ratchet_hash` is `ratchet.hash_of` what HELLO shows."""
    return key.sign(HELLO, nonce, hub_id, node_id, ratchet_hash, boot_id)


def verify_hello(
    public: bytes, signature: bytes, nonce: bytes, hub_id: str, node_id: str, ratchet_hash: bytes, boot_id: bytes
) -> bool:
    """Whether HELLO was signed by this key, for this nonce, hub and node."""
    return verifies(public, signature, HELLO, nonce, hub_id, node_id, ratchet_hash, boot_id)


def sign_renewal(key: DeviceKey, nonce: bytes, hub_id: str, node_id: str) -> bytes:
    """The answer to a nonce within a session: the machine still has its key."""
    return key.sign(RENEWAL, nonce, hub_id, node_id)


def verify_renewal(public: bytes, signature: bytes, nonce: bytes, hub_id: str, node_id: str) -> bool:
    """Whether a nonce within a session was signed by this key."""
    return verifies(public, signature, RENEWAL, nonce, hub_id, node_id)


def request_rotation(old: DeviceKey, new: DeviceKey, hub_id: str, node_id: str) -> Rotation:
    """Ask for a new key. It names the old one, so that it is worth nothing once that is gone."""
    said = (hub_id, node_id, old.public, new.public)
    return Rotation(new.public, old.sign(ROTATION, *said), new.sign(ROTATION, *said))


def verify_rotation(old: bytes, rotation: Rotation, hub_id: str, node_id: str) -> bool:
    """Whether both keys want it."""
    said = (hub_id, node_id, old, rotation.public)
    return verifies(old, rotation.by_old, ROTATION, *said) and verifies(
        rotation.public, rotation.by_new, ROTATION, *said
    )


HELLO = "spoke hello, version 1"
RENEWAL = "spoke renewal, version 1"
ROTATION = "spoke key rotation, version 1"
ENROLMENT = "spoke enrolment, version 1"


def _message(domain: str, parts: tuple[object, ...]) -> bytes:
    # MessagePack keeps the parts apart: no two lists of values have the same bytes.
    return _encoder.encode([domain, *parts])
