"""Looks at the machine and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.doctor.files import Mount
from app.doctor.finding import Finding

SAFE_SQLITE = (3, 51, 3)
OPEN_FILES, HUB_OPEN_FILES = 1_024, 16_384
WATCHES, INSTANCES = 8_192, 128


def sqlite(version: str) -> Finding:
    """Whether SQLite is without the defect that damages a file when its log is begun anew (3.7.0 to 3.51.2)."""
    what = f"SQLite {version}"
    if tuple(int(part) for part in version.split(".")[:3]) >= SAFE_SQLITE:
        return Finding("sqlite", "ok", what)
    return Finding("sqlite", "problem", what, "it can damage a database under load", "use a newer build of spoke")


def temporary(folder: Path, mount: Mount | None, *, frozen: bool) -> Finding:
    """Whether a one-file executable can unpack itself there."""
    if mount is None or "noexec" not in mount.options:
        return Finding("noexec", "ok", f"programs may run in {folder}")
    what = f"{folder} is mounted noexec"
    if not frozen:
        return Finding("noexec", "ok", f"{what}; this program does not need it")
    return Finding(
        "noexec", "warning", what, "an executable that unpacks itself there does not start", "TMPDIR=/other/folder"
    )


def encoding(name: str, environment: Mapping[str, str]) -> Finding:
    """Whether text comes out as it is."""
    if name.lower().replace("-", "") == "utf8":
        return Finding("locale", "ok", name)
    said = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "not set"
    return Finding(
        "locale", "warning", f"{name} (LANG: {said})", "lines and glyphs are drawn with ASCII", "export LANG=C.UTF-8"
    )


def terminal(environment: Mapping[str, str], *, is_terminal: bool) -> Finding:
    """Whether the terminal UI can be used here, and with which colours."""
    if not is_terminal:
        return Finding("terminal", "ok", "none here")
    term = environment.get("TERM", "")
    if term in ("", "dumb"):
        what = f"TERM={term or '(not set)'}"
        return Finding("terminal", "warning", what, "the terminal UI cannot draw", "export TERM=xterm-256color")
    if environment.get("NO_COLOR"):
        colours = "no colours (NO_COLOR)"
    elif environment.get("COLORTERM") in ("truecolor", "24bit"):
        colours = "16 million colours"
    else:
        colours = "256 colours" if "256" in term else "16 colours"
    return Finding("terminal", "ok", f"{term}, {colours}")


def open_files(soft: int, *, hub: bool) -> Finding:
    """Whether enough files and connections may be open."""
    wanted = HUB_OPEN_FILES if hub else OPEN_FILES
    what = f"{soft} may be open" if soft >= 0 else "any number may be open"
    if soft < 0 or soft >= wanted:
        return Finding("open-files", "ok", what)
    why = "a hub needs one for each spoke" if hub else "connections and commands may be refused"
    return Finding("open-files", "warning", what, why, f"ulimit -n {wanted}; in a unit: LimitNOFILE={wanted}")


def inotify(watches: str, instances: str) -> Finding:
    """Whether changed files are noticed at once; the texts are those of /proc/sys/fs/inotify, empty if unknown."""
    low = [
        f"fs.inotify.{name}={wanted}"
        for name, text, wanted in (("max_user_watches", watches, WATCHES), ("max_user_instances", instances, INSTANCES))
        if text.strip().isdecimal() and int(text) < wanted
    ]
    if not low:
        return Finding("inotify", "ok", f"{watches.strip() or '?'} watches, {instances.strip() or '?'} instances")
    return Finding(
        "inotify",
        "warning",
        "few files can be watched",
        "changes are noticed only every 15 s when none is left",
        f"sysctl {' '.join(low)}",
    )


def linger(unit: Path, marker: Path, user: str) -> Finding | None:
    """Whether services of this user go on after logging out; None when there is no such service."""
    if not unit.exists():
        return None
    if marker.exists():
        return Finding("linger", "ok", f"services of {user} go on after logging out")
    return Finding(
        "linger",
        "warning",
        f"services of {user} end at logging out",
        f"{unit.name} runs for as long as {user} is logged in",
        f"loginctl enable-linger {user}",
    )
