"""A world without sockets, disks or clocks, in which the two cores of the link meet every accident there is.

One seed is one history: everything that happens is drawn from `random.Random(seed)`, so a failing seed replays.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from sync.link import hub_core as hub
from sync.link import spoke_core as spoke
from sync.link.chain import Cursor, LogEvent, extend, receive
from sync.link.errors import DivergedError, LinkError, RolledBackError
from sync.link.frames import Frame, StreamOffer, decode, encode, pack, unpack
from sync.link.spoke_core import Input as SpokeInput

TOPICS = ("calls", "sessions")


@dataclass
class SpokeDisk:
    """The spoke's log. `durable` says how many events of it a power cut leaves."""

    logs: dict[str, list[LogEvent]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    durable: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    next_offset: int = 1


@dataclass
class HubDisk:
    """What the hub has, and its cursors: they change together."""

    logs: dict[str, list[LogEvent]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def copy(self) -> HubDisk:
        return HubDisk({topic: list(log) for topic, log in self.logs.items()}, dict(self.cursors))


@dataclass
class Connection:
    """Two directions of bytes in order, and the two sessions at their ends."""

    spoke: spoke.SpokeCore
    hub: hub.HubCore
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    work: deque[SpokeInput] = field(default_factory=deque)
    """Answers of the spoke's disk that are on their way: other things happen before they come."""
    refused: set[str] = field(default_factory=set)
    spoke_gone: bool = False


class World:
    """A spoke, a hub, and connections between them, old ones included."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.spoke = SpokeDisk()
        self.hub = HubDisk()
        self.snapshots = [HubDisk()]
        self.connections: list[Connection] = []
        self.everything: dict[str, dict[int, LogEvent]] = {topic: {} for topic in TOPICS}

    # -- what can happen -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing happens."""
        happening = self.rng.choices(
            (
                self.publish,
                self.connect,
                self.deliver_up,
                self.deliver_down,
                self.finish_work,
                self.cut,
                self.crash_hub,
                self.crash_spoke,
                self.power_cut,
                self.back_up_hub,
                self.restore_hub,
                self.abandon,
            ),
            weights=(20, 8, 30, 30, 40, 3, 1, 1, 1, 2, 1, 2),
        )[0]
        happening()

    def publish(self) -> None:
        topic = self.rng.choice(TOPICS)
        for _ in range(self.rng.randint(1, 6)):
            self.spoke.next_offset += self.rng.randint(0, 2)  # other topics take offsets too
            offset = self.spoke.next_offset
            self.spoke.next_offset += 1
            event = LogEvent(offset, None, f"{topic} {offset} {self.rng.random()}", 0)
            self.spoke.logs[topic].append(event)
        if self.rng.random() < 0.5:
            self.barrier()
        if self.connections:
            self.feed_spoke(self.connections[-1], spoke.Woken())

    def barrier(self) -> None:
        self.spoke.durable = {topic: len(log) for topic, log in self.spoke.logs.items()}

    def connect(self) -> None:
        """A new connection; the older ones may still be there: the hub does not know yet that they are dead."""
        for old in self.connections:
            old.spoke_gone = True
        offers = [StreamOffer(topic, 1, topic.ljust(16).encode()) for topic in TOPICS]
        connection = Connection(spoke.SpokeCore("node", "sim", "sim", offers), hub.HubCore("hub"))
        self.connections.append(connection)
        self.feed_spoke(connection, spoke.Opened())

    def deliver_up(self) -> None:
        busy = [connection for connection in self.connections if connection.up]
        if busy:
            connection = self.rng.choice(busy)
            self.feed_hub(connection, hub.Received(decode(connection.up.popleft())))

    def deliver_down(self) -> None:
        busy = [c for c in self.connections if c.down and not c.spoke_gone]
        if busy:
            connection = self.rng.choice(busy)
            self.feed_spoke(connection, spoke.Received(decode(connection.down.popleft())))

    def finish_work(self) -> None:
        """The spoke's disk answers."""
        busy = [c for c in self.connections if c.work and not c.spoke_gone]
        if busy:
            connection = self.rng.choice(busy)
            self.feed_spoke(connection, connection.work.popleft())

    def cut(self) -> None:
        """A connection breaks; what was on its way is lost."""
        if self.connections:
            self.connections.remove(self.rng.choice(self.connections))

    def abandon(self) -> None:
        """The spoke's side is gone, but what it sent still arrives."""
        if self.connections:
            self.rng.choice(self.connections).spoke_gone = True

    def crash_hub(self) -> None:
        self.connections.clear()

    def crash_spoke(self) -> None:
        """SIGKILL: commits stay, memory goes."""
        for connection in self.connections:
            connection.spoke_gone = True

    def power_cut(self) -> None:
        """The last commits that no fsync covered are gone, and their offsets are used again."""
        self.crash_spoke()
        for topic, kept in self.spoke.durable.items():
            del self.spoke.logs[topic][kept:]
        last = max((log[-1].offset for log in self.spoke.logs.values() if log), default=0)
        self.spoke.next_offset = last + 1

    def back_up_hub(self) -> None:
        self.snapshots.append(self.hub.copy())

    def restore_hub(self) -> None:
        self.crash_hub()
        self.hub = self.rng.choice(self.snapshots).copy()

    # -- the shells ------------------------------------------------------------------------------------------------

    def feed_spoke(self, connection: Connection, event: spoke.Input) -> None:
        if connection.spoke_gone:
            return
        try:
            outputs = connection.spoke.on_input(event)
        except LinkError:
            self.connections.remove(connection)
            return
        for output in outputs:
            match output:
                case spoke.Send(frame):
                    self.send(connection.up, frame)
                case spoke.Verify(topic, gen_id, position):
                    connection.work.append(spoke.Verified(topic, self.verify(topic, gen_id, position)))
                case spoke.ReadLog(topic, stream, cursor):
                    connection.work.append(self.read(topic, stream, cursor))
                case spoke.GiveUp(topic, _):
                    connection.refused.add(topic)
                case spoke.SaveAck():
                    pass  # a note for people; the hub's word counts

    def verify(self, topic: str, gen_id: bytes, position: Cursor) -> LinkError | None:
        log = self.spoke.logs[topic]
        if position.offset > (log[-1].offset if log else 0):
            return RolledBackError("")
        upto = [event for event in log if event.offset <= position.offset]
        at = upto[-1].offset if upto else 0
        return None if at == position.offset and extend(gen_id, upto) == position.hash else DivergedError("")

    def read(self, topic: str, stream: int, cursor: Cursor) -> spoke.LogRead:
        events = [event for event in self.spoke.logs[topic] if event.offset > cursor.offset][: self.rng.randint(1, 5)]
        if not events:
            return spoke.LogRead(topic, None)
        self.barrier()
        for event in events:
            self.everything[topic][event.offset] = event
        return spoke.LogRead(topic, pack(stream, cursor.offset, events, extend(cursor.hash, events)), events[-1].offset)

    def feed_hub(self, connection: Connection, event: hub.Input) -> None:
        inputs = deque([event])
        while inputs:
            try:
                outputs = connection.hub.on_input(inputs.popleft())
            except LinkError:
                self.connections.remove(connection)
                return
            for output in outputs:
                match output:
                    case hub.Send(frame):
                        self.send(connection.down, frame)
                    case hub.LoadCursors(hello):
                        inputs.append(hub.CursorsLoaded([self.cursor(offer) for offer in hello.streams]))
                    case hub.Store():
                        inputs.append(self.store(output))

    def cursor(self, offer: StreamOffer) -> Cursor:
        return self.hub.cursors.get(offer.topic, Cursor(0, offer.gen_id))

    def store(self, work: hub.Store) -> hub.Stored | hub.NotStored:
        topic = work.offer.topic
        try:
            fresh, reached = receive(self.cursor(work.offer), work.frame.after, unpack(work.frame), work.frame.hash)
        except LinkError as error:
            return hub.NotStored(work.stream, error)
        self.hub.logs[topic] += fresh
        self.hub.cursors[topic] = reached
        return hub.Stored(work.stream, reached.offset)

    def send(self, way: deque[bytes], frame: Frame) -> None:
        way.append(encode(frame))

    # -- the oracle ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """At any moment: the hub's log is a prefix of the spoke's, in order, without holes, duplicates, phantoms."""
        for topic in TOPICS:
            ours, theirs = self.spoke.logs[topic], self.hub.logs[topic]
            assert theirs == ours[: len(theirs)], f"{topic}: lost, duplicate, phantom or out of order"

    def settle(self) -> None:
        """The accidents stop; everything must arrive: over a new connection, or over the one that is there."""
        alive = [c for c in self.connections if not c.spoke_gone]
        if not alive or self.rng.random() < 0.5:
            self.connections.clear()
            self.connect()
            alive = self.connections[-1:]
        connection = alive[-1]
        self.connections = [connection]
        for _ in range(100_000):
            if connection.up:
                self.deliver_up()
            elif connection.down:
                self.deliver_down()
            elif connection.work:
                self.finish_work()
            else:
                break
        if self.connections != [connection]:  # a frame of before the accidents' end was refused: one more try
            self.connect()
            return self.settle()
        assert not connection.refused, connection.refused
        for topic in TOPICS:
            assert self.hub.logs[topic] == self.spoke.logs[topic], f"{topic}: not everything arrived"
        return None
