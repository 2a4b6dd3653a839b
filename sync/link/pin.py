"""What a join token pins: the public key of the hub's CA."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate


def spki_sha256(certificate: Certificate) -> bytes:
    """SHA-256 of the public key of a certificate; it stays the same when a certificate is made anew for the key.

    Raises:
        ValueError, UnsupportedAlgorithm: the certificate holds no key that we know.
    """
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).digest()
