"""One spoke's session, seen from the hub: who is it, is it the only one of its name, and then its streams."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from websockets.asyncio.server import ServerConnection

from storage.engine import Database, Transaction
from storage.identity import devices
from storage.identity.devices import Device, find_device
from sync.hub import spokes
from sync.hub.admission import Greeting, Refusal, admit_device, confirm_session, judge_session, note_alive, rotate
from sync.hub.keys import Principal
from sync.hub.streams import MAX_FOLLOWED, accepts, followable, follower, sent_to, topic_of
from sync.link import ratchet
from sync.link.device import verify_renewal
from sync.link.errors import (
    IdentityConflictError,
    KeyExpiredError,
    LinkError,
    MalformedError,
    RevokedError,
    SilentError,
    SupersededError,
    UnauthorizedError,
    VersionError,
)
from sync.link.exchange import Exchange, History
from sync.link.frames import (
    MAX_FIRST_FRAME_BYTES,
    MAX_FRAME_BYTES,
    VERSIONS,
    Call,
    Challenge,
    GoAway,
    Hello,
    KeyRotated,
    Proof,
    Ready,
    Renew,
    Result,
    RotateKey,
    Welcome,
    Window,
    decode,
    encode,
)
from sync.link.ratchet import Verdict
from sync.logs.incoming import IncomingLogs, Stable
from sync.logs.outgoing import OutgoingLogs
from sync.peer.conversation import Conversation, Handler
from sync.peer.durable import CallMarks, doubt_old_calls

log = logging.getLogger("spoke.hub")

HELLO_TIMEOUT_S = 5.0
RENEW_EVERY_S = 3_600.0
PROOF_WITHIN_S = 60.0
NONCE_BYTES = 32
MAX_PATTERNS = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the hub found out; never what the other end claims of its rights."""

    node_id: str
    name: str
    tenant: str
    account_id: str
    scopes: tuple[str, ...]
    epoch: int
    key_id: str | None
    """The API key that was shown, or None: the node has a key of its own."""
    restored: bool = False
    """The node's file is an older copy of one that was here before."""
    rotate: bool = False
    """Its key is old."""
    renew_only: bool = False
    """Its key is past its date: it may ask for another, and nothing else."""
    hub_restored: bool = False
    """It was here after this hub's files were copied: they were restored."""


@dataclass(slots=True)
class Presence:
    """A session that is open."""

    peer: Peer
    db: Database
    conversation: Conversation
    link: HubLink
    began: float
    renewed: float
    asked: float | None = None
    nonce: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, error: LinkError) -> None:
        """Tell the spoke why and close."""
        self.conversation.fail(error)

    def go_away(self, retry_after_ms: int) -> None:
        """The hub stops: what was received is stored and acknowledged, the spoke comes back later."""
        self.conversation.send(GoAway(retry_after_ms))

    def renew(self, now: float) -> None:
        """Ask the spoke to show its key again.

        Raises:
            UnauthorizedError: it was asked before, and did not.
        """
        if self.asked is not None and now - self.asked > PROOF_WITHIN_S:
            raise UnauthorizedError("the node did not show its key again")
        if self.asked is None and now - self.renewed > RENEW_EVERY_S:
            self.asked, self.nonce = now, secrets.token_bytes(NONCE_BYTES)
            self.conversation.send(Renew(self.nonce))


class HubLink(Handler):
    """What the hub does with a spoke's frames that belong to no stream."""

    def __init__(
        self, system: Database, hub_id: str, peer: Peer, on_call: Callable[[Peer, Call], Coroutine[Any, Any, str]]
    ) -> None:
        self._system = system
        self._hub_id = hub_id
        self._peer = peer
        self._on_call = on_call
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self.presence: Presence | None = None

    async def called(self, frame: Call) -> str:
        """A spoke calls an operation of the hub."""
        return await self._on_call(self._peer, frame)

    def answered(self, frame: Result) -> None:
        """A live call of ours has ended; one that nobody waits for is left."""
        waiting = self._waiting.pop(frame.call_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame.event)

    async def proved(self, frame: Proof) -> None:
        """The spoke has shown its key again.

        Raises:
            UnauthorizedError: it has not.
        """
        presence = self.presence
        if presence is None or presence.asked is None:
            raise MalformedError("PROOF answers nothing")
        device = await self._system.read(lambda system: find_device(system, self._peer.node_id))
        if device is None or not any(
            verify_renewal(public, frame.signature, presence.nonce, self._hub_id, self._peer.node_id)
            for public in (device.public_key, device.next_public_key)
            if public is not None
        ):
            raise UnauthorizedError("the node did not show its key again")
        presence.renewed, presence.asked = time.monotonic(), None

    async def rotate_key(self, frame: RotateKey) -> KeyRotated:
        """Take the spoke's new key; on disk when this returns.

        Raises:
            UnauthorizedError: a signature is missing, or the node may not have it.
        """
        await rotate_key(self._system, self._hub_id, self._peer.node_id, frame)
        return KeyRotated(frame.rotation.public)

    async def call(self, conversation: Conversation, frame: Call) -> str:
        """Call an operation of the spoke, live; returns the call event that ends it."""
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[frame.call_id] = waiting
        conversation.send(frame)
        try:
            return await waiting
        finally:
            self._waiting.pop(frame.call_id, None)

    def gone(self) -> None:
        """The session has ended: nobody will answer."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkError("the spoke has left"))


class Reception:
    """Takes a connection from its first frame to its session's end."""

    def __init__(
        self,
        *,
        system: Database,
        hub_id: str,
        tenant: Callable[[str], Coroutine[Any, Any, Database]],
        present: dict[str, Presence],
        stable: Stable,
        on_call: Callable[[Peer, Call], Coroutine[Any, Any, str]],
        clock_ms: Callable[[], int],
    ) -> None:
        self._system = system
        self._hub_id = hub_id
        self._tenant = tenant
        self._present = present
        self._stable = stable
        self._on_call = on_call
        self._clock_ms = clock_ms
        self._histories: dict[str, History] = {}

    async def serve(self, connection: ServerConnection, principal: Principal | None) -> None:
        """Serve a connection until it ends.

        Raises:
            LinkError: it may not be, or not go on; the caller says so and closes.
        """
        connection.protocol.max_message_size = MAX_FIRST_FRAME_BYTES
        hello, nonce = await self._introduce(connection)
        fresh = secrets.token_bytes(ratchet.RATCHET_BYTES)
        peer = await self._admit(hello, nonce, fresh, principal)
        db = await self._tenant(peer.tenant)
        own = peer.key_id is None
        await db.run(lambda tx: spokes.greet(tx, hello, peer.account_id, self._clock_ms(), has_own_key=own))
        try:
            older = self._present.get(peer.node_id)
            if older is not None:
                older.end(SupersededError(f"node {peer.node_id} has come back in session {peer.epoch}"))
                await older.ended.wait()  # so that nothing of the old session is stored after READY of the new one
            welcome = Welcome(peer.epoch, fresh, peer.tenant, self._clock_ms(), peer.restored, peer.rotate)
            await connection.send(encode(welcome))
            ready = await _first(connection, Ready)
            if ready.epoch != peer.epoch:
                raise MalformedError("READY is not for this session")
            await self._system.run(lambda tx: confirm_session(tx, peer.node_id, peer.epoch, self._clock_ms()))
            if peer.renew_only:
                asked = await _first(connection, RotateKey)
                await rotate_key(self._system, self._hub_id, peer.node_id, asked)
                await connection.send(encode(KeyRotated(asked.rotation.public)))
                done = KeyExpiredError("come again with the new key")
                done.retry_after_ms = 0
                raise done
            connection.protocol.max_message_size = MAX_FRAME_BYTES + 1024
            about = {"ids": {"peer": peer.name, "node": peer.node_id, "tenant": peer.tenant}}
            log.info("%s is here: node %s, session %d", peer.name, peer.node_id, peer.epoch, extra=about)
            await self._converse(connection, db, peer, ready)
        finally:
            if not db.closed:
                await db.run(lambda tx: spokes.part(tx, peer.node_id, self._clock_ms()))
            if not self._system.closed:
                await self._system.run(lambda tx: note_alive(tx, peer.node_id, peer.epoch, self._clock_ms()))

    # -- who is it -------------------------------------------------------------------------------------------------

    async def _introduce(self, connection: ServerConnection) -> tuple[Hello, bytes]:
        nonce = secrets.token_bytes(NONCE_BYTES)
        await connection.send(encode(Challenge(list(VERSIONS), self._hub_id, nonce, self._clock_ms())))
        hello = await _first(connection, Hello)
        if hello.version not in VERSIONS:
            raise VersionError(f"the spoke speaks version {hello.version}, this hub {VERSIONS[0]}")
        for text in (hello.node_id, hello.name, hello.agent):
            if not 1 <= len(text) <= 200 or not text.isprintable():
                raise MalformedError("names in HELLO are 1 to 200 printable characters")
        if any(c in "@>*" for c in hello.node_id):
            raise MalformedError("a node id holds none of '@', '>' and '*'")
        return hello, nonce

    async def _admit(self, hello: Hello, nonce: bytes, fresh: bytes, principal: Principal | None) -> Peer:
        """Decide, in one transaction of `system.db`; it is on disk when this returns."""
        now_ms, node_id = self._clock_ms(), hello.node_id
        live = node_id in self._present

        def decide(tx: Transaction) -> Peer | Refusal:
            device = find_device(tx, node_id)
            if principal is not None:
                if device is not None:
                    return Refusal(UnauthorizedError(f"node {node_id} has a key of its own"))
                actor = principal.account_id
                verdict = judge_session(
                    tx, node_id, hello.ratchet, hello.epoch, now_ms, live=live, fresh=fresh, actor_id=actor
                )
                if not verdict.accepted:
                    return Refusal(IdentityConflictError(f"another copy of node {node_id} is alive"), verdict.both)
                held = tuple(principal.key.scopes or ())
                return _peer(hello, principal.tenant, actor, held, verdict, principal.key.id)
            greeting = Greeting(
                node_id, self._hub_id, nonce, hello.ratchet, hello.epoch, hello.boot_id, hello.signature
            )
            admission = admit_device(tx, greeting, now_ms, live=live, fresh=fresh)
            if isinstance(admission, Refusal):
                return admission
            found = admission.device
            peer = _peer(hello, found.tenant, found.account_id, found.scopes, admission.verdict, None)
            due = devices.renewal_due(found, now_ms // 1000)
            return replace(peer, rotate=due, renew_only=admission.standing == "renew_only")

        decided = await self._system.run(decide)
        if isinstance(decided, Refusal):
            other = self._present.get(node_id)
            if decided.both and other is not None:
                other.end(IdentityConflictError(f"another copy of node {node_id} is alive"))
            raise decided.error
        return decided

    # -- its streams -----------------------------------------------------------------------------------------------

    async def _converse(self, connection: ServerConnection, db: Database, peer: Peer, ready: Ready) -> None:
        node_id = peer.node_id
        streams = sent_to(node_id)
        history = self._histories.setdefault(node_id, History())
        exchange = Exchange([spec for spec, _ in streams.values()], accepts, history, Window())
        topics = {name: topic for name, (_, topic) in streams.items()}
        outgoing = OutgoingLogs(db, node_id, topics, f"downlink@{node_id}", self._clock_ms, CallMarks(node_id))
        doubt = doubt_old_calls(node_id, self._clock_ms()) if peer.hub_restored else None
        incoming = IncomingLogs(
            db,
            node_id,
            partial(topic_of, node_id),
            clock_ms=self._clock_ms,
            stable=self._stable,
            on_stored=doubt,
        )
        link = HubLink(self._system, self._hub_id, peer, self._on_call)
        conversation = Conversation(
            connection, db, exchange, outgoing, incoming, link, topics=topics, pings=False, clock_ms=self._clock_ms
        )
        now = time.monotonic()
        presence = link.presence = Presence(peer, db, conversation, link, now, now)
        self._present[node_id] = presence
        following = None
        if ready.follows:
            follow = self._follow(conversation, db, peer, ready.follows[:MAX_PATTERNS])
            following = asyncio.create_task(follow, name=f"follow-{node_id}")
        try:
            await conversation.run()
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            link.gone()
            if self._present.get(node_id) is presence:
                del self._present[node_id]
            presence.ended.set()

    async def _follow(self, conversation: Conversation, db: Database, peer: Peer, patterns: Sequence[str]) -> None:
        """Send the streams of other nodes that the spoke asked for, those too that begin while the session lasts."""
        known = set[str]()
        waiter = db.wake.add([("link", "peers")])
        try:
            while True:
                waiter.clear()
                found = await db.read(lambda source: followable(source, peer.node_id, patterns, peer.scopes))
                for topic in found:
                    if topic not in known and len(known) < MAX_FOLLOWED:
                        known.add(topic)
                        conversation.add(follower(topic), topic)
                await waiter.wait()
        finally:
            db.wake.remove(waiter)


async def rotate_key(system: Database, hub_id: str, node_id: str, frame: RotateKey) -> None:
    """Take a node's new key beside its old one; on disk when this returns.

    Raises:
        UnauthorizedError: a signature is missing, or the node may not have it.
    """
    await system.run(lambda tx: rotate(tx, hub_id, node_id, frame.rotation, int(system.clock())))


def _peer(
    hello: Hello, tenant: str, account_id: str, scopes: tuple[str, ...], verdict: Verdict, key_id: str | None
) -> Peer:
    return Peer(
        hello.node_id,
        hello.name,
        tenant,
        account_id,
        scopes,
        verdict.state.epoch,
        key_id,
        restored=verdict.kind == "restored",
        hub_restored=verdict.kind == "hub_restored",
    )


def still_welcome(tx_or_source: Any, presence: Presence, now: int) -> LinkError | None:
    """Whether a session that is open may stay: its key was not revoked, disabled, nor is it past its date."""
    peer = presence.peer
    if peer.key_id is None:
        device: Device | None = find_device(tx_or_source, peer.node_id)
        stands = "revoked" if device is None else devices.standing(device, now)
        return None if stands in ("active", "renew_only") else RevokedError(f"node {peer.node_id} was revoked")
    rows = tx_or_source.rows(
        "SELECT k.enabled, k.revoked_at, k.expires_at, a.status FROM api_keys k JOIN accounts a ON a.id = k.owner_id"
        " WHERE k.id = ?",
        (peer.key_id,),
    )
    if rows:
        enabled, revoked_at, expires_at, status = rows[0]
        if enabled and revoked_at is None and status == "active" and (expires_at is None or expires_at > now):
            return None
    return RevokedError(f"the key of node {peer.node_id} opens nothing any more")


def hub_id_of(source: Any) -> str:
    """The identity of this hub."""
    return str(source.rows("SELECT value FROM hub_facts WHERE name = 'hub_id'")[0][0])


async def _first(connection: ServerConnection, kind: type[Any]) -> Any:
    """The frame that must come now, soon."""
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            frame = decode(await connection.recv())
    except TimeoutError as error:
        raise SilentError(f"no {kind.__name__.upper()} within {HELLO_TIMEOUT_S:g} s") from error
    if not isinstance(frame, kind):
        raise MalformedError(f"{type(frame).__name__} may not come now")
    return frame
