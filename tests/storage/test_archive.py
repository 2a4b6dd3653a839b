"""The container of backups: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
import random
import resource
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.archive import (
    MANIFEST,
    ArchiveError,
    Manifest,
    Member,
    NewerArchiveError,
    extract,
    read_manifest,
    read_member,
    verify_archive,
    write_archive,
)
from storage.engine.errors import FullError


def quiet(done: int, total: int) -> None:
    pass


def made(path: Path, content: dict[str, bytes]) -> Manifest:
    members = tuple(Member(name, "file") for name in content)
    return write_archive(path, Manifest(1, "test", 1_800_000_000_000, "host", members), dict(content), quiet)


def rewritten(path: Path, change: dict[str, object], **files: bytes) -> None:
    """Another manifest, and members that it may not know of."""
    document = json.loads(zipfile.ZipFile(path).read(MANIFEST)) | change
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(MANIFEST, json.dumps(document))
        for name, content in files.items():
            packed.writestr(name.replace("_", "/"), content)


@given(
    content=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z.]{1,3}[a-z])?", fullmatch=True), st.binary(max_size=500), max_size=5
    ).filter(lambda d: not any(a != b and b.startswith(a + "/") for a in d for b in d))
)
def test_what_was_written_comes_back(tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("archive")
    path = folder / "a.zip"
    manifest = made(path, content)
    assert path.stat().st_mode & 0o777 == 0o600
    assert verify_archive(path) == read_manifest(path) == manifest
    extract(path, manifest.members, folder / "out", quiet)
    assert {name: (folder / "out" / name).read_bytes() for name in content} == content
    assert {member.name: read_member(path, member) for member in manifest.members} == content


def test_it_counts_every_byte_once_written_and_once_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(random.Random(1).randbytes(3_000_000))
    seen: list[tuple[int, int]] = []
    manifest = Manifest(1, "t", 0, "h", (Member("big", "database"), Member("small", "file")))
    write_archive(
        tmp_path / "a.zip", manifest, {"big": tmp_path / "big", "small": b"x"}, lambda *step: seen.append(step)
    )
    assert seen[-1] == (6_000_002, 6_000_002)
    assert seen == sorted(seen)


def test_a_cut_or_flipped_archive_is_refused(tmp_path: Path) -> None:
    """Whatever byte: it is an error that says so, or the change touches nothing that counts (a time, a padding)."""
    rng = random.Random(7)
    content = {"a": rng.randbytes(3_000), "b/c": b"x" * 5_000}
    made(tmp_path / "a.zip", content)
    whole = (tmp_path / "a.zip").read_bytes()
    path = tmp_path / "b.zip"
    for cut in rng.sample(range(len(whole)), 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError):
            verify_archive(path)
    accepted = 0
    for at in rng.sample(range(len(whole)), 400):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            manifest = verify_archive(path)
        except ArchiveError:
            continue
        accepted += 1
        assert {member.name: read_member(path, member) for member in manifest.members} == content
    assert accepted < 40


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "./a"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    made(path, {"x": b"x"})
    document = json.loads(zipfile.ZipFile(path).read(MANIFEST))
    document["members"][0]["name"] = name
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(MANIFEST, json.dumps(document))
        packed.writestr(name, b"x")
    with pytest.raises(ArchiveError):
        verify_archive(path)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for content in (b"", b"not a zip", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ArchiveError):
            verify_archive(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("other", b"x")
    with pytest.raises(ArchiveError, match="no backup of Spoke"):
        verify_archive(path)
    made(path, {"x": b"x"})
    rewritten(path, {}, x=b"x", more=b"x")
    with pytest.raises(ArchiveError, match="does not hold what its manifest says"):
        verify_archive(path)
    made(path, {"x": b"x"})
    rewritten(path, {}, x=b"y")
    with pytest.raises(ArchiveError, match="damaged: x"):
        verify_archive(path)
    made(path, {"x": b"x"})
    rewritten(path, {}, x=b"y" * 100)
    with pytest.raises(ArchiveError, match="larger than it says"):
        verify_archive(path)
    made(path, {"x": b"x"})
    rewritten(path, {"format": 2, "members": "of another shape"}, x=b"x")
    with pytest.raises(NewerArchiveError):
        verify_archive(path)


def test_no_room_is_said_as_sqlite_says_it(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(FullError, match="too large"):
            made(tmp_path / "a.zip", {"x": random.Random(1).randbytes(50_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
