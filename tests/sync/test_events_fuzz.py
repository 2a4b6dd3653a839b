"""What a WebSocket peer can send to an event target, either way: nothing ends the connection, reserved types reach no
listener, and a good event is heard afterwards.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.events.envelope import EventEnvelope
from sync.events.websocket_client import WebSocketClientEventTarget
from sync.events.websocket_server import WebSocketServerEventTarget
from tests.json_values import json_values

anything = json_values()
TYPES = ["heard", "other", "__subscribe", "__unsubscribe", "__close", "__error", "__"]
messages = st.one_of(
    st.binary(max_size=100),
    st.text(max_size=100),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | anything,
            "id": st.sampled_from(["", "a"]) | anything,
            "payload": st.just({"topic": "heard:"}) | anything,
            "identity": st.just({"id": "root"}),
        },
    ).map(json.dumps),
    st.integers(1, 50_000).map(lambda levels: '{"type":"heard","id":"","payload":' + "[" * levels + "]" * levels + "}"),
)


class Peer:
    """A socket whose other end says what it is given, and then stays."""

    def __init__(self, said: list[str | bytes]) -> None:
        self.said = said
        self.read = asyncio.Event()

    async def send(self, message: str) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        for message in self.said:
            yield message
        self.read.set()
        await asyncio.Event().wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        raise AssertionError("nobody asked for that")


@pytest.mark.parametrize("side", ["server", "client"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(messages, max_size=5))
def test_nothing_that_a_peer_says_ends_its_connection(
    side: str, said: list[str | bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    heard: list[EventEnvelope] = []

    async def run() -> None:
        socket = Peer([*said, '{"type":"heard","id":"last","payload":1}'])
        if side == "server":
            server = WebSocketServerEventTarget()
            server.add_event_listener("heard:*", heard.append)
            running = asyncio.ensure_future(server.serve(socket))
        else:
            client = WebSocketClientEventTarget(socket)
            client.add_event_listener("heard:*", heard.append)
            running = asyncio.ensure_future(client.run())
        reading = asyncio.ensure_future(socket.read.wait())
        async with asyncio.timeout(30):
            await asyncio.wait({running, reading}, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), "the connection stands"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    assert heard[-1].id == "last"
    assert all(event.type == "heard" for event in heard)
