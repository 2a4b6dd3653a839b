"""Thousands of histories of the link. A failing one prints its seed: SPOKE_SIM_FIRST=seed SPOKE_SIM_SEEDS=1."""

from __future__ import annotations

import os
import random

import pytest

from sync.link.chain import Cursor, LogEvent
from tests.sim.world import World

SEEDS = int(os.environ.get("SPOKE_SIM_SEEDS", "3000"))
FIRST = int(os.environ.get("SPOKE_SIM_FIRST", "0"))
SHARDS = 4


def run(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()
        world.check()
    world.settle()


@pytest.mark.timeout(0 if SEEDS > 5_000 else 300)
@pytest.mark.parametrize("shard", range(min(SHARDS, SEEDS)))
def test_no_history_loses_repeats_or_invents_an_event(shard: int) -> None:
    for seed in range(FIRST + shard, FIRST + SEEDS, min(SHARDS, SEEDS)):
        world = World(seed)
        steps = random.Random(~seed).randint(10, 150)
        try:
            run(world, steps)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("fault", ["no barrier", "no cursor check"])
def test_the_oracle_finds_what_it_is_there_for(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the guard taken away, some history must go wrong: else the simulation proves nothing."""

    def believe(cursor: Cursor, after: int, events: list[LogEvent], chain: bytes) -> tuple[list[LogEvent], Cursor]:
        return events, Cursor(events[-1].offset, chain)

    if fault == "no barrier":
        monkeypatch.setattr(World, "barrier", lambda self: None)
    else:
        monkeypatch.setattr("tests.sim.world.receive", believe)
    with pytest.raises(AssertionError):
        for seed in range(2_000):
            run(World(seed), 80)
