"""Small files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def write_private(path: Path, text: str, *, replace: bool = True, mode: int = 0o600) -> None:
    """Write a file of mode 0600, or another; it is on disk, under its name, when this returns.

    A crash leaves the old file or the new one, and at most a hidden one beside it that the next writer of this process
    id removes. Links are not followed.

    Raises:
        FileExistsError: there is one, and `replace` is False.
        OSError: it cannot be written; the old file is as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            belong(file.fileno(), path.parent)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            os.link(new, path)  # never over a file that is there
    finally:
        new.unlink(missing_ok=True)
    sync(path.parent)


def read_private(path: Path, limit: int = 65_536) -> bytes:
    """Read a file that nobody else may read, at most `limit` bytes of it.

    Raises:
        PermissionError: others may read it, too; `strerror` says so.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise PermissionError(
                errno.EPERM, f"others may read it (mode {mode:o}); chmod 600, and rotate the keys", str(path)
            )
        return file.read(limit)


def belong(descriptor: int, folder: Path) -> None:
    """Give a file to the owner of its folder, where root made it: a service that is not root has to read it, too."""
    if os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def make_private_folder(path: Path) -> None:
    """Make a folder (0700) that belongs to the owner of the one it is in; one that is there stays as it is."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        belong(descriptor, path.parent)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
