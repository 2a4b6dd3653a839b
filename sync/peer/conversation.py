"""Runs the streams of one session: frames in, answers of the disk in, frames out; the same for both ends.

Nothing here waits while it holds something: frames to be sent wait in an outbox whose size the windows of the streams
bound, questions to the disk are answered by two workers (one for logs that are sent, one for logs that are received),
and the connection is not read while `MAX_UNSTORED` frames wait for the disk, so that TCP holds the other end back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import msgspec

from storage.engine import Database
from storage.engine.errors import DiskError, EngineError, FullError
from sync.link import receiver as receiving
from sync.link import sending
from sync.link.errors import LinkError, OverloadedError, SilentError, StorageFullError
from sync.link.exchange import Answer, Exchange, Outgoing, Output, Refused, Send
from sync.link.frames import (
    Call,
    Frame,
    GoAway,
    KeyRotated,
    Ping,
    Pong,
    Proof,
    Renew,
    Result,
    RotateKey,
    Unknown,
    decode,
    encode,
)
from sync.logs.incoming import IncomingLogs
from sync.logs.outgoing import OutgoingLogs

log = logging.getLogger("spoke.link")

MAX_UNSTORED = 16
SAVE_ACKS_EVERY_S = 0.1
HEARTBEAT_S = 20.0
SILENCE_S = 45.0
"""An end that was not heard of for so long is taken for gone."""

FULL_RETRY_S = 30.0
"""An end that could not store is tried again after so long, in a new session."""

SenderQuestion: TypeAlias = (
    sending.LoadLineage | sending.Examine | sending.Sample | sending.Fork | sending.Insert | sending.ReadLog
)
ReceiverQuestion: TypeAlias = receiving.LoadPosition | receiving.Store | receiving.LoadHashes | receiving.ReadBack


def storage_full(error: EngineError) -> StorageFullError:
    """What the other end is told when this end's disk takes nothing more."""
    full = StorageFullError(f"cannot store events: {error}")
    full.retry_after_ms = round(FULL_RETRY_S * 1000)
    return full


class Socket(Protocol):
    """What is needed of a WebSocket connection; both ends of `websockets` have it."""

    async def recv(self) -> str | bytes:
        """The next message."""
        ...

    async def send(self, message: bytes) -> None:
        """Send a message; returns when it may be forgotten here."""
        ...


class Handler:
    """What an end does with frames that belong to no stream; each default is that of an end that does not know them."""

    async def called(self, frame: Call) -> str:
        """Execute a live call; returns the call event that ends it."""
        raise OverloadedError("this end answers no calls")

    def answered(self, frame: Result) -> None:
        """A live call of ours has ended."""

    def proof_of(self, frame: Renew) -> bytes:
        """Show again who we are."""
        raise LinkError("this end has nothing to show")

    async def proved(self, frame: Proof) -> None:
        """The other end has shown again who it is."""

    async def rotate_key(self, frame: RotateKey) -> KeyRotated:
        """The other end wants another key."""
        raise LinkError("this end gives no keys")

    async def key_rotated(self, frame: KeyRotated) -> None:
        """The other end has our new key."""

    def told_time(self, frame: Pong) -> None:
        """The other end said what its clock shows."""

    def gave_up(self, name: str, error: LinkError) -> None:
        """A log cannot be sent in this session."""

    async def refused(self, name: str, offset: int, code: str, detail: str) -> None:
        """An event of ours is in the other end's quarantine."""

    async def moved(self) -> None:
        """All that has come was worked on: a good moment to say how the session stands."""


class _Woken:
    pass


@dataclass(frozen=True, slots=True)
class _Added:
    spec: Outgoing
    topic: str


class Conversation:
    """One session, after both ends know each other."""

    def __init__(
        self,
        socket: Socket,
        db: Database,
        exchange: Exchange,
        outgoing: OutgoingLogs,
        incoming: IncomingLogs,
        handler: Handler,
        *,
        topics: Mapping[str, str],
        pings: bool,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`topics` are the topics that are sent, with their names on the wire; `pings`: this end keeps it alive."""
        self.exchange = exchange
        self._socket = socket
        self._db = db
        self._outgoing = outgoing
        self._incoming = incoming
        self._handler = handler
        self._topics = dict(topics)
        self._pings = pings
        self._clock_ms = clock_ms
        self._monotonic = monotonic
        self._inputs: asyncio.Queue[Frame | Unknown | Answer | _Woken | _Added | Exception] = asyncio.Queue()
        self._outbox: deque[Frame] = deque()
        self._to_sender: deque[SenderQuestion] = deque()
        self._to_receiver: deque[ReceiverQuestion] = deque()
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._acks: dict[int, sending.SaveAck] = {}
        self._acked = asyncio.Event()
        self._unstored = 0
        self._room = asyncio.Event()
        self._room.set()
        self._heard = monotonic()
        self._others: set[asyncio.Task[None]] = set()
        """Live calls that run here, and watches over logs that were added."""
        self._leaving = False

    async def run(self) -> None:
        """Go on until the connection breaks or `leave` is called.

        Raises:
            LinkError: the other end did, or said, something after which the session cannot go on.
            EngineError: our file cannot be read or written; nothing was acknowledged that is not on disk.
            Exception: whatever ended the connection.
        """
        wake = partial(self._wake, list(self._topics.values()))
        tasks = [asyncio.create_task(self._guard(work)) for work in (self._receive, self._watch, wake)]
        try:
            await self._carry_out(self.exchange.start())
            while True:
                await self._take(await self._inputs.get())
                if self._inputs.empty():
                    await self._handler.moved()
                    if self._leaving and self.exchange.quiet:
                        return
        finally:
            tasks += [*self._workers.values(), *self._others]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._save_acks()

    def add(self, spec: Outgoing, topic: str) -> None:
        """Send one more log, from now on."""
        self._inputs.put_nowait(_Added(spec, topic))

    def leave(self) -> None:
        """Send nothing new, and end the session when what is on its way was acknowledged."""
        self._leaving = True
        self.exchange.wind_down()
        self._inputs.put_nowait(_Woken())

    def fail(self, error: LinkError) -> None:
        """End the session with an error, which `run` raises."""
        self._inputs.put_nowait(error)

    def send(self, frame: Frame) -> None:
        """Send a frame that belongs to no stream, in its turn."""
        self._outbox.append(frame)
        self._start("transmit", self._transmit)

    # -- one input -------------------------------------------------------------------------------------------------

    async def _take(self, event: Frame | Unknown | Answer | _Woken | _Added | Exception) -> None:
        now = self._monotonic()
        match event:
            case Exception():
                raise event
            case _Added(spec, topic):
                self._outgoing.add(spec.name, topic)
                self._background(partial(self._wake, [topic]))
                await self._carry_out(self.exchange.add(spec))
            case _Woken():
                await self._carry_out(self.exchange.woken())
            case Ping(sent_ms):
                self.send(Pong(sent_ms, self._clock_ms()))
            case Pong():
                self._handler.told_time(event)
            case Call():
                self._background(partial(self._call, event))
            case Result():
                self._handler.answered(event)
            case Renew():
                self.send(Proof(self._handler.proof_of(event)))
            case Proof():
                await self._handler.proved(event)
            case RotateKey():
                self.send(await self._handler.rotate_key(event))
            case KeyRotated():
                await self._handler.key_rotated(event)
            case GoAway(retry_after_ms):
                error = OverloadedError("the hub is stopping")
                error.retry_after_ms = retry_after_ms
                raise error
            case Unknown():
                log.debug("a frame of kind %d, which this version does not know", event.kind)
            case sending.Lineage() | sending.Examined() | sending.Sampled() | sending.Inserted() | sending.LogRead():
                await self._carry_out(self.exchange.on_answer(now, event))
            case (
                receiving.PositionLoaded()
                | receiving.Stored()
                | receiving.NotStored()
                | receiving.HashesLoaded()
                | receiving.BackRead()
            ):
                await self._carry_out(self.exchange.on_answer(now, event))
            case _:
                await self._carry_out(self.exchange.on_frame(now, event))

    async def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send(frame):
                    self.send(frame)
                case sending.GiveUp(stream, error):
                    self._handler.gave_up(self.exchange.senders[stream].name, error)
                case Refused(stream, frame):
                    name = self.exchange.senders[stream].name
                    await self._handler.refused(name, frame.offset, frame.code, frame.detail)
                case sending.SaveAck():
                    self._acks[output.stream] = output
                    self._acked.set()
                case receiving.LoadPosition() | receiving.Store() | receiving.LoadHashes() | receiving.ReadBack():
                    self._count(1)
                    self._to_receiver.append(output)
                    self._start("receiver", self._answer_receiver)
                case _:
                    self._to_sender.append(output)
                    self._start("sender", self._answer_sender)

    async def _call(self, frame: Call) -> None:
        try:
            event = await self._handler.called(frame)
        except LinkError as error:
            event = msgspec.json.encode(
                {"type": "call.error", "requestId": frame.call_id, "code": error.code, "message": str(error)}
            ).decode()
        self.send(Result(frame.call_id, event))

    # -- workers ---------------------------------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a worker until it has nothing to do; a hub has thousands of sessions that say nothing."""
        running = self._workers.get(name)
        if running is None or running.done():
            self._workers[name] = asyncio.create_task(self._guard(work))

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - handed to the session, which raises it
            self._inputs.put_nowait(error)

    async def _wake(self, topics: Sequence[str]) -> None:
        waiter = self._db.wake.add([("stream", topic) for topic in topics])
        self._inputs.put_nowait(_Woken())  # what came before the waiter was there
        try:
            while True:
                await waiter.wait()
                waiter.clear()  # before the read that follows: a commit in between wakes us again
                self._inputs.put_nowait(_Woken())
        finally:
            self._db.wake.remove(waiter)

    def _background(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._guard(work))
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _receive(self) -> None:
        while True:
            await self._room.wait()
            message = await self._socket.recv()
            self._heard = self._monotonic()
            self._inputs.put_nowait(decode(message))
            await asyncio.sleep(0)  # `recv` does not wait while messages are there; the others want to work too

    async def _transmit(self) -> None:
        while self._outbox:
            await self._socket.send(encode(self._outbox.popleft()))

    async def _answer_sender(self) -> None:
        while self._to_sender:
            question = self._to_sender.popleft()
            try:
                answer = await asyncio.to_thread(self._outgoing.answer, question)
            except LinkError as error:
                await self._carry_out(self.exchange.give_up(question.stream, error))
                continue
            if answer is not None:
                self._inputs.put_nowait(answer)

    async def _answer_receiver(self) -> None:
        """Frames that wait are stored in one group: one transaction each, one fsync for all."""
        while self._to_receiver:
            stores: list[receiving.Store] = []
            while self._to_receiver and isinstance(question := self._to_receiver[0], receiving.Store):
                stores.append(question)
                self._to_receiver.popleft()
            if stores:
                for answer in await asyncio.gather(*(self._store(question) for question in stores)):
                    self._inputs.put_nowait(answer)
                self._count(-len(stores))
                continue
            self._inputs.put_nowait(await self._look_up(self._to_receiver.popleft()))
            self._count(-1)

    async def _store(self, question: receiving.Store) -> receiving.Stored | receiving.NotStored:
        try:
            return await self._db.run(lambda tx: self._incoming.store(tx, question))
        except LinkError as error:
            log.warning("stream %s: %s: %s", question.name, error.code, error, extra={"ids": {"stream": question.name}})
            return receiving.NotStored(question.stream, error)
        except (FullError, DiskError) as error:
            # Only this stream rests: what we send must go on, since that is what lets us make room.
            about = {"ids": {"stream": question.name}}
            log.warning("stream %s: cannot store events: %s", question.name, error, extra=about)
            asyncio.get_running_loop().call_later(FULL_RETRY_S, self.fail, StorageFullError(f"it was full: {error}"))
            return receiving.NotStored(question.stream, storage_full(error))

    async def _look_up(self, question: ReceiverQuestion) -> Answer:
        match question:
            case receiving.LoadPosition():
                return await self._db.read(lambda source: self._incoming.load_position(source, question))
            case receiving.LoadHashes():
                return await self._db.read(lambda source: self._incoming.load_hashes(source, question))
            case receiving.ReadBack():
                return await self._db.read(lambda source: self._incoming.read_back(source, question))
            case receiving.Store():
                return await self._store(question)

    def _count(self, change: int) -> None:
        self._unstored += change
        if self._unstored < MAX_UNSTORED:
            self._room.set()
        else:
            self._room.clear()

    async def _watch(self) -> None:
        """Pings, silence, and the notes of what was acknowledged, which may be late but not often."""
        pinged = self._monotonic()
        while True:
            due = self._heard + SILENCE_S
            if self._pings:
                due = min(due, pinged + HEARTBEAT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._monotonic())):
                    await self._acked.wait()
                    await asyncio.sleep(SAVE_ACKS_EVERY_S)
            await self._save_acks()
            now = self._monotonic()
            if now - self._heard >= SILENCE_S:
                raise SilentError(f"nothing was heard for {SILENCE_S:g} s")
            if self._pings and now - pinged >= HEARTBEAT_S:
                pinged = now
                self.send(Ping(self._clock_ms()))

    async def _save_acks(self) -> None:
        acks, self._acks = self._acks, {}
        self._acked.clear()
        for ack in acks.values():
            try:
                await asyncio.to_thread(self._outgoing.answer, ack)
            except (FullError, DiskError) as error:
                log.warning("what was acknowledged could not be noted; it will be said again: %s", error)
            except EngineError:
                if not self._db.closed:
                    raise
