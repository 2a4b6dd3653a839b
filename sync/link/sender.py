"""The sending side of one stream: compare positions, heal or fork, then send what the other end lacks.

Pure: inputs go in, outputs come out; nothing here waits, reads a clock or touches a file. What the table of the design
(section 9.4; `reference/sync.md` 4.5) calls its rows is decided here, by the end that has the log:

    A  the receiver's position lies on our log               go on behind it
    B  the receiver is ahead, our end lies on its copy       we lost our tail: take it back (RECOVER), if it fits
    C  the hashes differ                                     search the last common event, begin a generation there
    E  the receiver knows a newer generation than we do      we are an old copy: begin a newer one, with the next event
    F  what the receiver lacks is gone here                  begin a generation behind the hole; the receiver notes it
    D, H  a generation, or a log, that it does not know      OPEN it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from sync.link.chain import Cursor
from sync.link.errors import LinkError, MalformedError, ParkedError
from sync.link.frames import (
    MAX_PROBES,
    Ack,
    Events,
    Head,
    Offer,
    Open,
    Position,
    Probe,
    Probed,
    Recover,
    Recovered,
    Window,
)
from sync.link.lineage import Generation, Reason
from sync.link.sending import (
    Answer,
    Examine,
    Examined,
    Fork,
    GiveUp,
    Insert,
    Inserted,
    Lineage,
    LoadLineage,
    LogRead,
    Output,
    ReadLog,
    Reply,
    Sample,
    Sampled,
    SaveAck,
)

LADDER_COUNT = 3
LADDER_S = 600.0
"""So many heals and forks of a stream within so many seconds, and it is parked: something goes in circles."""


class Phase(Enum):
    """Where a stream stands in this session."""

    COMPARING = auto()
    RECOVERING = auto()
    STALE = auto()
    """We are an old copy, and have nothing to say yet."""
    SENDING = auto()
    GIVEN_UP = auto()


@dataclass(slots=True)
class _Search:
    """The last event that both ends have lies in [low, high) of a generation."""

    generation: Generation
    low: int
    high: int
    sampled: tuple[Cursor, ...] = ()


class Sender:
    """One stream of one session."""

    def __init__(self, stream: int, name: str, *, heals: bool, history: deque[float]) -> None:
        """`history` holds the seconds of earlier heals and forks of this stream; it outlives the session."""
        self.stream = stream
        self.name = name
        self.phase = Phase.COMPARING
        self.drained = False
        self.awaits_log = False
        """A `ReadLog` is under way."""
        self._heals = heals
        self._history = history
        self._generations: tuple[Generation, ...] = ()
        self._cursors: list[Cursor] = []
        self._opened: list[bool] = []
        self._head: Head | None = None
        self._last = Cursor(0, b"")
        self._pruned = 0
        self._expects: type[Answer] | type[Reply] | None = None
        self._search: _Search | None = None
        self._checks: deque[tuple[Generation, Cursor]] = deque()
        self._current = 0
        self._sent = Cursor(0, b"")
        self._acked: tuple[int, Cursor] = (0, Cursor(0, b""))
        self._in_flight: deque[tuple[Generation, Cursor, int, int]] = deque()
        self._unacked = [0, 0]
        self._window = Window()
        self._woken = False

    # -- inputs ----------------------------------------------------------------------------------------------------

    def start(self) -> list[Output]:
        """Begin, or begin anew: compare positions."""
        self.phase = Phase.COMPARING
        self._in_flight.clear()
        self._unacked = [0, 0]
        self._search = None
        self._checks.clear()
        self._expects = Lineage
        return [LoadLineage(self.stream)]

    def on_answer(self, now: float, answer: Answer) -> list[Output]:
        """Take an answer of the shell. `now` is monotonic seconds."""
        if isinstance(answer, LogRead):
            raise TypeError("a LogRead goes to `on_log`, whose answer is a frame")
        if self.phase is Phase.GIVEN_UP or not isinstance(answer, self._expects or ()):
            return []
        self._expects = None
        match answer:
            case Lineage(_, generations):
                self._generations = generations
                self._expects = Position
                return [Offer(self.stream, self.name, list(generations))]
            case Examined():
                return self._examined(now, answer)
            case Sampled(_, cursors):
                return self._sampled(now, cursors)
            case Inserted(_, cursor):
                return self._inserted(cursor)

    def on_reply(self, now: float, frame: Reply) -> list[Output]:
        """Take a frame of the receiver.

        Raises:
            MalformedError: it does not answer anything that was asked.
        """
        if self.phase is Phase.GIVEN_UP:
            return []
        if isinstance(frame, Ack):
            return self._ack(frame)
        if not isinstance(frame, self._expects or ()):
            raise MalformedError(f"{type(frame).__name__} of stream {self.stream} answers nothing")
        self._expects = None
        match frame:
            case Position():
                return self._position(frame)
            case Probed(_, hashes):
                return self._probed(now, hashes)
            case Recovered(events):
                if events.generation != self._generations[-1].number or events.after != self._last.offset:
                    raise MalformedError("RECOVERED does not follow what was lost")
                self._expects = Inserted
                return [Insert(self.stream, self._last, events)]

    def give_up(self, error: LinkError) -> list[Output]:
        """The receiver, or the shell, cannot go on with this stream."""
        self.phase, self.awaits_log = Phase.GIVEN_UP, False
        return [GiveUp(self.stream, error)]

    # -- comparing -------------------------------------------------------------------------------------------------

    def _position(self, frame: Position) -> list[Output]:
        if len(frame.reached) != len(self._generations) or frame.window.events < 1 or frame.window.bytes < 1:
            raise MalformedError("POSITION does not answer the generations of OFFER")
        self._head, self._window = frame.head, frame.window
        self._opened = [reached is not None for reached in frame.reached]
        self._cursors = [
            Cursor(reached.offset, reached.hash) if reached is not None else Cursor(generation.base, generation.gen_id)
            for reached, generation in zip(frame.reached, self._generations, strict=True)
        ]
        self._expects = Examined
        return [Examine(self.stream, tuple(zip(self._generations, self._cursors, strict=True)))]

    def _examined(self, now: float, answer: Examined) -> list[Output]:
        self._last, self._pruned = answer.ends[-1], answer.pruned
        for generation, cursor, verdict, end in zip(
            self._generations, self._cursors, answer.verdicts, answer.ends, strict=True
        ):
            if verdict == "differs":
                return self._look_between(generation, generation.base, min(cursor.offset, end.offset))
            if verdict == "pruned":
                return self._fork(now, generation, min(cursor.offset, self._pruned), "gap")
            if verdict == "beyond":
                self._checks.append((generation, end))
        return self._check_ends(now)

    def _check_ends(self, now: float) -> list[Output]:
        """Where the receiver has more than we do: is our end on its copy?

        For sealed generations too: another copy of our log may have written there since (tests/sim, seed 1017193).
        """
        while self._checks:
            generation, end = self._checks[0]
            if end.hash and end.offset > generation.base:
                self._expects = Probed
                return [Probe(self.stream, generation.number, [end.offset])]
            self._checks.popleft()
            if generation.end is None:
                return self._behind(now)
        if self._is_stale():
            return self._speak_up(now, self._cursors[-1].offset)
        return self._begin()

    def _is_stale(self) -> bool:
        """Whether the receiver knows a generation that is newer than ours, or another one of the same number."""
        ours, head = self._generations[-1], self._head
        return head is not None and head.number >= ours.number and head.gen_id != ours.gen_id

    def _behind(self, now: float) -> list[Output]:
        """Our log is a beginning of the receiver's copy: rolled back."""
        if self._heals and not self._is_stale():
            if self._parked(now):
                return self.give_up(ParkedError(f"{self.name}: healed or forked {LADDER_COUNT} times in 10 minutes"))
            self.phase = Phase.RECOVERING
            return self._recover()
        return self._speak_up(now, self._last.offset)

    def _recover(self) -> list[Output]:
        self._expects = Recovered
        return [Recover(self.stream, self._generations[-1].number, self._last.offset)]

    def _speak_up(self, now: float, known: int) -> list[Output]:
        """Row E: with something to say we begin a newer generation, with nothing we wait: else two idle copies of a log
        would begin generations for ever (tests/sim)."""
        if self._last.offset > known:
            return self._fork(now, self._generations[-1], known, "stale")
        self.phase, self._expects = Phase.STALE, None
        return []

    def _inserted(self, cursor: Cursor | None) -> list[Output]:
        if cursor is None:
            self._heals = False  # a local event took the place: that makes it row C, or E
            return self.start()
        self._last = cursor
        goal = self._cursors[-1]
        if cursor.offset < goal.offset:
            return self._recover()
        if cursor != goal:
            self._heals = False
        return self.start()

    # -- the last common event -------------------------------------------------------------------------------------

    def _look_between(self, generation: Generation, low: int, high: int) -> list[Output]:
        self._search = _Search(generation, low, high)
        self._checks.clear()
        self._expects = Sampled
        return [Sample(self.stream, generation, low, high)]

    def _sampled(self, now: float, cursors: tuple[Cursor, ...]) -> list[Output]:
        search = self._search
        assert search is not None, "a sample is taken for a search"
        if not cursors:
            return self._fork(now, search.generation, search.low, "diverged")
        search.sampled = cursors
        self._expects = Probed
        return [Probe(self.stream, search.generation.number, [cursor.offset for cursor in cursors[:MAX_PROBES]])]

    def _probed(self, now: float, hashes: Sequence[bytes | None]) -> list[Output]:
        if self._checks:
            generation, end = self._checks.popleft()
            if hashes != [end.hash]:
                return self._look_between(generation, generation.base, end.offset)
            return self._behind(now) if generation.end is None else self._check_ends(now)
        search = self._search
        assert search is not None, "a probe belongs to a search"
        if len(hashes) != len(search.sampled):
            raise MalformedError("PROBED does not answer PROBE")
        low, high = search.low, search.high
        for cursor, found in zip(search.sampled, hashes, strict=True):
            if cursor.hash == found:
                low = cursor.offset
            else:
                high = cursor.offset - 1
                break
        else:
            # All that we sampled is the same: the receiver's copy goes on differently behind it.
            return self._fork(now, search.generation, low, "diverged")
        return self._look_between(search.generation, low, high)

    def _fork(self, now: float, parent: Generation, known: int, reason: Reason) -> list[Output]:
        """Begin a generation behind what both ends have of `parent`."""
        if self._parked(now):
            return self.give_up(ParkedError(f"{self.name}: healed or forked {LADDER_COUNT} times in 10 minutes"))
        index = self._generations.index(parent)
        base = max(known, self._pruned)
        number = max(self._generations[-1].number, self._head.number if self._head is not None else 0) + 1
        seen = self._cursors[index].offset if self._opened[index] else parent.base
        self._expects = Lineage
        return [Fork(self.stream, parent, min(known, base), seen, base, number, "gap" if base > known else reason)]

    def _parked(self, now: float) -> bool:
        while self._history and self._history[0] <= now - LADDER_S:
            self._history.popleft()
        if len(self._history) >= LADDER_COUNT:
            return True
        self._history.append(now)
        return False

    # -- sending ---------------------------------------------------------------------------------------------------

    def _begin(self) -> list[Output]:
        self.phase, self._current = Phase.SENDING, -1
        self.drained, self._woken = False, False
        return self._next_generation()

    def _next_generation(self) -> list[Output]:
        self._current += 1
        generation, cursor = self._generations[self._current], self._cursors[self._current]
        self._sent = cursor
        if self._opened[self._current]:
            self._acked = (generation.number, cursor)
            return [SaveAck(self.stream, generation, cursor, None)]
        self._in_flight.append((generation, cursor, 0, 0))
        return [Open(self.stream, generation.number)]

    def wants_log(self) -> bool:
        """Whether a read of the log would find work."""
        return (
            self.phase is Phase.SENDING
            and not self.awaits_log
            and not self.drained
            and self._unacked[0] < self._window.events
            and self._unacked[1] < self._window.bytes
        )

    def read_log(self) -> ReadLog:
        """The read to be done next; ask `wants_log` first."""
        self.awaits_log, self._woken = True, False
        left = Window(self._window.events - self._unacked[0], self._window.bytes - self._unacked[1])
        return ReadLog(self.stream, self._generations[self._current], self._sent, left)

    def on_log(self, answer: LogRead) -> list[Output | Events]:
        """Take what was read of the log: the frame to send, or the next generation."""
        self.awaits_log = False
        if self.phase is not Phase.SENDING:
            return []
        frame = answer.frame
        generation = self._generations[self._current]
        if frame is None or frame.generation != generation.number or frame.after != self._sent.offset:
            if frame is None and generation.end is not None:
                return [*self._next_generation()]
            # tests/sim finds it when this look at `woken` is left out: events would wait for the next ones.
            self.drained = frame is None and not self._woken
            return []
        self._sent = Cursor(answer.last, frame.hash)
        self._in_flight.append((generation, self._sent, frame.count, frame.raw_bytes))
        self._unacked[0] += frame.count
        self._unacked[1] += frame.raw_bytes
        return [frame]

    def woken(self) -> list[Output]:
        """There may be new events."""
        self.drained, self._woken = False, True
        return self.start() if self.phase is Phase.STALE else []

    def _ack(self, frame: Ack) -> list[Output]:
        if self.phase is not Phase.SENDING:
            raise MalformedError(f"an ACK of stream {self.stream}, of which nothing was sent")
        reached = None
        while self._in_flight:
            generation, cursor, count, size = self._in_flight[0]
            if generation.number > frame.generation or (
                generation.number == frame.generation and cursor.offset > frame.offset
            ):
                break
            self._in_flight.popleft()
            self._unacked[0] -= count
            self._unacked[1] -= size
            reached = generation, cursor
        self._window = frame.window
        if reached is None:
            if (frame.generation, frame.offset) == (self._acked[0], self._acked[1].offset):
                return []
            raise MalformedError(f"an ACK for offset {frame.offset} that answers nothing")
        generation, cursor = reached
        if (generation.number, cursor.offset) != (frame.generation, frame.offset):
            raise MalformedError(f"an ACK for offset {frame.offset}, where no frame ended")
        self._acked = (generation.number, cursor)
        return [SaveAck(self.stream, generation, cursor, frame.stable)]

    @property
    def under_way(self) -> bool:
        """Whether something was sent, or is about to be, that is not acknowledged yet."""
        return self.phase is Phase.SENDING and bool(self._in_flight or self.awaits_log)

    @property
    def settled(self) -> bool:
        """Whether everything that can be sent is sent and acknowledged."""
        return self.phase is Phase.STALE or (self.phase is Phase.SENDING and self.drained and not self._in_flight)
