"""The hub: a WebSocket server that takes spokes' streams into their tenants' files, and sends calls down."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from storage.engine import Database, Snapshot, Transaction
from storage.engine.errors import DiskError, EngineError, FullError
from storage.identity.api_keys import note_use
from storage.process_lock import ProcessLock
from storage.tenant_files import file_of
from storage.tenants import open_system_database, open_tenant_database
from sync.hub import enrol
from sync.hub.keys import Principal, authenticate
from sync.hub.session import Peer, Presence, Reception, hub_id_of, still_welcome
from sync.link import enrolment
from sync.link.errors import LOOPBACK, LinkError, OverloadedError, PlainTextError, UnauthorizedError
from sync.link.frames import MAX_FIRST_FRAME_BYTES, SUBPROTOCOL, Call, Failure, encode
from sync.link.rate import Gate, Rate
from sync.logs.incoming import Stable
from sync.peer.conversation import storage_full

log = logging.getLogger("spoke.hub")

MAX_QUEUED_MESSAGES = 4
"""Messages that wait to be read, per connection; then TCP holds the spoke back."""
HANDSHAKES_EACH = Rate(10, 50)
HANDSHAKES = Rate(200, 400)
"""Upgrades a second and at once: of one address, and of all."""
REVIEW_EVERY_S = 30.0
REVIEW_AFTER_S = 0.2
"""Sessions are looked at so soon after `system.db` changed: a revoked key is cut off within 2 seconds."""
DRAIN_S = 5.0
RETRY_AFTER_MS = 2_000


class Hub:
    """One hub over one data directory: `system.db` and a `tenant-{orgId}.db` for each tenant.

    An event is acknowledged after the transaction that holds it and the cursor is on disk. Killing the hub at any
    moment loses nothing: what was not acknowledged is sent again, what was stored is not stored twice.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 7710,
        tls: ssl.SSLContext | None = None,
        ca_pem: str | None = None,
        allow_plain: bool = False,
        stable: Stable = "acked",
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        """`ca_pem` is the CA that join tokens pin; `stable` says what spokes may forget (`sync.logs.incoming`)."""
        if tls is None and host not in LOOPBACK and not allow_plain:
            raise PlainTextError(f"{host} without TLS would show keys and data to the network")
        self._data_dir = data_dir
        self._host = host
        self._port = port
        self._tls = tls
        self._ca_pem = ca_pem
        self._stable = stable
        self._clock_ms = clock_ms
        self._tenants: dict[str, Database] = {}
        self._system: Database | None = None
        self._server: Server | None = None
        self._reception: Reception | None = None
        self._desk: enrol.Desk | None = None
        self._opening = asyncio.Lock()
        self._gate = Gate(HANDSHAKES_EACH, HANDSHAKES)
        # Weak: an upgrade that fails after the key was checked never reaches `_connection`.
        self._principals: WeakKeyDictionary[ServerConnection, Principal] = WeakKeyDictionary()
        self._present: dict[str, Presence] = {}
        self.hub_id = ""
        self.on_tenant: Callable[[str, Database], None] = lambda slug, db: None
        """Called once for every tenant file that is opened; it stays open until `closing` is set."""
        self.on_call: Callable[[Peer, Call], Coroutine[Any, Any, str]] = _knows_none
        """Executes a live call of a spoke; returns the call event that ends it."""
        self.closing = asyncio.Event()
        """Set when files are about to be closed: whoever works on them ends."""
        self.drain: Callable[[], Awaitable[None]] = _nobody
        """Awaited after `closing` is set, before files are closed."""

    @property
    def tenants(self) -> Mapping[str, Database]:
        """The tenant files that are open."""
        return self._tenants

    @property
    def present(self) -> Mapping[str, Presence]:
        """The sessions that are open, by node id."""
        return self._present

    @property
    def system(self) -> Database:
        """`system.db`, while the hub runs."""
        assert self._system is not None, "the hub is running"
        return self._system

    @property
    def port(self) -> int:
        """The port that is listened on; known once `run` has said so through `ready`."""
        assert self._server is not None, "the hub is running"
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def run(self, stop: asyncio.Event, ready: Callable[[Hub], None] = lambda _: None) -> None:
        """Serve until `stop`; then no new connection is taken, what was received is stored, files are closed.

        Raises:
            LockHeldError: another hub works in this directory.
            OSError: the address cannot be listened on.
        """
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ProcessLock(self._data_dir / "hub.lock"):
            self._system = open_system_database(self._data_dir / "system.db")
            review: asyncio.Task[None] | None = None
            try:
                self.hub_id = _hub_id(self._system)
                self._desk = enrol.Desk(self.hub_id, self._ca_pem)
                self._reception = Reception(
                    system=self._system,
                    hub_id=self.hub_id,
                    tenant=self.tenant,
                    present=self._present,
                    stable=self._stable,
                    on_call=lambda peer, frame: self.on_call(peer, frame),
                    clock_ms=self._clock_ms,
                )
                async with serve(
                    self._connection,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    process_request=self._authenticate,
                    subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(enrolment.SUBPROTOCOL)],
                    compression=None,
                    max_size=MAX_FIRST_FRAME_BYTES,
                    max_queue=MAX_QUEUED_MESSAGES,
                    open_timeout=5,
                    ping_interval=None,  # the spoke pings; `Conversation` notices silence
                    close_timeout=2,
                    server_header=None,
                ) as self._server:
                    await self._system.run(self._note_address)
                    review = asyncio.create_task(self._review())
                    ready(self)
                    await stop.wait()
                    await self._say_goodbye()
            finally:
                if review is not None:
                    review.cancel()
                    with suppress(asyncio.CancelledError):
                        await review
                self.closing.set()
                await self.drain()
                for db in self._tenants.values():
                    db.close()
                self._tenants.clear()
                self._system.close()

    def _note_address(self, tx: Transaction) -> None:
        """So that other programs (`spoke hub status`) know where this one listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        address = f"{'ws' if self._tls is None else 'wss'}://{host}:{self.port}"
        tx.execute("INSERT OR REPLACE INTO hub_facts VALUES ('address', ?)", (address,))

    async def call(self, node_id: str, operation_id: str, value: Any, *, deadline_ms: int | None = None) -> str:
        """Call an operation of a spoke that is here, live; returns the call event (JSON) that ends it.

        Stored nowhere on the way: when the session ends before the answer has come, nobody knows whether it ran.

        Raises:
            LinkError: the spoke is not here, or leaves before it has answered.
        """
        presence = self._present.get(node_id)
        if presence is None:
            raise LinkError(f"node {node_id} is not here")
        frame = Call(str(uuid.uuid4()), operation_id, msgspec.json.encode(value).decode(), deadline_ms)
        return await presence.link.call(presence.conversation, frame)

    # -- who is it -------------------------------------------------------------------------------------------------

    async def _authenticate(self, connection: ServerConnection, request: Request) -> Response | None:
        """Hold everybody to a rate; answer 401 before the upgrade when a key was shown that opens nothing.

        A node with a key of its own shows none here: it signs the challenge.
        """
        assert self._system is not None, "serving"
        address = str((connection.remote_address or ("?",))[0])
        wait_s = self._gate.admit(address, time.monotonic())
        if wait_s:
            response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections at once\n")
            response.headers["Retry-After"] = str(round(wait_s + 0.5))
            return response
        shown = request.headers.get("Authorization")
        if shown is None:
            return None
        scheme, _, key = shown.partition(" ")
        try:
            if scheme.lower() != "bearer" or not key:
                raise UnauthorizedError("no key was shown")
            now = self._clock_ms() // 1000
            principal = await self._system.read(lambda system: authenticate(system, key, now))
            await self._note_use(principal, now)
            self._principals[connection] = principal
        except UnauthorizedError as error:
            log.warning("refused %s: %s", _peer(connection), error)
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"{error}\n")
        return None

    async def _note_use(self, principal: Principal, now: int) -> None:
        try:
            await self.system.run(lambda tx: note_use(tx, principal.key, now))
        except (FullError, DiskError) as error:
            log.warning("the use of a key could not be noted: %s", error)

    async def tenant(self, slug: str) -> Database:
        """The tenant's file, opened once, off the event loop (it may have to be migrated)."""
        async with self._opening:
            db = self._tenants.get(slug)
            if db is None:
                db = self._tenants[slug] = await asyncio.to_thread(_open_tenant, file_of(self._data_dir, slug))
                self.on_tenant(slug, db)
        return db

    async def visit(self, slug: str) -> int:
        """Migrate a tenant's file if it needs it, and return the version of its schema.

        A file that no spoke needs just now is closed again: a hub has many.
        """

        def open_and_close() -> int:
            db = open_tenant_database(file_of(self._data_dir, slug))
            try:
                return int(db.query("PRAGMA user_version")[0]["user_version"])
            finally:
                db.close()

        async with self._opening:
            known = self._tenants.get(slug)
            if known is None:
                return await asyncio.to_thread(open_and_close)
        return int(await known.read(lambda snapshot: snapshot.rows("PRAGMA user_version")[0][0]))

    # -- sessions --------------------------------------------------------------------------------------------------

    async def _connection(self, connection: ServerConnection) -> None:
        assert self._system is not None, "serving"
        assert self._desk is not None, "serving"
        assert self._reception is not None, "serving"
        peer = _peer(connection)  # nobody knows it once the connection is gone
        if connection.subprotocol == enrolment.SUBPROTOCOL:
            await enrol.enrol(connection, self._system, self._desk)
            return
        try:
            await self._reception.serve(connection, self._principals.pop(connection, None))
        except LinkError as error:
            log.warning("%s: %s: %s", peer, error.code, error, extra={"ids": {"peer": peer}})
            await _refuse(connection, error)
        except EngineError as error:
            # A failing disk: nothing was acknowledged, the spoke keeps its events and comes back.
            log.error("%s: %s", peer, error)
            await _refuse(connection, storage_full(error))
        except ConnectionClosed:
            log.info("%s has left", peer, extra={"ids": {"peer": peer}})

    async def _review(self) -> None:
        """Sessions whose key was revoked end at once; those that are old show their key again."""
        waiter = self.system.wake.add(None)
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REVIEW_EVERY_S):
                        await waiter.wait()
                await asyncio.sleep(REVIEW_AFTER_S)  # many commits come together when many spokes do
                waiter.clear()
                open_now = list(self._present.values())
                now = self._clock_ms() // 1000
                verdicts = await self.system.read(partial(_review, sessions=open_now, now=now))
                for presence, error in zip(open_now, verdicts, strict=True):
                    try:
                        if error is not None:
                            raise error
                        if presence.peer.key_id is None:
                            presence.renew(time.monotonic())
                    except LinkError as reason:
                        presence.end(reason)
        finally:
            self.system.wake.remove(waiter)

    async def _say_goodbye(self) -> None:
        sessions = list(self._present.values())
        for presence in sessions:
            presence.go_away(RETRY_AFTER_MS)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(presence.ended.wait() for presence in sessions))


def _review(system: Snapshot, sessions: Sequence[Presence], now: int) -> list[LinkError | None]:
    return [still_welcome(system, presence, now) for presence in sessions]


async def _refuse(connection: ServerConnection, error: LinkError) -> None:
    """Say why and close; a peer that is already gone needs no answer."""
    try:
        await connection.send(encode(Failure(error.code, str(error), None, error.retry_after_ms)))
        await connection.close(error.close_code, error.code)
    except ConnectionClosed:
        log.info("%s was gone before it could be told: %s", _peer(connection), error.code)


async def _nobody() -> None:
    return


async def _knows_none(peer: Peer, frame: Call) -> str:
    raise OverloadedError(f"{peer.name} calls {frame.operation_id}, but this hub answers no calls")


def _open_tenant(path: Path) -> Database:
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("UPDATE link_spokes SET connected = 0")  # connections whose end a killed hub did not see
    return db


def _hub_id(system: Database) -> str:
    with system.transaction() as tx:
        tx.execute("INSERT OR IGNORE INTO hub_facts VALUES ('hub_id', lower(hex(randomblob(16))))")
        return hub_id_of(tx)


def _peer(connection: ServerConnection) -> str:
    address = connection.remote_address
    return f"{address[0]}:{address[1]}" if address else "?"
