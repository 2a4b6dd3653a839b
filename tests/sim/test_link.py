"""Thousands of histories of the link. A failing one prints its seed: SPOKE_SIM_FIRST=seed SPOKE_SIM_SEEDS=1."""

from __future__ import annotations

import os
import random

import pytest

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
