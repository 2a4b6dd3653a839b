"""`spoke install`, `upgrade`, `rollback`, `uninstall` as they are typed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.cli.contract import CONTRACTS
from app.cli.exit_codes import ExitCode
from app.cli.install import next_steps
from app.install.installing import install, planned
from app.install.layout import Layout, choose
from app.paths import resolve
from app.release import Release, ReleaseFile, sign
from storage.engine import Snapshot
from storage.engine.stream import read_events
from storage.events.operator_events import STREAM
from storage.looking import look
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401
from tests.app.install.fakes import database, release

KEY = Ed25519PrivateKey.generate()
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Release 1.0.0 is installed there, for one person, with a database, without a service."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    paths = resolve()
    paths.data_dir.mkdir()
    database(paths.tenant_db, 1)
    layout = choose(False, tmp_path / "prefix")
    install(layout, release(tmp_path / "files", "1.0.0"), planned(layout, paths, service=False))
    return layout.prefix


def signed(file: Path, version: str) -> Path:
    data = file.read_bytes()
    files = {file.name: ReleaseFile(len(data), hashlib.sha256(data).hexdigest())}
    made = Release(version, f"linux-{os.uname().machine}", "2.36", files)
    file.with_name(f"{file.name}.sig").write_bytes(sign(made, [KEY.private_bytes_raw()]))
    return file


def current(prefix: Path) -> str:
    return (Layout(prefix, False, prefix).current_release() or "").partition("-")[0]


def test_print_does_nothing(spoke: Spoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, _ = spoke("install", "--user", "--print")
    assert code == 0
    assert f"unpack this release into {tmp_path}/.local/lib/spoke/releases" in out
    assert "Type=notify" in out
    assert not (tmp_path / ".local").exists()
    code, unit, _ = spoke("install", "--user", "--unit")
    assert (code, out.endswith(unit)) == (0, True)
    code, _, err = spoke("install", "--user")
    assert (code, "not the one file" in err) == (ExitCode.USAGE, True)


def test_a_hubs_unit_and_what_is_needed_before_it(spoke: Spoke, prefix: Path, node: Path) -> None:  # noqa: F811
    code, out, _ = spoke("install", "--user", "--hub", "--no-service", "--print")
    assert (code, "spoke hub run $SPOKE_HUB_OPTIONS" in out, "spoke run" in out) == (0, True, False)
    unit = spoke("install", "--user", "--hub", "--unit")[1]
    assert out.endswith(unit)
    layout = choose(False, prefix)
    installed = planned(layout, resolve(), service=False, hub=True)
    assert "the hub needs a certificate: spoke hub init --name HOST" in next_steps(layout, installed)
    assert spoke("hub", "init")[0] == 0
    assert not [line for line in next_steps(layout, installed) if "certificate" in line]


def test_status(spoke: Spoke, prefix: Path) -> None:  # noqa: F811
    code, out, _ = spoke("install", "status", "--prefix", str(prefix))
    assert code == 0
    assert "installed  1.0.0-" in out
    assert "service    none" in out
    said = json.loads(spoke("install", "status", "--prefix", str(prefix), "--json")[1])
    assert (said["previous"], said["service"], said["cutOff"], len(said["releases"])) == (None, None, None, 1)
    (prefix / "lib" / "spoke" / "upgrade.json").write_text('{"step": "preparing", "old": "1.0.0-x"}')
    assert "attention" in spoke("install", "status", "--prefix", str(prefix))[1]
    assert "nothing in" in spoke("install", "status", "--prefix", str(prefix / "other"))[1]


def test_upgrade_and_back(spoke: Spoke, prefix: Path, tmp_path: Path) -> None:  # noqa: F811
    file = signed(release(tmp_path / "files", "1.1.0", schema=2), "1.1.0")
    code, _, err = spoke("upgrade", str(file), "--prefix", str(prefix))
    assert (code, "no trusted key" in err, current(prefix)) == (ExitCode.FAILURE, True, "1.0.0")
    code, out, err = spoke("upgrade", str(file), "--prefix", str(prefix), "--key", PUBLIC, "--json")
    assert (code, json.loads(out)["state"], current(prefix)) == (0, "upgraded", "1.1.0"), err
    code, _, err = spoke("rollback", "--prefix", str(prefix))
    assert (code, "before-1.1.0-" in err) == (ExitCode.FAILURE, True)
    code, out, err = spoke("rollback", "--prefix", str(prefix), "--restore", "--json")
    assert (code, current(prefix)) == (0, "1.0.0"), err
    assert set(CONTRACTS["rollback"].fields) <= set(json.loads(out))


def test_each_leaves_an_act(
    spoke: Spoke,  # noqa: F811
    prefix: Path,
    tmp_path: Path,
    node: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the database, of whatever version it is, before anything is changed."""

    def acts() -> list[str]:
        return [str(event["action"]) for event in look(node / "tenant-local.db", read_acts)]

    file = signed(release(tmp_path / "files", "1.1.0"), "1.1.0")
    where = ("--prefix", str(prefix))
    assert spoke("upgrade", str(file), *where, "--key", PUBLIC)[0] == 0
    assert acts() == ["upgrade"]
    assert spoke("rollback", *where)[0] == 0
    assert acts() == ["upgrade", "rollback"]
    monkeypatch.setattr("app.executable._STARTED_FROM", str(release(tmp_path / "files", "1.2.0")))
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert spoke("install", "--user", *where, "--no-service")[0] == 0
    assert acts() == ["upgrade", "rollback", "install"]
    assert spoke("uninstall", *where, "--yes")[0] == 0
    assert acts() == ["upgrade", "rollback", "install", "uninstall"]
    (first, *_) = look(node / "tenant-local.db", read_acts)
    assert first["arguments"] == {"file": str(file), "version": "1.1.0"}


def read_acts(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [json.loads(str(event.payload_json)) for event in read_events(snapshot, STREAM, 0, 100)]


def test_an_upgrade_that_went_back_says_why(spoke: Spoke, prefix: Path, tmp_path: Path) -> None:  # noqa: F811
    keys = tmp_path / "release-keys"
    keys.mkdir()
    (keys / "workshop.pub").write_text(PUBLIC)
    file = signed(release(tmp_path / "files", "2.0.0", schema=2, broken=1), "2.0.0")
    code, _, err = spoke("upgrade", str(file), "--prefix", str(prefix))
    assert (code, current(prefix)) == (ExitCode.FAILURE, "1.0.0")
    assert "signed by workshop" in err
    assert "did not work: status: spoke: broken. Back at 1.0.0-" in err


def test_upgrade_says_what_it_needs(spoke: Spoke, prefix: Path, tmp_path: Path) -> None:  # noqa: F811
    file = release(tmp_path / "files", "1.1.0")
    assert spoke("upgrade", "--prefix", str(prefix))[0] == ExitCode.USAGE
    assert spoke("upgrade", str(file), "--prefix", str(prefix))[0] == ExitCode.NO_INPUT
    signed(file, "1.1.0")
    assert spoke("upgrade", str(file), "--prefix", str(prefix), "--key", "x")[0] == ExitCode.USAGE
    assert spoke("upgrade", "--resume", "--prefix", str(prefix))[0] == 0


def test_uninstall(spoke: Spoke, prefix: Path, node: Path) -> None:  # noqa: F811
    where = ("uninstall", "--prefix", str(prefix))
    code, _, err = spoke(*where)
    assert (code, f"goes: {prefix}/lib/spoke" in err) == (ExitCode.USAGE, True)
    assert spoke(*where, "--purge", "--yes")[0] == ExitCode.USAGE, "the name has to be given"
    assert spoke(*where, "--purge", "--name", f"not-{socket.gethostname()}")[0] == ExitCode.USAGE
    assert current(prefix) == "1.0.0"
    assert spoke(*where, "--yes")[0] == 0
    assert node.exists()
    assert not (prefix / "lib" / "spoke").exists()
    assert spoke(*where)[0] == ExitCode.NO_INPUT


def test_purge(spoke: Spoke, prefix: Path, node: Path) -> None:  # noqa: F811
    assert spoke("uninstall", "--prefix", str(prefix), "--purge", "--name", socket.gethostname())[0] == 0
    assert not node.exists()


def test_install_over_an_older_one_is_an_upgrade(
    spoke: Spoke,  # noqa: F811
    prefix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = ("install", "--user", "--prefix", str(prefix), "--no-service")
    (prefix / "lib" / "spoke" / "upgrade.json").write_text('{"step": "preparing", "old": "1.0.0-x"}')
    file = release(tmp_path / "files", "1.1.0", schema=2)
    monkeypatch.setattr("app.executable._STARTED_FROM", str(file))
    monkeypatch.setattr("sys.frozen", True, raising=False)
    code, _, err = spoke(*where)
    assert (code, current(prefix)) == (0, "1.1.0"), err
    assert "was cut off while preparing" in err
    assert "is not in PATH" in err
    monkeypatch.setattr("app.executable._STARTED_FROM", str(release(tmp_path / "files", "2.0.0", broken=1)))
    code, _, err = spoke(*where)
    assert (code, current(prefix), "did not work" in err) == (ExitCode.FAILURE, "1.1.0", True)
