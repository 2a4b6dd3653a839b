"""F-45: a spoke's process is killed with SIGKILL while it executes a call of each class, and comes up again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.projections.projection import step
from sync.durable import caller
from sync.durable.states import ENDED, State
from sync.durable.topics import results_to
from tests.sync.durable.wire import carry_calls, carry_results, effects, open_pair

NODE = "node-1"
ROOT = Path(__file__).parents[3]
LIMIT_S = 60


class Killable:
    """Two files, and a process that works on the spoke's."""

    def __init__(self, folder: Path) -> None:
        self.hub, self.spoke = open_pair(folder)
        self.outside = folder / "outside.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, *operations: str) -> list[str]:
        asked = [f"call-{number:04}" for number in range(len(operations))]
        with self.hub.transaction() as tx:
            for number, (call_id, name) in enumerate(zip(asked, operations, strict=True)):
                caller.request(tx, NODE, name, {"n": number}, call_id=call_id, now_ms=1, present=False)
        carry_calls(self.hub, self.spoke)
        return asked

    def start(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.sync.durable.node_process", self.spoke.path, self.outside, *arguments]
        self.process = subprocess.Popen([str(part) for part in command], cwd=ROOT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lines(self) -> list[str]:
        return self.outside.read_text().split() if self.outside.exists() else []

    def results(self) -> int:
        """How many calls have ended, as the spoke's file says."""
        row = self.spoke.query("SELECT count(*) AS n FROM link_received_calls WHERE ended_at IS NOT NULL")
        return int(row[0]["n"])

    def until(self, holds: Callable[[], bool]) -> None:
        ends = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < ends, "it does not come"
            assert self.process is None or self.process.poll() is None, "it ended by itself"
            time.sleep(0.005)  # another process: there is nothing to wait on

    def hear(self) -> dict[str, State]:
        carry_results(self.hub, self.spoke)
        with self.hub.transaction() as tx:
            step(tx, caller.results(NODE, lambda: 2))
        return {row["call_id"]: State(row["state"]) for row in self.hub.query("SELECT call_id, state FROM link_calls")}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Killable]:
    pair = Killable(tmp_path)
    yield pair
    pair.kill()
    pair.hub.close()
    pair.spoke.close()


@pytest.mark.parametrize(
    ("operation", "state", "runs", "heard"),
    [
        ("test.file", State.DONE, 2, ["DONE"]),
        ("test.again", State.DONE, 2, ["RUNNING", "DONE"]),
        ("test.once", State.INDETERMINATE, 1, ["RUNNING", "INDETERMINATE"]),
    ],
)
def test_a_process_that_is_killed_in_the_middle_of_a_handler(
    pair: Killable, operation: str, state: State, runs: int, heard: list[str]
) -> None:
    (asked,) = pair.ask(operation)
    pair.start(1)
    pair.until(lambda: pair.lines() == [asked])
    pair.kill()
    assert effects(pair.spoke) == []
    pair.start()
    pair.until(lambda: pair.results() == 1)
    pair.kill()
    assert pair.lines() == [asked] * runs, "how often the handler began"
    assert effects(pair.spoke) == ([0] if operation == "test.file" else []), "effects in the file"
    assert pair.hear() == {asked: state}
    assert [event.payload["state"] for event in pair.spoke.stream(results_to("hub")).read()] == heard


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_any_moment_double_nothing_and_lose_nothing(pair: Killable, seed: int) -> None:
    rng = random.Random(seed)
    operations = [rng.choice(["test.file", "test.again", "test.once"]) for _ in range(120)]
    asked = pair.ask(*operations)
    kills = 0
    while pair.results() < len(asked):
        before, steps = pair.results(), rng.randint(1, 40)
        pair.start()
        pair.until(lambda b=before, s=steps: pair.results() >= min(b + s, len(asked)))  # type: ignore[misc]
        for _ in range(rng.randint(0, 2_000)):  # a little further, without the file
            pass
        pair.kill()
        kills += 1
    states, begun = pair.hear(), Counter(pair.lines())
    in_file = Counter(effects(pair.spoke))
    for number, (call_id, operation) in enumerate(zip(asked, operations, strict=True)):
        assert states[call_id] in ENDED
        if operation == "test.file":
            assert (states[call_id], in_file[number]) == (State.DONE, 1)
        elif operation == "test.once":
            assert states[call_id] in (State.DONE, State.INDETERMINATE)
            assert begun[call_id] <= 1
            assert states[call_id] is State.INDETERMINATE or begun[call_id] == 1
        else:
            assert states[call_id] is State.DONE
            assert begun[call_id] >= 1
    assert sum(state is State.INDETERMINATE for state in states.values()) <= kills
