"""The receiving side of one stream: say how far it has come, store what continues it, acknowledge what is on disk.

Pure, like `sender`. What decides whether an event is new is not the state here but the cursor in the database,
compared inside the transaction that stores the events (`chain.receive`): an older connection of the same sender may
still be storing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sync.link import lineage
from sync.link.errors import LinkError, MalformedError
from sync.link.frames import (
    MAX_PROBES,
    Ack,
    Events,
    Failure,
    Head,
    Offer,
    Open,
    Position,
    Probe,
    Probed,
    Reached,
    Recover,
    Recovered,
    Rejected,
    Window,
)
from sync.link.lineage import Generation

# -- what the shell is asked, and what it answers ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadPosition:
    """How far has a log come? Answer: `PositionLoaded`."""

    stream: int
    name: str
    generations: tuple[Generation, ...]


@dataclass(frozen=True, slots=True)
class PositionLoaded:
    """For each generation offered, and the newest one that is known."""

    stream: int
    reached: tuple[Reached | None, ...]
    head: Head | None


@dataclass(frozen=True, slots=True)
class Store:
    """Store a frame, or (None) the beginning of a generation: with the cursor, in one fsynced transaction.

    `before` are the generations before it: where one of them ends earlier here than it should, events are missing for
    good, and the transaction notes the gap. Answer: `Stored` or `NotStored`.
    """

    stream: int
    name: str
    before: tuple[Generation, ...]
    generation: Generation
    events: Events | None


@dataclass(frozen=True, slots=True)
class Stored:
    """The generation is on disk up to this offset; `rejected` went into quarantine."""

    stream: int
    generation: int
    offset: int
    stable: Reached | None
    window: Window
    rejected: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NotStored:
    """Nothing was stored, and why."""

    stream: int
    error: LinkError


@dataclass(frozen=True, slots=True)
class LoadHashes:
    """The chain hashes at these offsets. Answer: `HashesLoaded`."""

    stream: int
    name: str
    gen_id: bytes
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HashesLoaded:
    """None where there is no event with that offset."""

    stream: int
    hashes: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Read the batch behind an offset of what was received. Answer: `BackRead`."""

    stream: int
    name: str
    generation: Generation
    after: int


@dataclass(frozen=True, slots=True)
class BackRead:
    """The batch, with the chain hash behind it; None when there is nothing behind the offset."""

    stream: int
    events: Events | None


Question: TypeAlias = LoadPosition | Store | LoadHashes | ReadBack
Answer: TypeAlias = PositionLoaded | Stored | NotStored | HashesLoaded | BackRead
Output: TypeAlias = Question | Position | Ack | Probed | Recovered | Rejected | Failure
Request: TypeAlias = Offer | Open | Events | Probe | Recover


class Receiver:
    """One stream of one session."""

    def __init__(self, stream: int, name: str, window: Window) -> None:
        self.stream = stream
        self.name = name
        self._window = window
        self._generations: dict[int, Generation] = {}
        self._failed = False

    def on_frame(self, frame: Request) -> list[Output]:
        """Take a frame of the sender.

        Raises:
            MalformedError: it may not come now, or cannot be.
        """
        if isinstance(frame, Offer):
            lineage.check(frame.generations)
            self._generations = {generation.number: generation for generation in frame.generations}
            self._failed = False
            return [LoadPosition(self.stream, self.name, tuple(frame.generations))]
        if self._failed:
            return []  # on its way when we refused; the sender begins again in the next session
        match frame:
            case Open(_, number):
                return [self._store(number, None)]
            case Events():
                if frame.after < 0:
                    raise MalformedError("offsets begin at 0")
                return [self._store(frame.generation, frame)]
            case Probe(_, number, offsets):
                if not 1 <= len(offsets) <= MAX_PROBES:
                    raise MalformedError(f"{len(offsets)} probes at once")
                return [LoadHashes(self.stream, self.name, self._generation(number).gen_id, tuple(offsets))]
            case Recover(_, number, after):
                return [ReadBack(self.stream, self.name, self._generation(number), after)]

    def on_answer(self, answer: Answer) -> list[Output]:
        """Take an answer of the shell."""
        match answer:
            case PositionLoaded(_, reached, head):
                return [Position(self.stream, list(reached), head, self._window)]
            case Stored():
                self._window = answer.window
                rejected = [Rejected(self.stream, answer.generation, *entry) for entry in answer.rejected]
                return [*rejected, Ack(self.stream, answer.generation, answer.offset, answer.stable, answer.window)]
            case NotStored(_, error):
                self._failed = True
                return [Failure(error.code, str(error), self.stream, error.retry_after_ms)]
            case HashesLoaded(_, hashes):
                return [Probed(self.stream, list(hashes))]
            case BackRead(_, events):
                if events is not None:
                    return [Recovered(events)]
                self._failed = True
                return [Failure("GAP", "there is nothing behind that offset", self.stream)]

    def _store(self, number: int, events: Events | None) -> Store:
        generation = self._generation(number)
        before = tuple(known for known in self._generations.values() if known.number < number)
        return Store(self.stream, self.name, before, generation, events)

    def _generation(self, number: int) -> Generation:
        found = self._generations.get(number)
        if found is None:
            raise MalformedError(f"stream {self.stream} offered no generation {number}")
        return found
