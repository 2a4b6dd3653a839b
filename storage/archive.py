"""A backup as one file: a zip archive of database copies and small files, with a manifest that proves each of them.

Any unzip reads it. What is secret lies in it only encrypted with a passphrase (`keys.json`). Manifest and hashes find a
damaged or cut file; they are no signature: who can write the file can write another one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar, Literal

import msgspec

from storage.engine.errors import EngineError, FullError
from storage.private_file import sync

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
CHUNK = 1024 * 1024
ZIP_BEGINS = (1980, 1, 1, 0, 0, 0)
"""Its times cannot be earlier."""
LEVEL = 1
"""Of deflate: the fastest (docs/backup.md has the figures)."""

Progress = Callable[[int, int], None]
Kind = Literal["database", "file", "keys"]


class ArchiveError(EngineError):
    """The file is not a backup that can be used."""

    hint: ClassVar[str] = "take another backup: nothing was changed"


class NewerArchiveError(ArchiveError):
    """The backup was written by a newer version of Spoke."""

    hint: ClassVar[str] = "upgrade this program: nothing was changed"


class Position(msgspec.Struct, frozen=True, rename="camel"):
    """Where a log that this file sends had come to: its generation, and the offset of its newest event."""

    topic: str
    generation: int
    offset: int


class Member(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One file of the backup; `name` is its place in the data directory. The rest is said of databases."""

    name: str
    kind: Kind
    bytes: int = 0
    sha256: str = ""
    schema_version: int | None = None
    node_id: str | None = None
    last_offset: int | None = None
    positions: tuple[Position, ...] = ()


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What is in a backup, and what it is one of; `created_ms` in unix milliseconds."""

    format: int
    program: str
    created_ms: int
    host: str
    members: tuple[Member, ...]

    def of(self, kind: Kind) -> tuple[Member, ...]:
        """The members of a kind."""
        return tuple(member for member in self.members if member.kind == kind)


@contextmanager
def said_full(path: Path) -> Iterator[None]:
    """Say of a write that finds no room what SQLite says of it, too.

    Raises:
        FullError: no space, no quota, or a limit on the size of files.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise FullError(f"{path}: {error.strerror}") from error
        raise


def write_archive(path: Path, manifest: Manifest, sources: dict[str, Path | bytes], progress: Progress) -> Manifest:
    """Write an archive of mode 0600, bring it to the disk, and read it back; returns the manifest, filled in.

    Args:
        path: where; replaced if there is one.
        manifest: what is in it; sizes and hashes are filled in.
        sources: by the name of the member: the file, or what is in it.
        progress: called with bytes done and in all; every byte counts twice, written and read back.

    Raises:
        FullError: there is no room.
        ArchiveError: what was read back is not what was written: the disk is not to be trusted.
    """
    total = 2 * sum(len(source) if isinstance(source, bytes) else source.stat().st_size for source in sources.values())
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    with said_full(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as packed:
                members = tuple(
                    _pack(packed, member, sources[member.name], manifest.created_ms, step)
                    for member in manifest.members
                )
                manifest = msgspec.structs.replace(manifest, members=members)
                packed.writestr(
                    _info(MANIFEST, manifest.created_ms), msgspec.json.format(msgspec.json.encode(manifest), indent=1)
                )
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # read it from the disk, not from memory
    verify_archive(path, lambda read, _: progress(done + read, total))
    sync(path.parent)
    return manifest


def verify_archive(path: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Read a whole archive and compare every member with the manifest, which is returned.

    Raises:
        NewerArchiveError: its format is newer than this program.
        ArchiveError: it is no backup, it is damaged, or it holds something else than it says.
        OSError: it cannot be read.
    """
    with _opened(path) as (packed, manifest):
        total = sum(member.bytes for member in manifest.members)
        done = 0
        for member in manifest.members:
            digest, size = hashlib.sha256(), 0
            for chunk in _chunks(path, packed, member):
                digest.update(chunk)
                size += len(chunk)
                progress(done + size, total)
            if (size, digest.hexdigest()) != (member.bytes, member.sha256):
                raise ArchiveError(f"{path}: damaged: {member.name} is not what was written")
            done += size
    return manifest


def read_manifest(path: Path) -> Manifest:
    """What an archive says that it holds; nothing is verified. Raises as `verify_archive`."""
    with _opened(path) as (_, manifest):
        return manifest


def read_member(path: Path, member: Member, limit: int = CHUNK) -> bytes:
    """A small member, at most `limit` bytes of it. Raises as `verify_archive`."""
    with _opened(path) as (packed, _):
        return b"".join(_chunks(path, packed, member))[:limit]


def extract(path: Path, members: Sequence[Member], folder: Path, progress: Progress) -> None:
    """Write members under a folder, each with mode 0600 and on the disk when this returns; what is read is compared.

    Raises:
        FullError: there is no room; some members may be there.
        ArchiveError: as `verify_archive`.
    """
    total, done = sum(member.bytes for member in members), 0
    with _opened(path) as (packed, _), said_full(folder):
        for member in members:
            target = folder / member.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            digest = hashlib.sha256()
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for chunk in _chunks(path, packed, member):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    progress(done, total)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != member.sha256:
                raise ArchiveError(f"{path}: damaged: {member.name} is not what was written")
            sync(target.parent)


def _pack(
    packed: zipfile.ZipFile, member: Member, source: Path | bytes, created_ms: int, step: Callable[[int], None]
) -> Member:
    digest, size = hashlib.sha256(), 0
    with packed.open(_info(member.name, created_ms), "w", force_zip64=True) as into:
        for chunk in (source,) if isinstance(source, bytes) else _read(source):
            into.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            step(len(chunk))
    return msgspec.structs.replace(member, bytes=size, sha256=digest.hexdigest())


def _info(name: str, created_ms: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, max(datetime.fromtimestamp(created_ms / 1000, UTC).timetuple()[:6], ZIP_BEGINS))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info


def _read(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    with path.open("rb") as file:
        try:
            packed = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise ArchiveError(f"{path}: this is no backup, or the end of it is missing") from error
        yield packed, _manifest(path, packed, file)


def _manifest(path: Path, packed: zipfile.ZipFile, file: BinaryIO) -> Manifest:
    try:
        info = packed.getinfo(MANIFEST)
        if info.file_size > MAX_MANIFEST_BYTES:
            raise ArchiveError(f"{path}: its manifest is too large")
        text = packed.read(MANIFEST)
        if msgspec.json.decode(text, type=_Format).format > FORMAT:
            raise NewerArchiveError(f"{path}: written by a newer version of this program")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise ArchiveError(f"{path}: this is no backup of Spoke, or its manifest is damaged") from error
    except (msgspec.DecodeError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"{path}: its manifest cannot be read: {error}") from error
    names = [member.name for member in manifest.members]
    if sorted([*names, MANIFEST]) != sorted(packed.namelist()) or len(set(names)) != len(names):
        raise ArchiveError(f"{path}: it does not hold what its manifest says")
    for name in names:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or str(pure) != name or "\\" in name or "\0" in name:
            raise ArchiveError(f"{path}: a member's name leads out of the data directory")
    return manifest


class _Format(msgspec.Struct):
    format: int


def _chunks(path: Path, packed: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """What a member holds, never more than it says."""
    left = member.bytes
    try:
        with packed.open(member.name) as file:
            while chunk := file.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise ArchiveError(f"{path}: damaged: {member.name} is larger than it says")
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError) as error:
        raise ArchiveError(f"{path}: damaged: {member.name}: {error}") from error
