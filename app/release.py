"""What a release says of itself, and who signed it: the file `spoke-VERSION-PLATFORM.sig`.

It is JSON: `{"release": TEXT, "signatures": [{"key": PUBLIC, "signature": SIGNATURE}, …]}`, keys and signatures in
base64. TEXT is JSON too, kept as a text because exactly its bytes are signed (Ed25519, behind `CONTEXT`, so that a
signature made for anything else does not count). It names version, platform and every file of the release with size
and SHA-256: a signed file cannot pass for another version. Signatures by the old and the new key let keys change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

CONTEXT = b"spoke release 1\n"
KEY_BYTES = 32


class ReleaseError(Exception):
    """A release that must not be installed."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ReleaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a release: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


class Release(msgspec.Struct, frozen=True):
    """What is signed. `platform` is like `linux-x86_64`, `glibc` the oldest version it runs with."""

    version: str
    platform: str
    glibc: str
    files: dict[str, ReleaseFile]

    def check(self, name: str, size: int, sha256: str) -> None:
        """Return if the file `name` of this release has this size and hash.

        Raises:
            ReleaseError: it has not, or is not of this release.
        """
        signed = self.files.get(name)
        if signed is None:
            raise ReleaseError(f"{name} is not part of release {self.version}", f"it has: {', '.join(self.files)}")
        if (signed.size, signed.sha256) != (size, sha256):
            raise ReleaseError(f"{name} is not the file that was signed", "fetch the file and its signature again")


class Signature(msgspec.Struct, frozen=True):
    """A signature over a release and the public key that it claims to be by, both in base64."""

    key: str
    signature: str


class SignedRelease(msgspec.Struct, frozen=True):
    """The contents of a `.sig` file."""

    release: str
    signatures: list[Signature]


def sign(release: Release, private_keys: Sequence[bytes]) -> bytes:
    """Return the `.sig` file of a release, signed with each of these Ed25519 private keys (32 raw bytes)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = msgspec.json.encode(release, order="sorted")
    signatures = []
    for private in private_keys:
        key = Ed25519PrivateKey.from_private_bytes(private)
        signatures.append(Signature(_text(key.public_key().public_bytes_raw()), _text(key.sign(CONTEXT + text))))
    signed = SignedRelease(text.decode(), signatures)
    return msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"


def verify(signed: bytes, trusted: Mapping[str, bytes]) -> tuple[Release, str]:
    """Return the release and the name of a trusted key that signed it.

    Args:
        signed: the contents of the `.sig` file.
        trusted: name -> Ed25519 public key (32 raw bytes), see `app.release_keys.trusted`.

    Raises:
        ReleaseError: it is no such file, or no trusted key signed it. Nothing of what it says was believed until then.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        file = msgspec.json.decode(signed, type=SignedRelease)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(f"this is no signature file: {error}", "fetch it again") from error
    names = {_text(key): name for name, key in trusted.items()}
    for each in file.signatures:
        if each.key not in names:
            continue
        try:
            key = Ed25519PublicKey.from_public_bytes(trusted[names[each.key]])
            key.verify(base64.b64decode(each.signature, validate=True), CONTEXT + file.release.encode())
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise ReleaseError(
                f"the signature by {names[each.key]} is wrong: file or signature were changed", "fetch both again"
            ) from error
        try:
            return msgspec.json.decode(file.release, type=Release), names[each.key]
        except msgspec.DecodeError as error:
            raise ReleaseError(f"the signed text is no release: {error}", "it is of a newer kind") from error
    raise ReleaseError("no trusted key signed this release", "add its key to the folder release-keys, if you trust it")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
