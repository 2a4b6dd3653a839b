"""F-13 to F-18: networks that lose, wait, stall, cut, corrupt and repeat. Real sockets, real files, the chaos proxy."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.engine import Database
from sync.hub import server
from sync.link.rate import Rate
from sync.peer import conversation
from sync.spoke.status import NUDGE, LinkStatus, read_status
from tests.chaos_proxy import ChaosProxy, Knobs
from tests.faults.machines import Machines, Spoke, rounds
from tests.sync.hub.test_link import publish
from tests.sync.rig import LIMIT_S, compared, in_sync, make_key, running_hub, running_uplink, status_when

EVENTS = 6_000
NO_NETWORK = "network namespaces need root, ip, tc and nft"


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """These spokes dial without pauses; the gate's own tests are in tests/sync/link/test_rate.py."""
    monkeypatch.setattr(server, "HANDSHAKES_EACH", Rate(10_000, 10_000))
    monkeypatch.setattr(server, "HANDSHAKES", Rate(10_000, 10_000))


def chance() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def agrees(tenant: Database, folder: Path, events: int) -> None:
    result = compared(tenant, folder / "tenant-local.db")
    assert (result.matched, result.agrees, result.orphans) == (events, True, 0)


async def drained(tenant: Database, tmp_path: Path, up: Knobs, down: Knobs, events: int = EVENTS) -> LinkStatus:
    folder = tmp_path / "hub"
    key = make_key(folder)
    publish(tenant, events)
    async with running_hub(folder) as hub, ChaosProxy(hub.port) as proxy:
        proxy.up, proxy.down = up, down
        async with running_uplink(tenant, proxy.port, key):
            status = await status_when(tenant, in_sync)
    agrees(tenant, folder, events)
    return status


@pytest.mark.parametrize(
    ("up", "down"),
    [
        (Knobs(latency_s=0.3, jitter_s=0.2), Knobs(latency_s=0.3, jitter_s=0.2)),
        (Knobs(rate=125_000), Knobs(rate=125_000)),
        (Knobs(rate=30_000), Knobs(rate=8_000)),
        (Knobs(slice=7), Knobs(slice=1)),
    ],
    ids=["latency", "1-mbit", "64-kbit-down", "slices"],
)
async def test_f14_a_slow_link_drains(tenant: Database, tmp_path: Path, up: Knobs, down: Knobs) -> None:
    status = await drained(tenant, tmp_path, up, down, 500 if up.slice else EVENTS)
    assert status.breaks == 0, "slow is not broken"


async def test_f15_a_silent_partition_is_noticed_and_nothing_is_lost(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No FIN, no RST, from one moment on: the black hole keeps the sockets."""
    monkeypatch.setattr(conversation, "SILENCE_S", 0.6)
    monkeypatch.setattr(conversation, "HEARTBEAT_S", 0.2)
    folder = tmp_path / "hub"
    key = make_key(folder)
    async with running_hub(folder) as hub, ChaosProxy(hub.port) as proxy, running_uplink(tenant, proxy.port, key):
        for way in (proxy.up, proxy.down, proxy.up):
            await status_when(tenant, in_sync)
            way.stall = True
            publish(tenant, 2_000)
            status = await status_when(tenant, lambda s: s.state in ("offline", "connecting") and s.unsent > 0)
            assert status.unsent == 2_000
            way.stall = False
            proxy.cut()  # what stalled is dead; new connections pass
        status = await status_when(tenant, in_sync)
    assert status.breaks >= 2
    agrees(tenant, folder, 6_000)


@pytest.mark.parametrize("kind", ["cut_after", "half_close_after", "truncate_after", "drop_after"])
async def test_f16_connections_that_end_anywhere(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A reset, a FIN, an end in the middle of a frame, silence: after any number of bytes, in either direction."""
    monkeypatch.setattr(conversation, "SILENCE_S", 0.5)
    monkeypatch.setattr(conversation, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr("sync.spoke.uplink.OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr("sync.spoke.introduction.ANSWER_WITHIN_S", 0.5)
    rng, folder = chance(), tmp_path / "hub"
    key = make_key(folder)
    async with running_hub(folder) as hub, ChaosProxy(hub.port) as proxy, running_uplink(tenant, proxy.port, key):
        for _ in range(rounds(4 if kind == "drop_after" else 8)):
            publish(tenant, 500, size=rng.randrange(10, 200))
            proxy.calm()
            setattr(rng.choice((proxy.up, proxy.down)), kind, rng.randrange(1, 6_000))
            await proxy.redialled()
        proxy.calm()
        proxy.cut()
        await status_when(tenant, in_sync)
    agrees(tenant, folder, 500 * rounds(4 if kind == "drop_after" else 8))


async def test_f16_a_storm_of_resets(tenant: Database, tmp_path: Path) -> None:
    rng, folder = chance(), tmp_path / "hub"
    key = make_key(folder)
    publish(tenant, 20_000)
    async with running_hub(folder) as hub, ChaosProxy(hub.port) as proxy, running_uplink(tenant, proxy.port, key):
        for _ in range(rounds(25)):
            await proxy.redialled()
            await asyncio.sleep(rng.random() * 0.05)  # any moment of a session
        status = await status_when(tenant, in_sync)
    assert status.breaks > 0
    agrees(tenant, folder, 20_000)


async def test_f16_an_old_connection_that_still_delivers_changes_nothing(tenant: Database, tmp_path: Path) -> None:
    """The hub believes in a socket whose client is gone; what it says after the new session began is not stored."""
    folder = tmp_path / "hub"
    key = make_key(folder)
    async with (
        running_hub(folder) as hub,
        ChaosProxy(hub.port, record=True) as proxy,
        running_uplink(tenant, proxy.port, key),
    ):
        for _ in range(rounds(3)):
            publish(tenant, 1_000)
            await status_when(tenant, in_sync)
            zombie = proxy.orphan()
            publish(tenant, 1_000)
            await status_when(tenant, in_sync)
            await proxy.replay(bytes(zombie.said[-20_000:]), zombie=zombie)
            newest = proxy.pipes[-1]
            await proxy.replay(bytes(newest.said[-20_000:]), zombie=zombie)
        publish(tenant, 10)
        await status_when(tenant, in_sync)
    agrees(tenant, folder, 2_000 * rounds(3) + 10)


async def test_f18_frames_and_whole_sessions_that_come_again(tenant: Database, tmp_path: Path) -> None:
    """All bytes that a client ever sent, on a second socket: with the session, after it, twice at once."""
    folder = tmp_path / "hub"
    key = make_key(folder)
    async with (
        running_hub(folder) as hub,
        ChaosProxy(hub.port, record=True) as proxy,
        running_uplink(tenant, proxy.port, key),
    ):
        publish(tenant, 3_000)
        await status_when(tenant, in_sync)
        said = [bytes(pipe.said) for pipe in proxy.pipes]
        assert said
        for bytes_again in (said[0], said[0][: len(said[0]) // 2], said[0] + said[0]):
            heard = await asyncio.gather(proxy.replay(bytes_again), proxy.replay(bytes_again))
            assert all(heard)
            publish(tenant, 100)
            await status_when(tenant, in_sync)
    agrees(tenant, folder, 3_300)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_f17_flipped_bits(tenant: Database, tmp_path: Path, way: str) -> None:
    """On plain TCP beneath the WebSocket: nothing that is wrong is stored or believed."""
    rng, folder = chance(), tmp_path / "hub"
    key = make_key(folder)
    async with running_hub(folder) as hub, ChaosProxy(hub.port, seed=rng.randrange(1 << 32)) as proxy:
        async with running_uplink(tenant, proxy.port, key):
            for _ in range(rounds(10)):
                publish(tenant, 300)
                knobs = proxy.up if way == "up" else proxy.down
                knobs.flip_every, knobs.flip_from = rng.choice((50, 300, 3_000)), rng.choice((0, 400, 700))
                await redialled(tenant, proxy)
                await asyncio.sleep(rng.random() * 0.2)  # any moment; a flipped length may make both ends wait
                proxy.calm()
                proxy.cut()
                await in_step_again(tenant)
        print(f"{proxy.flipped} bits flipped")
        assert proxy.flipped > 0
    agrees(tenant, folder, 300 * rounds(10))


async def redialled(tenant: Database, proxy: ChaosProxy) -> None:
    """A flipped bit in the key is a refusal, after which the spoke would wait for minutes."""
    dialled = asyncio.ensure_future(proxy.redialled())
    while not dialled.done():
        with tenant.transaction() as tx:
            tx.notify(NUDGE, {})
        await asyncio.wait({dialled}, timeout=0.02)
    dialled.result()


async def in_step_again(tenant: Database) -> None:
    """What a flipped bit made permanent (a refusal) is asked about again at once."""
    async with asyncio.timeout(LIMIT_S):
        while not in_sync(await tenant.read(read_status)):
            with tenant.transaction() as tx:
                tx.notify(NUDGE, {})
            await asyncio.sleep(0.02)


# -- a network of its own --------------------------------------------------------------------------------------------


class Wire:
    """A network namespace, 10.98.7.2 in it and 10.98.7.1 here."""

    def __init__(self) -> None:
        self.name = f"f{os.getpid() % 100_000}"
        self.inside = ("ip", "netns", "exec", self.name)
        self.ours, self.theirs = f"{self.name}a", f"{self.name}b"

    def run(self, *command: str, inside: bool = False) -> None:
        whole = [*self.inside, *command] if inside else [*command]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(whole)}: {done.stderr.strip()}")

    def up(self) -> None:
        self.run("ip", "netns", "add", self.name)
        self.run("ip", "link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", self.name)
        self.run("ip", "address", "add", "10.98.7.1/30", "dev", self.ours)
        self.run("ip", "link", "set", self.ours, "up")
        self.run("ip", "address", "add", "10.98.7.2/30", "dev", self.theirs, inside=True)
        self.run("ip", "link", "set", self.theirs, "up", inside=True)

    def down(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", self.ours], check=False, capture_output=True)

    def lose(self, percent: int) -> None:
        self.run("nft", "add", "table", "inet", "lossy", inside=True)
        for chain in ("input", "output"):
            hook = f"{{ type filter hook {chain} priority 0; }}"
            self.run("nft", f"add chain inet lossy {chain} {hook}", inside=True)
            self.run("nft", f"add rule inet lossy {chain} numgen random mod 100 < {percent} drop", inside=True)


@pytest.fixture
def wire() -> Iterator[Wire]:
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "tc", "nft")):
        pytest.skip(NO_NETWORK)
    with (Path(tempfile.gettempdir()) / "spoke-fault-network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two of them would have the same addresses
        made = Wire()
        try:
            try:
                made.up()
            except RuntimeError as error:
                pytest.skip(f"{NO_NETWORK}: {error}")
            yield made
        finally:
            made.down()


def far_spoke(machines: Machines, wire: Wire) -> tuple[Spoke, subprocess.Popen[bytes]]:
    machines.start_hub("--host", "10.98.7.1", "--allow-plain")
    spoke = machines.spoke()
    spoke.url = f"ws://10.98.7.1:{machines.port}"
    spoke.write(300)
    return spoke, spoke.start(under=wire.inside)


def arrived(spoke: Spoke, process: subprocess.Popen[bytes], events: int) -> None:
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, events), verdict


@pytest.mark.parametrize("percent", [1, 10, 30])
def test_f13_packets_are_lost(machines: Machines, wire: Wire, percent: int) -> None:
    wire.lose(percent)
    arrived(*far_spoke(machines, wire), 300)


def test_f14_a_narrow_line_of_the_kernel(machines: Machines, wire: Wire) -> None:
    shape = ("root", "tbf", "rate", "64kbit", "burst", "4kb", "latency", "400ms")
    wire.run("tc", "qdisc", "add", "dev", wire.ours, *shape)
    wire.run("tc", "qdisc", "add", "dev", wire.theirs, *shape, inside=True)
    arrived(*far_spoke(machines, wire), 300)


def test_f15_the_link_is_down_for_a_while(machines: Machines, wire: Wire) -> None:
    spoke, process = far_spoke(machines, wire)
    arrived(spoke, process, 300)
    wire.run("ip", "link", "set", wire.ours, "down")
    spoke.write(200)
    assert machines.stored() == 300
    wire.run("ip", "link", "set", wire.ours, "up")
    arrived(spoke, process, 500)
