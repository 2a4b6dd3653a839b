"""Themes and keys: contrast, files of the user, changes while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from app.config import ConfigError
from app.tui.appearance import HIGH_CONTRAST, Appearance, ThemeError, read_theme
from app.tui.lines.line_list import LineList
from app.tui.palette import Entry, Palette
from storage.engine import Database
from tests.app.tui.conftest import app_on, frame, settle


def luminance(color: Color) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_high_contrast_theme_has_seven_to_one() -> None:
    colors = HIGH_CONTRAST.to_color_system().generate()
    backgrounds = [Color.parse(colors[name]) for name in ("background", "surface", "panel")]
    for name in ("foreground", "text-muted", "text-warning", "warning", "error", "success", "primary"):
        text = Color.parse(colors[name])
        for background in backgrounds:
            low, high = sorted((luminance(text), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 7, name


def test_a_theme_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('primary = "#112233"\ndark = false\n')
    assert read_theme(tmp_path / "mine.toml").name == "mine"
    (tmp_path / "bad.toml").write_text('primry = "#112233"\n')
    with pytest.raises(ThemeError, match="primry"):
        read_theme(tmp_path / "bad.toml")
    (tmp_path / "worse.toml").write_text("=")
    with pytest.raises(ThemeError, match=r"worse\.toml"):
        read_theme(tmp_path / "worse.toml")


async def test_the_configuration_is_read_again(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('primary = "#112233"\n')
    (tmp_path / "broken.toml").write_text("=")
    said: list[Appearance] = []

    def reread() -> Appearance:
        if not said:
            raise ConfigError("spoke.toml: line 3")
        return said.pop()

    said.append(Appearance(theme="mine", keys={"table.sort": "o"}, themes=tmp_path, reread=reread))

    app = app_on(filled, appearance=Appearance(reread=reread))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "s sort" in frame(app)
        await app._themes.reread()
        await settle(pilot)
        assert app.theme == "mine"
        assert "o sort" in frame(app)
        assert any("broken.toml" in notification.message for notification in app._notifications)
        app._notifications.clear()
        said.append(Appearance(theme="nowhere", reread=reread))
        await app._themes.reread()
        await pilot.pause()
        assert any("no theme 'nowhere'" in notification.message for notification in app._notifications)
        await app._themes.reread()
        await pilot.pause()
        assert any("left as it was: spoke.toml: line 3" in notification.message for notification in app._notifications)
        said.append(Appearance(keys={"table.sorted": "o"}, reread=reread))
        await app._themes.reread()
        await pilot.pause()
        assert any("did you mean table.sort?" in notification.message for notification in app._notifications)


async def test_without_colour_no_colour_is_sent(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        styles = {
            segment.style for strip in app.screen._compositor.render_strips() for segment in strip if segment.style
        }
        for style in styles:
            for color in (style.color, style.bgcolor):
                assert color is None or color.triplet is None or len(set(color.triplet)) == 1, style


async def test_a_theme_is_seen_while_the_cursor_is_on_it_and_escape_goes_back(filled: Database) -> None:
    app = app_on(filled, appearance=Appearance(theme="nord"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)

        def below() -> object:
            """The colours of the screen under the palette."""
            strip = app.screen._compositor.render_strips()[-2]
            return next(iter(strip)).style

        before = below()
        await pilot.press("colon", *"theme ")
        await pilot.pause()
        lines = app.screen.query_one(LineList)
        assert theme_of(lines.selected) == app.theme == "nord"  # where one begins
        await pilot.press("down")
        await pilot.pause()
        assert theme_of(lines.selected) == app.theme != "nord"
        await settle(pilot)
        assert below() != before
        await pilot.press(*"dracula")
        await pilot.pause()
        assert app.theme == "dracula"
        await pilot.press("ctrl+u")
        await pilot.pause()
        assert app.theme == "nord"  # the list is another one
        await pilot.press(*"theme drac", "escape")
        await settle(pilot)
        assert app.theme == "nord"
        assert below() == before
        await pilot.press("colon", *"theme drac", "enter")
        await settle(pilot)
        assert app.theme == "dracula"
        await pilot.press("colon", *"theme ")
        await pilot.pause()
        lines = app.screen.query_one(LineList)
        wanted = theme_of(lines.rows[lines.scroll_offset.y + 1])
        await pilot.click(LineList, offset=(10, 1))  # a click goes to it, another chooses it
        await pilot.pause()
        assert app.theme == wanted != "dracula"
        await pilot.click(LineList, offset=(10, 1))
        await settle(pilot)
        assert not isinstance(app.screen, Palette)
        assert app.theme == wanted


def theme_of(entry: object) -> str | None:
    assert isinstance(entry, Entry)
    return entry.theme
