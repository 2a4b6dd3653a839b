"""Signed releases: what is taken, and every way in which one is not."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.release import Release, ReleaseError, ReleaseFile, sign, verify
from app.release_keys import trusted

RELEASE = Release("1.2.3", "linux-x86_64", "2.35", {"spoke": ReleaseFile(7, "ab" * 32)})
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
TRUSTED = {"ours": KEY.public_key().public_bytes_raw()}
SIGNED = sign(RELEASE, [KEY.private_bytes_raw()])
SIGN_PY = Path(__file__).parents[2] / "packaging" / "sign.py"


def test_a_signed_release_is_read_back() -> None:
    assert verify(SIGNED, TRUSTED) == (RELEASE, "ours")
    RELEASE.check("spoke", 7, "ab" * 32)
    assert sign(RELEASE, [KEY.private_bytes_raw()]) == SIGNED


def test_one_of_two_signatures_is_enough() -> None:
    both = sign(RELEASE, [OTHER.private_bytes_raw(), KEY.private_bytes_raw()])
    assert verify(both, TRUSTED) == (RELEASE, "ours")
    assert verify(both, {"new": OTHER.public_key().public_bytes_raw()}) == (RELEASE, "new")


@pytest.mark.parametrize(
    ("name", "size", "sha256", "says"),
    [
        ("spoke", 8, "ab" * 32, "not the file that was signed"),
        ("spoke", 7, "cd" * 32, "not the file that was signed"),
        ("else", 7, "ab" * 32, "not part of release 1.2.3"),
    ],
)
def test_another_file_is_refused(name: str, size: int, sha256: str, says: str) -> None:
    with pytest.raises(ReleaseError, match=says):
        RELEASE.check(name, size, sha256)


def test_nobody_trusted_signed_it() -> None:
    for keys in ({}, {"other": OTHER.public_key().public_bytes_raw()}):
        with pytest.raises(ReleaseError, match="no trusted key"):
            verify(SIGNED, keys)


def test_a_signature_for_something_else_does_not_count() -> None:
    file = json.loads(SIGNED)
    file["signatures"][0]["signature"] = base64.b64encode(KEY.sign(file["release"].encode())).decode()
    with pytest.raises(ReleaseError, match="is wrong"):
        verify(json.dumps(file).encode(), TRUSTED)


@given(where=st.integers(0, len(SIGNED) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_changes_nothing_that_is_believed(where: int, byte: int) -> None:
    changed = SIGNED[:where] + bytes([byte]) + SIGNED[where + 1 :]
    with suppress(ReleaseError):
        release, _ = verify(changed, TRUSTED)
        assert release == RELEASE


@given(st.binary())
def test_any_bytes_are_refused_with_a_hint(data: bytes) -> None:
    with pytest.raises(ReleaseError) as refused:
        verify(data, TRUSTED)
    assert refused.value.hint


def test_a_key_of_the_owner_is_trusted(tmp_path: Path) -> None:
    assert trusted(tmp_path / "nothing") == trusted(tmp_path)
    (tmp_path / "mine.pub").write_text(base64.b64encode(TRUSTED["ours"]).decode() + "\n")
    assert trusted(tmp_path)["mine"] == TRUSTED["ours"]
    (tmp_path / "bad.pub").write_text("AAAA")
    with pytest.raises(ReleaseError, match="the release key bad"):
        trusted(tmp_path)


def test_the_script_signs_what_the_program_takes(tmp_path: Path) -> None:
    key, file, out = tmp_path / "key.pem", tmp_path / "spoke", tmp_path / "spoke.sig"
    file.write_bytes(b"program")

    def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, SIGN_PY, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    public = run("new-key", key).stdout
    assert key.stat().st_mode & 0o777 == 0o600
    assert "exists" in run("new-key", key, code=1).stderr
    about = ("--version", "1.2.3", "--platform", "linux-x86_64", "--glibc", "2.35", "--out", out)
    assert "no key" in run("release", *about, file, code=1).stderr
    run("release", "--key", key, *about, file)
    (tmp_path / "mine.pub").write_text(public)
    release, by = verify(out.read_bytes(), trusted(tmp_path))
    assert by == "mine"
    release.check("spoke", 7, hashlib.sha256(b"program").hexdigest())
