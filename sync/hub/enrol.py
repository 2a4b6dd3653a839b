"""The hub's side of joining: a token and a public key become a device, in one transaction.

The hub's server gives a connection of the subprotocol `enrolment.SUBPROTOCOL` to `enrol`, without asking it for a key.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from storage.engine import Database, Transaction
from storage.engine.errors import EngineError
from storage.identity.audit import audit
from storage.identity.devices import Device, enrol_device, find_device
from storage.identity.errors import TakenError, UnknownIdentityError
from storage.identity.join_tokens import CREDENTIAL, JoinToken, find_join_token, use_join_token
from sync.hub.keys import operator
from sync.hub.ratchets import load_ratchet, save_ratchet
from sync.link import ratchet
from sync.link.enrolment import (
    MAX_FRAME_BYTES,
    NONCE_BYTES,
    TIMEOUT_S,
    Challenge,
    Enrolled,
    Refused,
    Request,
    check,
    decode,
    encode,
)
from sync.link.errors import JoinRefusedError, LinkError, MalformedError, RateError
from sync.link.rate import Bucket, Gate, Rate
from sync.link.token import proves

log = logging.getLogger("spoke.hub")

EACH = Rate(10, 20)
TOGETHER = Rate(200, 400)
AUDITED = Rate(1, 60)
"""Refusals that the audit trail takes: a stranger must not fill the disk. The others are counted into the next one."""

WORDS = "this token opens nothing here"
_NO_KEY = bytes(32)


@dataclass(slots=True)
class Desk:
    """What a hub enrols with; one for all connections."""

    hub_id: str
    ca_pem: str | None
    """The CA that tokens pin; None when the hub's certificate comes from a public one."""
    urls: tuple[str, ...] = ()
    """Where the hub is, if it knows better than the machine that joins."""
    random: Callable[[int], bytes] = secrets.token_bytes
    clock_s: Callable[[], float] = time.time
    gate: Gate = field(default_factory=lambda: Gate(EACH, TOGETHER))
    audited: Bucket = field(default_factory=lambda: Bucket(AUDITED))
    unaudited: int = 0


async def enrol(connection: ServerConnection, system_db: Database, desk: Desk) -> Device | None:
    """Serve one connection that wants to join, and close it; returns the device, on disk, or None.

    Before anything is known of the caller it is held to a rate, to 16 KiB and to 5 seconds. Every refusal has the same
    words and is in the audit trail (up to a rate) with its reason.
    """
    connection.protocol.max_message_size = MAX_FRAME_BYTES
    peer = str((connection.remote_address or ("?",))[0])
    try:
        wait_s = desk.gate.admit(peer, time.monotonic())
        if wait_s:
            raise RateError(f"too many want to join: try again in {wait_s:.1f} s")
        challenge = Challenge(desk.random(NONCE_BYTES), desk.hub_id, desk.ca_pem)
        await connection.send(encode(challenge))
        asked = await _receive(connection)
        said = check(challenge, asked)
        fresh = desk.random(ratchet.RATCHET_BYTES)
        now = int(desk.clock_s())
        done = await system_db.run(lambda tx: _decide(tx, asked, said, fresh, now, peer, desk))
        if isinstance(done, str):
            log.warning("%s may not join: %s", peer, done)
            raise JoinRefusedError(WORDS)
        await connection.send(
            encode(Enrolled(done.id, done.tenant, desk.hub_id, fresh, done.key_not_after, list(desk.urls)))
        )
        log.info("%s has joined %s as node %s (%s)", peer, done.tenant, done.id, done.name)
        await connection.close()
    except LinkError as error:
        log.info("%s is refused: %s: %s", peer, error.code, error)
        await _refuse(connection, error)
    except EngineError as error:
        log.error("%s could not join: %s", peer, error)
        await _refuse(connection, LinkError("the hub cannot enrol nodes now"))
    except ConnectionClosed:
        # Also after the transaction: the machine joins again with the same key and token, and gets its answer then.
        log.info("%s left while it was joining", peer)
    else:
        return done
    return None


async def _receive(connection: ServerConnection) -> Request:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            message = decode(await connection.recv())
    except TimeoutError as error:
        raise MalformedError(f"no request within {TIMEOUT_S:g} s") from error
    if not isinstance(message, Request):
        raise MalformedError(f"{type(message).__name__} may not come now")
    return message


async def _refuse(connection: ServerConnection, error: LinkError) -> None:
    try:
        await connection.send(encode(Refused(error.code, str(error))))
        await connection.close(1008, error.code)
    except ConnectionClosed:
        log.info("a machine was gone before it could be told: %s", error.code)


def _decide(
    tx: Transaction, asked: Request, said: bytes, fresh: bytes, now: int, peer: str, desk: Desk
) -> Device | str:
    """Enrol, or say why not; either is in the audit trail, in this transaction."""
    token = _token(tx, asked.token_id)
    known = find_device(tx, asked.node_id)
    reason = _objection(token, known, asked, said, now)
    if token is not None and reason is None:
        try:
            with tx.transaction():  # a refusal leaves nothing of it
                device = enrol_device(tx, token, asked.node_id, asked.name, asked.public, now)
        except TakenError as error:
            reason = str(error)
        else:
            if not _answers_again(token, known, asked):
                use_join_token(tx, token, actor_id=device.account_id, node_id=device.id)
            state = load_ratchet(tx, device.id)
            save_ratchet(tx, device.id, ratchet.begin(fresh) if state is None else ratchet.offer(state, fresh))
            return device
    assert reason is not None, "no device, so there is a reason"
    if desk.audited.take(float(now)):
        desk.unaudited += 1
    else:
        _audit_refusal(tx, token, {"reason": reason, "peer": peer, "nodeId": asked.node_id, "more": desk.unaudited})
        desk.unaudited = 0
    return reason


def _audit_refusal(tx: Transaction, token: JoinToken | None, details: Mapping[str, object]) -> None:
    audit(
        tx,
        f"{CREDENTIAL}.refused",
        token.owner_id if token is not None else operator(tx).id,
        credential_id=token.id if token is not None else None,
        credential_type=CREDENTIAL,
        org_id=token.org_id if token is not None else None,
        details=details,
    )


def _token(tx: Transaction, token_id: str) -> JoinToken | None:
    try:
        found = find_join_token(tx, token_id)
    except UnknownIdentityError:
        return None
    return found if found.id == token_id else None  # a beginning is enough for people only


def _objection(token: JoinToken | None, known: Device | None, asked: Request, said: bytes, now: int) -> str | None:
    proven = proves(token.proof_key if token is not None else _NO_KEY, said, asked.proof)
    if token is None:
        return "unknown token"
    if not proven:
        return "the proof is wrong"
    if not token.valid(now):
        return "revoked" if token.revoked_at is not None else "expired"
    if token.node_id not in (None, asked.node_id):
        return "the token is for another node"
    if token.uses_left < 1 and not _answers_again(token, known, asked):
        return "used up"
    return None


def _answers_again(token: JoinToken, known: Device | None, asked: Request) -> bool:
    """Whether this machine joined with this token before: it did not hear the answer, or could not keep it."""
    return (
        known is not None
        and known.revoked_at is None
        and (known.token_id, known.public_key) == (token.id, asked.public)
    )
