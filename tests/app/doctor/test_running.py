"""Looks at what runs, and at the hub over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.doctor import examine, network, running
from app.doctor.finding import Finding
from app.paths import Paths
from app.services.local_client import NoDaemonError
from storage.copies import BackupNote
from sync.hub.certificates import SERVER_FILE, make_certificates, server_context
from sync.link.errors import DeviceKeyError
from sync.spoke.status import LinkStatus
from sync.spoke.trust import Trust
from tests.app.operations.clock import now

LINK = LinkStatus("live", 0, "wss://hub", "h", None, None, None, None, 0, ())


def answer(*services: dict[str, Any], version: str = "1") -> dict[str, Any]:
    return {"services": list(services), "notReady": [], "version": version}


def silent() -> dict[str, Any]:
    raise NoDaemonError("refused")


def test_queues_that_rest_are_a_warning_with_the_way_back() -> None:
    assert running.queues({}, 0).level == "ok"
    found = running.queues({"mail": 0}, 120_000)
    assert (found.level, found.what, found.fix) == ("warning", "queue mail paused 2 min ago", "spoke queue resume mail")


def test_services() -> None:
    def levels(pid: int | None, ask: Any, *, joined: bool = True) -> list[tuple[str, str]]:
        return [(one.name, one.level) for one in running.services(pid, ask, "1", joined=joined)]

    good = {"name": "a", "state": "running", "error": None}
    bad = {"name": "b", "state": "waiting", "error": "OSError: broken"}
    assert levels(None, silent) == [("services", "warning")]
    assert levels(None, silent, joined=False) == [("services", "ok")]
    assert levels(7, silent) == [("services", "problem")]
    assert levels(7, lambda: answer(good)) == [("services", "ok"), ("version", "ok")]
    assert levels(7, lambda: answer(good, bad)) == [("services", "problem"), ("version", "ok")]
    assert levels(7, lambda: answer(good, version="0")) == [("services", "ok"), ("version", "warning")]


def test_the_link_and_the_clock() -> None:
    refused = replace(
        LINK, state="refused", error="the hub refused the key", error_code="UNAUTHORIZED", hint="join again"
    )
    found = running.link(refused, 1, running=True)
    assert (found.level, found.fix) == ("problem", "join again")
    assert running.link(replace(LINK, state="offline"), 1, running=True).level == "warning"
    assert running.link(replace(LINK, state="offline"), 1, running=False).level == "ok", "services says so"
    assert running.link(replace(LINK, state="paused", paused_at_ms=1), 1, running=True).fix == "spoke sync resume"
    assert running.link(LINK, 1, running=True).level == "ok"
    assert running.clock(LINK).level == "ok"
    assert running.clock(replace(LINK, skew_ms=-59_000)).level == "ok"
    late = running.clock(replace(LINK, skew_ms=-61_000))
    assert (late.level, "behind" in late.what) == ("warning", True)


def test_backups() -> None:
    note, day = BackupNote(1_000, "/b", 3), 86_400_000
    assert running.backup(None, 0).level == "ok"
    assert [running.backup(note, 1_000 + days * day).level for days in (6, 8)] == ["ok", "warning"]


def test_keys(tmp_path: Path) -> None:
    def broken(_: Path) -> None:
        raise DeviceKeyError("device.pem: others may read it")

    def look(load: Callable[[Path], None], *, api_key: bool, hub_id: str | None) -> Finding:
        return running.key(tmp_path / "device.pem", load, api_key=api_key, hub_id=hub_id)

    assert look(broken, api_key=True, hub_id="h").level == "ok"
    assert look(broken, api_key=False, hub_id=None).level == "ok"
    assert look(lambda _: None, api_key=False, hub_id="h").level == "ok"
    found = look(broken, api_key=False, hub_id="h")
    assert (found.level, "spoke join" in found.fix) == ("problem", True)


def test_a_hub() -> None:
    def levels(pid: int | None, ends_ms: int | None) -> list[str]:
        return [one.level for one in running.hub(pid, "wss://h:1", ends_ms, 0)]

    day = 86_400_000
    assert levels(7, 30 * day) == ["ok", "ok"]
    assert levels(None, None) == ["warning"]
    assert levels(7, 13 * day) == ["ok", "warning"]
    assert levels(7, -1) == ["ok", "problem"]


# -- over sockets ----------------------------------------------------------------------------------------------------


@contextmanager
def listener(context: Any = None, *, answer: bytes | None = None) -> Iterator[int]:
    """Accepts connections on this machine, and does with them what a hub or a proxy would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    if answer is not None:
                        connection.recv(4096)
                        connection.sendall(answer)
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True)
                    connection.recv(1)
                except OSError:
                    pass
                finally:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def look(url: str, ca_pem: str | None = None, **kwargs: Any) -> Finding:
    return network.hub(url, **{"trust": Trust(ca_pem), "proxy": None, "timeout_s": 20.0, **kwargs})


def test_a_hub_with_a_ca_of_its_own(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "a", ["localhost"], now())
    other = make_certificates(tmp_path / "b", ["localhost"], now())
    with listener(server_context(made.folder / SERVER_FILE)) as port:
        assert look(f"wss://localhost:{port}", ca_pem=made.ca.pem).level == "ok"
        for problem, kwargs in (
            ("wrong CA", {"ca_pem": other.ca.pem}),
            ("wrong CA", {}),
            ("no certificate", {"ca_pem": "garbage"}),
        ):
            found = look(f"wss://localhost:{port}", **kwargs)
            assert (found.level, problem in found.what, bool(found.fix)) == ("problem", True, True), found
        found = look(f"wss://127.0.0.1:{port}", ca_pem=made.ca.pem)
        assert (found.level, "wrong name" in found.what) == ("problem", True)
    with listener(answer=b"HTTP/1.1 400 no\r\n\r\n") as port:
        assert "does it speak TLS" in look(f"wss://localhost:{port}").what


def test_addresses_that_lead_nowhere(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert look(f"ws://127.0.0.1:{port}").level == "ok"
        found = look(f"wss://127.0.0.1:{port}", timeout_s=0.05)  # nobody accepts: TLS gets no answer
        assert (found.level, "no answer" in found.what) == ("warning", True)
    refused = look(f"wss://127.0.0.1:{port}")
    assert (refused.level, "refused" in refused.what, bool(refused.fix)) == ("warning", True, True)
    unknown = look("wss://no-such-host.invalid:1")
    assert (unknown.level, unknown.what.startswith("no-such-host.invalid: ")) == ("warning", True)
    for url in ("ws://hub.example", "http://hub.example", "hub"):
        assert look(url).level == "problem"


def test_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever hop fails is the one that is named; passwords are never."""
    made = make_certificates(tmp_path, ["hub.example"], now())
    tls, url = server_context(made.folder / SERVER_FILE), "wss://hub.example:7710"
    with listener(tls, answer=b"HTTP/1.1 200 go on\r\n\r\n") as port:
        proxy = f"http://ada:planted@127.0.0.1:{port}"
        found = look(url, ca_pem=made.ca.pem, proxy=proxy)
        assert (found.level, "planted" in str(found), f"the proxy 127.0.0.1:{port}" in found.what) == (
            "ok",
            False,
            True,
        )
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert look(url, ca_pem=made.ca.pem).level == "ok", "as the link would, by the environment"
        monkeypatch.delenv("HTTPS_PROXY")
        opened = look(url, proxy=proxy)
        assert (opened.level, "wrong CA" in opened.what, f"the proxy 127.0.0.1:{port}" in opened.what) == (
            "problem",
            True,
            True,
        )
    refused = look(url, proxy=proxy)  # nobody listens there any more
    assert (refused.level, "cannot be used: Connection refused" in refused.what) == ("warning", True), refused
    for answer, level, words in (
        (b"HTTP/1.1 403 no\r\n\r\n", "problem", "does not let this address through (403)"),
        (b"HTTP/1.1 407 who\r\n\r\n", "problem", "wants a name and a password (407)"),
        (b"HTTP/1.1 502 no\r\n\r\n", "warning", "cannot reach the hub"),
        (b"220 mail.example\r\n", "warning", "does not answer like a proxy"),
    ):
        with listener(answer=answer) as port:
            found = look(url, proxy=f"http://127.0.0.1:{port}")
        assert (found.level, words in found.what, bool(found.fix)) == (level, True, True), found
    found = look(url, proxy="socks5://ada:planted@127.0.0.1:1")
    assert (found.level, "not http://" in found.what, "planted" in str(found)) == ("problem", True, False)


def test_what_is_trusted_is_said_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_certificates(tmp_path, ["localhost"], now())
    file = tmp_path / "ca.pem"
    file.write_text(made.ca.pem)
    with listener(server_context(made.folder / SERVER_FILE)) as port:
        url = f"wss://localhost:{port}"
        assert f"a CA of {file}, pinned" in look(url, trust=Trust(ca_file=file, pin=made.pin)).what
        assert "hub.pin_sha256" in look(url, trust=Trust(ca_file=file, pin=bytes(32))).what
        assert look(url, trust=Trust(ca_file=tmp_path / "none")).level == "problem"
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert "a CA of SSL_CERT_FILE" in look(url).what
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
        assert "SSL_CERT_FILE names" in look(url).what


# -- all of it -------------------------------------------------------------------------------------------------------


def test_a_look_that_hangs_or_fails_is_a_finding() -> None:
    ended = threading.Event()
    slow = Finding("x", "warning", "slow")
    assert examine.limited("x", lambda: ended.wait(60), slow, 0.01) is slow
    ended.set()
    failed = examine.limited("x", lambda: 1 / 0, slow, 60)
    assert (failed.level, "ZeroDivisionError" in failed.what) == ("warning", True)


def test_nothing_is_needed_and_nothing_is_made(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "none" / "data", tmp_path / "none" / "spoke.toml")
    found = {one.name: one for one in examine.examine(paths)}
    assert {"config", "disk", "services", "sqlite"} <= set(found)
    assert found["config"].level == "ok"
    assert list(tmp_path.iterdir()) == []
    wrong = Paths(tmp_path / "none", tmp_path / "spoke.toml")
    wrong.config_file.write_text("a = 1\nb = 2\n")
    (config, *_) = examine.examine(wrong)
    assert (config.name, config.level, config.fix) == ("config", "problem", "spoke config check")
