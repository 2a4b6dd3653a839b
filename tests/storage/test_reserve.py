"""Space that is kept for the link, and events that are refused before the disk is quite full."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from storage.engine import Database, FullError
from storage.engine.stream import append_event
from storage.reserve import Reserve


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_it_is_taken_once_and_given_back_once(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", size=100_000)
    assert (reserve.take(), reserve.take()) == (True, True)
    found = (tmp_path / "reserve").stat()
    assert (found.st_size, found.st_mode & 0o777) == (100_000, 0o600)
    assert found.st_blocks * 512 >= 100_000, "it is space, no hole"
    assert (reserve.release(), reserve.release()) == (True, False)


def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1_000_000, 850_000, 150_000))


def _refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fallocate(*_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", fallocate)


@pytest.mark.parametrize("how", [_little, _refused])
def test_where_there_is_no_plenty_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[pytest.MonkeyPatch], None]
) -> None:
    how(monkeypatch)
    assert not Reserve(tmp_path / "reserve", size=100_000).take()
    assert list(tmp_path.iterdir()) == []


def test_events_are_refused_before_the_disk_is_quite_full(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tenant.path)
    little = os.statvfs_result([*real[:3], 10, 10, *real[5:]])
    tenant.stream("s").publish(1)
    monkeypatch.setattr(os, "statvfs", lambda _: little)
    with pytest.raises(FullError, match="KiB is free") as caught:
        tenant.stream("s").publish(2)
    assert caught.value.hint
    with pytest.raises(FullError), tenant.transaction() as tx:
        append_event(tx, "s", None, "3")
    tenant.stream("s").save_offset("c", 1)  # small notes find room
    monkeypatch.undo()
    tenant.stream("s").publish(4)
    assert [event.payload for event in tenant.stream("s").read()] == [1, 4]
