"""Replacing files, all or none: the plan decides, finishing it is idempotent, old files are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.replacing import Plan, decide, finish, stage, unstage, waits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    for name in ("a.db", "a.db-wal", "hub/b.db", "hub/gone.db", "key"):
        (tmp_path / name).write_text(f"old {name}")
    staged = stage(tmp_path)
    (staged / "hub").mkdir()
    for name in ("a.db", "hub/b.db", "hub/new.db"):
        (staged / name).write_text(f"new {name}")
    return tmp_path


PLAN = Plan("aside", ("a.db", "hub/b.db", "hub/new.db"), ("hub/gone.db",))


def test_until_the_plan_is_there_nothing_has_happened(folder: Path) -> None:
    assert not waits(folder)
    unstage(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a.db", "a.db-wal", "hub", "key"]
    (stage(folder) / "left").touch()
    assert list(stage(folder).iterdir()) == [], "what an earlier attempt left is gone"


def test_everything_has_its_place(folder: Path) -> None:
    decide(folder, PLAN)
    assert waits(folder)
    assert finish(folder) == folder / "aside"
    assert not waits(folder)
    files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "a.db": "new a.db",
        "hub/b.db": "new hub/b.db",
        "hub/new.db": "new hub/new.db",
        "key": "old key",
        "aside/a.db": "old a.db",
        "aside/a.db-wal": "old a.db-wal",
        "aside/hub/b.db": "old hub/b.db",
        "aside/hub/gone.db": "old hub/gone.db",
    }


def test_where_there_was_nothing_nothing_is_put_aside(tmp_path: Path) -> None:
    (stage(tmp_path) / "a.db").write_text("new")
    decide(tmp_path, Plan("aside", ("a.db",)))
    assert finish(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_a_file_of_the_users_own_is_not_even_begun_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """root's, in a folder of root's: whoever owns the data may not write there."""
    own, folder = tmp_path / "own.toml", tmp_path / "data"
    folder.mkdir()
    own.write_text("mine")
    stage(folder)
    decide(folder, Plan("aside", (), create={str(own): "theirs"}))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr("storage.replacing.write_private", refuse)
        finish(folder)
    assert (own.read_text(), waits(folder)) == ("mine", False)


def test_a_file_elsewhere_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    folder, config, own = tmp_path / "data", tmp_path / "etc" / "new.toml", tmp_path / "own.toml"
    folder.mkdir()
    own.write_text("mine")
    stage(folder)
    decide(folder, Plan("aside", (), create={str(config): "theirs", str(own): "theirs"}))
    finish(folder)
    assert (config.read_text(), own.read_text()) == ("theirs", "mine")
    assert config.stat().st_mode & 0o777 == 0o600
