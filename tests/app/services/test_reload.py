"""A configuration that changes while the services run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.config import Settings, load
from app.paths import Paths
from app.services.reload import run_reloading

LIMIT_S = 60


async def test_services_begin_anew_with_a_changed_configuration_and_not_with_a_wrong_one(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    paths.data_dir.mkdir()
    paths.config_file.write_text('name = "one"\n')
    names: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()

    async def run(settings: Settings, pause: asyncio.Event) -> None:
        names.put_nowait(settings.name)
        await pause.wait()

    running = asyncio.create_task(run_reloading(paths, load(paths), stop, run))
    async with asyncio.timeout(LIMIT_S):
        assert await names.get() == "one"
        for text in ('name = "broken\n', 'nmae = "x"\n', 'name = "two"\n'):
            await asyncio.to_thread(_replace, paths.config_file, text)
        assert await names.get() == "two"
        assert names.empty()
        await asyncio.to_thread(_replace, paths.config_file, 'name = "three"\n')
        assert await names.get() == "three"
        stop.set()
        await running


def _replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


async def test_what_runs_ends_when_all_ends(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    stop = asyncio.Event()

    async def run(settings: Settings, pause: asyncio.Event) -> None:
        stop.set()
        await pause.wait()

    async with asyncio.timeout(LIMIT_S):
        await run_reloading(paths, load(paths), stop, run)


async def test_services_that_fail_are_an_error_of_the_whole(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")

    async def run(settings: Settings, pause: asyncio.Event) -> None:
        raise RuntimeError("broken")

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RuntimeError, match="broken"):
            await run_reloading(paths, load(paths), asyncio.Event(), run)
