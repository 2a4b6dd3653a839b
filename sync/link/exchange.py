"""A session's streams, both directions: routes frames and answers, and decides which log is read next.

One class serves both ends. A stream that cannot go on is given up; the others do not notice. Of the logs that have
something to send, the one with the smallest priority number is read, but none `BURST` times in a row while another
waits: a backlog does not starve a live tail, nor the other way round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from sync.link import receiver as receiving
from sync.link import sending
from sync.link.errors import LinkError, MalformedError, from_code
from sync.link.frames import (
    MAX_STREAMS,
    Ack,
    Events,
    Failure,
    Frame,
    Offer,
    Open,
    Position,
    Probe,
    Probed,
    Recover,
    Recovered,
    Rejected,
    Window,
)
from sync.link.receiver import Receiver
from sync.link.sender import Phase, Sender
from sync.link.sending import GiveUp, LogRead, ReadLog

BURST = 4


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A log that this end sends: its name on the wire, how urgent (0 first), whether a lost tail is taken back."""

    name: str
    priority: int = 1
    heals: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Refused:
    """An event of ours lies in the receiver's quarantine."""

    stream: int
    frame: Rejected


Question: TypeAlias = (
    sending.LoadLineage
    | sending.Examine
    | sending.Sample
    | sending.Fork
    | sending.Insert
    | sending.SaveAck
    | ReadLog
    | receiving.Question
)
Answer: TypeAlias = sending.Answer | receiving.Answer
Output: TypeAlias = Send | GiveUp | Refused | Question


@dataclass(slots=True)
class History:
    """When streams were healed or forked (seconds, by name); outlives sessions."""

    times: dict[str, deque[float]] = field(default_factory=dict)

    def of(self, name: str) -> deque[float]:
        """The times of one stream."""
        return self.times.setdefault(name, deque())


class Exchange:
    """The streams of one session, seen from one end."""

    def __init__(
        self, outgoing: Iterable[Outgoing], accepts: Callable[[str], bool], history: History, window: Window
    ) -> None:
        """`accepts` says which names the other end may send; `window` is what it may have on its way at first."""
        self._specs = list(outgoing)
        self.senders = [
            Sender(index, spec.name, heals=spec.heals, history=history.of(spec.name))
            for index, spec in enumerate(self._specs)
        ]
        self._accepts = accepts
        self._history = history
        self._window = window
        self._receivers: dict[int, Receiver] = {}
        self._last_read = -1
        self._in_a_row = 0
        self.winding_down = False

    def wind_down(self) -> None:
        """Begin to read no log any more: what is on its way is still acknowledged."""
        self.winding_down = True

    @property
    def quiet(self) -> bool:
        """Whether nothing of ours is on its way."""
        return not any(sender.under_way for sender in self.senders)

    @property
    def settled(self) -> bool:
        """Whether everything that can be sent is sent and acknowledged."""
        return all(sender.settled or sender.phase is Phase.GIVEN_UP for sender in self.senders)

    def start(self) -> list[Output]:
        """The session is open."""
        return self._sent(output for sender in self.senders for output in sender.start())

    def woken(self) -> list[Output]:
        """There may be new events in any of the logs."""
        return self._sent(output for sender in self.senders for output in sender.woken())

    def add(self, spec: Outgoing) -> list[Output]:
        """One more log to send in this session."""
        sender = Sender(len(self.senders), spec.name, heals=spec.heals, history=self._history.of(spec.name))
        self._specs.append(spec)
        self.senders.append(sender)
        return self._sent(sender.start())

    def on_frame(self, now: float, frame: Frame) -> list[Output]:
        """Take a frame that belongs to a stream; any other may not come now.

        Raises:
            LinkError: the session cannot go on; say so in a FAILURE and close the connection.
        """
        match frame:
            case Offer():
                return self._offered(frame)
            case Open() | Events() | Probe() | Recover():
                return self._received(self._receiver(frame.stream).on_frame(frame))
            case Position() | Probed() | Ack():
                return self._sent(self._sender(frame.stream).on_reply(now, frame))
            case Recovered(events):
                return self._sent(self._sender(events.stream).on_reply(now, frame))
            case Rejected():
                return [Refused(self._sender(frame.stream).stream, frame)]
            case Failure(code, message, stream, retry_after_ms):
                error = from_code(code, message)
                error.retry_after_ms = retry_after_ms
                if stream is None:
                    raise error
                return self._sent(self._sender(stream).give_up(error))
            case _:
                raise MalformedError(f"{type(frame).__name__} may not come now")

    def on_answer(self, now: float, answer: Answer) -> list[Output]:
        """Take an answer of the shell."""
        match answer:
            case LogRead():
                return self._sent(self.senders[answer.stream].on_log(answer))
            case sending.Lineage() | sending.Examined() | sending.Sampled() | sending.Inserted():
                return self._sent(self.senders[answer.stream].on_answer(now, answer))
            case _:
                return self._received(self._receivers[answer.stream].on_answer(answer))

    def give_up(self, stream: int, error: LinkError) -> list[Output]:
        """The shell could not do what a sender asked."""
        return self._sent(self.senders[stream].give_up(error))

    def _offered(self, frame: Offer) -> list[Output]:
        known = self._receivers.get(frame.stream)
        if known is None:
            if not 0 <= frame.stream < MAX_STREAMS or any(r.name == frame.name for r in self._receivers.values()):
                raise MalformedError("a session has at most 64 streams, each with a name of its own")
            if not (1 <= len(frame.name) <= 200 and frame.name.isprintable() and self._accepts(frame.name)):
                return [Send(Failure("REFUSED", f"stream {frame.name!r} is not taken here", frame.stream))]
            known = self._receivers[frame.stream] = Receiver(frame.stream, frame.name, self._window)
        elif known.name != frame.name:
            raise MalformedError(f"stream {frame.stream} has changed its name")
        return self._received(known.on_frame(frame))

    def _received(self, outputs: Iterable[receiving.Output]) -> list[Output]:
        return [
            Send(output) if isinstance(output, Position | Ack | Probed | Recovered | Rejected | Failure) else output
            for output in outputs
        ]

    def _sent(self, outputs: Iterable[sending.Output | Events]) -> list[Output]:
        found: list[Output] = [
            Send(output) if isinstance(output, Offer | Probe | Recover | Open | Events) else output
            for output in outputs
        ]
        read = self._next_read()
        return [*found, read] if read is not None else found

    def _next_read(self) -> ReadLog | None:
        """One read at a time: what is read is sent before it is decided what is read next."""
        if self.winding_down or any(sender.awaits_log for sender in self.senders):
            return None
        waiting = [sender for sender in self.senders if sender.wants_log()]
        if not waiting:
            return None
        if self._in_a_row >= BURST and len(waiting) > 1:
            waiting = [sender for sender in waiting if sender.stream != self._last_read]
        chosen = min(waiting, key=lambda s: (self._specs[s.stream].priority, (s.stream - self._last_read - 1) % 64))
        self._in_a_row = self._in_a_row + 1 if chosen.stream == self._last_read else 1
        self._last_read = chosen.stream
        return chosen.read_log()

    def _receiver(self, stream: int) -> Receiver:
        found = self._receivers.get(stream)
        if found is None:
            raise MalformedError(f"no stream number {stream}")
        return found

    def _sender(self, stream: int) -> Sender:
        if not 0 <= stream < len(self.senders):
            raise MalformedError(f"no stream number {stream}")
        return self.senders[stream]
