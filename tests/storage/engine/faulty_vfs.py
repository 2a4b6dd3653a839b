"""A file system that fails: loses what was not synced, tears writes, fills up, refuses the n-th operation.

An APSW VFS over the real one. It keeps, for each file, the bytes that a power cut would leave (what the last sync
covered) and the writes since; `crash_image` writes what the disk could look like after a power cut now.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512


@dataclass
class FileState:
    """A file as the disk has it, and what was written since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data), or (size, None) for a truncation."""


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(b"\0" * (offset - len(image)))
    image[offset : offset + len(data)] = data


@dataclass
class Disk:
    """What all files of the VFS share."""

    files: dict[str, FileState] = field(default_factory=dict)
    operations: int = 0
    fail_at: int | None = None
    """The operation (a write or a sync, counted from 1) that fails, and every one after it."""
    error: type[apsw.Error] = apsw.IOError
    forgets: bool = False
    """A sync that fails loses what it should have written, and the next one succeeds, as Linux does."""
    budget: int | None = None
    """Bytes that may still be written before the disk is full."""

    def operation(self) -> None:
        self.operations += 1
        if self.fail_at is not None and self.operations >= self.fail_at:
            raise self.error("injected fault")

    def spend(self, size: int) -> None:
        if self.budget is not None:
            if size > self.budget:
                raise apsw.FullError("injected: the disk is full")
            self.budget -= size

    def sync(self, name: str) -> None:
        """Bring a file to the disk, whoever asks."""
        state = self.files.setdefault(name, FileState())
        try:
            self.operation()
        except apsw.Error:
            if self.forgets:
                state.pending.clear()
            raise
        for offset, data in state.pending:
            _apply(state.durable, offset, data)
        state.pending.clear()

    def crash_image(self, folder: Path, rng: random.Random, fate: str | None = None) -> None:
        """Write what a power cut now could leave: all synced bytes, any subset of the rest, the last one torn.

        `fate` says it of every file (none, prefix, subset, all, torn); without it each has its own, at random.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, state in self.files.items():
            if name.endswith("-shm"):
                continue
            image = bytearray(state.durable)
            chosen = fate or rng.choice(("none", "prefix", "subset", "all"))
            kept = rng.randint(0, len(state.pending))
            for number, (offset, data) in enumerate(state.pending):
                if chosen == "none" or (chosen in ("prefix", "torn") and number >= kept):
                    continue
                if chosen == "subset" and rng.random() < 0.5:
                    continue
                if data is not None and chosen != "all" and rng.random() < 0.3:
                    data = data[: rng.randrange(0, len(data) + 1, SECTOR)]
                _apply(image, offset, data)
            (folder / Path(name).name).write_bytes(image)


class FaultyVFS(apsw.VFS):
    """Register it under a name and open `file:PATH?vfs=NAME`."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.disk = disk
        super().__init__(name, base="")

    def xOpen(self, name: object, flags: list[int]) -> FaultyFile:
        return FaultyFile(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.disk.files.pop(filename, None)


class FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)  # type: ignore[arg-type]
        if self._name not in disk.files:
            state = disk.files[self._name] = FileState()
            size = self.xFileSize()
            if size:
                state.durable[:] = self.xRead(size, 0)

    @property
    def _state(self) -> FileState:
        return self._disk.files.setdefault(self._name, FileState())

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.operation()
        self._disk.spend(len(data))
        super().xWrite(data, offset)
        self._state.pending.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._state.pending.append((newsize, None))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._name)
