"""A configuration that changes while the services run."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from app.config import Settings, load, read
from app.logs import Logging
from app.paths import Paths
from app.services.reload import Reloading, differences, run_reloading
from app.storage_limit import obey

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

    running = asyncio.create_task(run_reloading(Reloading(paths, load(paths)), stop, run))
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
        await run_reloading(Reloading(paths, load(paths)), stop, run)


async def test_services_that_fail_are_an_error_of_the_whole(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")

    async def run(settings: Settings, pause: asyncio.Event) -> None:
        raise RuntimeError("broken")

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RuntimeError, match="broken"):
            await run_reloading(Reloading(paths, load(paths)), asyncio.Event(), run)


class Limited:
    max_bytes: int | None = None


async def test_hangup_reads_it_again_and_the_log_says_which_keys_and_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file watcher: a folder that cannot be watched is no reason to stop."""

    def broken(*_: object, **__: object) -> None:
        raise OSError("no inotify left")

    monkeypatch.setattr("watchfiles.awatch", broken)
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    asked, stop = asyncio.Event(), asyncio.Event()
    logged: list[Logging] = []
    flags = ("api.port=7",)
    limited = Limited()
    reloading = Reloading(
        paths, load(paths, flags), flags=flags, asked=asked, on_log=logged.append, on_change=partial(obey, limited)
    )
    with caplog.at_level("INFO", logger="spoke.config"):
        async with asyncio.timeout(LIMIT_S):
            paths.config_file.write_text(
                '[log]\nlevel = "debug"\n[ui]\nmouse = false\n[storage]\nmax_bytes = 20_000_000\n'
            )
            waiting = asyncio.create_task(reloading.changed(stop))
            asked.set()
            while not logged:
                await asyncio.sleep(0.001)
            paths.config_file.write_text('[hub]\nulr = "x"\n[fs]\nroots = 7\n')
            asked.set()
            while "unknown key" not in caplog.text:
                await asyncio.sleep(0.001)
            assert not waiting.done(), "log, terminal UI, limit, a wrong file: none of it is what services go by"
            assert limited.max_bytes == 20_000_000
            paths.config_file.write_text('[hub]\napi_key = "alk_planted"\n')
            asked.set()
            assert await waiting
    assert logged[0].level == "debug"
    assert reloading.settings.api.port == 7
    assert f"log.level ({paths.config_file}:2)" in caplog.text
    assert f"ui.mouse ({paths.config_file}:4, from the next start of the terminal UI)" in caplog.text
    assert f"{paths.config_file}:2: hub.ulr: unknown key, did you mean url?" in caplog.text
    assert f"{paths.config_file}:4: fs.roots: " in caplog.text
    assert f"hub.api_key ({paths.config_file}:2)" in caplog.text
    assert "alk_planted" not in caplog.text
    assert "log.level (removed)" in caplog.text
    assert "no inotify left" in caplog.text


def test_what_differs_is_named_also_inside_tables(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    paths.config_file.write_text('[commands.disk]\nargv = ["df"]\n[keys]\n"view.copy" = "c"\n')
    before = load(paths)
    paths.config_file.write_text('[commands.disk]\nargv = ["df", "-h"]\n')
    told = differences(before, read(paths))
    assert told == [f"commands.disk.argv ({paths.config_file}:2)", "keys.view.copy (removed)"]
