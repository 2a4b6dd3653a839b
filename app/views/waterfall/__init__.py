"""The waterfall: calls as a tree, one row each, with a bar on a common time axis. Pure: `now` is an argument.

Three steps, each at its own pace: a `CallTree` when calls have changed, a `Waterfall` (which rows, which stretch of
time) at a key press, and the text of a row when it is painted.
"""

from __future__ import annotations

from app.views.waterfall.critical import critical_path
from app.views.waterfall.draw import ASCII_GLYPHS, GLYPHS, bar, header, name_width, render_row
from app.views.waterfall.rows import Row, Waterfall, deeper_than, fall_of, folds, layout, matching, succeeded, visible
from app.views.waterfall.tree import CallTree, call_tree
from app.views.waterfall.window import Window, centred, whole, zoomed

__all__ = [
    "ASCII_GLYPHS",
    "GLYPHS",
    "CallTree",
    "Row",
    "Waterfall",
    "Window",
    "bar",
    "call_tree",
    "centred",
    "critical_path",
    "deeper_than",
    "fall_of",
    "folds",
    "header",
    "layout",
    "matching",
    "name_width",
    "render_row",
    "succeeded",
    "visible",
    "whole",
    "zoomed",
]
