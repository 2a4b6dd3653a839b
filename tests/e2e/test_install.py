"""Installing and upgrading with real releases: the commands of `docs/install.md`, and a release that does not work."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.release import Release, ReleaseFile, sign
from tests.e2e import systemctl
from tests.e2e.binary import BINARY, spoke
from tests.pages import ROOT, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NEXT = Path(BINARY).with_name("spoke-next")
PAGE = ROOT / "docs" / "install.md"
UNIT = "spoke.service"


def version_of(file: Path, environment: dict[str, str]) -> str:
    return subprocess.run(
        [file, "--version"], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()[1]


def signed_next(folder: Path, environment: dict[str, str]) -> tuple[Path, str]:
    """The next release, signed, and the public key to trust."""
    assert NEXT.is_file(), f"{NEXT} is missing: make dist/spoke-next"
    later = folder / "spoke-next-linux-x86_64"
    shutil.copy(NEXT, later)
    key = Ed25519PrivateKey.generate()
    data = later.read_bytes()
    signed = Release(
        version_of(NEXT, environment),
        f"linux-{os.uname().machine}",
        "2.36",
        {later.name: ReleaseFile(len(data), hashlib.sha256(data).hexdigest())},
    )
    later.with_name(f"{later.name}.sig").write_bytes(sign(signed, [key.private_bytes_raw()]))
    return later, base64.b64encode(key.public_key().public_bytes_raw()).decode()


def test_every_command_block_works(environment: dict[str, str], tmp_path: Path) -> None:
    texts = [block.text for block in blocks(PAGE) if block.language == "sh"]
    assert len(texts) >= 5
    environment["SPOKE_CONFIG"] = str(tmp_path / ".config" / "spoke" / "spoke.toml")
    shutil.copy(BINARY, tmp_path / "spoke-linux-x86_64")
    _, public = signed_next(tmp_path, environment)
    (tmp_path / "workshop.pub").write_text(public)
    spoke(environment, "record", "--", "true")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(texts)],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "upgraded: " in done.stderr
    assert "cannot read tenant-local.db" in done.stderr, "the next release has a migration more"
    assert "the data is put back" in done.stderr
    assert "removed; the data is still there" in done.stderr
    assert not (tmp_path / ".local" / "lib" / "spoke").exists()
    assert len(spoke(environment, "session", "list").splitlines()) == 1


@pytest.fixture
def services(environment: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A systemd, as far as an installation asks for one; the folder has the pids and logs of what runs."""
    folder, tools = tmp_path / "services", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    command = tools / "systemctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {systemctl.__file__} {folder} "$@"\n')
    command.chmod(0o755)
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    environment.pop("XDG_CONFIG_HOME", None)
    yield folder
    systemctl.stop(folder, UNIT)


def test_a_release_whose_services_crash_goes_back_with_the_data(
    environment: dict[str, str], services: Path, tmp_path: Path
) -> None:
    """It starts, says that it is ready, has migrated the database; two seconds later its projector crashes."""

    def schema() -> int:
        with (tmp_path / "data" / "tenant-local.db").open("rb") as file:
            return int.from_bytes(file.read(64)[60:], "big")

    def release_that_serves() -> str:
        program = Path(f"/proc/{systemctl.pid_of(services, UNIT)}/exe").resolve()
        return program.parent.name

    later, public = signed_next(tmp_path, environment)
    spoke(environment, "record", "--title", "before", "--", "true")
    spoke(environment, "install", "--user")
    assert json.loads(spoke(environment, "health", "live", "--json"))["state"] == "OK"
    old, known = release_that_serves(), schema()
    done = subprocess.run(
        [BINARY, "upgrade", "--user", later, "--key", public, "--gate=2"],
        env={**environment, "NEXT_RELEASE_FAULT_S": "2"},
        check=False,
        capture_output=True,
        text=True,
    )
    said = (services / f"{UNIT}.log").read_text()
    assert done.returncode == 1, done.stderr
    assert "the planted fault" in said
    assert "the data is put back from" in done.stderr
    assert f"Back at {old}" in done.stderr
    (aside,) = (tmp_path / "data").glob("replaced-*/tenant-local.db")
    with aside.open("rb") as file:
        assert int.from_bytes(file.read(64)[60:], "big") == known + 1, "the new release had migrated it"
    assert (schema(), release_that_serves()) == (known, old)
    installed = str(tmp_path / ".local" / "bin" / "spoke")
    found = subprocess.run([installed, "session", "list"], env=environment, check=True, capture_output=True, text=True)
    assert "before" in found.stdout
    assert json.loads(spoke(environment, "health", "live", "--json"))["state"] == "OK"
    spoke(environment, "record", "--title", "after", "--", "true")
    spoke(environment, "db", "check")
