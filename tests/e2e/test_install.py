"""`docs/install.md` with real releases: every command block works, in the order of the page."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.release import Release, ReleaseFile, sign
from tests.e2e.binary import BINARY, spoke
from tests.pages import ROOT, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NEXT = Path(BINARY).with_name("spoke-next")
PAGE = ROOT / "docs" / "install.md"


def test_every_command_block_works(environment: dict[str, str], tmp_path: Path) -> None:
    assert NEXT.is_file(), f"{NEXT} is missing: make dist/spoke-next"
    texts = [block.text for block in blocks(PAGE) if block.language == "sh"]
    assert len(texts) >= 5
    environment["SPOKE_CONFIG"] = str(tmp_path / ".config" / "spoke" / "spoke.toml")
    shutil.copy(BINARY, tmp_path / "spoke-linux-x86_64")
    later = tmp_path / "spoke-next-linux-x86_64"
    shutil.copy(NEXT, later)
    version = subprocess.run([NEXT, "--version"], env=environment, capture_output=True, text=True, check=True).stdout
    key = Ed25519PrivateKey.generate()
    data = later.read_bytes()
    signed = Release(
        version.split()[1],
        f"linux-{os.uname().machine}",
        "2.36",
        {later.name: ReleaseFile(len(data), hashlib.sha256(data).hexdigest())},
    )
    later.with_name(f"{later.name}.sig").write_bytes(sign(signed, [key.private_bytes_raw()]))
    (tmp_path / "workshop.pub").write_text(base64.b64encode(key.public_key().public_bytes_raw()).decode())
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
