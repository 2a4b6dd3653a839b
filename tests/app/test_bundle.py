"""The support bundle: secrets and data are planted everywhere, and none of them is in it."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from app import bundle
from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from app.paths import Paths
from app.services.api_keys import create_key
from app.services.projector import catch_up
from storage.engine.stream import append_event
from storage.keyring import open_keyring
from storage.tenants import open_tenant_database
from sync.link.device import open_device_key
from tests.app.operations.clock import now


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A node with a secret in every place that could hold one, and a payload in every place that holds those."""
    (tmp_path / "data").mkdir(mode=0o700)
    paths = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    paths.config_file.write_text(
        '[hub]\nproxy = "http://ada:PLANTED1@proxy"\n[commands.x]\nargv = ["curl", "-u", "PLANTED2"]\n'
        f'[log]\nfile = "{tmp_path / "own.log"}"\n'
    )
    paths.hub_file.write_text(json.dumps({"hub": {"url": "wss://hub.example", "api_key": "PLANTED3key"}}))
    open_device_key(paths.device_key)
    open_keyring(paths.key_file)
    create_key(paths.api_keys, "dashboard", ["*"], 1)
    paths.log_file.write_text(
        "it failed: Authorization: Bearer PLANTED4\nPLANTED3key was refused\nPLANTED5env was refused\n"
        "spk1.system.abc.planted6\npassword=PLANTED7\nPLANTED8file was refused\nalk_PLANTED9\n"
    )
    (tmp_path / "own.log").write_text(f"{paths.device_key.read_text()}\n")
    (tmp_path / "secret").write_text("PLANTED8file\n")
    db = open_tenant_database(paths.tenant_db)
    with db.transaction() as tx:
        append_event(tx, "mine", "PLANTED10key", '{"text": "PLANTED11payload"}')
        started = {"type": "session.started", "sessionId": "s", "title": "PLANTED12title", "source": "x", "slug": "s"}
        append_event(tx, "session-events", "s", json.dumps(started))
    catch_up(db)
    db.close()
    return paths


ENVIRONMENT = {
    "SPOKE_HUB__API_KEY": "PLANTED5env",
    "OTHER_TOKEN": "PLANTED13",
    "OTHER": "PLANTED14",
    "LANG": "C.UTF-8",
    "https_proxy": "http://ada:PLANTED15@proxy",
}


def test_nothing_that_was_planted_is_in_it(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**ENVIRONMENT, "SPOKE_SOME_KEY_FILE": str(tmp_path / "secret")}
    for name, value in environment.items():
        if name != "SPOKE_SOME_KEY_FILE":
            monkeypatch.setenv(name, value)
    file = tmp_path / "out.tar.gz"
    parts = bundle.collect(paths, (), environment)
    size = bundle.write(parts, file, now())
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, size)
    with tarfile.open(file) as archive:
        found = {
            entry.name.removeprefix("spoke-bundle/"): (archive.extractfile(entry) or pytest.fail("empty"))
            .read()
            .decode()
            for entry in archive
        }
    everything = "\n".join(found.values())
    assert not re.search(r"(?i)planted\d", everything)
    keys = [json.dumps(json.loads(path.read_text())) for path in (paths.key_file, paths.api_keys)]
    for text in [paths.device_key.read_text().splitlines()[1], *bundle._texts([json.loads(key) for key in keys])]:
        assert len(text) < 16 or text not in everything, text
    documents = {name: json.loads(text) for name, text in found.items() if name.endswith(".json")}
    assert set(documents) == {
        f"{name}.json" for name in ("versions", "doctor", "config", "environment", "status", "tables")
    }
    assert {"logs/tui.log", "logs/own.log"} <= set(found)
    assert documents["environment.json"]["SPOKE_HUB__API_KEY"] == "***"
    assert "OTHER" not in documents["environment.json"]
    assert documents["tables.json"]["databases"]["tenant-local.db"]["rows"]["sessions"] == 1
    assert documents["status.json"]["link"]["state"] == "unpaired"
    assert {"key": "hub.api_key", "value": "***", "where": "SPOKE_HUB__API_KEY"} in documents["config.json"]
    assert any(one["name"] == "database" for one in documents["doctor.json"])
    assert "it failed" in found["logs/tui.log"]


def test_a_broken_node_has_a_bundle_too(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    paths.data_dir.mkdir()
    paths.config_file.write_text("torn = ")
    paths.hub_file.write_text("{torn")
    paths.tenant_db.write_bytes(b"not a database" * 1000)
    found = {part.name: part.text for part in bundle.collect(paths, (), {})}
    assert "spoke.toml:1" in found["config.json"]
    assert "not a database" in found["status.json"]
    for name, text in found.items():
        if name.endswith(".json"):
            json.loads(text)


def test_the_command_says_what_is_inside_and_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    file = tmp_path / "b.tar.gz"
    assert run(["bundle", str(file)]) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert (out, file.exists()) == ("", False)
    assert "doctor.json" in err
    assert "--yes" in err
    assert run(["bundle", str(file), "--yes", "--json"]) == 0
    out, _ = capfd.readouterr()
    assert json.loads(out)["file"] == str(file)
    before = file.read_bytes()
    assert run(["bundle", str(file), "--yes"]) == ExitCode.CANNOT_CREATE
    assert file.read_bytes() == before
    assert not os.path.exists(tmp_path / "data")
