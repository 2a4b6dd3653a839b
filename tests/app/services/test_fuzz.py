"""Everything that a program can say to the local API: never a crash, never an effect, always an answer or a documented
silence; and a good call on the same connection works afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.services.projector import catch_up
from storage.engine import Database
from tests.app.services.test_local_api import Api
from tests.json_values import json_values

LIMIT_S = 60
QUERIES = ["system.info", "queue.list", "session.list", "stream.read", "graph.path", "shell.run", "no.such", ""]
"""What may be asked for here has no effect; whatever has one must come from somewhere else."""

anything = json_values(words=["\x00", "é\ud800"])
forged = st.sampled_from([{"id": "root", "scopes": ["*"]}, {"id": "root", "scopes": ["*"], "resources": {"*": ["*"]}}])
requests: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"operationId": st.sampled_from(QUERIES) | anything, "input": st.just({}) | anything},
    optional={
        "requestId": anything,
        "parentRequestId": anything,
        "sessionId": anything,
        "deadline": anything,
        "idleTimeout": anything,
        "identity": forged | anything,
        "metadata": st.just({"trusted": True, "sessionId": "x"}) | anything,
        "trusted": st.just(True),
        "after": anything,
        "topic": st.sampled_from(["mine", "call-protocol", "", "\x00", "x" * 5_000]) | anything,
    },
)
RESERVED = ["__subscribe", "__unsubscribe", "__subscribed", "__close", "__error", "__", "__proto__"]
EVENTS = ["call.requested", "call.aborted", "call.responded", "call.error", "call.completed", "stream.event"]
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*EVENTS, *RESERVED]) | anything,
        "id": st.sampled_from(["", "nobody asked"]) | anything,
        "payload": requests | anything,
        "foreign": anything,
        "identity": forged,
    },
)


def deep(levels: int) -> bytes:
    return b'{"type":"call.requested","payload":{"operationId":"system.info","input":' + b"[" * levels + b"}}"


lines = st.one_of(
    envelopes.map(lambda value: json.dumps(value).encode()),
    envelopes.flatmap(lambda value: st.integers(0, 40).map(lambda cut: json.dumps(value).encode()[:-cut])),
    st.binary(max_size=100),
    st.integers(1, 20_000).map(deep),
    st.just(b'{"type":"call.requested","id":"\xff\xfe","payload":{}}'),
)


class Served:
    """The API and a loop to drive it; it goes on from one example to the next."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.stop = asyncio.Event()
        self.api = Api(db, folder / "s", folder)
        self.number = 0
        self.serving = self.runner.get_loop().create_task(self.api.served.run(self.stop))
        self.runner.run(self._ready())

    async def _ready(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not self.api.path.exists():
                await asyncio.sleep(0.001)

    async def say(self, said: list[bytes]) -> list[dict[str, Any]]:
        """Send lines and then a good call; returns what is answered until that call is."""
        self.number += 1
        good = f"good-{self.number}"
        answers: list[dict[str, Any]] = []
        client = await self.api.connect()
        for text in said:
            client.writer.write(text.replace(b"\n", b" ") + b"\n")
        client.call(good, "system.info")
        async with asyncio.timeout(LIMIT_S):
            while not answers or answers[-1]["id"] != good:
                answers.append(await client.get())
        await client.close()
        return answers

    def close(self) -> None:
        self.stop.set()
        self.runner.run(asyncio.wait_for(self.serving, LIMIT_S))
        self.runner.close()


@pytest.fixture
def served(tenant: Database, tmp_path: Path) -> Iterator[Served]:
    served = Served(tenant, tmp_path)
    yield served
    served.close()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(lines, max_size=5))
@example(said=[b'{"type":"call.requested","payload":{"operationId":"system.info","deadline":1%s}}' % (b"0" * 400)])
@example(said=[b'{"type":"call.requested","payload":{"operationId":"system.info","idleTimeout":1%s}}' % (b"0" * 400)])
@example(said=[b'{"type":"__subscribe","payload":{"topic":"\\u0000"}}'])
def test_whatever_is_said_is_answered_and_changes_nothing(served: Served, tenant: Database, said: list[bytes]) -> None:
    *answers, last = served.runner.run(served.say(said))
    assert last["type"] == "call.responded"
    for answer in answers:
        assert answer["type"] in ("call.error", "call.responded", "__subscribed", "stream.event")
        if answer["type"] == "call.error":
            assert answer["payload"]["code"].isupper()
            assert answer["payload"]["message"]
    assert len([a for a in answers if a["type"] == "call.error"]) <= len(said)


def test_what_was_forged_had_no_effect(served: Served, tenant: Database) -> None:
    """The same, looked at from behind: who called, what was written, and what the projector makes of it."""

    @settings(max_examples=100, database=None)
    @given(request=requests, kind=st.sampled_from([*EVENTS, *RESERVED]))
    def talk(request: dict[str, Any], kind: str) -> None:
        served.runner.run(served.say([json.dumps({"type": kind, "id": "x", "payload": request}).encode()]))

    talk()
    topics = tenant.query("SELECT DISTINCT topic FROM _honker_stream")
    assert topics == [{"topic": "call-protocol"}]
    requested = [event.payload for event in tenant.stream("call-protocol").read(limit=100_000)]
    identities = {event["identity"]["id"] for event in requested if event["type"] == "call.requested"}
    assert identities == {f"local:{os.geteuid()}"}
    assert {event["operationId"] for event in requested if event["type"] == "call.requested"} <= set(QUERIES)
    catch_up(tenant)
    assert tenant.query("SELECT * FROM projection_rejects") == []
    assert tenant.query("SELECT * FROM sessions") == []


def test_half_lines_and_long_lines_end_their_connection_alone(served: Served) -> None:
    from app.services.local_connection import MAX_LINE_BYTES

    @settings(max_examples=40, database=None)
    @given(text=envelopes, extra=st.integers(1, 100_000), cut=st.booleans())
    def talk(text: dict[str, Any], extra: int, cut: bool) -> None:
        async def work() -> None:
            client = await served.api.connect()
            whole = json.dumps(text).encode()
            client.writer.write(whole if cut else whole + b" " * (MAX_LINE_BYTES + extra - len(whole)) + b"\n")
            if cut:
                client.writer.write_eof()
            answer = b""
            async with asyncio.timeout(LIMIT_S):
                # Linux resets a socket that is closed with input unread: the answer may be lost with the rest of it.
                with suppress(ConnectionResetError) if not cut else nullcontext():
                    while more := await client.reader.read(10_000):
                        answer += more
            if cut or answer:
                assert json.loads(answer)["payload"]["code"] == ("MALFORMED" if cut else "TOO_LARGE")
            await client.close()
            assert (await served.say([]))[-1]["type"] == "call.responded"

        served.runner.run(work())

    talk()
