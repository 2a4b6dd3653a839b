"""What root writes beside a service's files can be read by the service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.private_file import write_private
from storage.process_lock import ProcessLock

SOMEBODY = 12_345


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_files_of_root_belong_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    write_private(tmp_path / "key", "secret")
    with ProcessLock(tmp_path / "lock"):
        pass
    for name in ("key", "lock"):
        found = (tmp_path / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (SOMEBODY, SOMEBODY, 0o600)


def test_the_mode_of_a_file_is_what_was_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_private(tmp_path / "page", "text", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o644
