"""The uplink service: keeps a session with the hub going, for ever, and carries out what the core decides."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from storage.engine import Database
from storage.engine.wake import Waiter
from storage.tenants import node_id
from sync.link import spoke_core as core
from sync.link.backoff import STABLE_S, delay_s
from sync.link.chain import Cursor
from sync.link.errors import LinkError, UnauthorizedError
from sync.link.frames import MAX_FRAME_BYTES, SUBPROTOCOL, decode, encode
from sync.spoke.address import BadAddressError, check_url
from sync.spoke.log import SpokeLog
from sync.spoke.status import TOPICS, State, write_status

log = logging.getLogger("spoke.uplink")

Inputs: TypeAlias = "asyncio.Queue[core.Input | Exception]"

OPEN_TIMEOUT_S = 10.0
PING_S = 20.0
STOP_GRACE_S = 1.0


class Uplink:
    """Sends the streams of a tenant file to a hub, each event exactly once into the hub's log.

    Survives everything that the network, the hub and a SIGKILL of this process do: positions are the hub's, compared
    with our log by hash at each new session. Failures are retried with full-jitter backoff.
    """

    def __init__(
        self,
        db: Database,
        *,
        url: str,
        api_key: str,
        name: str,
        agent: str,
        random: Callable[[], float],
        topics: tuple[str, ...] = TOPICS,
        allow_plain: bool = False,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._db = db
        self._url = url
        self._api_key = api_key
        self._name = name
        self._agent = agent
        self._random = random
        self._topics = topics
        self._allow_plain = allow_plain
        self._clock_ms = clock_ms
        self._hub_id: str | None = None
        self._up = False  # the session got as far as WELCOME: its end is a break, not a failed dial

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the link up until `stop` is set."""
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            self._up = False
            try:
                await self._session_until(stop)
                return
            except (LinkError, WebSocketException, OSError, TimeoutError) as error:
                if time.monotonic() - began > STABLE_S:
                    failures = 0
                reason = _reason(error)
                wait_s = delay_s(failures, self._random, permanent=reason.permanent)
                failures += 1
                log.warning("link broke (%s: %s); trying again in %.1f s", reason.code, reason, wait_s)
                await self._say(
                    "refused" if reason.permanent else "offline",
                    reason,
                    retry_at_ms=self._clock_ms() + round(wait_s * 1000),
                    breaks=int(self._up),
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await stop.wait()

    async def _session_until(self, stop: asyncio.Event) -> None:
        """A session that also ends when `stop` comes while it is still dialling."""
        session = asyncio.create_task(self._session(stop), name="uplink-session")
        stopping = asyncio.create_task(stop.wait(), name="uplink-stopping")
        try:
            await asyncio.wait({session, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                await asyncio.wait({session}, timeout=STOP_GRACE_S)  # it ends by itself once it is connected
        finally:
            stopping.cancel()
            session.cancel()
            await asyncio.wait({session})
        if not session.cancelled():
            session.result()

    async def _session(self, stop: asyncio.Event) -> None:
        """One connection, from dialling to its end; returns only when `stop` is set."""
        check_url(self._url, allow_plain=self._allow_plain)
        await self._say("connecting")
        spoke_log = SpokeLog(self._db)
        offers = await asyncio.to_thread(spoke_log.offers, self._topics)
        node = await self._db.read(node_id)
        session = core.SpokeCore(node, self._name, self._agent, offers)
        inputs: Inputs = asyncio.Queue()
        waiter = self._db.wake.add([("stream", topic) for topic in self._topics])
        try:
            async with connect(
                self._url,
                additional_headers={"Authorization": f"Bearer {self._api_key}"},
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,  # 50 KiB per connection, and frames are compressed already
                max_size=MAX_FRAME_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                user_agent_header=self._agent,
            ) as socket:
                helpers = (
                    asyncio.create_task(_receive(socket, inputs), name="uplink-receive"),
                    asyncio.create_task(_wake(waiter, inputs), name="uplink-wake"),
                    asyncio.create_task(_stop(stop, inputs), name="uplink-stop"),
                )
                try:
                    await self._work(session, spoke_log, socket, inputs)
                finally:
                    for helper in helpers:
                        helper.cancel()
                    await asyncio.gather(*helpers, return_exceptions=True)
        finally:
            self._db.wake.remove(waiter)

    async def _work(
        self, session: core.SpokeCore, spoke_log: SpokeLog, socket: ClientConnection, inputs: Inputs
    ) -> None:
        """Feed the core and do what it says, until the connection breaks or we are told to stop."""
        inputs.put_nowait(core.Opened())
        refused: LinkError | None = None
        shown: tuple[State, LinkError | None] | None = None
        while True:
            event = await inputs.get()
            if isinstance(event, _Stopping):
                return
            if isinstance(event, Exception):
                raise event
            for output in session.on_input(event):
                match output:
                    case core.Send(frame):
                        await socket.send(encode(frame))
                    case core.Verify(topic, gen_id, position):
                        error = await asyncio.to_thread(spoke_log.verify, topic, gen_id, position)
                        inputs.put_nowait(core.Verified(topic, error))
                    case core.ReadLog(topic, stream, cursor):
                        found = await asyncio.to_thread(spoke_log.read_frame, topic, stream, cursor)
                        inputs.put_nowait(core.LogRead(topic, *(found or (None, 0))))
                    case core.SaveAck(topic, gen_id, position):
                        await self._save_ack(spoke_log, session, topic, gen_id, position)
                    case core.GiveUp(topic, error):
                        log.error("stream %s cannot be sent: %s: %s", topic, error.code, error)
                        if not error.permanent:
                            raise error
                        refused = error
            if session.hub_id is None:
                continue
            self._hub_id, self._up = session.hub_id, True
            if inputs.empty():
                state: State = "refused" if refused else "live" if session.live else "catching-up"
                if shown != (state, refused):
                    shown = (state, refused)
                    await self._say(state, refused)

    async def _save_ack(
        self, spoke_log: SpokeLog, session: core.SpokeCore, topic: str, gen_id: bytes, position: Cursor
    ) -> None:
        hub_id = session.hub_id
        assert hub_id is not None, "an ACK follows WELCOME"
        at_ms = self._clock_ms()
        await self._db.run(lambda tx: spoke_log.save_ack(tx, hub_id, topic, gen_id, position, at_ms))

    async def _say(
        self, state: State, error: LinkError | None = None, *, retry_at_ms: int | None = None, breaks: int = 0
    ) -> None:
        await self._db.run(
            lambda tx: write_status(
                tx,
                state=state,
                at_ms=self._clock_ms(),
                hub_url=self._url,
                hub_id=self._hub_id,
                error_code=error.code if error else None,
                error=str(error) if error else None,
                hint=error.hint if error else None,
                retry_at_ms=retry_at_ms,
                breaks=breaks,
            )
        )


class _Stopping(Exception):
    pass


async def _receive(socket: ClientConnection, inputs: Inputs) -> None:
    try:
        async for message in socket:
            inputs.put_nowait(core.Received(decode(message)))
        inputs.put_nowait(ConnectionResetError("the hub closed the connection"))
    except Exception as error:  # noqa: BLE001 - handed to the session, which raises it
        inputs.put_nowait(error)


async def _wake(waiter: Waiter, inputs: Inputs) -> None:
    """Turn wake-ups into inputs; one at a time, so that a burst of commits does not fill the queue."""
    try:
        while True:
            await waiter.wait()
            waiter.clear()  # before the read that follows: a commit in between wakes us again
            inputs.put_nowait(core.Woken())
    except Exception as error:  # noqa: BLE001 - handed to the session, which raises it
        inputs.put_nowait(error)


async def _stop(stop: asyncio.Event, inputs: Inputs) -> None:
    await stop.wait()
    inputs.put_nowait(_Stopping())


class HubRefusedError(LinkError):
    """The other end is there, but it does not take us as a spoke."""

    code = "HANDSHAKE"
    hint = "is this the address of a Spoke hub?"


class UnreachableError(LinkError):
    """The hub cannot be reached."""

    code = "UNREACHABLE"
    hint = "nothing is lost: events wait here and are sent when the hub is back"


def _reason(error: Exception) -> LinkError:
    """The link's own error for whatever broke a session."""
    if isinstance(error, LinkError):
        return error
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status in (401, 403):
            return UnauthorizedError(f"the hub answered {status}")
        return HubRefusedError(f"the hub answered {status}")
    if isinstance(error, InvalidURI):
        return BadAddressError(str(error))
    if isinstance(error, InvalidHandshake):
        return HubRefusedError(str(error))
    return UnreachableError(str(error) or type(error).__name__)
