"""F-25, F-26, F-31: peers that are slow, too large, or say again what somebody else said. The hub is a process."""

from __future__ import annotations

import asyncio
import os
import re
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from sync.link.chain import LogEvent
from sync.link.frames import SUBPROTOCOL, Challenge, Events, Failure, Ready, Welcome, decode, encode, pack, seal
from tests.faults.machines import LIMIT_S, Machines, rounds
from tests.sync.hub.test_link import HELLO, OFFER

UPGRADE = (
    f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
).encode()
MORE_BYTES = 8 * 1024 * 1024


def memory(process: subprocess.Popen[bytes]) -> int:
    """Resident bytes; of the program itself when the executable is two processes."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pid = children[0] if children else process.pid
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("until_byte", [20, len(UPGRADE)], ids=["upgrade", "hello"])
async def test_f25_slow_strangers_are_sent_away_and_disturb_nobody(machines: Machines, until_byte: int) -> None:
    """Sockets that stop in the middle of the upgrade, or before HELLO; a spoke works between them."""
    machines.start_hub(under=["prlimit", "--nofile=4096"])
    spoke = machines.spoke()
    await asyncio.to_thread(spoke.write, 100)
    process = spoke.start()
    await asyncio.to_thread(spoke.wait_for, lambda status: status.state == "live", process)

    async def slow() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", machines.port)
        writer.write(UPGRADE[:until_byte])
        while await reader.read(4_096):  # ends when the hub closes it
            continue
        writer.close()

    async def stranger() -> None:
        with suppress(OSError):
            async with asyncio.timeout(LIMIT_S):
                await slow()

    strangers = [asyncio.create_task(stranger()) for _ in range(rounds(300))]
    await asyncio.to_thread(spoke.write, 100)
    await asyncio.to_thread(spoke.wait_synced, process)
    for task in strangers:
        await task  # raises TimeoutError when the hub kept one
    verdict = await asyncio.to_thread(spoke.verdict)
    assert (verdict.good, verdict.ok) == (True, 200)


def frame_header(size: int) -> bytes:
    return b"\x82\xff" + struct.pack(">Q", size) + b"\0\0\0\0"


def bomb(claimed: int, real: int, count: int = 1) -> bytes:
    """An EVENTS frame whose body unpacks to more than a thousand times its size."""
    small = pack(0, 1, 0, [LogEvent(1, None, "\0" * 4_000_000, 0)], b"g" * 16)
    body = small.body * -(-real // 4_000_000)
    return encode(Events(0, 1, 0, count, b"g" * 16, True, claimed, body))


HOSTILE: list[bytes] = [
    bomb(4 * 1024 * 1024, 200 * 1024 * 1024),
    bomb(2**31, 1024 * 1024),
    bomb(1_000, 1024 * 1024, 1_000_000),
    encode(Events(0, 1, 0, 1_000_000, b"g" * 16, False, 100, b"\xdd\xff\xff\xff\xff" + b"\xc0" * 95)),
    seal(b"\x91" * 1_000_000),
    seal(b"\xdd\xff\xff\xff\xff"),
    seal(msgspec.msgpack.encode([10] + [[]] * 1_000)),
    os.urandom(1_000_000),
]


async def say(machines: Machines, key: str, message: bytes) -> None:
    """Be admitted as a spoke and say it."""
    async with connect(
        f"ws://127.0.0.1:{machines.port}",
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {key}"},
        compression=None,
    ) as socket:
        assert isinstance(decode(await socket.recv()), Challenge)
        await socket.send(encode(msgspec.structs.replace(HELLO, node_id="stranger-1", boot_id=os.urandom(16))))
        async with asyncio.timeout(LIMIT_S):
            welcome = decode(await socket.recv())
            if isinstance(welcome, Welcome):
                await socket.send(encode(Ready(welcome.epoch)))
                await socket.send(encode(OFFER))
                await socket.send(message)
            with suppress(WebSocketException):
                while not isinstance(decode(await socket.recv()), Failure):
                    continue


async def huge(machines: Machines, size: int) -> None:
    """An upgrade without a key, and a frame that claims to be huge."""
    reader, writer = await asyncio.open_connection("127.0.0.1", machines.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame_header(size) + b"\0" * 1_000)
    async with asyncio.timeout(LIMIT_S):
        with suppress(OSError):
            while await reader.read(4_096):
                continue
    writer.close()


async def test_f26_what_is_too_large_takes_no_memory(machines: Machines) -> None:
    hub = machines.start_hub()
    spoke, stranger = machines.spoke(), machines.spoke("stranger")
    process = spoke.start()
    await asyncio.to_thread(spoke.wait_for, lambda status: status.state == "live", process)

    async def attack() -> None:
        for size in (2**31, 2**40, 17 * 1024):
            await huge(machines, size)
        for message in HOSTILE:
            await say(machines, stranger.key, message)

    await attack()  # what is imported and allocated once
    before = memory(hub)
    for _ in range(rounds(2)):
        await attack()
    grown = memory(hub) - before
    print(f"the hub grew by {grown / 1024:.0f} KiB")
    assert grown < MORE_BYTES
    await asyncio.to_thread(spoke.write, 50)
    await asyncio.to_thread(spoke.wait_synced, process)
    assert (await asyncio.to_thread(spoke.verdict)).ok == 50
    assert await asyncio.to_thread(machines.stored, "local", "call-protocol") == 0, "nothing of it was stored"
