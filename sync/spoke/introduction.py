"""The beginning of a session, seen from the spoke: say who we are, and store the ratchet before READY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage.engine import Database
from storage.tenants import node_id
from sync.link import ratchet
from sync.link.device import DeviceKey, sign_hello
from sync.link.errors import MalformedError, SilentError, UnauthorizedError, VersionError, from_code
from sync.link.frames import VERSIONS, Challenge, Failure, Hello, Ready, Unknown, Welcome, decode, encode
from sync.peer.conversation import Socket
from sync.spoke.ratchet import load_ratchet, save_ratchet

ANSWER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Introduced:
    """What the hub said: its id, the session's number, the tenant, and its clock (unix ms) when it said so."""

    hub_id: str
    epoch: int
    tenant: str
    time_ms: int
    rotate: bool
    """The hub wants this machine to have another key."""
    restored: bool
    """This database is an older copy of one that was there before."""


async def introduce(
    socket: Socket,
    db: Database,
    *,
    name: str,
    agent: str,
    boot_id: bytes,
    key: DeviceKey | None,
    hub_id: str | None,
    follows: tuple[str, ...] = (),
    on_challenge: Callable[[str], None] = lambda _: None,
) -> Introduced:
    """Go through CHALLENGE, HELLO, WELCOME and READY. The ratchet is on disk (an fsync of its own) before READY.

    Args:
        key: this machine's; None when an API key was shown in the upgrade request.
        hub_id: the hub that this node joined; None: any (the first session with an API key).
        on_challenge: told the hub's id.

    Raises:
        LinkError: the hub refuses, is another one, or speaks another version.
    """
    challenge = await _next(socket, Challenge)
    version = next((known for known in VERSIONS if known in challenge.versions), None)
    if version is None:
        raise VersionError(f"the hub speaks {challenge.versions}, this node {list(VERSIONS)}")
    if hub_id is not None and challenge.hub_id != hub_id:
        raise UnauthorizedError("this is not the hub that this node joined")
    on_challenge(challenge.hub_id)
    us = await db.read(node_id)
    shown, epoch = await db.read(lambda source: load_ratchet(source, challenge.hub_id))
    signature = b""
    if key is not None:
        signature = sign_hello(key, challenge.nonce, challenge.hub_id, us, ratchet.hash_of(shown), boot_id)
    await socket.send(encode(Hello(version, us, name, agent, boot_id, shown, epoch, signature)))
    welcome = await _next(socket, Welcome)
    if len(welcome.ratchet) != ratchet.RATCHET_BYTES:
        raise MalformedError("WELCOME without a ratchet")
    await db.run(lambda tx: save_ratchet(tx, challenge.hub_id, welcome.ratchet, welcome.epoch))
    await asyncio.to_thread(db.barrier)
    await socket.send(encode(Ready(welcome.epoch, list(follows))))
    return Introduced(
        challenge.hub_id, welcome.epoch, welcome.tenant, welcome.time_ms, welcome.rotate, welcome.restored
    )


async def _next(socket: Socket, kind: type[Any]) -> Any:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            frame = decode(await socket.recv())
    except TimeoutError as error:
        raise SilentError(f"the hub sent no {kind.__name__.upper()} within {ANSWER_WITHIN_S:g} s") from error
    if isinstance(frame, Failure):
        refusal = from_code(frame.code, frame.message)
        refusal.retry_after_ms = frame.retry_after_ms
        raise refusal
    if not isinstance(frame, kind):
        what = frame.kind if isinstance(frame, Unknown) else type(frame).__name__
        raise MalformedError(f"{what} came where {kind.__name__.upper()} should")
    return frame
