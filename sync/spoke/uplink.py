"""The uplink service: keeps a session with the hub going, for ever."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from storage.engine import Database
from storage.engine.errors import DiskError, EngineError, FullError
from storage.reserve import Reserve
from storage.tenants import find_fact, node_id
from sync.durable.hub_time import HubTime
from sync.durable.topics import HUB
from sync.link.backoff import STABLE_S, delay_s
from sync.link.device import DeviceKey, sign_renewal
from sync.link.errors import LinkError, UnauthorizedError
from sync.link.exchange import Exchange, History
from sync.link.frames import MAX_FRAME_BYTES, SUBPROTOCOL, Call, KeyRotated, Pong, Renew, RotateKey, Window
from sync.logs.incoming import IncomingLogs
from sync.logs.outgoing import OutgoingLogs
from sync.peer.conversation import Conversation, Handler
from sync.peer.durable import CallMarks, doubt_old_calls
from sync.spoke.address import check_url
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.introduction import Introduced, introduce
from sync.spoke.proxy import proxy_for
from sync.spoke.reasons import reason_of
from sync.spoke.status import AGAIN, LOGS, NUDGE, PAUSED, UPLINK, State, note_refusal, write_status
from sync.spoke.streams import accepts, sent, topic_of
from sync.spoke.trust import Trust

log = logging.getLogger("spoke.uplink")

OPEN_TIMEOUT_S = 10.0
STOP_GRACE_S = 2.0
BOOT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Dialling:
    """How the hub is reached: addresses in the order in which they are tried, and what is shown there."""

    urls: tuple[str, ...]
    api_key: str | None = field(default=None, repr=False)
    """For programs, and nodes without a key of their own."""
    device_keys: DeviceKeys | None = None
    """This machine's own key, where it has one."""
    hub_id: str | None = None
    """The hub that this node joined; another one is refused."""
    trust: Trust = field(default_factory=Trust)
    allow_plain: bool = False
    proxy: str | None = field(default=None, repr=False)
    """`http://…`; None: what the environment says (`HTTPS_PROXY`)."""


class Uplink:
    """Keeps the streams of a tenant file and of a hub in step, each event exactly once into the other's log.

    Survives everything that the network, the hub and a SIGKILL of this process do: positions are compared with our log
    by hash at each new session. Failures are retried with full-jitter backoff; several addresses are tried in turn.
    """

    def __init__(
        self,
        db: Database,
        *,
        dialling: Dialling,
        name: str,
        agent: str,
        random: Callable[[], float],
        streams: tuple[str, ...] = (),
        follows: tuple[str, ...] = (),
        on_call: Callable[[Call], Coroutine[Any, Any, str]] | None = None,
        hub_time: HubTime | None = None,
        reserve: Reserve | None = None,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`streams` are sent beside `LOGS`; `follows` are patterns of other nodes' streams (`session-events@*`);
        `hub_time` is told the hub's clock whenever the hub says it; `reserve` is given up when a session cannot begin
        because the disk is full."""
        self._db = db
        self._dialling = dialling
        self._name = name
        self._agent = agent
        self._random = random
        self._streams = tuple(stream for stream in streams if stream not in LOGS)
        self._follows = follows
        self._on_call = on_call
        self._clock_ms = clock_ms
        self._monotonic = monotonic
        self._hub_time = hub_time or HubTime()
        self._reserve = reserve
        self._boot_id = secrets.token_bytes(BOOT_BYTES)
        self._history = History()
        self._hub_id: str | None = None
        self._url = dialling.urls[0]
        self._proxy: str | None = None
        self._old_key = False
        """The hub did not know our key; it may have been restored to when it knew the one before."""
        self._up = False  # the session got as far as WELCOME: its end is a break, not a failed dial
        self._skew_ms: int | None = None
        self._said: tuple[object, ...] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the link up until `stop` is set."""
        failures = dialled = 0
        while not stop.is_set():
            if await self._db.read(lambda source: find_fact(source, PAUSED)) is not None:
                await self._say("paused")
                await self._until_resumed(stop)
                continue
            began = self._monotonic()
            self._up = False
            self._url = self._dialling.urls[dialled % len(self._dialling.urls)]
            try:
                await self._session_until(stop)
                if stop.is_set():
                    await self._say("offline")
                    return
                continue  # paused, or asked to begin again
            except (LinkError, WebSocketException, EngineError, OSError, TimeoutError) as error:
                reason = reason_of(error, self._url, self._proxy)
                if isinstance(error, FullError) and self._reserve is not None and self._reserve.release():
                    log.warning("the disk is full (%s): the reserve was given up for the link", error)
                    continue
            other_key = isinstance(reason, UnauthorizedError) and self._has_old_key()
            if other_key:
                self._old_key = not self._old_key
            if self._monotonic() - began > STABLE_S:
                failures = 0
            elsewhere = not self._up and (dialled + 1) % len(self._dialling.urls) != 0
            dialled += not self._up
            wait_s = delay_s(failures, self._random, permanent=reason.permanent)
            if reason.retry_after_ms is not None:
                wait_s = reason.retry_after_ms / 1000 + self._random() * 10
            elif elsewhere or (other_key and self._old_key):
                wait_s = 0.0
            failures += not elsewhere
            log.warning(
                "link broke (%s: %s); trying again in %.1f s",
                reason.code,
                reason,
                wait_s,
                extra={"ids": {"peer": self._url}},
            )
            await self._say(
                "refused" if reason.permanent else "offline",
                reason,
                retry_at_ms=self._clock_ms() + round(wait_s * 1000),
                breaks=int(self._up),
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._until_nudged(stop)

    # -- one session -----------------------------------------------------------------------------------------------

    async def _session_until(self, stop: asyncio.Event) -> None:
        """A session that also ends when `stop` comes, the link is paused, or positions shall be compared anew.

        What is on its way is waited for, a little.
        """
        leave = asyncio.Event()
        session = asyncio.create_task(self._session(leave), name="uplink-session")
        ends = [
            asyncio.create_task(stop.wait(), name="uplink-stopping"),
            asyncio.create_task(self._until_paused(), name="uplink-pausing"),
            asyncio.create_task(self._heard(AGAIN), name="uplink-beginning-again"),
        ]
        try:
            await asyncio.wait({session, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                leave.set()
                await asyncio.wait({session}, timeout=STOP_GRACE_S)  # it ends by itself once it is connected
        finally:
            for task in (session, *ends):
                task.cancel()
            await asyncio.wait({session, *ends})
        if not session.cancelled():
            session.result()

    async def _session(self, leave: asyncio.Event) -> None:
        """One connection, from dialling to its end; returns only when `leave` is set."""
        dialling, url = self._dialling, self._url
        check_url(url, allow_plain=dialling.allow_plain)
        self._proxy = proxy_for(url, dialling.proxy)
        await self._say("connecting")
        key = self._key()
        headers = {} if dialling.api_key is None else {"Authorization": f"Bearer {dialling.api_key}"}
        tls: ssl.SSLContext | None = dialling.trust.context() if url.startswith("wss:") else None
        async with connect(
            url,
            ssl=tls,
            additional_headers=headers,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,  # 50 KiB per connection, and frames are compressed already
            max_size=MAX_FRAME_BYTES + 1024,
            max_queue=4,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2,
            ping_interval=None,  # `Conversation` pings, and hears the hub's clock
            proxy=self._proxy,
            user_agent_header=self._agent,
        ) as socket:
            await self._say("authenticating")
            met = await introduce(
                socket,
                self._db,
                name=self._name,
                agent=self._agent,
                boot_id=self._boot_id,
                key=key,
                hub_id=dialling.hub_id,
                follows=self._follows,
            )
            self._hub_id, self._up = met.hub_id, True
            if self._reserve is not None:
                await asyncio.to_thread(self._reserve.take)
            await self._converse(socket, met, key, leave)

    def _has_old_key(self) -> bool:
        keys = self._dialling.device_keys
        return keys is not None and keys.previous() is not None

    def _key(self) -> DeviceKey | None:
        keys = self._dialling.device_keys
        if keys is None:
            return None
        return (keys.previous() if self._old_key else None) or keys.current()

    async def _converse(
        self, socket: ClientConnection, met: Introduced, key: DeviceKey | None, leave: asyncio.Event
    ) -> None:
        streams = sent(self._streams)
        topics = {name: topic for name, (_, topic) in streams.items()}
        exchange = Exchange([spec for spec, _ in streams.values()], accepts, self._history, Window())
        outgoing = OutgoingLogs(self._db, met.hub_id, topics, UPLINK, self._clock_ms, CallMarks(HUB))
        doubt = doubt_old_calls(HUB, met.time_ms) if met.restored else None
        incoming = IncomingLogs(self._db, HUB, topic_of, clock_ms=self._clock_ms, on_stored=doubt)
        us = await self._db.read(node_id)
        handler = _SpokeHandler(self, exchange, met, us, key)
        handler.told_time(Pong(self._clock_ms(), met.time_ms))
        conversation = Conversation(
            socket, self._db, exchange, outgoing, incoming, handler, topics=topics, pings=True, clock_ms=self._clock_ms
        )
        if met.rotate and self._dialling.device_keys is not None:
            rotation = await asyncio.to_thread(self._dialling.device_keys.begin_rotation, met.hub_id, us)
            conversation.send(RotateKey(rotation))
        leaving = asyncio.create_task(leave.wait())
        leaving.add_done_callback(lambda _: conversation.leave())
        try:
            await conversation.run()
        finally:
            leaving.cancel()

    # -- pause, resume, now ----------------------------------------------------------------------------------------

    async def _until_paused(self) -> None:
        await self._until(lambda fact: fact is not None)

    async def _until_resumed(self, stop: asyncio.Event) -> None:
        await _first_of(self._until(lambda fact: fact is None), stop.wait())

    async def _until(self, good: Callable[[str | None], bool]) -> None:
        waiter = self._db.wake.add([("notify", PAUSED)])
        try:
            while True:
                waiter.clear()
                if good(await self._db.read(lambda source: find_fact(source, PAUSED))):
                    return
                await waiter.wait(15.0)
        finally:
            self._db.wake.remove(waiter)

    async def _until_nudged(self, stop: asyncio.Event) -> None:
        """`spoke sync now` is not made to wait for the backoff."""
        await _first_of(self._heard(NUDGE), stop.wait())

    async def _heard(self, channel: str) -> None:
        """Wait for a notification; commits of other processes wake us as well, and are none."""
        listener = self._db.listen(channel)
        try:
            await anext(listener)
        finally:
            listener.close()

    # -- what it tells ---------------------------------------------------------------------------------------------

    async def _say(
        self, state: State, error: LinkError | None = None, *, retry_at_ms: int | None = None, breaks: int = 0
    ) -> None:
        try:
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
                    skew_ms=self._skew_ms,
                )
            )
        except EngineError as failure:
            # A full disk must not stop the link, which is what makes room again.
            log.error("the state of the link (%s) could not be noted: %s", state, failure)


async def _first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Wait for whichever ends first; the others are cancelled, and have ended when this returns."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


STILL_LIVE_S = 2.0


class _SpokeHandler(Handler):
    """What this node does with frames that belong to no stream."""

    def __init__(self, uplink: Uplink, exchange: Exchange, met: Introduced, us: str, key: DeviceKey | None) -> None:
        self._uplink = uplink
        self._exchange = exchange
        self._met = met
        self._us = us
        self._key = key
        self._given_up: LinkError | None = None
        self._shown: tuple[State, LinkError | None] | None = None
        self._settled_at: float | None = None

    async def called(self, frame: Call) -> str:
        on_call = self._uplink._on_call
        return await (super().called(frame) if on_call is None else on_call(frame))

    def proof_of(self, frame: Renew) -> bytes:
        if self._key is None:
            raise UnauthorizedError("this node has no key of its own")
        return sign_renewal(self._key, frame.nonce, self._met.hub_id, self._us)

    async def key_rotated(self, frame: KeyRotated) -> None:
        keys = self._uplink._dialling.device_keys
        if keys is not None:
            await asyncio.to_thread(keys.finish_rotation)
            log.info("this node has a new key")

    def told_time(self, frame: Pong) -> None:
        uplink = self._uplink
        uplink._hub_time.heard(frame.time_ms)
        uplink._skew_ms = uplink._clock_ms() - frame.time_ms

    def gave_up(self, name: str, error: LinkError) -> None:
        log.error("stream %s cannot be sent: %s: %s", name, error.code, error, extra={"ids": {"stream": name}})
        if not error.permanent:
            raise error
        self._given_up = error

    async def refused(self, name: str, offset: int, code: str, detail: str) -> None:
        about = {"ids": {"stream": name, "offset": offset}}
        log.warning("%s %d is in the hub's quarantine: %s: %s", name, offset, code, detail, extra=about)
        topic = sent(self._uplink._streams)[name][1]
        at_ms = self._uplink._clock_ms()
        try:
            await self._uplink._db.run(lambda tx: note_refusal(tx, topic, offset, code, detail, at_ms))
        except (FullError, DiskError) as failure:
            log.error("that could not be noted: %s", failure)

    async def moved(self) -> None:
        now = self._uplink._monotonic()
        if self._exchange.settled:
            self._settled_at = now
        # An event on its way is no backlog: saying so would cost two commits for each event that is sent.
        live = self._settled_at is not None and now - self._settled_at < STILL_LIVE_S
        state: State = "refused" if self._given_up else "live" if live else "catching-up"
        if self._exchange.winding_down and not self._exchange.quiet:
            state = "draining"
        if self._shown != (state, self._given_up):
            self._shown = (state, self._given_up)
            await self._uplink._say(state, self._given_up)
