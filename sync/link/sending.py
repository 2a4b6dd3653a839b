"""What the sending side of a stream asks of its shell, and what the shell answers.

`sender` decides, `sync.logs.outgoing` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sync.link.chain import Cursor
from sync.link.errors import LinkError
from sync.link.frames import Ack, Events, Offer, Open, Position, Probe, Probed, Reached, Recover, Recovered, Window
from sync.link.lineage import Generation, Reason


@dataclass(frozen=True, slots=True)
class LoadLineage:
    """Which generations does the log have? Answer: `Lineage`. A log without one gets its first."""

    stream: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """The active generations, oldest first; the last one is open."""

    stream: int
    generations: tuple[Generation, ...]


@dataclass(frozen=True, slots=True)
class Examine:
    """Do these positions lie on our log? One for each active generation. Answer: `Examined`."""

    stream: int
    positions: tuple[tuple[Generation, Cursor], ...]


Verdict: TypeAlias = Literal["same", "differs", "beyond", "pruned"]
"""`beyond`: behind the end that we have of the generation. `pruned`: what comes next is gone here, or so much is gone
that the position cannot be compared; everything that is left is sent in a new generation."""


@dataclass(frozen=True, slots=True)
class Examined:
    """The verdicts, where each generation ends here (an empty hash where it cannot be told any more), and the offset up
    to which events are gone."""

    stream: int
    verdicts: tuple[Verdict, ...]
    ends: tuple[Cursor, ...]
    pruned: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Hashes at up to 64 of our events of a generation with `low < offset <= high`, evenly spread, `high`'s last one
    among them. Answer: `Sampled`."""

    stream: int
    generation: Generation
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """Our positions, ascending; empty when there is no event in between."""

    stream: int
    cursors: tuple[Cursor, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """Seal `parent` at `end`, retire what came behind it, begin a generation at `base`; durable before it is answered.

    Answer: `Lineage`. `end` is at most `base`; every event behind `base` belongs to the new generation.
    """

    stream: int
    parent: Generation
    end: int
    seen: int
    base: int
    number: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Insert:
    """Put events back that the log has lost, with their offsets, if it still ends at `cursor`; durable.

    Answer: `Inserted`.
    """

    stream: int
    cursor: Cursor
    events: Events


@dataclass(frozen=True, slots=True)
class Inserted:
    """Where the log ends now; None when the events do not fit any more (a local event came, an offset is taken)."""

    stream: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the next batch of a generation behind the cursor, not more than the window. Answer: `LogRead`."""

    stream: int
    generation: Generation
    cursor: Cursor
    window: Window


@dataclass(frozen=True, slots=True)
class LogRead:
    """The next frame, whose last event has offset `last`; None when there is nothing new.

    Everything in it is on this machine's disk: a power cut cannot take it back.
    """

    stream: int
    frame: Events | None
    last: int = 0


@dataclass(frozen=True, slots=True)
class SaveAck:
    """Note what the receiver has; losing this is harmless, it says it again."""

    stream: int
    generation: Generation
    position: Cursor
    stable: Reached | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This stream cannot go on in this session; the others do."""

    stream: int
    error: LinkError


Answer: TypeAlias = Lineage | Examined | Sampled | Inserted | LogRead
Reply: TypeAlias = Position | Probed | Recovered | Ack
Output: TypeAlias = LoadLineage | Examine | Sample | Fork | Insert | SaveAck | GiveUp | Offer | Probe | Recover | Open
