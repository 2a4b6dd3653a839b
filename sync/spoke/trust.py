"""Whom the spoke takes for its hub: a CA that it was given, one that fits a pin, or those of the system."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync.link.errors import TrustError
from sync.link.pin import UNREADABLE, spki_sha256

_CHAIN = (18, 19, 20, 21)
"""X509_V_ERR_*: self-signed, or the issuer is not known."""
_NAME = (62, 64)
_NOT_YET, _EXPIRED = 9, 10


def client_context(ca_pem: str | None) -> ssl.SSLContext:
    """TLS of the link, from 1.2 on; the host's name is checked.

    Args:
        ca_pem: certificates (PEM) of the only CAs to trust; None: those of the system.

    Raises:
        TrustError: these are no certificates.
    """
    context = ssl.create_default_context() if ca_pem is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_pem is not None:  # an empty text is no CA, and must not become those of the system
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise TrustError("the hub's CA that this node was given is no certificate (PEM)") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unverified_context() -> ssl.SSLContext:
    """TLS with nobody in particular: to ask a hub for its CA, which is then compared with a pin. Nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fits_pin(ca_pem: str, pin: bytes) -> str:
    """Return the certificate (PEM) among these that has the pinned public key.

    Raises:
        TrustError: none has.
    """
    with suppress(*UNREADABLE):  # what cannot be read fits nothing
        for certificate in x509.load_pem_x509_certificates(ca_pem.encode()):
            if spki_sha256(certificate) == pin:
                return certificate.public_bytes(Encoding.PEM).decode()
    raise TrustError("wrong CA: what answers is not the hub that made this token; the token was not used")


def explain(error: BaseException, url: str) -> TrustError | None:
    """What is wrong when TLS failed, in words; None when it was not TLS.

    Args:
        error: what connecting raised; its causes count too.
        url: the address of the hub.
    """
    found = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if found is None:
        return None
    host = urlsplit(url).hostname or url
    if not isinstance(found, ssl.SSLCertVerificationError):
        reason = (getattr(found, "reason", None) or str(found)).replace("_", " ").lower()
        return TrustError(f"TLS with {host} failed ({reason}): does it speak TLS?")
    if found.verify_code in _CHAIN:
        return TrustError(f"wrong CA: the certificate of {host} is not from a CA that this node trusts")
    if found.verify_code in _NAME:
        return TrustError(f"wrong name: the hub's certificate is not for {host}")
    if found.verify_code in (_NOT_YET, _EXPIRED):
        state = "not valid yet" if found.verify_code == _NOT_YET else "expired"
        return TrustError(f"the hub's certificate is {state}: is the clock of this machine right?")
    return TrustError(f"the certificate of {host} was refused: {found.verify_message}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
