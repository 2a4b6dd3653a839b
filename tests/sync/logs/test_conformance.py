"""One suite over the simulation's model and over real files: what the simulation proves holds for what is shipped."""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from sync.link.errors import LinkError
from sync.link.exchange import Exchange, History, Outgoing, Output, Question, Refused, Send
from sync.link.frames import Frame, Unknown, Window, decode, encode
from sync.link.sending import GiveUp
from tests.sim.disk import Shell
from tests.sync.logs.disk import End, FileEnd, ModelEnd

TOPICS = ["a", "b"]
Make: TypeAlias = Callable[[str], End]


@pytest.fixture(params=["model", "files"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(request.param == "files", tmp_path)
    yield made
    made.close()


class Rig:
    """A sender's and a receiver's file of either kind, which can be copied and put back."""

    def __init__(self, files: bool, folder: Path) -> None:
        self.files = files
        self.folder = folder
        self.ends: list[End] = []
        self.images: list[Path | ModelEnd] = []
        self.sender, self.receiver = self.make("sender"), self.make("receiver")
        self.gave_up: list[LinkError] = []

    def make(self, name: str) -> End:
        end: End = FileEnd(self.folder / f"{name}.db", TOPICS) if self.files else ModelEnd(TOPICS)
        self.ends.append(end)
        return end

    def image(self, end: End) -> Path | ModelEnd:
        """A copy of a file, as a backup makes it."""
        if isinstance(end, FileEnd):
            path = self.folder / f"image{len(self.images)}.db"
            end.db.query("SELECT 1")
            with end.db.exclusive() as connection:
                connection.execute("VACUUM INTO ?", (str(path),))
            self.images.append(path)
            return path
        assert isinstance(end, ModelEnd)
        copy = ModelEnd(TOPICS)
        copy.disk = end.disk.clone()
        copy.shell = Shell(copy.disk, TOPICS, random.Random(2), lambda: None, copy.disk)
        self.images.append(copy)
        return copy

    def restore(self, name: str, image: Path | ModelEnd) -> End:
        """The file as it was."""
        if isinstance(image, ModelEnd):
            copy = self.image(image)
            assert isinstance(copy, ModelEnd)
            return copy
        path = self.folder / f"{name}{len(self.ends)}.db"
        shutil.copy(image, path)
        end = FileEnd(path, TOPICS)
        self.ends.append(end)
        return end

    def close(self) -> None:
        for end in self.ends:
            if isinstance(end, FileEnd):
                end.close()

    def sync(self, limit: int = 100_000) -> Exchange:
        """One session from beginning to rest."""
        self.gave_up.clear()
        window = Window()
        up = Exchange([Outgoing(topic) for topic in TOPICS], lambda _: False, History(), window)
        down = Exchange([], lambda name: True, History(), window)
        work: deque[tuple[bool, Frame | Question]] = deque()

        def carry_out(ours: bool, outputs: list[Output]) -> None:
            for output in outputs:
                match output:
                    case Send(frame):
                        arrived = decode(encode(frame))
                        assert not isinstance(arrived, Unknown)
                        work.append((not ours, arrived))
                    case GiveUp(_, error):
                        self.gave_up.append(error)
                    case Refused():
                        raise AssertionError("nothing is refused here")
                    case _:
                        work.append((ours, output))

        carry_out(True, up.start())
        for _ in range(limit):
            if not work:
                return up
            ours, item = work.popleft()
            core, end = (up, self.sender) if ours else (down, self.receiver)
            if isinstance(item, msgspec.Struct):
                carry_out(ours, core.on_frame(0.0, item))
                continue
            answer = end.answer(item)
            if answer is not None:
                carry_out(ours, core.on_answer(0.0, answer))
        raise AssertionError("it never comes to rest")

    def check(self, topic: str = "a") -> None:
        """The receiver has every event of the sender's log, in the generations of that log."""
        for generation in self.sender.lineage(topic):
            there = {event.offset: event for event in self.receiver.copy_of(topic, generation.gen_id)}
            for event in self.sender.log(topic):
                if event.offset > generation.base and (generation.end is None or event.offset <= generation.end):
                    assert there.get(event.offset) == event


def texts(first: int, number: int) -> list[str]:
    return [f'"event {n}"' for n in range(first, first + number)]


def test_a_log_arrives(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 700))
    rig.sender.publish("b", texts(0, 3))
    assert rig.sync().settled
    rig.check()
    rig.check("b")
    rig.sender.publish("a", texts(700, 5))
    rig.sync()
    rig.check()


def test_a_receiver_that_was_restored_is_filled_up_again(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 50))
    rig.sync()
    image = rig.image(rig.receiver)
    rig.sender.publish("a", texts(50, 50))
    rig.sync()
    rig.receiver = rig.restore("receiver", image)
    rig.sync()
    rig.check()
    assert len(rig.sender.lineage("a")) == 1


def test_a_sender_that_was_restored_gets_back_what_it_lost(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 50))
    rig.sync()
    image = rig.image(rig.sender)
    rig.sender.publish("a", texts(50, 900))
    rig.sync()
    before = rig.sender.log("a")
    rig.sender = rig.restore("sender", image)
    assert rig.sync().settled
    assert rig.sender.log("a") == before
    rig.sender.publish("a", texts(950, 5))
    rig.sync()
    rig.check()
    assert len(rig.sender.lineage("a")) == 1


def test_a_sender_that_was_restored_and_wrote_on_begins_a_generation(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 300))
    rig.sync()
    image = rig.image(rig.sender)
    rig.sender.publish("a", texts(300, 200))
    rig.sync()
    lost = rig.sender.log("a")
    rig.sender = rig.restore("sender", image)
    rig.sender.publish("a", texts(9_000, 40))
    assert rig.sync().settled
    rig.check()
    first, second = rig.sender.lineage("a")
    assert (first.end, first.seen, second.base) == (300, 500, 300)
    assert rig.receiver.copy_of("a", first.gen_id) == lost  # what was there is untouched


def test_an_offset_that_another_topic_took_makes_a_generation_instead_of_a_healing(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 30))
    rig.sync()
    image = rig.image(rig.sender)
    rig.sender.publish("a", texts(30, 10))
    rig.sync()
    rig.sender = rig.restore("sender", image)
    rig.sender.publish("b", texts(0, 1))  # takes the offset of the first event that was lost
    assert rig.sync().settled
    rig.sender.publish("a", texts(100, 1))
    rig.sync()
    rig.check()
    rig.check("b")


def test_two_copies_of_a_sender_each_keep_their_events(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 100))
    rig.sync()
    image = rig.image(rig.sender)
    one, other = rig.sender, rig.restore("sender", image)
    for round_number in range(3):
        for end in (one, other):
            rig.sender = end
            end.publish("a", texts(1_000 * round_number, 20))
            rig.sync()
            assert not rig.gave_up
            rig.check()


def test_a_gap_is_noted_where_both_ends_have_nothing(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 20))
    image = rig.image(rig.receiver)
    rig.sync()
    rig.sender.prune("a", 10)
    rig.receiver = rig.restore("receiver", image)  # against its word: it had declared them stable
    rig.sync()
    rig.check()
    assert {(low, high) for topic, low, high in rig.receiver.gaps() if topic == "a"} == {(0, 10)}


def test_what_was_pruned_and_is_stable_makes_no_gap(rig: Rig) -> None:
    rig.sender.publish("a", texts(0, 20))
    rig.sync()
    rig.sender.prune("a", 15)
    rig.sender.publish("a", texts(20, 5))
    rig.sync()
    rig.check()
    assert rig.receiver.gaps() == set()
    assert len(rig.sender.lineage("a")) == 1


@pytest.mark.parametrize("seed", range(12))
def test_histories_end_alike(rig: Rig, seed: int) -> None:
    """Random histories of publishing, syncing, copying and restoring: everything that a file holds always arrives."""
    rng = random.Random(seed)
    images: dict[str, list[Path | ModelEnd]] = {"sender": [], "receiver": []}
    serial = 0
    for _ in range(14):
        match rng.choice(["publish", "publish", "sync", "sync", "copy", "restore sender", "restore receiver"]):
            case "publish":
                serial += 10
                rig.sender.publish(rng.choice(TOPICS), texts(serial, rng.randint(1, 6)))
            case "sync":
                rig.sync()
            case "copy":
                images["sender"].append(rig.image(rig.sender))
                images["receiver"].append(rig.image(rig.receiver))
            case "restore sender" if images["sender"]:
                rig.sender = rig.restore("sender", rng.choice(images["sender"]))
            case "restore receiver" if images["receiver"]:
                rig.receiver = rig.restore("receiver", rng.choice(images["receiver"]))
    rig.sync()
    assert not rig.gave_up
    rig.check("a")
    rig.check("b")
