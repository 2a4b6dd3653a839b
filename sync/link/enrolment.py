"""How a machine joins: four messages, MessagePack, over a WebSocket of the subprotocol `spoke-join.1`.

hub   CHALLENGE  a nonce, the hub's id, its CA          machine  REQUEST  the token's proof, its public key, signed
hub   ENROLLED   its tenant, its first ratchet          or       REFUSED  in the same words for every reason
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from sync.link.device import ENROLMENT, PUBLIC_BYTES, SIGNATURE_BYTES, DeviceKey, verifies
from sync.link.errors import MalformedError
from sync.link.token import Token, prove

SUBPROTOCOL = "spoke-join.1"
MAX_FRAME_BYTES = 16 * 1024
TIMEOUT_S = 5.0
NONCE_BYTES = 32
MAX_NAME = 64


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The hub's first word. `ca` is its CA's certificate (PEM), which the token's pin must fit; None: a public one."""

    nonce: bytes
    hub_id: str
    ca: str | None


class Request(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The machine asks to be enrolled. `proof` and `signature` are over the `statement`."""

    token_id: str
    node_id: str
    name: str
    public: bytes
    proof: bytes
    signature: bytes


class Enrolled(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The hub has taken the machine. `key_not_after` is unix seconds; `urls` are where the hub is, if it knows."""

    node_id: str
    tenant: str
    hub_id: str
    ratchet: bytes
    key_not_after: int
    urls: list[str]


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The hub has not taken it."""

    code: str
    message: str


Message: TypeAlias = Challenge | Request | Enrolled | Refused

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    return _encoder.encode(message)


def decode(data: bytes | str) -> Message:
    """Return the message that the bytes hold.

    Raises:
        MalformedError: they hold none.
    """
    if isinstance(data, str) or len(data) > MAX_FRAME_BYTES:
        raise MalformedError("messages of joining are binary, of at most 16 KiB")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a message of joining: {error}") from error


def statement(challenge: Challenge, token_id: str, node_id: str, name: str, public: bytes) -> bytes:
    """What a request states: all of it, to this hub, as an answer to this nonce."""
    return _encoder.encode([challenge.nonce, challenge.hub_id, token_id, node_id, name, public])


def request(challenge: Challenge, token: Token, key: DeviceKey, node_id: str, name: str) -> Request:
    """Answer a challenge; only to a hub whose certificate fits the token's pin."""
    said = statement(challenge, token.id, node_id, name, key.public)
    return Request(token.id, node_id, name, key.public, prove(token.proof_key, said), key.sign(ENROLMENT, said))


def check(challenge: Challenge, asked: Request) -> bytes:
    """Check everything of a request but its proof; returns the statement that the proof must fit.

    Raises:
        MalformedError: sizes, names or the signature are wrong.
    """
    if len(asked.public) != PUBLIC_BYTES or len(asked.signature) != SIGNATURE_BYTES or len(asked.proof) != 32:
        raise MalformedError("a key has 32 bytes, a signature 64, a proof 32")
    if len(asked.token_id) > MAX_NAME or not 1 <= len(asked.node_id) <= MAX_NAME or not set(asked.node_id) <= _NODE_ID:
        raise MalformedError("ids are 1 to 64 letters, digits, '-', '_' and '.'")
    if not 1 <= len(asked.name) <= MAX_NAME or not asked.name.isprintable():
        raise MalformedError("a name is 1 to 64 printable characters")
    said = statement(challenge, asked.token_id, asked.node_id, asked.name, asked.public)
    if not verifies(asked.public, asked.signature, ENROLMENT, said):
        raise MalformedError("the request is not signed by the key that it shows")
    return said


_NODE_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
