"""A world without sockets, disks or clocks, in which both ends of the link meet every accident there is.

One seed is one history: everything that happens is drawn from `random.Random(seed)`, so a failing seed replays.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from sync.link import exchange as link
from sync.link.chain import LogEvent
from sync.link.errors import LinkError
from sync.link.exchange import Exchange, History, Outgoing
from sync.link.frames import Unknown, Window, decode, encode
from sync.link.sender import LADDER_S, Phase, Sender
from sync.link.sending import GiveUp
from tests.sim.disk import Disk, EventKey, Shell

UP = ("calls", "sessions")
DOWN = ("orders",)


@dataclass
class Copy:
    """A spoke's database, or a clone of it."""

    disk: Disk
    durable: Disk
    """What a power cut leaves of it."""
    history: History = field(default_factory=History)

    def barrier(self) -> None:
        self.durable = self.disk.clone()


@dataclass
class End:
    """One end of a connection."""

    core: Exchange
    shell: Shell
    inbox: deque[bytes] = field(default_factory=deque)
    work: deque[tuple[link.Question, list[link.Answer | None]]] = field(default_factory=deque)
    """What its disk was asked, and perhaps what it has answered already: other things happen before that arrives."""
    gone: bool = False


@dataclass
class Connection:
    spoke: End
    hub: End
    copy: Copy
    gave_up: list[LinkError] = field(default_factory=list)


class World:
    """A hub, a spoke and perhaps clones of it, and connections between them, old ones included."""

    def __init__(self, seed: int, *, clones: bool | None = None) -> None:
        self.rng = random.Random(seed)
        self.clones = self.rng.random() < 0.3 if clones is None else clones
        self.any_backup = self.rng.random() < 0.3
        """The hub may come back from a backup that is older than the newest one, against its word."""
        self.now = 0.0
        self.hub = Disk({topic: [] for topic in DOWN})
        self.backups = [Disk({topic: [] for topic in DOWN})]
        self.hub_history = History()
        first = Disk({topic: [] for topic in UP})
        self.copies = [Copy(first, first.clone())]
        self.images = [first.clone()]
        self.connections: list[Connection] = []
        self.ledger: dict[EventKey, set[LogEvent]] = {}
        """What was sent: a log that lost a tail which nobody has received may use the offsets again."""
        self.ever_stored: set[tuple[EventKey, str]] = set()
        self.serial = 0
        self.spoke_restored = False

    # -- what can happen -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing happens."""
        self.now += self.rng.choice((0.0, 0.0, 1.0, 60.0))
        happening = self.rng.choices(
            (
                self.publish,
                self.connect,
                self.deliver,
                self.finish_work,
                self.cut,
                self.abandon,
                self.crash_hub,
                self.crash_spoke,
                self.power_cut,
                self.back_up_hub,
                self.restore_hub,
                self.back_up_spoke,
                self.restore_spoke,
                self.clone_spoke,
                self.prune,
                self.flow,
            ),
            weights=(20, 8, 40, 40, 3, 2, 1, 1, 1, 4, 2, 3, 2, 1, 5, 8),
        )[0]
        happening()

    def publish(self) -> None:
        copy = self.rng.choice(self.copies)
        disk, topics = (self.hub, DOWN) if self.rng.random() < 0.25 else (copy.disk, UP)
        topic = self.rng.choice(topics)
        for _ in range(self.rng.randint(1, 6)):
            self.serial += 1
            disk.publish(topic, f"{topic} {self.serial}", self.rng)
        if disk is copy.disk and self.rng.random() < 0.5:
            copy.barrier()
        for connection in self.connections:
            for end in (connection.spoke, connection.hub):
                if end.shell.disk is disk and not end.gone:
                    self.carry_out(connection, end, end.core.woken())

    def connect(self) -> None:
        """A new connection; the older ones may still be there: the hub does not know yet that they are dead."""
        copy = self.rng.choice(self.copies)
        for old in self.connections:
            if old.copy is copy:
                old.spoke.gone = True
        self.connections.append(self.connection(copy))
        self.begin(self.connections[-1])

    def connection(self, copy: Copy) -> Connection:
        window = Window(self.rng.choice((4, 16_384)), 4_000_000)
        spoke = Exchange([Outgoing(topic) for topic in UP], lambda name: name in DOWN, copy.history, window)
        hub = Exchange([Outgoing(topic) for topic in DOWN], lambda name: name in UP, self.hub_history, window)
        return Connection(
            End(spoke, Shell(copy.disk, list(UP), self.rng, copy.barrier, None)),
            End(hub, Shell(self.hub, list(DOWN), self.rng, lambda: None, self.backups[-1])),
            copy,
        )

    def begin(self, connection: Connection) -> None:
        self.carry_out(connection, connection.hub, connection.hub.core.start())
        self.carry_out(connection, connection.spoke, connection.spoke.core.start())

    def deliver(self) -> None:
        """A frame arrives."""
        busy = [
            (connection, end)
            for connection in self.connections
            for end in (connection.spoke, connection.hub)
            if end.inbox and not end.gone
        ]
        if busy:
            self.deliver_to(*self.rng.choice(busy))

    def deliver_to(self, connection: Connection, end: End) -> None:
        frame = decode(end.inbox.popleft())
        assert not isinstance(frame, Unknown)
        try:
            outputs = end.core.on_frame(self.now, frame)
        except LinkError:
            self.drop(connection)
            return
        self.carry_out(connection, end, outputs)

    def finish_work(self) -> None:
        """A disk answers."""
        busy = [
            (connection, end)
            for connection in self.connections
            for end in (connection.spoke, connection.hub)
            if end.work and not end.gone
        ]
        if busy:
            self.finish_work_of(*self.rng.choice(busy))

    def finish_work_of(self, connection: Connection, end: End) -> None:
        question, early = end.work.popleft()
        answer = early[0] if early else self.ask(end, question)
        if answer is not None:
            self.carry_out(connection, end, end.core.on_answer(self.now, answer))

    def ask(self, end: End, question: link.Question) -> link.Answer | None:
        """A disk does what it is asked."""
        answer = end.shell.answer(question)
        for key, event in end.shell.sent:
            self.ledger.setdefault(key, set()).add(event)
        end.shell.sent.clear()
        self.ever_stored.update(end.shell.stored)
        end.shell.stored.clear()
        return answer

    def flow(self) -> None:
        """Nothing happens for a while, but what is under way."""
        for _ in range(40):
            self.deliver()
            self.finish_work()

    def cut(self) -> None:
        """A connection breaks; what was on its way is lost."""
        if self.connections:
            self.drop(self.rng.choice(self.connections))

    def drop(self, connection: Connection) -> None:
        connection.spoke.gone = connection.hub.gone = True
        self.connections.remove(connection)

    def abandon(self) -> None:
        """The spoke's side is gone, but what it sent still arrives."""
        if self.connections:
            self.rng.choice(self.connections).spoke.gone = True

    def crash_hub(self) -> None:
        for connection in list(self.connections):
            self.drop(connection)

    def crash_spoke(self, copy: Copy | None = None) -> Copy:
        """SIGKILL: commits stay, memory goes."""
        chosen = copy or self.rng.choice(self.copies)
        for connection in self.connections:
            if connection.copy is chosen:
                connection.spoke.gone = True
        return chosen

    def power_cut(self) -> None:
        """The last commits that no fsync covered are gone, and their offsets are used again."""
        copy = self.crash_spoke()
        copy.disk = copy.durable.clone()

    def back_up_hub(self) -> None:
        self.backups.append(self.hub.clone())
        for connection in self.connections:
            connection.hub.shell.stable = self.backups[-1]

    def restore_hub(self) -> None:
        self.crash_hub()
        if self.any_backup:
            self.hub = self.rng.choice(self.backups).clone()
        else:
            self.hub = self.backups[-1].clone()

    def back_up_spoke(self) -> None:
        self.images.append(self.rng.choice(self.copies).disk.clone())

    def restore_spoke(self) -> None:
        copy = self.crash_spoke()
        self.spoke_restored = True
        copy.disk = self.rng.choice(self.images).clone()
        copy.barrier()

    def clone_spoke(self) -> None:
        if self.clones and len(self.copies) < 3:
            image = self.rng.choice(self.copies).disk.clone()
            self.copies.append(Copy(image, image.clone()))

    def prune(self) -> None:
        copy = self.rng.choice(self.copies)
        copy.disk.prune(self.rng.choice(UP), self.rng)
        if self.rng.random() < 0.5:
            copy.barrier()

    # -- the shells ------------------------------------------------------------------------------------------------

    def carry_out(self, connection: Connection, end: End, outputs: list[link.Output]) -> None:
        other = connection.hub if end is connection.spoke else connection.spoke
        for output in outputs:
            match output:
                case link.Send(frame):
                    other.inbox.append(encode(frame))
                case GiveUp(_, error):
                    connection.gave_up.append(error)
                case link.Refused():
                    raise AssertionError("nothing is rejected here")
                case _:
                    early = [self.ask(end, output)] if not end.work and self.rng.random() < 0.5 else []
                    end.work.append((output, early))

    # -- the oracle ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """At any moment: what an end has received of a generation is in order, once, and was sent like that."""
        for disk in (self.hub, *(copy.disk for copy in self.copies)):
            for (topic, gen_id), received in disk.copies.items():
                before = -1
                for event in received.events:
                    assert event.offset > before, f"{topic}: duplicate or out of order"
                    before = event.offset
                    assert event in self.ledger.get((topic, gen_id, event.offset), ()), f"{topic}: phantom"

    def settle(self) -> None:
        """The accidents stop; everything must arrive, over what is there and from each copy in turn anew."""
        alive = [c for c in self.connections if not c.spoke.gone and not c.hub.gone]
        if alive and self.rng.random() < 0.5:
            self.connections = [self.rng.choice(alive)]
            (connection,) = self.connections
            self.run_dry(connection)
            if connection in self.connections and not connection.gave_up:
                assert connection.spoke.core.settled, "the spoke waits for something"
                assert connection.hub.core.settled, "the hub waits for something"
                if all(s.phase is Phase.SENDING for s in connection.spoke.core.senders):
                    self.check_arrived(connection.copy.disk, UP, self.hub)
        self.crash_hub()
        for copy in self.copies:
            for _ in range(12):
                self.now += LADDER_S
                connection = self.connection(copy)
                self.connections = [connection]
                self.begin(connection)
                self.run_dry(connection)
                if connection in self.connections and not connection.gave_up:
                    break
            else:
                raise AssertionError(f"it never comes to rest: {connection.gave_up}")
            assert connection.spoke.core.settled, "the spoke waits for something"
            assert connection.hub.core.settled, "the hub waits for something"
            for sender in (*connection.spoke.core.senders, *connection.hub.core.senders):
                assert sender.phase is not Phase.STALE or self.stale_is_right(sender, copy)
            self.check_arrived(copy.disk, UP, self.hub)
            self.check_arrived(self.hub, DOWN, copy.disk)
        self.check()
        self.check_nothing_lost_in_silence()

    def run_dry(self, connection: Connection) -> None:
        for _ in range(20_000):
            ends = [end for end in (connection.spoke, connection.hub) if (end.inbox or end.work) and not end.gone]
            if not ends or connection not in self.connections:
                return
            end = self.rng.choice(ends)
            if end.work and (not end.inbox or self.rng.random() < 0.5):
                self.finish_work_of(connection, end)
            else:
                self.deliver_to(connection, end)
        raise AssertionError("the two ends talk for ever")

    def stale_is_right(self, sender: Sender, copy: Copy) -> bool:
        """An old copy that waits has nothing that the other end lacks; `check_arrived` looks."""
        return bool(sender.name)

    def check_arrived(self, ours: Disk, topics: tuple[str, ...], theirs: Disk) -> None:
        """Every event of a log is there, under a generation of that log."""
        for topic in topics:
            for generation in ours.lineages.get(topic, []):
                copy = theirs.copies.get((topic, generation.gen_id))
                there = {event.offset: event for event in copy.events} if copy is not None else {}
                for event in ours.logs[topic]:
                    if event.offset > generation.base and (generation.end is None or event.offset <= generation.end):
                        assert there.get(event.offset) == event, f"{topic} {event}: lost"

    def check_nothing_lost_in_silence(self) -> None:
        """What the hub once had, and this spoke remembers, it has again, or a gap says that it is gone.

        A spoke remembers what it pruned, and how far the hub had come when it began a new generation. What both ends
        lost all memory of nobody can tell; nor, with clones, what only a clone that never came back knew.
        """
        if len(self.copies) > 1 or (self.any_backup and self.spoke_restored):
            # Nor, when the hub came back older than its word and the spoke was restored as well, whether what lies
            # before a position that cannot be compared any more is what the spoke once had there (seed 5840).
            return
        disk = self.copies[0].disk
        known = {g.gen_id: g for lineage in disk.lineages.values() for g in lineage}
        texts = {event.payload for received in self.hub.copies.values() for event in received.events}
        for (topic, gen_id, offset), text in self.ever_stored:
            generation = known.get(gen_id)
            if topic not in UP or generation is None:
                continue
            ours = generation.end is None or offset <= generation.end
            pruned = {event.payload for event in disk.forgotten.get(topic, [])}
            copy = self.hub.copies.get((topic, gen_id))
            reached = copy.cursor.offset if copy is not None else 0  # up to there, it may be another tail than once
            remembered = text in pruned or (not ours and reached < offset <= generation.seen)
            gap = any(name == topic and low < offset <= high for name, _, low, high in self.hub.gaps)
            assert text in texts or gap or not remembered, f"{topic} {offset}: lost in silence"
