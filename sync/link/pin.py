"""What a join token pins: the public key of the hub's CA."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import (
    Certificate,
    DuplicateExtension,
    ExtensionNotFound,
    InvalidVersion,
    UnsupportedGeneralNameType,
)

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InvalidVersion,
    DuplicateExtension,
    ExtensionNotFound,
    UnsupportedGeneralNameType,
)
"""What reading a certificate or a key raises when it is damaged, or of a kind that we do not know."""


def spki_sha256(certificate: Certificate) -> bytes:
    """SHA-256 of the public key of a certificate; it stays the same when a certificate is made anew for the key.

    Raises:
        one of `UNREADABLE`: the certificate holds no key that we know.
    """
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).digest()
