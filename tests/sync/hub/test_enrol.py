"""Joining over real sockets and TLS: the good way, everything that is refused, and what a wrong hub gets to see."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from storage.engine import Database
from storage.identity.devices import KEY_LIFETIME_S, find_device, revoke_device
from storage.identity.join_tokens import find_join_token, revoke_join_token
from storage.tenants import open_system_database
from sync.hub import enrol as enrol_module
from sync.hub.certificates import SERVER_FILE, Certificates, server_context
from sync.hub.enrol import WORDS, Desk
from sync.hub.keys import operator
from sync.hub.ratchets import load_ratchet
from sync.link.device import DeviceKey
from sync.link.enrolment import SUBPROTOCOL, Challenge, Enrolled, Refused, Request, decode, encode, request
from sync.link.errors import JoinRefusedError, LinkError, MalformedError, PlainTextError, RateError, TrustError
from sync.link.ratchet import hash_of
from sync.link.rate import Bucket, Gate, Rate
from sync.link.token import Token
from sync.spoke.join import join
from sync.spoke.reasons import HubRefusedError, UnreachableError
from tests.sync.joining import LIMIT_S, certificates, enrolling, token, trail

KEY = DeviceKey.generate()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Database]:
    db = open_system_database(tmp_path / "system.db")
    yield db
    db.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("foreign"))


async def test_a_machine_joins(system: Database, own: Certificates) -> None:
    made = token(system, own.pin, "acme", labels={"site": "north"}, scopes=("call:*",))
    async with enrolling(system, own) as url:
        joined = await join(url, made, KEY, "node-1", "workshop")
    assert (joined.url, joined.hub_id, joined.tenant, joined.node_id) == (url, "hub-1", "acme", "node-1")
    assert joined.ca_pem == own.ca.pem
    with system.snapshot() as snapshot:
        device = find_device(snapshot, "node-1")
        state = load_ratchet(snapshot, "node-1")
        used = find_join_token(snapshot, made.id)
    assert device is not None
    assert (device.public_key, device.name, device.tenant) == (KEY.public, "workshop", "acme")
    assert (device.labels, device.scopes) == ({"site": "north"}, ("call:*",))
    assert abs(device.key_not_after - time.time() - KEY_LIFETIME_S) < 3_600
    assert joined.key_not_after == device.key_not_after
    assert state is not None
    assert (state.current, state.epoch) == (hash_of(joined.ratchet), 0)
    assert used.uses_left == 0
    assert [action for action, _ in trail(system, "join_token", "device", "org.member")] == [
        "org.member_added",
        "join_token.created",
        "org.member_added",
        "device.enrolled",
        "join_token.used",
    ]
    tables = ("join_tokens", "audit_logs", "_honker_stream")
    dump = "\n".join(str(row) for table in tables for row in system.query(f"SELECT * FROM {table}"))
    for secret in (made.secret, made.text.split(".")[3]):
        assert str(secret) not in dump


async def test_plain_text_only_to_this_machine(system: Database) -> None:
    made = token(system, None)
    async with enrolling(system, None) as url:
        assert (await join(url, made, KEY, "node-1", "workshop")).ca_pem is None
    with pytest.raises(PlainTextError):
        await join("ws://hub.example", made, KEY, "node-1", "workshop")


async def test_the_answer_is_given_again_to_the_same_machine_alone(system: Database, own: Certificates) -> None:
    """It broke down before it could keep the answer; the token is used up by now."""
    made = token(system, own.pin)
    async with enrolling(system, own) as url:
        first = await join(url, made, KEY, "node-1", "workshop")
        again = await join(url, made, KEY, "node-1", "workshop")
        assert first.ratchet != again.ratchet
        for key, node in ((DeviceKey.generate(), "node-1"), (KEY, "node-2"), (DeviceKey.generate(), "node-2")):
            with pytest.raises(JoinRefusedError, match=WORDS):
                await join(url, made, key, node, "workshop")
    with system.snapshot() as snapshot:
        state = load_ratchet(snapshot, "node-1")
    assert state is not None
    assert {state.current, state.next} == {hash_of(first.ratchet), hash_of(again.ratchet)}
    reasons = [details["reason"] for action, details in trail(system, "join_token.refused")]
    assert reasons == ["used up"] * 3


async def test_everything_that_is_wrong_is_refused_in_the_same_words(system: Database, own: Certificates) -> None:
    now = int(time.time())
    expired = token(system, own.pin, now=now - 3_601)
    revoked = token(system, own.pin)
    elsewhere = token(system, own.pin, "other")
    for_another = token(system, own.pin, node_id="node-9")
    with system.transaction() as tx:
        revoke_join_token(tx, revoked.id, actor_id=operator(tx).id, now=now)
    unknown = Token("a" * 16, bytes(32), own.pin)
    wrong = Token(elsewhere.id, bytes(32), own.pin)
    beginning = Token(elsewhere.id[:8], elsewhere.secret, own.pin)
    said: set[str] = set()
    async with enrolling(system, own) as url:
        await join(url, token(system, own.pin, "acme"), KEY, "node-1", "workshop")
        for bad in (expired, revoked, unknown, wrong, beginning, for_another, elsewhere):
            with pytest.raises(JoinRefusedError) as refused:
                await join(url, bad, KEY, "node-1", "workshop")
            said.add(str(refused.value))
    assert said == {WORDS}
    assert [details["reason"] for _, details in trail(system, "join_token.refused")] == [
        "expired",
        "revoked",
        "unknown token",
        "the proof is wrong",
        "unknown token",
        "the token is for another node",
        "node node-1 is known already: make a token for it",
    ]
    with system.snapshot() as snapshot:
        assert find_join_token(snapshot, elsewhere.id).uses_left == 1, "a refusal uses nothing up"
        device = find_device(snapshot, "node-1")
    assert device is not None
    assert device.tenant == "acme"
    assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 1}]
    assert system.query("SELECT count(*) AS n FROM accounts WHERE email LIKE '%.device'") == [{"n": 1}]


async def test_another_key_or_the_end_of_a_revocation_needs_a_token_for_the_node(
    system: Database, own: Certificates
) -> None:
    new = DeviceKey.generate()
    async with enrolling(system, own) as url:
        first = await join(url, token(system, own.pin), KEY, "node-1", "workshop")
        await join(url, token(system, own.pin), KEY, "node-1", "workshop")  # the same key, another token
        with system.transaction() as tx:
            revoke_device(tx, "node-1", actor_id=operator(tx).id, now=int(time.time()))
        for key in (KEY, new):
            with pytest.raises(JoinRefusedError):
                await join(url, token(system, own.pin), key, "node-1", "workshop")
        again = await join(url, token(system, own.pin, node_id="node-1"), new, "node-1", "bench")
    with system.snapshot() as snapshot:
        device = find_device(snapshot, "node-1")
        state = load_ratchet(snapshot, "node-1")
    assert device is not None
    assert (device.public_key, device.name, device.revoked_at, device.enabled) == (new.public, "bench", None, True)
    assert state is not None
    assert state.next == hash_of(again.ratchet)
    assert state.current == hash_of(first.ratchet)


async def test_many_race_for_one_token(system: Database, own: Certificates) -> None:
    made = token(system, own.pin, uses=2)
    async with enrolling(system, own) as url:
        results = await asyncio.gather(
            *(join(url, made, DeviceKey.generate(), f"node-{i}", "x") for i in range(6)), return_exceptions=True
        )
    assert sorted(type(result).__name__ for result in results) == ["JoinRefusedError"] * 4 + ["Joined"] * 2
    assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 2}]


# -- the wrong hub ---------------------------------------------------------------------------------------------------


class Fake:
    """A server that says what it likes and keeps what it is sent."""

    def __init__(self, says: Challenge | None) -> None:
        self.says = says
        self.received: list[bytes | str] = []

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.received.append(str(connection.request.headers))
        try:
            if self.says is not None:
                await connection.send(encode(self.says))
            async for message in connection:
                self.received.append(message)
        except ConnectionClosed:
            return

    def seen(self, made: Token, key: DeviceKey) -> list[str]:
        """What of the token or the machine is in what was received."""
        everything = b"\n".join(part.encode() if isinstance(part, str) else part for part in self.received)
        parts = {
            "secret": made.secret,
            "written secret": made.text.split(".")[3].encode(),
            "token id": made.id.encode(),
            "proof key": made.proof_key,
            "public key": key.public,
            "node id": b"node-1",
        }
        return [name for name, part in parts.items() if part in everything]


@pytest.mark.parametrize("claims", ["own", "foreign", "both", "nonsense", "none"])
async def test_a_wrong_ca_gets_neither_secret_nor_proof(
    system: Database, own: Certificates, foreign: Certificates, claims: str
) -> None:
    """Whatever it says its CA is: the CA must fit the pin, and the certificate must be from that CA."""
    made = token(system, own.pin)
    said = {
        "own": own.ca.pem,  # the CA is public: a man in the middle may say it too
        "foreign": foreign.ca.pem,
        "both": foreign.ca.pem + own.ca.pem,
        "nonsense": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "none": None,
    }[claims]
    fake = Fake(Challenge(b"n" * 32, "hub-1", said))
    tls = server_context(foreign.folder / SERVER_FILE)
    async with serve(fake, "127.0.0.1", 0, ssl=tls, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(TrustError, match="wrong CA") as refused:
            await join(f"wss://127.0.0.1:{port}", made, KEY, "node-1", "workshop")
    assert refused.value.hint
    assert fake.received, "it was asked for its CA"
    assert fake.seen(made, KEY) == []
    with system.snapshot() as snapshot:
        assert find_join_token(snapshot, made.id).uses_left == 1


async def test_a_wrong_name_and_a_certificate_of_the_system(system: Database, tmp_path: Path) -> None:
    other = certificates(tmp_path / "other", ["hub.example"])
    async with enrolling(system, other) as url:
        with pytest.raises(TrustError, match=r"wrong name: .* 127\.0\.0\.1"):
            await join(url, token(system, other.pin), KEY, "node-1", "workshop")
        with pytest.raises(TrustError, match="wrong CA"):  # a token without a pin trusts the system's CAs alone
            await join(url, token(system, None), KEY, "node-1", "workshop")
    old = certificates(tmp_path / "old", days_ago=900)
    async with enrolling(system, old) as url:
        with pytest.raises(TrustError, match="expired: is the clock of this machine right"):
            await join(url, token(system, old.pin), KEY, "node-1", "workshop")
    assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 0}]


@pytest.mark.parametrize(
    "answer",
    [
        Challenge(b"n" * 32, "hub-1", None),
        Enrolled("node-2", "local", "hub-1", bytes(32), 1, []),
        Enrolled("node-1", "local", "hub-2", bytes(32), 1, []),
        b"nonsense",
        "text",
        None,
    ],
)
async def test_an_answer_that_is_none(system: Database, answer: Any) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(encode(Challenge(b"n" * 32, "hub-1", None)))
        await connection.recv()
        if answer is not None:
            await connection.send(answer if isinstance(answer, bytes | str) else encode(answer))

    async with serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(UnreachableError if answer is None else MalformedError):
            await join(f"ws://127.0.0.1:{port}", token(system, None), KEY, "node-1", "workshop")


async def test_what_is_no_hub_that_enrols(system: Database, own: Certificates) -> None:
    made = token(system, own.pin)

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def answer_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:  # speaks no such subprotocol
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(HubRefusedError, match="enrols no nodes"):
            await join(f"ws://127.0.0.1:{port}", made, KEY, "node-1", "workshop")
    async with await asyncio.start_server(answer_http, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(TrustError, match="does it speak TLS"):
            await join(f"wss://127.0.0.1:{port}", made, KEY, "node-1", "workshop")
    with pytest.raises(UnreachableError):
        await join(f"wss://127.0.0.1:{port}", made, KEY, "node-1", "workshop")


# -- bad callers -----------------------------------------------------------------------------------------------------


async def converse(url: str, *messages: bytes | str) -> list[Any]:
    """Say something after the challenge; returns what was answered."""
    answers: list[Any] = []
    async with asyncio.timeout(LIMIT_S), connect(url, subprotocols=[Subprotocol(SUBPROTOCOL)]) as socket:
        challenge = decode(await socket.recv())
        assert isinstance(challenge, Challenge | Refused)
        answers.append(challenge)
        try:
            for message in messages:
                await socket.send(message)
            while len(answers) < 99:  # until it closes
                answers.append(decode(await socket.recv()))
        except ConnectionClosed as closed:
            answers.append(closed.rcvd.code if closed.rcvd else None)
    return answers


async def test_a_proof_is_worth_nothing_a_second_time(system: Database) -> None:
    made = token(system, None, uses=5)
    async with enrolling(system, None) as url:
        old = request(Challenge(b"o" * 32, "hub-1", None), made, KEY, "node-1", "x")
        (_, answer, _) = await converse(url, encode(old))
    assert answer.code == "MALFORMED"
    assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 0}]


async def test_too_much_too_late_and_too_often(system: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with enrolling(system, None) as url:
        assert (await converse(url, b"x" * 16_385))[-1] == 1009
        with monkeypatch.context() as patch:
            patch.setattr(enrol_module, "TIMEOUT_S", 0.01)
            (_, answer, _) = await converse(url)
        assert (answer.code, "no request within" in answer.message) == ("MALFORMED", True)
    desk = Desk("hub-1", None, gate=Gate(Rate(0.001, 2), Rate(100, 100)))
    async with enrolling(system, None, desk) as url:
        made = token(system, None)
        await join(url, made, KEY, "node-1", "x")
        await join(url, made, KEY, "node-1", "x")
        with pytest.raises(RateError, match="try again in"):
            await join(url, made, KEY, "node-1", "x")


async def test_a_stranger_does_not_fill_the_audit_trail(system: Database) -> None:
    times = itertools.count(1_000_000)
    desk = Desk("hub-1", None, audited=Bucket(Rate(0.25, 2)), clock_s=lambda: float(next(times)))
    async with enrolling(system, None, desk) as url:
        for _ in range(8):
            with pytest.raises(JoinRefusedError):
                await join(url, Token("a" * 16, bytes(32), None), KEY, "node-1", "x")
    refusals = [details for _, details in trail(system, "join_token.refused")]
    assert [details["more"] for details in refusals] == [0, 0, 2]
    assert (desk.unaudited, len(refusals)) == (3, 3)


raw = st.binary(max_size=400) | st.text(max_size=100)
requests = st.builds(
    Request,
    st.text(max_size=70),
    st.text(max_size=70),
    st.text(max_size=70),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.binary(max_size=70),
).map(encode)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(raw | requests | st.binary(min_size=1, max_size=60).map(msgspec.msgpack.encode), max_size=3))
def test_nothing_that_strangers_say_enrols_them(system: Database, messages: list[bytes | str]) -> None:
    async def say() -> list[Any]:
        desk = Desk("hub-1", None, gate=Gate(Rate(1e6, 1e6), Rate(1e6, 1e6)))
        async with enrolling(system, None, desk) as url:
            return await converse(url, *messages, b"")

    (_, *answers) = asyncio.run(say())
    assert isinstance(answers[0], Refused)
    assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 0}]


async def test_a_disk_that_fails_enrols_nobody_and_says_so(
    system: Database, monkeypatch: pytest.MonkeyPatch, own: Certificates
) -> None:
    from storage.engine.errors import FullError

    def full(*_: object) -> None:
        raise FullError("disk full")

    made = token(system, own.pin)
    async with enrolling(system, own) as url:
        with monkeypatch.context() as broken:
            broken.setattr(enrol_module, "save_ratchet", full)
            with pytest.raises(LinkError, match="cannot enrol nodes now"):
                await join(url, made, KEY, "node-1", "x")
        assert system.query("SELECT count(*) AS n FROM devices") == [{"n": 0}]
        assert (await join(url, made, KEY, "node-1", "x")).node_id == "node-1"
