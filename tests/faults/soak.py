"""F-46: spokes that write, a hub, and somebody who kills, stops and cuts at random; the oracle at the end.

    python -m tests.faults.soak SECONDS [SEED]        (make soak SECONDS=3600)

Prints what was done, the verdict of each spoke and the slopes of memory, descriptors and write-ahead logs.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.ledger import Verdict
from tests.faults.machines import Machines, Spoke

LONG_S = 600.0
"""From so long a run on slopes are judged; before, they are those of a start."""
MAX_SLOPE = {"rss": 2e6, "fds": 1.0, "wal": 1e6}
"""Bytes, descriptors and bytes a minute."""
MAX_WAL_BYTES = 64 * 1024 * 1024


@dataclass
class Report:
    """What came of a run."""

    seed: int
    deeds: dict[str, int] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    slopes: dict[str, float] = field(default_factory=dict)
    """Of the spoke that nobody kills, a minute."""
    peaks: dict[str, float] = field(default_factory=dict)
    samples: int = 0

    def problems(self, seconds: float) -> list[str]:
        found = [f"{verdict}" for verdict in self.verdicts if not verdict.good]
        if self.peaks.get("wal", 0) > MAX_WAL_BYTES:
            found.append(f"a write-ahead log of {self.peaks['wal']:.0f} bytes")
        if seconds >= LONG_S:
            found += [f"{name} grows by {self.slopes[name]:.0f} a minute" for name in MAX_SLOPE if self._grows(name)]
        return found

    def _grows(self, name: str) -> bool:
        return self.slopes[name] > MAX_SLOPE[name]


@dataclass(frozen=True)
class Sample:
    at: float
    rss: float
    fds: float
    wal: float


def sample(process: subprocess.Popen[bytes], file: Path, began: float) -> Sample:
    proc = Path(f"/proc/{process.pid}")
    found = re.search(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
    wal = Path(f"{file}-wal")
    return Sample(
        time.monotonic() - began,
        0.0 if found is None else int(found[1]) * 1024,
        len(os.listdir(proc / "fd")),
        wal.stat().st_size if wal.exists() else 0,
    )


def slope(times: list[float], values: list[float]) -> float:
    """Least squares, a minute."""
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    square = sum((at - middle) ** 2 for at in times)
    return (
        0.0 if not square else 60 * sum((t - middle) * (v - mean) for t, v in zip(times, values, strict=True)) / square
    )


class Nemesis:
    """Does one thing at a time to processes, and puts it right again."""

    def __init__(self, machines: Machines, spokes: list[Spoke], rng: random.Random) -> None:
        self.machines = machines
        self.rng = rng
        self.hub = machines.start_hub()
        self.steady, self.victim = spokes
        self.steady_node, self.steady_writer = self.steady.start(), self.steady.writer()
        self.node, self.writer = self.victim.start(), self.victim.writer()

    def kill_spoke(self) -> None:
        self.machines.kill(self.node, self.writer)
        self.node, self.writer = self.victim.start(), self.victim.writer()

    def kill_hub(self) -> None:
        self.machines.kill(self.hub)
        self.hub = self.machines.start_hub()
        for spoke in (self.steady, self.victim):
            spoke.nudge()

    def stop_hub_in_order(self) -> None:
        os.killpg(self.hub.pid, signal.SIGTERM)
        self.hub.wait()
        self.hub = self.machines.start_hub()
        for spoke in (self.steady, self.victim):
            spoke.nudge()

    def freeze_hub(self) -> None:
        self._freeze(self.hub)

    def freeze_spoke(self) -> None:
        self._freeze(self.node)

    def _freeze(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(self.rng.random())  # the fault itself
        os.killpg(process.pid, signal.SIGCONT)

    def finish(self) -> None:
        self.machines.kill(self.writer, self.steady_writer)
        self.victim.wait_synced(self.node)
        self.steady.wait_synced(self.steady_node)


def soak(folder: Path, seconds: float, seed: int) -> Report:
    """Run it in a folder."""
    rng, report = random.Random(seed), Report(seed)
    machines = Machines(folder)
    try:
        spokes = [machines.spoke("steady"), machines.spoke("victim")]
        nemesis = Nemesis(machines, spokes, rng)
        deeds = (
            nemesis.kill_spoke,
            nemesis.kill_hub,
            nemesis.stop_hub_in_order,
            nemesis.freeze_hub,
            nemesis.freeze_spoke,
        )
        began, samples = time.monotonic(), list[Sample]()
        while time.monotonic() - began < seconds:
            deed = rng.choice(deeds)
            deed()
            report.deeds[deed.__name__] = report.deeds.get(deed.__name__, 0) + 1
            time.sleep(rng.random())  # between two faults
            samples.append(sample(nemesis.steady_node, nemesis.steady.file, began))
        nemesis.finish()
        report.verdicts = [spoke.verdict() for spoke in spokes]
        settled = samples[len(samples) // 4 :] or samples
        times = [one.at for one in settled]
        for name in MAX_SLOPE:
            values = [float(getattr(one, name)) for one in settled]
            report.slopes[name], report.peaks[name] = slope(times, values), max(values)
        report.samples = len(samples)
    finally:
        machines.stop()
    return report


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}, {seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="spoke-soak-") as made:
        report = soak(Path(made) / "machines", seconds, seed)
    print(report)
    problems = report.problems(seconds)
    print("\n".join(problems) or "good")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
