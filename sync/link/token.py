"""Join tokens: what the hub's operator gives to a machine so that it may join.

    spk1.<pin>.<id>.<secret>

Lower-case base32 without padding, so that it survives being typed. The pin is the SHA-256 of the public key (SPKI) of
the hub's CA; the word `system` in its place means that the hub's certificate comes from a CA that the machine knows
already. The secret never travels, and the hub does not keep it: both ends derive a proof key from it, and the machine
proves that it has it by an HMAC over the hub's nonce and its own public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

from sync.link.errors import TokenError

PREFIX = "spk1"
SYSTEM = "system"
PIN_BYTES = 32
ID_BYTES = 10
SECRET_BYTES = 32
MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Token:
    """A join token; its repr does not show the secret."""

    id: str
    secret: bytes = field(repr=False)
    pin: bytes | None
    """None: trust the CAs of the system."""

    @property
    def text(self) -> str:
        """How it is written."""
        pin = SYSTEM if self.pin is None else _text(self.pin)
        return f"{PREFIX}.{pin}.{self.id}.{_text(self.secret)}"

    @property
    def proof_key(self) -> bytes:
        """What the hub keeps: it can check proofs with it, and nobody can get the secret from it."""
        return hmac.digest(self.secret, b"spoke join: proof key, version 1", hashlib.sha256)


def make(pin: bytes | None, random: bytes) -> Token:
    """Make a token.

    Args:
        pin: SHA-256 of the CA's public key, or None for the CAs of the system.
        random: `ID_BYTES + SECRET_BYTES` random bytes.
    """
    if len(random) != ID_BYTES + SECRET_BYTES or (pin is not None and len(pin) != PIN_BYTES):
        raise ValueError("a token is made of 42 random bytes and a pin of 32")
    return Token(_text(random[:ID_BYTES]), random[ID_BYTES:], pin)


def parse(text: str) -> Token:
    """Read a token; white space around it does not matter.

    Raises:
        TokenError: it is none; the message never quotes it.
    """
    text = text.strip()
    parts = text.split(".") if len(text) <= MAX_CHARACTERS else []
    if parts[:1] != [PREFIX]:
        raise TokenError("this is no join token")
    if len(parts) != 4:
        raise TokenError(f"a join token has 4 parts, this has {len(parts)}")
    _, pin, name, secret = parts
    _bytes(name, ID_BYTES)
    return Token(name, _bytes(secret, SECRET_BYTES), None if pin == SYSTEM else _bytes(pin, PIN_BYTES))


def prove(proof_key: bytes, statement: bytes) -> bytes:
    """The proof that one knows the secret of a token, for what is stated (`enrolment.statement`)."""
    return hmac.digest(proof_key, b"spoke join: proof, version 1\0" + statement, hashlib.sha256)


def proves(proof_key: bytes, statement: bytes, proof: bytes) -> bool:
    """Whether a proof is good; takes the same time for every wrong one."""
    return hmac.compare_digest(prove(proof_key, statement), proof)


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _bytes(text: str, size: int) -> bytes:
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        data = b""
    # Compared as text: base32 has spare bits, and there must be one way to write a token.
    if len(data) != size or _text(data) != text:
        raise TokenError("a part of the join token is damaged")
    return data
