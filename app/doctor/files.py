"""Looks at files: permissions, the disk and its file system, databases."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.doctor.finding import Finding
from app.views.room import DO, Room, room_note, room_text
from app.views.text import count, size
from storage import check
from storage.backup import backups_before_migration
from storage.reserve import RESERVE_BYTES

MB = 1_000_000
LOW_BYTES, FULL_BYTES = 1_000 * MB, 64 * MB
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs"})
OVERLAY = frozenset({"overlay", "aufs"})
MEMORY = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    point: str
    type: str
    options: frozenset[str]


def mounts(text: str) -> list[Mount]:
    """What /proc/mounts says."""
    found = []
    for line in text.splitlines():
        parts = line.split(" ")
        if len(parts) >= 4:
            # Spaces and the like are written as octal escapes.
            point = parts[1].encode().decode("unicode_escape").encode("latin-1", "replace").decode("utf-8", "replace")
            found.append(Mount(point, parts[2], frozenset(parts[3].split(","))))
    return found


def mount_of(path: Path, known: Iterable[Mount]) -> Mount | None:
    """The file system that a path is on; of two at one place, the later one."""
    best = None
    for mount in known:
        point = mount.point.rstrip("/")
        inside = str(path) == mount.point or str(path).startswith(f"{point}/")
        if inside and (best is None or len(point) >= len(best.point.rstrip("/"))):
            best = mount
    return best


def filesystem(data_dir: Path, known: Iterable[Mount]) -> Finding:
    """Whether SQLite's locks hold where the data is, and whether it stays there."""
    mount = mount_of(data_dir, known)
    if mount is None:
        return Finding("filesystem", "ok", f"{data_dir}: of unknown type")
    what = f"{data_dir} is on {mount.type} ({mount.point})"
    elsewhere = "move the data to a local disk: SPOKE_DATA_DIR=/path"
    if mount.type in NETWORK:
        return Finding("filesystem", "problem", what, "locks do not hold there: the database gets damaged", elsewhere)
    if mount.type.startswith("fuse"):
        return Finding("filesystem", "warning", what, "many such file systems have no locks or no fsync", elsewhere)
    if mount.type in OVERLAY:
        return Finding("filesystem", "warning", what, "it is gone with the container", "mount a volume there")
    if mount.type in MEMORY:
        return Finding("filesystem", "warning", what, "it is gone after a restart of the machine", elsewhere)
    return Finding("filesystem", "ok", what)


def disk(folder: Path, free: int, total: int) -> Finding:
    """Whether there is room."""
    what = f"{count(free // MB)} of {count(total // MB)} MB free at {folder}"
    fix = "make room, or keep less: [retention] in spoke.toml, spoke db vacuum"
    if free < FULL_BYTES:
        return Finding("disk", "problem", what, "nothing can be recorded soon", fix)
    if free < LOW_BYTES:
        return Finding("disk", "warning", what, "nothing can be recorded when it is full", fix)
    return Finding("disk", "ok", what)


def limit(name: str, room: Room) -> Finding:
    """Whether a database may grow; `name` is its file's."""
    what, note = f"{name}: {room_text(room)}", room_note(room)
    if note is None:
        return Finding("limit", "ok", what)
    return Finding("limit", "problem" if room.level == "critical" else "warning", what, note[1], DO)


def reserve(path: Path, *, joined: bool) -> Finding:
    """Whether space is kept for the link, which can send when the disk is full."""
    if path.exists():
        return Finding("reserve", "ok", f"{RESERVE_BYTES // MB} MB are kept for the link")
    if not joined:
        return Finding("reserve", "ok", "not needed: no hub")
    return Finding(
        "reserve",
        "warning",
        "no space is kept for the link",
        "on a full disk it could not begin a session; it is taken at the first one, if there is room",
        "make room, then: spoke run",
    )


def permissions(folder: Path, files: Iterable[Path], uid: int) -> Finding:
    """Whether the data is this user's alone."""
    open_to_others, foreign = [], []
    for path, limit in [(folder, 0o700), *((file, 0o600) for file in files)]:
        try:
            found = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_IMODE(found.st_mode) & 0o077:
            open_to_others.append(f"chmod {limit:o} {path}")
        if uid not in (0, found.st_uid):
            foreign.append(f"{path} is user {found.st_uid}'s")
    if open_to_others:
        what = f"others can read {len(open_to_others)} of the files"
        return Finding(
            "permissions", "problem", what, "keys and data are in them", "; ".join(open_to_others) + ", renew the keys"
        )
    if foreign:
        return Finding(
            "permissions",
            "problem",
            foreign[0],
            "it may not be written",
            f"chown -R $(id -un) {folder}, or be that user",
        )
    return Finding("permissions", "ok", f"{folder} and what is in it is this user's alone")


def private_files(data_dir: Path) -> Iterator[Path]:
    """What nobody else may read: databases, keys, sockets."""
    for pattern in ("*.db*", "*.json", "device.pem*", "*.sock", "hub/*.db*", "hub/*.json", "hub/tls/*.pem"):
        yield from sorted(data_dir.glob(pattern))


def database(path: Path, findings: Iterable[check.Finding]) -> list[Finding]:
    """What `storage.check` found in a database."""
    found = [
        Finding(
            "database",
            "problem" if one.level == "problem" else "warning",
            f"{path.name}: {one.about}: {one.text}",
            fix=one.fix,
        )
        for one in findings
    ]
    return found or [Finding("database", "ok", f"{path.name} is whole, {count(path.stat().st_size // MB)} MB")]


def copies(databases: Iterable[Path]) -> Finding | None:
    """What copies from before migrations take; None where there are none."""
    found = [copy for path in databases for _, copy in backups_before_migration(str(path))]
    if not found:
        return None
    taken = size(sum(copy.stat().st_size for copy in found))
    return Finding("copies", "ok", f"{len(found)} from before migrations, {taken}: spoke db copies")
