"""What a look has found. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.views.text import safe

Level: TypeAlias = Literal["ok", "warning", "problem"]
GLYPHS: dict[Level, str] = {"ok": "✓", "warning": "!", "problem": "✗"}
ASCII_GLYPHS: dict[Level, str] = {"ok": "+", "warning": "!", "problem": "x"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: stable, for programs: `disk`, `permissions`, `hub`.
        level: a `problem` keeps something from working or puts data at risk; a `warning` may.
        what: how it is, in one line.
        why: what follows from that; empty when all is well.
        fix: what to do; empty when all is well.
    """

    name: str
    level: Level
    what: str
    why: str = ""
    fix: str = ""


def finding_lines(found: Finding, *, ascii_only: bool = False) -> list[str]:
    """A finding as text: glyph, name, how it is; what follows and what to do below."""
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[found.level]
    lines = [f"{glyph} {found.name:<12} {safe(found.what, ascii_only=ascii_only)}"]
    lines += [f"{'':15}{safe(found.why, ascii_only=ascii_only)}"] if found.why else []
    lines += [f"{'':15}fix: {safe(found.fix, ascii_only=ascii_only)}"] if found.fix else []
    return lines


def summary(findings: Sequence[Finding]) -> str:
    """All of them in one line."""
    counts = {level: sum(one.level == level for one in findings) for level in GLYPHS}
    problems, warnings = counts["problem"], counts["warning"]
    return (
        f"{len(findings)} looked at: {problems or 'no'} problem{'s' * (problems != 1)},"
        f" {warnings or 'no'} warning{'s' * (warnings != 1)}"
    )
