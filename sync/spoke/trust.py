"""Whom the spoke takes for its hub: a CA that it was given, one that fits a pin, or those of the system."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync.link.errors import TrustError
from sync.link.pin import UNREADABLE, spki_sha256

_CHAIN = (18, 19, 20, 21)
"""X509_V_ERR_*: self-signed, or the issuer is not known."""
_NAME = (62, 64)
_NOT_YET, _EXPIRED = 9, 10
CERT_FILE = "SSL_CERT_FILE"
"""The variable that puts another file in the place of the system's CAs."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The CAs that may vouch for the hub; without any, those of the system, or of `SSL_CERT_FILE`."""

    ca_pem: str | None = None
    """Certificates (PEM)."""
    ca_file: Path | None = None
    """A file of them, which counts instead; read at each dial, so that it can be replaced."""
    pin: bytes | None = None
    """SHA-256 of the public key (SPKI) of the only one of them that counts."""

    def context(self) -> ssl.SSLContext:
        """TLS with the hub, as `client_context`.

        Raises:
            TrustError: a file cannot be read, holds no certificates, or none with the pinned key.
        """
        ca_pem = self.ca_pem
        if self.ca_file is not None:
            try:
                ca_pem = self.ca_file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                said = getattr(error, "strerror", None) or "not text"
                raise TrustError(f"hub.ca_file: {self.ca_file}: {said}") from error
        if self.pin is None:
            return client_context(ca_pem)
        known = (ca_pem,) if ca_pem is not None else _of_system()
        if (pinned := _pinned(known, self.pin)) is None:
            raise TrustError("wrong CA: none that this node trusts has the public key of hub.pin_sha256")
        return client_context(pinned)

    def __str__(self) -> str:
        """In words, for people."""
        system = f"a CA of {CERT_FILE}" if CERT_FILE in os.environ else "a CA of the system"
        own = f"a CA of {self.ca_file}" if self.ca_file is not None else "its own CA" if self.ca_pem else system
        return own if self.pin is None and not own.startswith("its") else f"{own}, pinned"


def client_context(ca_pem: str | None) -> ssl.SSLContext:
    """TLS of the link, from 1.2 on; the host's name is checked.

    Args:
        ca_pem: certificates (PEM) of the only CAs to trust; None: those of the system, or of `SSL_CERT_FILE`.

    Raises:
        TrustError: these are no certificates, or `SSL_CERT_FILE` names a file that cannot be read.
    """
    named = os.environ.get(CERT_FILE)
    if ca_pem is None and named is not None and not os.access(named, os.R_OK):
        raise TrustError(f"{CERT_FILE} names {named}, which cannot be read")  # OpenSSL would trust nobody, silently
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
    if (found := _pinned((ca_pem,), pin)) is None:
        raise TrustError("wrong CA: what answers is not the hub that made this token; the token was not used")
    return found


def _pinned(pems: Iterable[str], pin: bytes) -> str | None:
    for pem in pems:
        with suppress(*UNREADABLE):  # what cannot be read fits nothing
            for certificate in x509.load_pem_x509_certificates(pem.encode()):
                if spki_sha256(certificate) == pin:
                    return certificate.public_bytes(Encoding.PEM).decode()
    return None


def _of_system() -> Iterator[str]:
    """One by one: the system may trust a certificate that cannot be read here."""
    return map(ssl.DER_cert_to_PEM_cert, client_context(None).get_ca_certs(binary_form=True))


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
