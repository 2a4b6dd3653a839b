"""F-01, F-02, F-03: SIGKILL of a spoke and its writer, of the hub, of everything, at named points and at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.dying import HUB_POINTS, SPOKE_POINTS
from tests.faults.machines import LIMIT_S, Machines, Spoke, rounds, until


def dying(point: str) -> list[str]:
    return [sys.executable, "-m", "tests.faults.dying", point]


def await_death(spoke: Spoke, process: subprocess.Popen[bytes], point: str) -> None:
    """Something happens on the link until the process dies of it."""

    def look() -> bool:
        spoke.write(1)
        spoke.nudge()
        return process.poll() is not None

    until(look)
    assert process.wait(LIMIT_S) == -signal.SIGKILL, f"{point} was not met"


@pytest.mark.parametrize("third", range(3))
def test_f01_a_spoke_dies_at_every_point(machines: Machines, third: int) -> None:
    hub = machines.start_hub()
    spoke = machines.spoke()
    for point in SPOKE_POINTS[third::3]:
        spoke.write(20)
        process = spoke.start(program=dying(point))
        await_death(spoke, process, point)
    process = spoke.start()
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert verdict.good, verdict
    machines.kill(hub)


@pytest.mark.parametrize("third", range(3))
def test_f02_a_hub_dies_at_every_point(machines: Machines, third: int) -> None:
    machines.kill(machines.start_hub())  # so that the port is known
    spoke = machines.spoke()
    process = spoke.start()
    for point in HUB_POINTS[third::3]:
        spoke.write(20)
        hub = machines.start_hub(program=dying(point))
        spoke.nudge()
        await_death(spoke, hub, point)
    hub = machines.start_hub()
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert verdict.good, verdict


@pytest.mark.parametrize("victims", ["spoke", "hub", "both"])
def test_f03_kills_at_any_moment(machines: Machines, victims: str) -> None:
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    print(f"seed {seed}")
    spoke = machines.spoke()
    hub = machines.start_hub()
    node, writer = spoke.start(), spoke.writer()
    spoke.wait_for(lambda status: status.hub_id is not None, node)
    for _ in range(rounds(6)):
        time.sleep(rng.random() * 1.2)  # any moment
        if victims in ("spoke", "both"):
            machines.kill(node, writer)
        if victims in ("hub", "both"):
            machines.kill(hub)
            hub = machines.start_hub()
        if victims in ("spoke", "both"):
            node, writer = spoke.start(), spoke.writer()
        else:
            spoke.nudge()
    machines.kill(writer)
    spoke.wait_synced(node)
    verdict = spoke.verdict()
    print(verdict)
    assert verdict.good, (seed, verdict)
    assert verdict.ok > 0
