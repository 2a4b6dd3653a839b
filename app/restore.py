"""Putting a backup back: all of it or nothing, never onto files that are in use, never by deleting any."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from app.backup import CONFIG, CONTEXT, is_tenant
from app.paths import TENANT, Paths
from storage import engine
from storage.archive import ArchiveError, Manifest, Member, Progress, extract, read_member, said_full, verify_archive
from storage.copies import RestoredNote, note_restored
from storage.engine.connection import connect
from storage.engine.errors import BusyError, CorruptError, EngineError, NotADatabaseError, translated
from storage.migrations import NewerFileError, system, tenant
from storage.private_file import sync, write_private
from storage.process_lock import ProcessLock, refuse_held
from storage.replacing import Plan, decide, finish, stage, unstage, waits
from storage.running import forget

SMALL_FILES = re.compile(
    r"spoke\.toml|hub\.json|keyring\.json|api-keys\.json|device\.pem(\.next|\.previous)?"
    r"|hub/keyring-[a-z0-9-]+\.json|hub/tls/[A-Za-z0-9][A-Za-z0-9._-]*"
)
"""What a backup may put beside the databases, and nothing else."""


class ThereAlreadyError(EngineError):
    """A database is here already."""

    hint: ClassVar[str] = "with --replace it is moved aside, not deleted; or use another --data-dir"


class ConfigPlaceError(EngineError):
    """The configuration of the backup cannot be put into its place; nothing was changed."""

    hint: ClassVar[str] = "name a file that you may write with --config, or put an empty one there as its owner"


class KeysError(EngineError):
    """The keys of the backup cannot be had."""

    hint: ClassVar[str] = "without --with-keys everything else is restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back. `aside` is where the old files are now; `keys` are the names of the secrets that came along.

    `config_kept` says that the machine has a configuration of its own, which was left alone.
    """

    manifest: Manifest
    aside: Path | None
    keys: tuple[str, ...]
    config_kept: bool


def restore(
    paths: Paths,
    file: Path,
    *,
    passphrase: str | None,
    replace: bool,
    now_ms: int,
    by: str = "",
    progress: Progress = lambda done, total: None,
) -> Restored:
    """Verify a backup, then put it into the data directory.

    Everything is prepared beside what is there; then one small file decides, and files are moved. A crash or a power
    cut before that leaves all as it was; after it, the next command that opens this directory moves the rest. The
    databases know from then on that they are copies (`storage.copies`).

    Args:
        paths: where things are.
        file: the backup.
        passphrase: of the keys; None leaves the keys that are here as they are.
        replace: move a database that is here aside.
        now_ms: unix milliseconds.
        by: who does it; noted in the databases.
        progress: called with bytes done and in all: verifying, then writing.

    Raises:
        LockHeldError, BusyError: a program works with this directory.
        ThereAlreadyError: there is a database, and `replace` is False.
        ConfigPlaceError: there is no configuration, and that of the backup may not be written.
        ArchiveError, NewerFileError, KeysError: the backup cannot be used.
        FullError: there is no room. Nothing was changed by any of them.
        OSError: if it was while files were moved, the next command goes on.
    """
    content = _verified(file, passphrase, lambda done, total: progress(done, 2 * total))
    manifest, databases, keys, small = content.manifest, content.databases, content.keys, dict(content.small)
    with said_full(paths.data_dir), _alone(paths, hub=content.of_hub):
        names, (there, old_hub) = content.names, _replaced(paths, content, replace=replace)
        for name in there | old_hub:
            _refuse_in_use(paths.data_dir / name)
        staged = stage(paths.data_dir)
        try:
            extract(file, databases, staged, lambda done, total: progress(total + done, 2 * total))
            note = RestoredNote(now_ms, manifest.created_ms, manifest.host, str(file), by)
            for member in databases:
                _mark(staged / member.name, member, note)
            config = small.pop(CONFIG, None)
            for name, text in small.items():
                (staged / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(staged / name, text)
            create = {} if config is None else _to_create(paths.config_file, config)
            kept = _keeps_config(paths, config)
            plan = Plan(_aside(paths, now_ms), (*sorted(names), *small), tuple(old_hub - names), create)
            decide(paths.data_dir, plan)
        except BaseException:
            if not waits(paths.data_dir):
                unstage(paths.data_dir)
            raise
        aside = finish(paths.data_dir)
    return Restored(manifest, aside, tuple(keys), kept)


def preview(
    paths: Paths,
    file: Path,
    *,
    passphrase: str | None,
    replace: bool,
    now_ms: int,
    progress: Progress = lambda done, total: None,
) -> Restored:
    """Verify a backup as `restore` does and say what that would do; nothing is made, moved or locked.

    Raises:
        LockHeldError, ThereAlreadyError, ConfigPlaceError, ArchiveError, NewerFileError, KeysError: as `restore`, which
            alone finds out that there is no room, or that a program that is none of ours has a database open.
    """
    content = _verified(file, passphrase, progress)
    for lock in _locks(paths, hub=content.of_hub):
        refuse_held(lock)
    there, old_hub = _replaced(paths, content, replace=replace)
    config = content.small.get(CONFIG)
    if config is not None:
        _to_create(paths.config_file, config)
    aside = paths.data_dir / _aside(paths, now_ms) if there or old_hub else None
    return Restored(content.manifest, aside, tuple(content.keys), _keeps_config(paths, config))


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in a backup: databases, the keys if they were asked for, small files by name with the keys among them."""

    manifest: Manifest
    databases: tuple[Member, ...]
    keys: dict[str, str]
    small: dict[str, str]

    @property
    def names(self) -> set[str]:
        return {member.name for member in self.databases}

    @property
    def of_hub(self) -> bool:
        return any(name.startswith("hub/") for name in self.names)


def _verified(file: Path, passphrase: str | None, progress: Progress) -> _Content:
    manifest = verify_archive(file, progress)
    _refuse_newer(file, manifest)
    databases = manifest.of("database")
    if not databases or any(not _is_ours(member.name) for member in databases):
        raise ArchiveError(f"{file}: it holds no database of a node or a hub, or one that is neither's")
    keys = _keys(file, manifest, passphrase)
    small = {member.name: read_member(file, member).decode() for member in manifest.of("file")} | keys
    if strange := sorted(name for name in small if not SMALL_FILES.fullmatch(name)):
        raise ArchiveError(f"{file}: it holds a file that is none of ours: {strange[0]}")
    return _Content(manifest, databases, keys, small)


def _replaced(paths: Paths, content: _Content, *, replace: bool) -> tuple[set[str], set[str]]:
    """The databases here that are in the backup too, and those of a hub that goes as a whole.

    Its files belong together: a tenant that is not in the backup would be taken for one of its own.

    Raises:
        ThereAlreadyError: there are some, and they may not be replaced.
    """
    there = {str(path.relative_to(paths.data_dir)) for path in paths.databases}
    old_hub = {name for name in there if name.startswith("hub/")} if content.of_hub else set()
    if not replace and (found := sorted(there & content.names | old_hub)):
        raise ThereAlreadyError(f"{paths.data_dir / found[0]}: there is a database already")
    return there & content.names, old_hub


def _keeps_config(paths: Paths, config: str | None) -> bool:
    return config is not None and paths.config_file.exists() and paths.config_file.read_text() != config


def _aside(paths: Paths, now_ms: int) -> str:
    at = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    return _free_name(paths.data_dir, f"replaced-{at}")


def _to_create(file: Path, text: str) -> dict[str, str]:
    """Refuse before anything is decided: who could not finish would leave a directory that nobody can open."""
    if file.exists():
        return {}
    folder = next(parent for parent in file.parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigPlaceError(f"{file}: {folder} may not be written")
    return {str(file): text}


def finish_restore(paths: Paths) -> bool:
    """Go on with a restore that was cut off after it had been decided; False when there is none.

    Raises:
        LockHeldError: it is going on right now.
        OSError: a file cannot be moved.
    """
    if not waits(paths.data_dir):
        return False
    with ProcessLock(paths.daemon_lock):
        if waits(paths.data_dir):
            finish(paths.data_dir)
    return True


def _locks(paths: Paths, *, hub: bool) -> list[Path]:
    """Of who works with the files that are replaced: this node's services, the hub."""
    return [paths.daemon_lock, *([paths.hub_dir / "hub.lock"] if hub else [])]


@contextmanager
def _alone(paths: Paths, *, hub: bool) -> Iterator[None]:
    """Nobody runs the services of this node, nor the hub."""
    with ExitStack() as stack:
        paths.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for lock in _locks(paths, hub=hub):
            lock.parent.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(ProcessLock(lock))
        if waits(paths.data_dir):
            finish(paths.data_dir)
        yield


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == "hub":
        return file == "system.db" or (file.startswith("tenant-") and file.endswith(".db"))
    return name == f"tenant-{TENANT}.db"


def _refuse_newer(file: Path, manifest: Manifest) -> None:
    for member in manifest.of("database"):
        latest = len((tenant if is_tenant(member.name) else system).MIGRATIONS)
        if (member.schema_version or 0) > latest:
            raise NewerFileError(
                f"{file}: {member.name} has schema version {member.schema_version}, this program knows {latest};"
                f" it was written by {manifest.program}"
            )


def _keys(file: Path, manifest: Manifest, passphrase: str | None) -> dict[str, str]:
    if passphrase is None:
        return {}
    from storage.crypto import DecryptionError, decrypt

    members = manifest.of("keys")
    if not members:
        raise KeysError(f"{file}: there are no keys in this backup")
    try:
        text = decrypt(json.loads(read_member(file, members[0])), passphrase, context=CONTEXT)
    except (DecryptionError, ValueError):
        raise KeysError(f"{file}: this is not the passphrase that its keys were encrypted with") from None
    found: dict[str, str] = json.loads(text)
    return found


def _refuse_in_use(path: Path) -> None:
    """Refuse while another program has the database open. Its log is brought into it: it holds what it held."""
    try:
        connection = connect(str(path), durability="full", query_only=False)
    except (CorruptError, NotADatabaseError):
        return  # whoever restores over a damaged file has a reason
    try:
        with translated(str(path)):
            connection.pragma("journal_mode", "delete")  # SQLite does that only for the last one who has it open
    except BusyError as error:
        raise BusyError(f"{path}: another program has it open") from error
    except (CorruptError, NotADatabaseError):
        return
    finally:
        connection.close()


def _mark(path: Path, member: Member, note: RestoredNote) -> None:
    db = engine.open(path)
    try:
        with db.transaction() as tx:
            note_restored(tx, note, "node_facts" if is_tenant(member.name) else "hub_facts")
            # How what ran then has ended, the hub may know; to say here that nobody does would fork the log.
            forget(tx)
    finally:
        db.close()
    connection = connect(str(path), durability="full", query_only=False)
    try:
        with translated(str(path)):
            connection.pragma("journal_mode", "delete")  # one file, that can be moved by itself
    finally:
        connection.close()
    sync(path)


def _free_name(folder: Path, name: str) -> str:
    number = 1
    chosen = name
    while (folder / chosen).exists():
        number += 1
        chosen = f"{name}-{number}"
    return chosen
