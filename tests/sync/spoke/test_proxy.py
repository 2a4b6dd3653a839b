"""To the hub through a proxy: joining, sessions, a proxy that dies, and every refusal with the hop that did it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.engine import Database
from storage.tenants import node_id, open_tenant_database
from sync.hub.certificates import SERVER_FILE, Certificates, server_context
from sync.hub.server import Hub
from sync.link.device import DeviceKey
from sync.link.errors import LinkError, TrustError
from sync.link.token import Token
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.join import join
from sync.spoke.proxy import BadProxyError, ProxyError, ProxyRefusedError, proxy_for
from sync.spoke.ratchet import save_ratchet
from sync.spoke.trust import CERT_FILE, Trust
from sync.spoke.uplink import Dialling
from tests.connect_proxy import ConnectProxy
from tests.sync.hub.test_link import publish
from tests.sync.joining import certificates, token
from tests.sync.rig import compared, in_sync, linked, running_hub, status_when

HOST = "hub.example"
URL = f"wss://{HOST}:7710"
USER = "ada:pl%40nted"
"""As it stands in an address; the password is `pl@nted`."""
KEY = DeviceKey.generate()


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", CERT_FILE):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a hub that only the proxy finds: the name is no machine's."""
    return certificates(tmp_path_factory.mktemp("own"), [HOST])


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "node.db")
    yield db
    db.close()


@asynccontextmanager
async def behind(folder: Path, own: Certificates, user: str | None = None) -> AsyncIterator[tuple[Hub, ConnectProxy]]:
    """A hub, and the only way to it."""
    tls = server_context(own.folder / SERVER_FILE)
    async with (
        running_hub(folder, tls=tls, ca_pem=own.ca.pem) as hub,
        ConnectProxy({HOST: hub.port}, user=user) as proxy,
    ):
        yield hub, proxy


def with_user(proxy: ConnectProxy, user: str = USER) -> str:
    return proxy.address.replace("://", f"://{user}@")


async def test_a_machine_joins_and_works_through_a_proxy_that_dies_in_the_middle(
    tenant: Database, own: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    KEY.save(tmp_path / "device.pem")
    with tenant.snapshot() as snapshot:
        me = node_id(snapshot)
    async with behind(tmp_path / "hub", own, "ada:pl@nted") as (hub, proxy):
        address = with_user(proxy)
        joined = await join(URL, token(hub.system, own.pin), KEY, me, "edge", proxy=address)
        with tenant.transaction() as tx:
            save_ratchet(tx, joined.hub_id, joined.ratchet, 0)
        assert proxy.asked == [f"{HOST}:7710"] * 2, "both connections of a join"
        keys = DeviceKeys(tmp_path / "device.pem")
        dialling = Dialling((URL,), device_keys=keys, hub_id=joined.hub_id, trust=Trust(joined.ca_pem), proxy=address)
        assert "pl%40nted" not in repr(dialling)
        async with linked(tenant, dialling):
            await status_when(tenant, in_sync)
            publish(tenant, 1_000)
            proxy.cut()  # at any moment of them
            await status_when(tenant, lambda status: in_sync(status) and status.breaks >= 1)
            await proxy.die()
            publish(tenant, 1_000)
            away = await status_when(tenant, lambda status: status.error_code == ProxyError.code)
            assert (away.state, away.unsent) == ("offline", 1_000)
            proxy.user = "ada:another"
            await proxy.start()
            refused = await status_when(tenant, lambda status: status.state == "refused")
            proxy.user = "ada:pl@nted"
            with tenant.transaction() as tx:
                tx.notify("link:now", {})
            await status_when(tenant, lambda status: in_sync(status))
    assert refused.error_code == ProxyRefusedError.code
    assert f"127.0.0.1:{proxy.port} does not take this name and password (407)" in str(refused.error)
    result = compared(tenant, tmp_path / "hub" / "tenant-local.db")
    assert (result.matched, result.agrees, result.orphans) == (2_000, True, 0)
    said = caplog.text + str(away) + str(refused)
    for secret in ("pl%40nted", "pl@nted", "YWRhOnBsQG50ZWQ"):
        assert secret not in said


async def reason(proxy: str, own: Certificates, trust: Trust | None = None) -> LinkError:
    """Why joining through a proxy fails; the token is one that no hub knows."""
    with pytest.raises(LinkError) as caught:
        await join(
            URL, Token("id", bytes(32), None), KEY, "node", "edge", proxy=proxy, trust=trust or Trust(own.ca.pem)
        )
    return caught.value


async def test_who_refuses_is_named(own: Certificates, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://ada:planted@127.0.0.1:{closed.getsockname()[1]}"
    found = await reason(nobody, own)
    assert (type(found), "cannot be reached" in str(found)) == (ProxyError, True)
    found = await reason("http://ada:planted@no-such-proxy.invalid", own)
    assert (type(found), "no-such-proxy.invalid:80 cannot be reached" in str(found)) == (ProxyError, True)
    async with ConnectProxy({}) as proxy:
        for status, kind, words in (
            (407, ProxyRefusedError, "wants a name and a password"),
            (403, ProxyRefusedError, "does not let this address through"),
            (502, ProxyError, "cannot reach the hub"),
        ):
            proxy.status = status
            found = await reason(proxy.address, own)
            assert (type(found), words in str(found), str(status) in str(found)) == (kind, True, True), found
            assert "planted" not in str(found)
    async with behind(tmp_path / "hub", own) as (_, proxy):
        assert isinstance(
            await reason(proxy.address, own, Trust(certificates(tmp_path / "foreign").ca.pem)), TrustError
        )
        assert (await reason(proxy.address, own)).code == "JOIN_REFUSED", "so far it came"


async def test_an_answer_that_no_proxy_gives(own: Certificates) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        found = await reason(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", own)
    assert (type(found), "does not answer like a proxy" in str(found)) == (ProxyError, True)


async def test_who_may_vouch_for_the_hub(own: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, the variable of the environment, and a pin among them; each of them can be wrong."""
    other = certificates(tmp_path / "other")
    both = tmp_path / "both.pem"
    both.write_text(other.ca.pem + own.ca.pem)
    only_other, garbage = tmp_path / "other.pem", tmp_path / "garbage.pem"
    only_other.write_text(other.ca.pem)
    garbage.write_bytes(b"\xff\x00")
    async with behind(tmp_path / "hub", own) as (_, proxy):

        async def met(trust: Trust) -> str:
            found = await reason(proxy.address, own, trust)
            return "met" if found.code == "JOIN_REFUSED" else str(found)

        assert await met(Trust(ca_file=both)) == "met"
        assert await met(Trust(other.ca.pem, ca_file=both)) == "met", "the file counts instead"
        assert "wrong CA" in await met(Trust(own.ca.pem, ca_file=only_other))
        assert "none.pem: No such file" in await met(Trust(ca_file=tmp_path / "none.pem"))
        assert "garbage.pem: not text" in await met(Trust(ca_file=garbage))
        assert await met(Trust(ca_file=both, pin=own.pin)) == "met"
        assert "wrong CA" in await met(Trust(ca_file=both, pin=other.pin)), "trusted, and not the pinned one"
        assert "hub.pin_sha256" in await met(Trust(ca_file=both, pin=bytes(32)))
        assert "wrong CA" in await met(Trust()), "the system does not know it"
        monkeypatch.setenv(CERT_FILE, str(both))
        assert await met(Trust()) == "met"
        assert await met(Trust(pin=own.pin)) == "met"
        assert "hub.pin_sha256" in await met(Trust(pin=bytes(32)))
        monkeypatch.setenv(CERT_FILE, str(tmp_path / "none.pem"))
        assert "cannot be read" in await met(Trust())
        assert await met(Trust(own.ca.pem)) == "met", "who has a CA of its own does not ask the system"


# -- which proxy -----------------------------------------------------------------------------------------------------


def test_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for(URL, None) is None
    monkeypatch.setenv("all_proxy", "http://all:1")
    assert proxy_for(URL, None) == "http://all:1"
    monkeypatch.setenv("HTTP_PROXY", "http://plain:1")
    assert (proxy_for(URL, None), proxy_for("ws://hub.example", None)) == ("http://all:1", "http://plain:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://tls:1")
    assert (proxy_for(URL, None), proxy_for("ws://hub.example", None)) == ("http://tls:1", "http://tls:1")
    assert proxy_for(URL, "http://said:1") == "http://said:1"
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert proxy_for(f"ws://{host}:1", "http://said:1") is None, "plain text must not leave this machine"
    direct = ("hub.example", "a.example, .example", "hub.example:7710", "*")
    for no in (*direct, "b.example", "ample", "hub.example:7711"):
        monkeypatch.setenv("no_proxy", no)
        assert (proxy_for(URL, None) is None) is (no in direct), no
        assert proxy_for(URL, "http://said:1") == "http://said:1", "the configuration has the last word"


@pytest.mark.parametrize(
    "wrong",
    [
        "socks5://ada:planted@p:1",
        "https://ada:planted@p:1",
        "ada:planted@p:1",
        "http://ada:planted@",
        "http://ada:planted@p:70000",
        "http://ada:planted@p:0",
        "http://ada:planted@p:port",
        "http://ada:planted@p/path",
        "http://ada:planted@p?query",
        "http://planted@p:1",
        "http://ada:planted@[p:1",
    ],
)
def test_what_is_no_proxy(wrong: str) -> None:
    with pytest.raises(BadProxyError) as caught:
        proxy_for(URL, wrong)
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=30))
def test_whatever_stands_there_is_a_proxy_or_a_refusal(text: str) -> None:
    for address in (text, f"http://{text}"):
        try:
            found = proxy_for(URL, address)
        except BadProxyError:
            continue
        assert found in (None, address)
