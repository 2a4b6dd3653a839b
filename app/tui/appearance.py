"""How it looks and which keys do what: built-in themes, the user's own, and `[ui]` and `[keys]` of the configuration,
read again while the TUI runs.
"""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.theme import Theme
from textual.widget import Widget

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#202020",
    warning="#ffff00",
    error="#ff9d9d",
    success="#80ff80",
    accent="#ffff00",
    dark=True,
    variables={"text-muted": "#d0d0d0", "text-warning": "#ffff00"},
)
"""Every text at 7:1 or more on every background (WCAG AAA; tests/app/tui/test_appearance.py computes it)."""


class ThemeError(ValueError):
    """A theme file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the configuration says of the looks.

    Attributes:
        ascii_only: draw with ASCII alone.
        theme: a name; None chooses by what the terminal shows.
        keys: binding ids to keys, `"sync.now": "ctrl+y"`.
        pager_json: what opens JSON; None: $PAGER, as everything else.
        themes: the folder with the user's themes, a TOML file each.
        reread: reads the configuration again, for changes while the TUI runs; None: it does not change.
        config_file: what `reread` reads.
    """

    ascii_only: bool = False
    theme: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    pager_json: str | None = None
    themes: Path | None = None
    reread: Callable[[], Appearance] | None = None
    config_file: Path | None = None


def read_theme(path: Path) -> Theme:
    """A theme from a TOML file: `primary = "#88c0d0"`, …, the names of Textual's themes; its name is the file's.

    Raises:
        ThemeError: it cannot be read or is no theme.
    """
    try:
        with path.open("rb") as file:
            said: dict[str, Any] = tomllib.load(file)
        return Theme(**{"name": path.stem, **said})
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise ThemeError(f"{path}: {error}") from error


def binding_ids() -> dict[str, str]:
    """Every id that a `[keys]` table may name, with its keys as they are without one. Imports every screen."""
    import app.tui as screens
    from app.tui.verbs import bindings_of

    for module in pkgutil.walk_packages(screens.__path__, "app.tui."):
        importlib.import_module(module.name)
    found: dict[str, str] = {}
    pending: list[type] = [Widget, App]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith("app."):
            found |= {binding.id: binding.key for binding in bindings_of(kind) if binding.id is not None}
    return found


class Themes:
    """Applies an appearance, and follows its changes."""

    def __init__(self, app: SpokeApp, appearance: Appearance) -> None:
        self._app = app
        self._now = appearance

    def apply(self) -> None:
        """Register the themes, choose one, set the keys. What cannot be used is said, and left as it was."""
        app, said = self._app, self._now
        app.register_theme(HIGH_CONTRAST)
        if said.themes is not None and said.themes.is_dir():
            for path in sorted(said.themes.glob("*.toml")):
                try:
                    app.register_theme(read_theme(path))
                except ThemeError as error:
                    app.notify(str(error), severity="warning")
        wanted = said.theme or ("ansi-dark" if app.console.color_system in (None, "standard") else "textual-dark")
        if wanted in app.available_themes:
            app.theme = wanted
        else:
            app.notify(f"there is no theme {wanted!r}; `:theme ` lists them", severity="warning")
        app.pager_json = said.pager_json
        app.keymap = dict(said.keys)
        app.set_keymap(app.keymap)

    def watch(self) -> None:
        """Follow changes of the configuration and of the theme files."""
        file = self._now.config_file
        if self._now.reread is not None and file is not None and file.parent.is_dir():
            self._app.run_worker(self._watch(), group="appearance", exclusive=True)

    async def _watch(self) -> None:
        import watchfiles

        file, themes = self._now.config_file, self._now.themes
        assert file is not None

        def ours(_: watchfiles.Change, name: str) -> bool:
            """The folder may be that of the data too, in which files change all the time."""
            path = Path(name)
            return path == file or (path.parent == themes and path.suffix == ".toml")

        async for _ in watchfiles.awatch(file.parent, recursive=True, step=200, debounce=400, watch_filter=ours):
            await self.reread()

    async def reread(self) -> None:
        """Read the configuration again and use what it says; one that is wrong is said and left."""
        import asyncio

        from app.config import ConfigError

        reread = self._now.reread
        assert reread is not None
        try:
            self._now = await asyncio.to_thread(reread)
        except ConfigError as error:
            self._app.notify(f"the configuration is left as it was: {error}", severity="warning")
            return
        self.apply()
        if self._now.keys:
            problems = [text for _, text in await asyncio.to_thread(_key_problems, self._now.keys)]
            if problems:
                more = f" (and {len(problems) - 1} more: spoke config check)" if problems[1:] else ""
                self._app.notify(f"{problems[0]}{more}", severity="warning")
        self._app.reload()


def _key_problems(keys: Mapping[str, str]) -> list[tuple[str, str]]:
    from app.config.keys import key_problems

    return list(key_problems(keys, binding_ids()))
