"""Replacing several files of a data directory, all of them or none, whatever happens in between.

New files are made in `staged/`. A small plan that is written last decides: until it is on the disk, everything is as
it was; from then on, whoever opens the directory next moves what is left to be moved. The old files are never deleted;
they lie in a folder of their own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from storage.private_file import sync, write_private

PLAN = "replacing.json"
STAGED = "staged"
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: it must go before another database takes the name."""


class Plan(msgspec.Struct, frozen=True):
    """`place`: files that are moved from `staged/` to their place; `remove`: files that have no successor.

    `aside` is the folder in the data directory that the old ones go to. `create` are files elsewhere, by path, that are
    written only where there are none.
    """

    aside: str
    place: tuple[str, ...]
    remove: tuple[str, ...] = ()
    create: dict[str, str] = {}


def stage(folder: Path) -> Path:
    """Return an empty folder for new files; what an earlier attempt left in it is gone."""
    staged = folder / STAGED
    if staged.exists():
        shutil.rmtree(staged)
    staged.mkdir(mode=0o700)
    return staged


def unstage(folder: Path) -> None:
    """Give up what was staged, while no plan says that it counts."""
    shutil.rmtree(folder / STAGED, ignore_errors=True)


def waits(folder: Path) -> bool:
    """Whether a replacement was decided and is not finished."""
    return (folder / PLAN).exists()


def decide(folder: Path, plan: Plan) -> None:
    """Make the plan count: on the disk when this returns. What is staged must be there already.

    Raises:
        OSError: it cannot be written; everything is as it was.
    """
    for directory in (folder / STAGED, *(path for path in (folder / STAGED).rglob("*") if path.is_dir())):
        sync(directory)
    write_private(folder / PLAN, msgspec.json.encode(plan).decode())


def finish(folder: Path) -> Path | None:
    """Move what the plan says, from wherever it was left; returns the folder of the old files, None if there are none.

    Idempotent; to be called under the locks of the processes that open these files.

    Raises:
        OSError: something cannot be moved; calling it again goes on from there.
    """
    plan = msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    aside, staged = folder / plan.aside, folder / STAGED
    for name in (*plan.place, *plan.remove):
        new = staged / name
        if name in plan.place and not new.exists():
            continue  # it has its place: what is there now is the new one
        for suffix in ("", *SIDE_FILES):  # the old log must not be taken for the new file's
            _move(folder / f"{name}{suffix}", aside / f"{name}{suffix}")
        if name in plan.place:
            _move(new, folder / name)
    for path, text in plan.create.items():
        _create(Path(path), text)
    unstage(folder)
    (folder / PLAN).unlink()
    sync(folder)
    return aside if aside.exists() else None


def _move(old: Path, new: Path) -> None:
    if not old.exists():
        return
    _make(new.parent)
    old.rename(new)
    sync(new.parent)
    sync(old.parent)


def _create(path: Path, text: str) -> None:
    if path.exists():
        return  # the user's own; its folder may be root's, where not even the beginning of one could be written
    _make(path.parent)
    try:
        write_private(path, text, replace=False)
    except FileExistsError:
        return  # it was made just now


def _make(folder: Path) -> None:
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=0o700)
        sync(folder.parent)
