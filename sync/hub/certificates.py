"""The hub's certificates: a CA of its own that nobody else has to know, and a server certificate that it signs.

In a folder: `ca.pem` and `server.pem`, each a private key with its certificate (0600; one file, so that a crash never
leaves one without the other), and `ca.crt`, the CA's certificate alone, for whoever joins with an API key.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from storage.private_file import read_private, write_private
from sync.link.errors import CertificateError
from sync.link.pin import UNREADABLE, spki_sha256

CA_FILE = "ca.pem"
SERVER_FILE = "server.pem"
CA_DAYS = 3_652
SERVER_DAYS = 825
RENEW_DAYS = 30
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
BACKDATED = timedelta(days=1)
"""A machine whose clock is a little slow can join too."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A key with its certificate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a hub with a CA of its own has."""

    folder: Path
    ca: Authority
    server: Authority

    @property
    def names(self) -> list[str]:
        """The host names and addresses that the server certificate is for.

        Raises:
            CertificateError: it is damaged.
        """
        return _names(self.server.certificate)

    @property
    def pin(self) -> bytes:
        """What join tokens name: see `spki_sha256`."""
        return spki_sha256(self.ca.certificate)


def make_certificates(folder: Path, names: list[str], now: datetime) -> Certificates:
    """Make a CA and a server certificate, for host names and IP addresses.

    Raises:
        CertificateError: there is a CA already, or a name is none.
        OSError: the files cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / CA_FILE).exists():
        raise CertificateError(f"{folder / 'ca.pem'}: there is a CA already; tokens and nodes rely on it")
    alternatives = _alternatives(names)
    ca = _authority(now)
    server = _server(ca, alternatives, now)
    _write(folder / SERVER_FILE, server)
    write_private(folder / "ca.crt", ca.pem)
    _write(folder / CA_FILE, ca)  # last: from now on this is done
    return Certificates(folder, ca, server)


def load_certificates(folder: Path) -> Certificates | None:
    """What `make_certificates` made; None when it was never called.

    Raises:
        CertificateError: a file is missing, readable by others, or damaged.
    """
    if not (folder / CA_FILE).exists():
        return None
    return Certificates(folder, _read(folder / CA_FILE), _read(folder / SERVER_FILE))


def renew_server(found: Certificates, now: datetime, names: list[str] | None = None) -> Certificates:
    """Make a new server certificate with a key of its own, for the same names or others.

    Raises:
        CertificateError: a name is none.
        OSError: the file cannot be written; the old one is as it was.
    """
    server = _server(found.ca, _alternatives(found.names if names is None else names), now)
    _write(found.folder / SERVER_FILE, server)
    return Certificates(found.folder, found.ca, server)


def renewed_if_due(found: Certificates, now: datetime) -> Certificates:
    """What a hub that starts calls: the server certificate is made anew when less than 30 days of it are left."""
    due = found.server.certificate.not_valid_after_utc - timedelta(days=RENEW_DAYS)
    return renew_server(found, now) if now >= due else found


def server_context(chain: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS for the hub, from 1.2 on: its own `server.pem`, or a certificate chain and key from elsewhere.

    Raises:
        CertificateError: they are no PEM files, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"{chain}: {error}") from error
    return context


def _authority(now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: two CAs of one name would confuse whoever trusts both.
    name = _name(f"Spoke hub CA {os.urandom(4).hex()}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, SHA256())
    )
    return Authority(made, key)


def _server(ca: Authority, names: list[x509.GeneralName], now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name("Spoke hub"), ca.certificate.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, SHA256())
    )
    return Authority(made, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    if not names:
        raise CertificateError("a certificate is for at least one name or address")
    return [_alternative(name) for name in dict.fromkeys(names)]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # a host name, then
    labels = name.rstrip(".").split(".")
    if not name.isascii() or len(name) > 253 or not all(_LABEL.fullmatch(part) for part in labels):
        raise CertificateError(f"{name[:60]!r} is no host name or address")
    return x509.DNSName(name.rstrip(".").lower())


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except UNREADABLE as error:
        raise CertificateError("the server certificate is damaged: it names no host") from error
    return [str(name.value) for name in found]


def _write(path: Path, authority: Authority) -> None:
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    write_private(path, key + authority.pem)


def _read(path: Path) -> Authority:
    try:
        data = read_private(path)
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error
    try:
        key, certificate = load_pem_private_key(data, None), x509.load_pem_x509_certificate(data)
        together = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
    except UNREADABLE:
        raise CertificateError(f"{path}: this is no key with a certificate") from None  # the cause might quote it
    if not together or not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path}: key and certificate do not belong together")
    return Authority(certificate, key)
