"""What the services told: the log of this terminal UI, or of the daemon where it writes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.style import FAILED, WARNING
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.log_lines import LEVELS, LogLine, log_line, parse_log
from storage.engine import Snapshot

SHOWN_BYTES = 1_000_000
"""The log is cut at so many; of another one, the end is read."""


class LogsView(TableView[LogLine]):
    """The entries, the newest at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("L", "level", "level", id="logs.level"),
    ]
    noun: ClassVar[str] = "entry"
    follows: ClassVar[bool] = True
    empty: ClassVar[Sequence[str]] = (
        "",
        "  Nothing was logged here. This terminal UI logs while it runs the services itself;",
        "  a daemon logs to its stderr: with systemd, journalctl -u spoke",
    )

    def __init__(self) -> None:
        super().__init__()
        self._least = 0
        self.columns = (
            Column[LogLine]("time", "TIME", lambda row: self.spoke.when(row.at_ms), 14, lambda row: row.at_ms),
            Column[LogLine]("level", "LEVEL", lambda row: row.level, 8),
            Column[LogLine]("logger", "WHO", lambda row: row.logger, 18, rank=1),
            Column[LogLine]("text", "WHAT", lambda row: row.text, 30, grow=True),
        )

    def heading(self) -> str:
        """From which level on."""
        return "log" + (f" · {LEVELS[self._least]} and up" if self._least else "") + " · entries"

    def read(self, snapshot: Snapshot) -> Sequence[LogLine]:
        """The end of the log; no SQL, but the same thread."""
        path = self.spoke.log_file
        lines = [] if path is None else tail(path, SHOWN_BYTES)
        return [entry for entry in parse_log(lines) if entry.severity >= self._least]

    def on_mount(self) -> None:
        """A log grows without a commit: look every second while it is shown."""
        self.set_interval(1, lambda: self.spoke.reload() if self.is_current else None)

    def key(self, row: LogLine) -> object:
        """What it says: positions change when the log is cut."""
        return row.at_ms, row.logger, row.text

    def failed(self, row: LogLine) -> bool:
        """Errors."""
        return row.severity >= LEVELS.index("ERROR")

    def style(self, row: LogLine) -> Style:
        """By level."""
        return FAILED if self.failed(row) else WARNING if row.level == "WARNING" else Style()

    def open(self, row: LogLine) -> None:
        """The whole entry, with its traceback."""
        self.app.push_screen(Detail("log entry", "\n".join(log_line(row))))

    def action_level(self) -> None:
        """From the next level on."""
        self._least = (self._least + 1) % len(LEVELS)
        self.spoke.reload()


def tail(path: Path, size: int) -> list[str]:
    """The last lines of a file; none when there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            begin = max(0, file.tell() - size)
            file.seek(begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[1:] if begin else lines
