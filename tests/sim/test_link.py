"""Thousands of histories of the link. A failing one prints its seed: SPOKE_SIM_FIRST=seed SPOKE_SIM_SEEDS=1."""

from __future__ import annotations

import os
import random

import pytest

from sync.link import sending
from sync.link.chain import Cursor, LogEvent
from sync.link.exchange import Answer, Question
from sync.link.sender import Phase, Sender
from tests.sim import disk
from tests.sim.disk import Shell
from tests.sim.world import World

SEEDS = int(os.environ.get("SPOKE_SIM_SEEDS", "6000"))
FIRST = int(os.environ.get("SPOKE_SIM_FIRST", "0"))
SHARDS = 6


def run(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()
        world.check()
    world.settle()


@pytest.mark.timeout(0 if SEEDS > 10_000 else 600)
@pytest.mark.parametrize("shard", range(min(SHARDS, SEEDS)))
def test_no_history_loses_repeats_or_invents_an_event(shard: int) -> None:
    for seed in range(FIRST + shard, FIRST + SEEDS, min(SHARDS, SEEDS)):
        try:
            run(World(seed), random.Random(~seed).randint(10, 200))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def believe(cursor: Cursor, after: int, events: list[LogEvent], chain: bytes) -> tuple[list[LogEvent], Cursor]:
    return events, Cursor(events[-1].offset, chain)


def forget_wake_ups(self: Sender) -> list[sending.Output]:
    self.drained = self.awaits_log
    return self.start() if self.phase is Phase.STALE else []


def answer_without_gaps(self: Shell, question: Question) -> Answer | None:
    answer = real_answer(self, question)
    self.disk.gaps.clear()
    return answer


real_answer = Shell.answer
MUTANTS: dict[str, list[tuple[object, str, object]]] = {
    "what comes is believed": [(disk, "receive", believe)],
    "a wake-up during a read is forgotten": [(Sender, "woken", forget_wake_ups)],
    "gaps are not noted": [(Shell, "answer", answer_without_gaps)],
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_oracle_finds_what_it_is_there_for(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule taken away, some history must go wrong: else the simulation proves nothing."""
    for owner, name, replacement in MUTANTS[mutant]:
        monkeypatch.setattr(owner, name, replacement)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        for seed in range(3_000):
            run(World(seed), random.Random(~seed).randint(10, 200))
