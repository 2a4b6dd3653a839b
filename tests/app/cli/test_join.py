"""Joining from the command line: the hub's side, the machine's side, and what breaks off in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from storage.engine import Database
from storage.identity.devices import find_device, list_devices
from storage.process_lock import ProcessLock
from storage.tenants import node_id, open_tenant_database
from sync.hub.certificates import Certificates
from sync.hub.ratchets import load_ratchet as hub_ratchet
from sync.link.device import load_device_key
from sync.link.ratchet import hash_of
from sync.link.token import parse
from sync.spoke.ratchet import load_ratchet
from tests.app.cli.joinable import beside, enrolled, joinable
from tests.app.cli.test_cli import Spoke, check_refused, node, spoke
from tests.connect_proxy import ConnectProxy
from tests.sync.joining import token

__all__ = ["node", "spoke"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Database, Certificates]]:
    with joinable(tmp_path / "the-hub") as found:
        yield found


def token_file(folder: Path, db: Database, own: Certificates, **options: object) -> str:
    path = folder / "token.txt"
    path.write_text(token(db, own.pin, **options).text + "\n")  # type: ignore[arg-type]
    return str(path)


def test_a_machine_joins_with_a_token(
    spoke: Spoke, node: Path, tmp_path: Path, hub: tuple[str, Database, Certificates]
) -> None:
    url, db, own = hub
    file = token_file(tmp_path, db, own)
    code, out, err = spoke("join", url, "--token-file", file, "--json")
    assert code == 0, err
    tenant = open_tenant_database(node / "tenant-local.db")
    with tenant.snapshot() as snapshot, db.snapshot() as theirs:
        me = node_id(snapshot)
        ratchet, epoch = load_ratchet(snapshot, "hub-1")
        device, state = find_device(theirs, me), hub_ratchet(theirs, me)
    tenant.close()
    assert json.loads(out) == {"url": url, "nodeId": me}
    assert device is not None
    assert state is not None
    assert (state.current, epoch) == (hash_of(ratchet), 0)
    assert device.public_key == load_device_key(node / "device.pem").public
    assert json.loads((node / "hub.json").read_text()) == {"hub": {"url": url, "ca": own.ca.pem, "hub_id": "hub-1"}}
    for name in ("device.pem", "hub.json"):
        assert (node / name).stat().st_mode & 0o777 == 0o600
    secret = Path(file).read_text().strip().split(".")[3]
    assert not [path for path in node.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert json.loads(spoke("sync", "status", "--json")[1])["state"] == "offline"
    assert spoke("status")[0] == 0, "the configuration can be read"


def test_what_broke_off_is_done_again_with_the_same_token(
    spoke: Spoke,
    node: Path,
    tmp_path: Path,
    hub: tuple[str, Database, Certificates],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, db, own = hub
    file = token_file(tmp_path, db, own)

    def die(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "hub.json")

    for where in ("app.config.save_hub", "sync.spoke.ratchet.save_ratchet"):
        with monkeypatch.context() as dying:
            dying.setattr(where, die)
            check_refused_anyhow(spoke("join", url, "--token-file", file))
        assert not (node / "hub.json").exists()
    key = load_device_key(node / "device.pem")
    assert spoke("join", url, "--token-file", file)[0] == 0
    tenant = open_tenant_database(node / "tenant-local.db")
    with tenant.snapshot() as snapshot, db.snapshot() as theirs:
        (device,) = list_devices(theirs)
        state = hub_ratchet(theirs, device.id)
        ratchet, _ = load_ratchet(snapshot, "hub-1")
    tenant.close()
    assert device.public_key == key.public
    assert state is not None
    assert hash_of(ratchet) in (state.current, state.next)


def check_refused_anyhow(result: tuple[int, str, str]) -> None:
    code, out, err = result
    assert (code, out) == (ExitCode.IO, ""), err


def test_a_wrong_hub_and_a_used_token_are_explained(
    spoke: Spoke, node: Path, tmp_path: Path, hub: tuple[str, Database, Certificates]
) -> None:
    url, db, own = hub
    file = token_file(tmp_path, db, own)
    text = Path(file).read_text()
    wrong = tmp_path / "wrong.txt"
    parsed = parse(text)
    wrong.write_text(token(db, bytes(32)).text)
    check_refused(spoke("join", url, "--token-file", str(wrong)), ExitCode.UNAVAILABLE, "wrong CA", "not used")
    assert not (node / "hub.json").exists()
    check_refused(
        spoke("join", url.replace("127.0.0.1", "127.0.0.2"), "--token-file", file), ExitCode.UNAVAILABLE, "127.0.0.2"
    )
    assert spoke("join", url, "--token-file", file)[0] == 0
    (node / "tenant-local.db").unlink()  # another node now
    check_refused(spoke("join", url, "--token-file", file), ExitCode.DENIED, "opens nothing", "spoke hub token create")
    assert parsed.id


def test_through_the_proxy_of_the_configuration(
    spoke: Spoke, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # the configuration counts more
    with joinable(tmp_path / "the-hub", ["hub.example"]) as (url, db, own):
        port = int(url.rpartition(":")[2])
        with beside(ConnectProxy({"hub.example": port}, user="ada:planted")) as proxy:
            file, there = token_file(tmp_path, db, own), proxy.address.replace("://", "://ada:{}@")
            monkeypatch.setenv("SPOKE_HUB__PROXY", there.format("wrong-one"))
            refused = spoke("join", "wss://hub.example:7710", "--token-file", file)
            check_refused(refused, ExitCode.UNAVAILABLE, "does not take this name and password (407)", "hub.proxy")
            assert "wrong-one" not in refused[2]
            monkeypatch.setenv("SPOKE_HUB__PROXY", there.format("planted"))
            code, _, err = spoke("join", "wss://hub.example:7710", "--token-file", file)
            assert (code, proxy.passed) == (0, 2), err
            assert "planted" not in err + spoke("config", "show")[1] + (node / "hub.json").read_text()


@pytest.mark.parametrize("text", ["", "spk1.", "alk_x", "spk1.system.aaaa.bbbb", "\0", "spk2.a.b.c"])
def test_what_is_no_token(spoke: Spoke, node: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "token.txt"
    file.write_text(text)
    check_refused(
        spoke("join", "wss://127.0.0.1:1", "--token-file", str(file)), ExitCode.DATA, "spoke hub token create"
    )
    assert not node.exists()


def test_options_of_join(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    key, ca = tmp_path / "key.txt", tmp_path / "ca.crt"
    key.write_text("alk_x")
    ca.write_text("no certificate")
    assert spoke("join", "wss://h", "--token-file", str(key), "--key-file", str(key))[0] == ExitCode.USAGE
    check_refused(spoke("join", "wss://h", "--token-file", str(tmp_path / "none")), ExitCode.NO_INPUT)
    check_refused(spoke("join", "wss://h"), ExitCode.USAGE, "--token-file")
    check_refused(
        spoke("join", "wss://h", "--key-file", str(key), "--ca-file", str(ca)), ExitCode.UNAVAILABLE, "no certificate"
    )
    assert not (node / "hub.json").exists()
    assert spoke("hub", "init")[0] == 0
    pem = node / "hub" / "tls" / "ca.crt"
    assert spoke("join", "wss://h", "--key-file", str(key), "--ca-file", str(pem))[0] == 0
    assert json.loads((node / "hub.json").read_text())["hub"] == {
        "url": "wss://h",
        "api_key": "alk_x",
        "ca": pem.read_text(),
    }


def test_the_operator_s_side(spoke: Spoke, node: Path) -> None:
    check_refused(spoke("hub", "token", "create"), ExitCode.CONFIG, "spoke hub init")
    check_refused(spoke("hub", "init", "--renew"), ExitCode.CONFIG, "spoke hub init")
    check_refused(spoke("hub", "init", "--name", "a b"), ExitCode.CONFIG, "no host name")
    code, out, _ = spoke("hub", "init", "--name", "hub.example", "--json")
    made = json.loads(out)
    assert (code, made["names"]) == (0, ["hub.example"])
    check_refused(spoke("hub", "init"), ExitCode.CONFIG, "there is a CA already")
    assert json.loads(spoke("hub", "init", "--renew", "--json")[1])["caSpkiSha256"] == made["caSpkiSha256"]
    code, out, err = spoke("hub", "token", "create", "--tenant", "acme", "--label", "site=north", "--scope", "fs:read")
    assert (code, "cannot be shown again" in err) == (0, True)
    pinned = parse(out)
    assert pinned.pin is not None
    assert pinned.pin.hex() == made["caSpkiSha256"]
    check_refused(spoke("hub", "token", "create", "--label", "nonsense"), ExitCode.USAGE, "NAME=VALUE")
    (row,) = json.loads(spoke("hub", "token", "list", "--json")[1])
    assert (row["id"], row["tenant"], row["labels"], row["scopes"], row["usesLeft"]) == (
        pinned.id,
        "acme",
        {"site": "north"},
        ["fs:read"],
        1,
    )
    assert "1 uses left" in spoke("hub", "token", "list")[1]
    assert json.loads(spoke("hub", "token", "revoke", pinned.id[:8], "--json")[1])["revoked"] is True
    assert "revoked before" in spoke("hub", "token", "revoke", pinned.id)[2]
    check_refused(spoke("hub", "token", "revoke", "nothing"), ExitCode.USAGE, "spoke hub token list")
    check_refused(spoke("hub", "revoke", "nothing"), ExitCode.USAGE, "spoke hub devices")
    assert "spoke hub token create" in spoke("hub", "devices")[2]


def test_a_node_is_listed_and_revoked(spoke: Spoke, node: Path) -> None:
    enrolled(node)
    (row,) = json.loads(spoke("hub", "devices", "--json")[1])
    assert (row["nodeId"], row["name"], row["standing"]) == ("node-1", "workshop-pc", "active")
    assert "active" in spoke("hub", "devices")[1]
    assert "is revoked" in spoke("hub", "revoke", "workshop-pc")[2]
    assert json.loads(spoke("hub", "revoke", "node-1", "--json")[1])["revoked"] is False
    assert "revoked" in spoke("hub", "devices")[1]


# -- and leaves ------------------------------------------------------------------------------------------------------


def test_it_leaves_and_joins_again(
    spoke: Spoke, node: Path, tmp_path: Path, hub: tuple[str, Database, Certificates], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, db, own = hub
    check_refused(spoke("leave", "--yes"), ExitCode.UNAVAILABLE, "this node has no hub", "spoke join")
    assert not node.exists()
    assert spoke("join", url, "--token-file", token_file(tmp_path, db, own))[0] == 0
    assert spoke("record", "--", "true")[0] == 0
    unsent = json.loads(spoke("sync", "status", "--json")[1])["unsent"]
    check_refused(spoke("leave"), ExitCode.USAGE, f"{unsent} events are not at the hub and will wait here", "--yes")
    with ProcessLock(node / "daemon.lock"):
        check_refused(spoke("leave", "--yes"), ExitCode.TEMPORARY, "in use by", "stop it first")
    with monkeypatch.context() as patch:
        patch.setenv("SPOKE_HUB__URL", "wss://another")
        check_refused(spoke("leave", "--yes"), ExitCode.CONFIG, "SPOKE_HUB__URL", "take it away")
    assert (node / "device.pem").exists()
    code, out, err = spoke("leave", "--yes", "--json")
    me = json.loads(out)["nodeId"]
    assert (code, json.loads(out)) == (0, {"hubUrl": url, "unsent": unsent, "nodeId": me}), err
    assert not {"hub.json", "device.pem"} & {path.name for path in node.iterdir()}
    status = json.loads(spoke("sync", "status", "--json")[1])
    assert (status["state"], status["hubUrl"], status["unsent"]) == ("unpaired", None, unsent)
    check_refused(spoke("leave", "--yes"), ExitCode.UNAVAILABLE, "this node has no hub")
    assert spoke("join", url, "--token-file", token_file(tmp_path, db, own, node_id=me))[0] == 0
    code, _, err = spoke("leave", "--yes")
    assert (code, f"spoke hub revoke {me}" in err) == (0, True)


def test_joining_another_hub_ends_a_leaving_that_broke_off(
    spoke: Spoke, node: Path, tmp_path: Path, hub: tuple[str, Database, Certificates], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, db, own = hub
    assert spoke("join", url, "--token-file", token_file(tmp_path, db, own))[0] == 0
    old = load_device_key(node / "device.pem")

    def die(*_: object) -> None:
        raise OSError(5, "Input/output error", "device.pem")

    with monkeypatch.context() as dying:
        dying.setattr("sync.spoke.leave.finish_leaving", die)
        check_refused_anyhow(spoke("leave", "--yes"))
    assert (node / "device.pem").exists()
    with joinable(tmp_path / "another") as (other, theirs, its):
        assert spoke("join", other, "--token-file", token_file(tmp_path, theirs, its))[0] == 0
    assert load_device_key(node / "device.pem").public != old.public
