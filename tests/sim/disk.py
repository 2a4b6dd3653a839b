"""A file of a spoke or of the hub, as far as the link sees it: plain data, copied at will. The model of `sync.logs`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sync.link import receiver as receiving
from sync.link import sending
from sync.link.chain import Cursor, LogEvent, extend, receive
from sync.link.errors import LinkError
from sync.link.exchange import Answer, Question
from sync.link.frames import Events, Head, Reached, Window, pack, unpack
from sync.link.lineage import Generation

Barrier = Callable[[], None]
EventKey = tuple[str, bytes, int]


@dataclass
class Copy:
    """What was received of one generation of one log."""

    cursor: Cursor
    events: list[LogEvent] = field(default_factory=list)


@dataclass
class Disk:
    """One SQLite file."""

    logs: dict[str, list[LogEvent]]
    """What this end publishes, by topic; offsets are shared by all topics."""
    next_offset: int = 1
    lineages: dict[str, list[Generation]] = field(default_factory=dict)
    pruned: dict[str, int] = field(default_factory=dict)
    forgotten: dict[str, list[LogEvent]] = field(default_factory=dict)
    """What was pruned; nobody reads it, it stands for the hashes at `marks`."""
    marks: dict[str, set[int]] = field(default_factory=dict)
    """Stable positions whose hash was kept."""
    stable: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    copies: dict[tuple[str, bytes], Copy] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    gaps: set[tuple[str, bytes, int, int]] = field(default_factory=set)

    def clone(self) -> Disk:
        return Disk(
            {topic: list(log) for topic, log in self.logs.items()},
            self.next_offset,
            {topic: list(lineage) for topic, lineage in self.lineages.items()},
            dict(self.pruned),
            {topic: list(events) for topic, events in self.forgotten.items()},
            {topic: set(marks) for topic, marks in self.marks.items()},
            dict(self.stable),
            {key: Copy(copy.cursor, list(copy.events)) for key, copy in self.copies.items()},
            dict(self.heads),
            set(self.gaps),
        )

    def publish(self, topic: str, text: str, rng: random.Random) -> None:
        self.next_offset += rng.randint(0, 2)  # other topics take offsets too
        self.logs[topic].append(LogEvent(self.next_offset, None, text, 0))
        self.next_offset += 1

    def prune(self, topic: str, rng: random.Random) -> None:
        """Retention: forget something that the receiver declared stable."""
        gen_id, upto = self.stable.get(topic, (b"", 0))
        current = self.lineages[topic][-1] if topic in self.lineages else None
        if current is None or current.gen_id != gen_id:
            return
        gone = [event.offset for event in self.logs[topic] if event.offset <= upto]
        if gone:
            edge = rng.choice(gone)
            self.pruned[topic] = max(self.pruned.get(topic, 0), edge)
            self.forgotten.setdefault(topic, []).extend(e for e in self.logs[topic] if e.offset <= edge)
            self.logs[topic] = [event for event in self.logs[topic] if event.offset > edge]


class Shell:
    """Answers the questions of one end's core from its disk."""

    def __init__(self, disk: Disk, names: list[str], rng: random.Random, barrier: Barrier, stable: Disk | None) -> None:
        self.disk = disk
        self.names = names
        self.rng = rng
        self.barrier = barrier
        self.stable = stable
        """The receiver's newest backup: what it declares stable."""
        self.sent: list[tuple[EventKey, LogEvent]] = []
        self.stored: list[tuple[EventKey, str]] = []

    def answer(self, question: Question) -> Answer | None:
        match question:
            case sending.LoadLineage(stream):
                return self._lineage(stream)
            case sending.Examine():
                return self._examine(question)
            case sending.Sample():
                return self._sample(question)
            case sending.Fork():
                return self._fork(question)
            case sending.Insert():
                return self._insert(question)
            case sending.ReadLog():
                return self._read(question)
            case sending.SaveAck(stream, generation, _, stable):
                self._save(self.names[stream], generation, stable)
                return None
            case receiving.LoadPosition(stream, name, generations):
                copies = [self.disk.copies.get((name, g.gen_id)) for g in generations]
                reached = tuple(None if copy is None else Reached(*copy.cursor) for copy in copies)
                return receiving.PositionLoaded(stream, reached, self.disk.heads.get(name))
            case receiving.Store():
                return self._store(question)
            case receiving.LoadHashes(stream, name, gen_id, offsets):
                copy = self.disk.copies.get((name, gen_id))
                known = hashes(Cursor(0, gen_id), copy.events if copy else [])
                return receiving.HashesLoaded(stream, tuple(known.get(offset) for offset in offsets))
            case receiving.ReadBack():
                return self._read_back(question)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _lineage(self, stream: int) -> sending.Lineage:
        name = self.names[stream]
        first = Generation(1, self.rng.randbytes(16))
        known = self.disk.lineages.setdefault(name, [first])
        self.barrier()
        return sending.Lineage(stream, tuple(g for g in known if g.active))

    def _events(self, name: str, generation: Generation) -> list[LogEvent]:
        return [
            event
            for event in self.disk.logs[name]
            if event.offset > generation.base and (generation.end is None or event.offset <= generation.end)
        ]

    def _hashes(self, name: str, generation: Generation) -> dict[int, bytes]:
        """Chain hashes at the positions where they can be told: behind a kept mark, everything is still there."""
        gone = [
            event
            for event in self.disk.forgotten.get(name, [])
            if event.offset > generation.base and (generation.end is None or event.offset <= generation.end)
        ]
        known = hashes(Cursor(generation.base, generation.gen_id), [*gone, *self._events(name, generation)])
        pruned = self.disk.pruned.get(name, 0)
        if pruned <= generation.base:
            return known
        marks = self.disk.marks.get(name, set())
        return {
            offset: chain
            for offset, chain in known.items()
            if offset == generation.base or offset in marks or any(pruned <= mark <= offset for mark in marks)
        }

    def _examine(self, question: sending.Examine) -> sending.Examined:
        name = self.names[question.stream]
        pruned = self.disk.pruned.get(name, 0)
        verdicts: list[sending.Verdict] = []
        ends: list[Cursor] = []
        for generation, cursor in question.positions:
            known = self._hashes(name, generation)
            end = max(known)
            limit = end if generation.end is None else generation.end
            ends.append(Cursor(limit, known.get(limit, b"")))
            if cursor.offset > limit:
                verdicts.append("beyond")
            elif cursor.offset < min(pruned, limit):
                verdicts.append("pruned")
            elif cursor.offset in known:
                verdicts.append("same" if known[cursor.offset] == cursor.hash else "differs")
            elif pruned <= generation.base:
                verdicts.append("differs")  # there is no event with that offset
            else:
                verdicts.append("same" if cursor.offset == limit else "pruned")
        return sending.Examined(question.stream, tuple(verdicts), tuple(ends), pruned)

    def _sample(self, question: sending.Sample) -> sending.Sampled:
        known = self._hashes(self.names[question.stream], question.generation)
        between = sorted(offset for offset in known if question.low < offset <= question.high)
        if len(between) > 3:
            between = [*sorted(self.rng.sample(between[:-1], 2)), between[-1]]
        return sending.Sampled(question.stream, tuple(Cursor(offset, known[offset]) for offset in between))

    def _fork(self, question: sending.Fork) -> sending.Lineage:
        name = self.names[question.stream]
        lineage: list[Generation] = []
        parent = question.parent
        for generation in self.disk.lineages[name]:
            if generation.gen_id == parent.gen_id:
                lineage.append(replace_generation(generation, end=question.end, seen=question.seen))
            elif generation.number > parent.number:
                lineage.append(replace_generation(generation, end=generation.base))
            else:
                lineage.append(generation)
        origin = parent.gen_id if question.end > parent.base else parent.parent
        fork = Generation(
            question.number, self.rng.randbytes(16), question.base, origin or parent.gen_id, reason=question.reason
        )
        self.disk.lineages[name] = [*lineage, fork]
        self.barrier()
        return sending.Lineage(question.stream, tuple(g for g in self.disk.lineages[name] if g.active))

    def _insert(self, question: sending.Insert) -> sending.Inserted:
        name = self.names[question.stream]
        log = self.disk.logs[name]
        taken = {event.offset for events in self.disk.logs.values() for event in events}
        end = log[-1].offset if log else self.disk.pruned.get(name, 0)
        try:
            fresh, reached = receive(
                question.cursor, question.events.after, unpack(question.events), question.events.hash
            )
        except LinkError:
            return sending.Inserted(question.stream, None)
        if end > question.cursor.offset or any(event.offset in taken for event in fresh):
            return sending.Inserted(question.stream, None)
        log += fresh
        self.disk.next_offset = max(self.disk.next_offset, reached.offset + 1)
        self.barrier()
        return sending.Inserted(question.stream, reached)

    def _read(self, question: sending.ReadLog) -> sending.LogRead:
        name, generation = self.names[question.stream], question.generation
        events = [e for e in self._events(name, generation) if e.offset > question.cursor.offset]
        events = events[: min(self.rng.randint(1, 5), question.window.events)]
        if not events:
            return sending.LogRead(question.stream, None)
        self.barrier()
        self.sent += [((name, generation.gen_id, event.offset), event) for event in events]
        chain = extend(question.cursor.hash, events)
        frame = pack(question.stream, generation.number, question.cursor.offset, events, chain)
        return sending.LogRead(question.stream, frame, events[-1].offset)

    def _save(self, name: str, generation: Generation, stable: Reached | None) -> None:
        if stable is not None and self._hashes(name, generation).get(stable.offset) == stable.hash:
            self.disk.stable[name] = (generation.gen_id, stable.offset)
            self.disk.marks.setdefault(name, set()).add(stable.offset)

    # -- receiving -------------------------------------------------------------------------------------------------

    def _store(self, question: receiving.Store) -> receiving.Stored | receiving.NotStored:
        name, generation = question.name, question.generation
        key = name, generation.gen_id
        copy = self.disk.copies.get(key)
        if copy is None:
            for older in question.before:
                self._note_gaps(name, older)
            parent = self.disk.copies.get((name, generation.parent))
            if generation.parent and parent is not None and parent.cursor.offset < generation.base:
                self.disk.gaps.add((name, generation.parent, parent.cursor.offset, generation.base))
            elif parent is None and generation.reason == "gap":
                self.disk.gaps.add((name, generation.parent, 0, generation.base))
            copy = self.disk.copies[key] = Copy(Cursor(generation.base, generation.gen_id))
            head = self.disk.heads.get(name)
            if head is None or generation.number > head.number:
                self.disk.heads[name] = Head(generation.number, generation.gen_id)
        if question.events is not None:
            frame = question.events
            try:
                fresh, reached = receive(copy.cursor, frame.after, unpack(frame), frame.hash)
            except LinkError as error:
                return receiving.NotStored(question.stream, error)
            copy.events += fresh
            copy.cursor = reached
            self.stored += [((name, generation.gen_id, event.offset), event.payload) for event in fresh]
            self.disk.next_offset += len(fresh)
        stable = self.stable.copies.get(key) if self.stable is not None else None
        mark = Reached(*stable.cursor) if stable is not None and stable.cursor.offset <= copy.cursor.offset else None
        return receiving.Stored(question.stream, generation.number, copy.cursor.offset, mark, Window())

    def _note_gaps(self, name: str, older: Generation) -> None:
        copy = self.disk.copies.get((name, older.gen_id))
        have = copy.cursor.offset if copy is not None else older.base
        if older.seen > max(have, older.end or 0):
            self.disk.gaps.add((name, older.gen_id, max(have, older.end or 0), older.seen))

    def _read_back(self, question: receiving.ReadBack) -> receiving.BackRead:
        copy = self.disk.copies.get((question.name, question.generation.gen_id))
        events = [e for e in copy.events if e.offset > question.after] if copy is not None else []
        if copy is None or not events:
            return receiving.BackRead(question.stream, None)
        some = events[: self.rng.randint(1, 4)]
        upto = [e for e in copy.events if e.offset <= some[-1].offset]
        chain = extend(question.generation.gen_id, upto)
        frame: Events = pack(question.stream, question.generation.number, question.after, some, chain)
        return receiving.BackRead(question.stream, frame)


def hashes(start: Cursor, events: list[LogEvent]) -> dict[int, bytes]:
    """The chain hash at each offset, the start included."""
    found, chain = {start.offset: start.hash}, start.hash
    for event in events:
        chain = extend(chain, [event])
        found[event.offset] = chain
    return found


def replace_generation(generation: Generation, *, end: int, seen: int | None = None) -> Generation:
    return Generation(
        generation.number,
        generation.gen_id,
        generation.base,
        generation.parent,
        end,
        generation.seen if seen is None else seen,
        generation.reason,
    )
