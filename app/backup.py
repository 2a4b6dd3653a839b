"""Backups of a data directory: everything that this node, and a hub on this machine, would need to be here again."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.paths import Paths
from app.views.text import size
from storage import engine
from storage.archive import FORMAT, Manifest, Member, Position, Progress, said_full, write_archive
from storage.backup import backup
from storage.copies import BackupNote, Grown, grown_since, last_backup, note_backup
from storage.engine.errors import CannotOpenError, EngineError, FullError
from storage.migrations import tenant
from storage.private_file import sync
from storage.process_lock import ProcessLock
from storage.tenants import find_fact
from sync.logs.incoming import mark_stable

if TYPE_CHECKING:
    from storage.engine import Snapshot

KEYS = "keys.json"
"""The member that holds what is secret, encrypted."""
CONTEXT = "spoke backup"
"""Authenticated with the keys, so that no other secret can be put in their place."""
CONFIG = "spoke.toml"
PARTIAL = ".partial"
PACKED_PART = 4
"""A fourth of what is packed is reckoned for the file: docs/backup.md measures a fifth."""


class NoRoomError(FullError):
    """There would be no room for the backup; nothing was written."""

    hint = "free some disk space, or name a FILE on another disk"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is on the disk and was read back.

    `grown` is by database what came since the last backup; `left_out` are files with secrets that are not in it;
    `unmarked` are databases, and why, that do not know of this backup: what a hub says is stable stays where it was.
    """

    file: Path
    bytes: int
    manifest: Manifest
    grown: Mapping[str, Grown]
    left_out: tuple[str, ...]
    unmarked: Mapping[str, str]


def make_backup(
    paths: Paths,
    target: Path,
    *,
    program: str,
    now_ms: int,
    passphrase: str | None,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Write a backup of everything in the data directory, beside programs that use it.

    `target` is replaced whole or not at all, is on the disk and was read back when this returns. Each database in it is
    one state of that database, with everything that was committed when this was called. Then it is noted in each of
    them, which is what `spoke hub run --stable backup` waits for. A crash leaves at most a folder `.NAME.….partial`
    beside `target`, which the next backup removes.

    Args:
        paths: where things are.
        target: the file to write; its folder must exist.
        program: who writes it.
        now_ms: unix milliseconds.
        passphrase: what the keys are encrypted with; None leaves them out.
        progress: called with bytes done and in all.

    Raises:
        LockHeldError: another backup is being made.
        NoRoomError: the copy would find no room; nothing was begun.
        EngineError: a database cannot be read, or room ran out meanwhile; `target` is as it was.
        OSError: something cannot be read or written; `target` is as it was.
    """
    if not target.parent.is_dir() or target.is_dir():
        raise CannotOpenError(f"{target}: name a file in a folder that exists")
    with ProcessLock(paths.backup_lock):
        for stale in target.parent.glob(f".{target.name}.*{PARTIAL}"):
            shutil.rmtree(stale)
        refuse_without_room(paths.databases, target.parent, shutil.disk_usage(target.parent).free)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
        try:
            return _make(paths, target, work, program, now_ms, passphrase, progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def refuse_without_room(databases: Sequence[Path], folder: Path, free: int) -> None:
    """Refuse where copies of the databases, with what is in their logs, and the file made of them would not fit.

    Raises:
        NoRoomError: with the bytes that it takes, and those that are free.
    """
    logs = [path.with_name(f"{path.name}-wal") for path in databases]
    copied = sum(path.stat().st_size for path in (*databases, *logs) if path.exists())
    needed = copied + copied // PACKED_PART
    if free < needed:
        raise NoRoomError(f"{folder}: a backup takes {size(needed)} there while it is made, {size(free)} are free")


def _make(
    paths: Paths,
    target: Path,
    work: Path,
    program: str,
    now_ms: int,
    passphrase: str | None,
    progress: Progress,
) -> Made:
    sources: dict[str, Path | bytes] = {}
    members: list[Member] = []
    grown: dict[str, Grown] = {}
    databases = {str(path.relative_to(paths.data_dir)): path for path in paths.databases}
    whole = 3 * sum(path.stat().st_size for path in databases.values())  # copied, packed, read back
    copied = 0
    for number, (name, path) in enumerate(databases.items()):
        copy = work / f"{number}.db"
        size = path.stat().st_size
        backup(str(path), copy, _share(progress, copied, size, whole))
        copied += size
        sources[name] = copy
        member, since = _describe(name, copy)
        members.append(member)
        if since is not None:
            grown[name] = since
    plain, secret = read_files(paths)
    for name, text in plain.items():
        sources[name] = text.encode()
        members.append(Member(name, "file"))
    if passphrase is not None and secret:
        from storage.crypto import encrypt

        sources[KEYS] = encrypt(json.dumps(secret), passphrase, context=CONTEXT).model_dump_json().encode()
        members.append(Member(KEYS, "keys"))
    manifest = Manifest(FORMAT, program, now_ms, socket.gethostname(), tuple(members))
    partial = work / "backup"
    manifest = write_archive(partial, manifest, sources, lambda done, total: progress(copied + done, copied + total))
    with said_full(target):
        partial.replace(target)
    sync(target.parent)
    left_out = () if passphrase is not None else tuple(secret)
    return Made(
        target, target.stat().st_size, manifest, grown, left_out, _note(databases, sources, members, target, now_ms)
    )


def read_files(paths: Paths) -> tuple[dict[str, str], dict[str, str]]:
    """The small files of a data directory, by name: those that anybody may see, and those that hold secrets.

    The configuration and the address of the hub are of the second kind when an API key is in them.
    """
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, path in ((CONFIG, paths.config_file), (paths.hub_file.name, paths.hub_file)):
        if path.is_file():
            text = path.read_text()
            (secret if _holds_a_key(text, path.suffix) else plain)[name] = text
    keys = [paths.key_file, paths.api_keys]
    keys += [paths.device_key.with_name(paths.device_key.name + suffix) for suffix in ("", ".next", ".previous")]
    keys += sorted(paths.hub_dir.glob("keyring-*.json")) + sorted(paths.hub_certificates.glob("*"))
    for path in keys:
        if path.is_file():
            secret[str(path.relative_to(paths.data_dir))] = path.read_text()
    return plain, secret


def _holds_a_key(text: str, suffix: str) -> bool:
    try:
        document = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
        return "api_key" in document.get("hub", {})
    except (ValueError, AttributeError, TypeError):
        return True  # who can tell


def _describe(name: str, copy: Path) -> tuple[Member, Grown | None]:
    db = engine.open(copy, read_only=True, max_readers=1)
    try:
        with db.snapshot() as snapshot:
            ((version,),) = snapshot.rows("PRAGMA user_version")
            if not is_tenant(name):
                return Member(name, "database", schema_version=version), None
            before = last_backup(snapshot)
            return (
                Member(
                    name,
                    "database",
                    schema_version=version,
                    node_id=find_fact(snapshot, "node_id"),
                    last_offset=_last_offset(snapshot),
                    positions=_positions(snapshot) if version == len(tenant.MIGRATIONS) else (),
                ),
                None if before is None else grown_since(snapshot, before),
            )
    finally:
        db.close()


def is_tenant(name: str) -> bool:
    """Whether a member is a tenant's file: the node's own, or one of a hub."""
    return Path(name).name.startswith("tenant-")


def _last_offset(snapshot: Snapshot) -> int:
    ((offset,),) = snapshot.rows("SELECT coalesce(max(offset), 0) FROM _honker_stream")
    return int(offset)


def _positions(snapshot: Snapshot) -> tuple[Position, ...]:
    return tuple(
        Position(*row)
        for row in snapshot.rows(
            "SELECT topic, max(number), (SELECT coalesce(max(offset), 0) FROM _honker_stream s WHERE s.topic = g.topic)"
            " FROM link_generations g GROUP BY topic ORDER BY topic"
        )
    )


def _note(
    databases: Mapping[str, Path],
    sources: Mapping[str, Path | bytes],
    members: list[Member],
    target: Path,
    now_ms: int,
) -> dict[str, str]:
    """Tell each tenant's file what of it is in the backup; returns those that could not be told, and why."""
    failed: dict[str, str] = {}
    for member in members:
        copy = sources[member.name]
        if member.kind != "database" or not is_tenant(member.name) or not isinstance(copy, Path):
            continue
        if member.schema_version != len(tenant.MIGRATIONS):
            failed[member.name] = f"schema version {member.schema_version}: it is not migrated yet"
            continue
        try:
            _note_in(databases[member.name], copy, BackupNote(now_ms, str(target), member.last_offset or 0))
        except EngineError as error:  # the backup is there and good, whatever its database can store just now
            failed[member.name] = str(error)
    return failed


def _note_in(path: Path, copy: Path, note: BackupNote) -> None:
    copied = engine.open(copy, read_only=True, max_readers=1)
    try:
        db = engine.open(path)
        try:
            with copied.snapshot() as snapshot, db.transaction() as tx:
                mark_stable(tx, snapshot)
                note_backup(tx, note)
        finally:
            db.close()
    finally:
        copied.close()


def _share(progress: Progress, before: int, size: int, whole: int) -> Callable[[int, int], None]:
    return lambda done, pages: progress(before + size * done // max(1, pages), whole)


def to_json(made: Made) -> dict[str, object]:
    """For `--json`."""
    return {
        "file": str(made.file),
        "bytes": made.bytes,
        "manifest": msgspec.to_builtins(made.manifest),
        "grown": msgspec.to_builtins(dict(made.grown)),
        "leftOut": list(made.left_out),
        "unmarked": dict(made.unmarked),
    }
