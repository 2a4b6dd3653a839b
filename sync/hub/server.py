"""The hub: a WebSocket server that takes spokes' streams into their tenants' files."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from storage.engine import Database, Transaction
from storage.engine.errors import EngineError
from storage.identity.api_keys import note_use
from storage.process_lock import ProcessLock
from storage.tenant_files import file_of
from storage.tenants import open_system_database, open_tenant_database
from sync.hub import ingest
from sync.hub.keys import Principal, authenticate
from sync.link import hub_core as core
from sync.link.chain import Cursor
from sync.link.errors import LOOPBACK, LinkError, MalformedError, PlainTextError, UnauthorizedError
from sync.link.frames import MAX_FRAME_BYTES, SUBPROTOCOL, Failure, Hello, decode, encode

log = logging.getLogger("spoke.hub")

HELLO_TIMEOUT_S = 5.0
MAX_QUEUED_MESSAGES = 16
"""Messages that wait for the disk, per connection; then TCP holds the spoke back."""


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
        allow_plain: bool = False,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        if tls is None and host not in LOOPBACK and not allow_plain:
            raise PlainTextError(f"{host} without TLS would show keys and data to the network")
        self._data_dir = data_dir
        self._host = host
        self._port = port
        self._tls = tls
        self._clock_ms = clock_ms
        self._tenants: dict[str, Database] = {}
        self._system: Database | None = None
        self._server: Server | None = None
        self._opening = asyncio.Lock()
        # Weak: an upgrade that fails after the key was checked never reaches `_connection`.
        self._principals: WeakKeyDictionary[ServerConnection, Principal] = WeakKeyDictionary()
        self.hub_id = ""
        self.on_tenant: Callable[[str, Database], None] = lambda slug, db: None
        """Called once for every tenant file that is opened; it stays open until `closing` is set."""
        self.closing = asyncio.Event()
        """Set when files are about to be closed: whoever works on them ends."""
        self.drain: Callable[[], Awaitable[None]] = _nobody
        """Awaited after `closing` is set, before files are closed."""

    @property
    def tenants(self) -> Mapping[str, Database]:
        """The tenant files that are open."""
        return self._tenants

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
            try:
                self.hub_id = _hub_id(self._system)
                async with serve(
                    self._connection,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    process_request=self._authenticate,
                    subprotocols=[Subprotocol(SUBPROTOCOL)],
                    compression=None,
                    max_size=MAX_FRAME_BYTES,
                    max_queue=MAX_QUEUED_MESSAGES,
                    server_header=None,
                ) as self._server:
                    ready(self)
                    await stop.wait()
            finally:
                self.closing.set()
                await self.drain()
                for db in self._tenants.values():
                    db.close()
                self._tenants.clear()
                self._system.close()

    # -- who is it -------------------------------------------------------------------------------------------------

    async def _authenticate(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer 401 before the upgrade when the key opens nothing."""
        assert self._system is not None, "serving"
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not key:
                raise UnauthorizedError("no key was shown")
            now = self._clock_ms() // 1000
            principal = await self._system.read(lambda system: authenticate(system, key, now))
            await self._system.run(lambda tx: note_use(tx, principal.key, now))
            self._principals[connection] = principal
        except UnauthorizedError as error:
            log.warning("refused %s: %s", _peer(connection), error)
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"{error}\n")
        return None

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

    # -- one connection --------------------------------------------------------------------------------------------

    async def _connection(self, connection: ServerConnection) -> None:
        principal = self._principals.pop(connection)
        db = await self.tenant(principal.tenant)
        session = core.HubCore(self.hub_id)
        hello: Hello | None = None
        try:
            hello = await self._greet(connection, session, db, principal)
            await _Ingest(connection, session, db, hello.node_id, self._clock_ms).run()
        except LinkError as error:
            log.warning("%s %s: %s: %s", principal.name, _peer(connection), error.code, error)
            await _refuse(connection, error)
        except EngineError as error:
            # A full or failing disk: nothing was acknowledged, the spoke keeps its events and comes back.
            log.error("%s: %s", principal.name, error)
            await _refuse(connection, LinkError(f"the hub cannot store events: {error}"))
        except ConnectionClosed:
            log.info("%s %s has left", principal.name, _peer(connection))
        finally:
            if hello is not None and not db.closed:
                node_id = hello.node_id
                await db.run(lambda tx: ingest.part(tx, node_id, self._clock_ms()))

    async def _greet(
        self, connection: ServerConnection, session: core.HubCore, db: Database, principal: Principal
    ) -> Hello:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                message = await connection.recv()
        except TimeoutError as error:
            raise MalformedError(f"no HELLO within {HELLO_TIMEOUT_S:g} s") from error
        (load,) = session.on_input(core.Received(decode(message)))
        assert isinstance(load, core.LoadCursors), "the answer to HELLO"
        hello = load.hello

        def look_up(tx: Transaction) -> list[Cursor]:
            ingest.greet(tx, hello, principal.account_id, self._clock_ms())
            return [ingest.load_cursor(tx, hello.node_id, offer) for offer in hello.streams]

        try:
            cursors = await db.run(look_up)
        except PermissionError as error:
            raise UnauthorizedError(str(error)) from error
        log.info("%s %s is here: node %s", principal.name, _peer(connection), hello.node_id)
        for output in session.on_input(core.CursorsLoaded(cursors)):
            if isinstance(output, core.Send):
                await connection.send(encode(output.frame))
        return hello


class _Ingest:
    """Stores what a connection sends: everything that has arrived is one transaction and one fsync."""

    def __init__(
        self,
        connection: ServerConnection,
        session: core.HubCore,
        db: Database,
        node_id: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._session = session
        self._db = db
        self._node_id = node_id
        self._clock_ms = clock_ms

    async def run(self) -> None:
        """Receive, store, acknowledge, until the connection ends."""
        while True:
            message = await self._connection.recv()
            for output in self._session.on_input(core.Received(decode(message))):
                if isinstance(output, core.Store):
                    for answer in self._session.on_input(await self._store(output)):
                        if isinstance(answer, core.Send):
                            await self._connection.send(encode(answer.frame))

    async def _store(self, work: core.Store) -> core.Stored | core.NotStored:
        try:
            offset = await self._db.run(
                lambda tx: ingest.store(tx, self._db, self._node_id, work.offer, work.frame, self._clock_ms())
            )
        except LinkError as error:
            log.warning("node %s stream %s: %s: %s", self._node_id, work.offer.topic, error.code, error)
            return core.NotStored(work.stream, error)
        return core.Stored(work.stream, offset)


async def _refuse(connection: ServerConnection, error: LinkError) -> None:
    """Say why and close; a peer that is already gone needs no answer."""
    try:
        await connection.send(encode(Failure(error.code, str(error))))
        await connection.close(1008 if error.permanent else 1011, error.code)
    except ConnectionClosed:
        log.info("%s was gone before it could be told: %s", _peer(connection), error.code)


async def _nobody() -> None:
    return


def _open_tenant(path: Path) -> Database:
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("UPDATE link_spokes SET connected = 0")  # connections whose end a killed hub did not see
    return db


def _hub_id(system: Database) -> str:
    with system.transaction() as tx:
        tx.execute("INSERT OR IGNORE INTO hub_facts VALUES ('hub_id', lower(hex(randomblob(16))))")
        return str(tx.rows("SELECT value FROM hub_facts WHERE name = 'hub_id'")[0][0])


def _peer(connection: ServerConnection) -> str:
    address = connection.remote_address
    return f"{address[0]}:{address[1]}" if address else "?"
