"""`fs.list`, `fs.stat` and `fs.read`: files under the allowed roots, and nothing outside."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Literal

from pydantic import Field

from app.config import FileSettings
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.errors import AccessDeniedError, ExecutionError
from sync.calls.registry import Registry

MAX_ENTRIES = 10_000
MAX_READ_BYTES = 1_048_576


class ListInput(Model):
    """Which folder, or which path."""

    path: str


class Entry(Model):
    """One entry of a folder; links are shown, not followed."""

    name: str
    type: Literal["file", "directory", "link", "other"]
    size_bytes: int
    modified_at: int
    """Unix seconds."""


class ListOutput(Model):
    """The entries by name; `truncated` when there are more than 10 000."""

    path: str
    entries: list[Entry]
    truncated: bool


class StatOutput(Model):
    """What a path is; links are followed, as far as they stay under the allowed roots."""

    path: str
    type: Literal["file", "directory", "link", "other"]
    size_bytes: int
    modified_at: int
    """Unix seconds."""
    mode: str
    """As `ls -l` shows it."""
    owner_id: int
    group_id: int


class ReadInput(Model):
    """Which part of which file."""

    path: str
    offset: int = Field(default=0, ge=0)
    length: int = Field(default=65_536, ge=1, le=MAX_READ_BYTES)


class ReadOutput(Model):
    """Text when it is UTF-8, base64 otherwise."""

    path: str
    encoding: Literal["utf-8", "base64"]
    data: str
    size_bytes: int
    """Of the whole file."""
    truncated: bool
    """There is more behind what was read."""


LIST = OperationSpec(
    namespace="fs",
    name="list",
    type="query",
    description="The entries of a folder under the allowed roots.",
    input_model=ListInput,
    output_model=ListOutput,
    access_control=AccessControl(required_scopes=("fs:read",)),
)
STAT = OperationSpec(
    namespace="fs",
    name="stat",
    type="query",
    description="What a path under the allowed roots is: kind, size, time, permissions.",
    input_model=ListInput,
    output_model=StatOutput,
    access_control=AccessControl(required_scopes=("fs:read",)),
)
READ = OperationSpec(
    namespace="fs",
    name="read",
    type="query",
    description="A part of a file under the allowed roots.",
    input_model=ReadInput,
    output_model=ReadOutput,
    access_control=AccessControl(required_scopes=("fs:read",)),
)


class Files:
    """The two handlers, bound to the allowed roots."""

    def __init__(self, settings: FileSettings) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in settings.roots]

    def list(self, value: ListInput, _: OperationContext) -> ListOutput:
        """List a folder."""
        path = self._allowed(value.path)
        try:
            with os.scandir(path) as found:
                entries = [_entry(item) for _, item in zip(range(MAX_ENTRIES + 1), found, strict=False)]
        except OSError as error:
            raise _refused(error, path) from error
        entries.sort(key=lambda entry: entry.name)
        return ListOutput(path=str(path), entries=entries[:MAX_ENTRIES], truncated=len(entries) > MAX_ENTRIES)

    def stat(self, value: ListInput, _: OperationContext) -> StatOutput:
        """Look at a path."""
        path = self._allowed(value.path)
        try:
            found = path.stat()
        except OSError as error:
            raise _refused(error, path) from error
        return StatOutput(
            path=str(path),
            type=_kind(found.st_mode),
            size_bytes=found.st_size,
            modified_at=int(found.st_mtime),
            mode=stat.filemode(found.st_mode),
            owner_id=found.st_uid,
            group_id=found.st_gid,
        )

    def read(self, value: ReadInput, _: OperationContext) -> ReadOutput:
        """Read a part of a regular file; devices and pipes are refused, they could block for ever."""
        path = self._allowed(value.path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ExecutionError(f"{path}: not a regular file")
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(value.offset)
                data = file.read(value.length)
        except OSError as error:
            raise _refused(error, path) from error
        try:
            encoding, text = "utf-8", data.decode()
        except UnicodeDecodeError:
            encoding, text = "base64", base64.b64encode(data).decode()
        return ReadOutput(
            path=str(path),
            encoding="utf-8" if encoding == "utf-8" else "base64",
            data=text,
            size_bytes=size,
            truncated=value.offset + len(data) < size,
        )

    def _allowed(self, text: str) -> Path:
        if "\0" in text:
            raise AccessDeniedError("a path cannot hold a NUL character")
        path = Path(os.path.realpath(Path(text).expanduser()))
        if not any(path.is_relative_to(root) for root in self._roots):
            raise AccessDeniedError(
                f"{path} is outside the allowed roots",
                details={"roots": [str(root) for root in self._roots]},
                hint="add its folder to [fs] roots in the configuration",
            )
        return path


def _entry(item: os.DirEntry[str]) -> Entry:
    status = item.stat(follow_symlinks=False)
    kind = _kind(status.st_mode)
    name = item.name.encode(errors="surrogateescape").decode(errors="replace")
    return Entry(name=name, type=kind, size_bytes=status.st_size, modified_at=int(status.st_mtime))


def _kind(mode: int) -> Literal["file", "directory", "link", "other"]:
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def _refused(error: OSError, path: Path) -> ExecutionError:
    return ExecutionError(f"{path}: {error.strerror}", details={"errno": error.errno})


def register(registry: Registry, settings: FileSettings) -> None:
    """Add the operations of this module."""
    files = Files(settings)
    registry.register(LIST, files.list)
    registry.register(STAT, files.stat)
    registry.register(READ, files.read)
