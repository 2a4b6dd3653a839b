"""Secrets: names and dates; a value only when it is asked for, and only while it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.form import FormScreen, problems_of
from app.tui.lines.line_list import PLAIN, LineList
from app.tui.prompts import Confirm
from app.tui.table_view import TableView
from app.tui.view import View
from app.views.columns import Column
from app.views.forms.form import Problem
from app.views.secrets import SecretRow, read_secrets
from app.views.text import of, safe
from storage.engine import EngineError, Snapshot
from sync.calls.errors import CallFailed

EMPTY = (
    "",
    "  No secrets yet. A secret is a password, a token or a key, kept encrypted in",
    "  the database; the key is in a file beside it. What is in it is in no log.",
    "",
    '  Keep one:   a, or   printf %s "$TOKEN" | spoke secret set NAME',
)
_SET: dict[str, Any] = {
    "type": "object",
    "required": ["name", "value"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "description": "What it is called, such as github/token."},
        "value": {"type": "string", "minLength": 1, "writeOnly": True, "description": "Is shown as dots."},
        "description": {"type": "string", "description": "What it is for."},
        "expiresAt": {"type": "string", "format": "date-time", "description": "When it ends."},
    },
}
EXPIRED = Style(color="yellow")


async def keep_secret(view: View, row: SecretRow | None = None) -> None:
    """Ask for a secret, and keep it; with a row, a new value for that one."""

    async def submit(given: Any) -> Sequence[Problem]:
        try:
            if given.get("expiresAt"):
                given = given | {"expiresAt": datetime.fromisoformat(given["expiresAt"]).astimezone().isoformat()}
            await view.spoke.operate("secret.set", given)
        except CallFailed as error:
            return problems_of(error)
        except EngineError as error:
            return [Problem((), f"{error} — {error.hint}" if error.hint else str(error))]
        return ()

    known: dict[str, Any] | None = None
    if row is not None:
        ends = None if row.expires_ms is None else datetime.fromtimestamp(row.expires_ms / 1000, UTC).isoformat()
        given = {"name": row.name, "description": row.description or None, "expiresAt": ends}
        known = {name: value for name, value in given.items() if value is not None}
    title = "a new secret" if row is None else f"a new value for {row.name}"
    if await view.app.push_screen_wait(FormScreen(title, _SET, known, submit=submit, verb="keep")) is not None:
        view.notify("kept, encrypted")


async def attempt(view: View, operation_id: str, value: Any) -> Any:
    """Execute an operation and return its output; None when it failed, which is told."""
    try:
        return await view.spoke.operate(operation_id, value)
    except CallFailed as error:
        view.notify(f"{error.code}: {error.message}" + (f" — {error.hint}" if error.hint else ""), severity="error")
    except EngineError as error:
        view.notify(f"{error}" + (f" — {error.hint}" if error.hint else ""), severity="error")
    return None


class SecretsView(TableView[SecretRow]):
    """Every secret, without its value."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "add", id="secrets.add"),
        Binding("u", "update", "new value", id="secrets.update"),
        Binding("D", "delete", "delete", id="secrets.delete"),
        Binding("R", "rotate", "rotate the key", show=False, id="secrets.rotate"),
    ]
    WRITES = frozenset({"add", "update", "delete", "rotate"})
    noun: ClassVar[str] = "secret"
    empty: ClassVar[Sequence[str]] = EMPTY

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("name", "NAME", lambda row: row.name, 24),
            Column("key", "KEY", lambda row: str(row.key_version), 4, lambda row: row.key_version, right=True),
            Column("set", "SET", lambda row: self.spoke.when(row.updated_ms), 12, lambda row: row.updated_ms),
            Column("used", "USED", self._used, 12, lambda row: row.used_ms),
            Column("ends", "ENDS", self._ends, 10, lambda row: row.expires_ms),
            Column("description", "WHAT FOR", lambda row: row.description, 10, grow=True, rank=1),
        )

    def _used(self, row: SecretRow) -> str:
        return "never" if row.used_ms is None else self.spoke.when(row.used_ms)

    def _ends(self, row: SecretRow) -> str:
        if row.expires_ms is None:
            return ""
        if row.expired(self.spoke.now_ms()):
            return "EXPIRED"
        return datetime.fromtimestamp(row.expires_ms / 1000, UTC).strftime("%Y-%m-%d")

    def read(self, snapshot: Snapshot) -> Sequence[SecretRow]:
        """The secrets."""
        return read_secrets(snapshot)

    def key(self, row: SecretRow) -> object:
        """Its name."""
        return row.name

    def open(self, row: SecretRow) -> None:
        """All about it."""
        self.spoke.open_noun("secret", row.name)

    def failed(self, row: SecretRow) -> bool:
        """Those that are past their date."""
        return row.expired(self.spoke.now_ms())

    def style(self, row: SecretRow) -> Style:
        """By that, too."""
        return EXPIRED if self.failed(row) else PLAIN

    @work
    async def action_add(self) -> None:
        """Keep another one."""
        await keep_secret(self)

    @work
    async def action_update(self) -> None:
        """Another value for this one."""
        await keep_secret(self, self.table.selected)

    @work
    async def action_delete(self) -> None:
        """Forget the marked ones, or this one; its name is typed first."""
        rows = self.table.marked
        names = [row.name for row in rows]
        typed = names[0] if len(names) == 1 else f"delete {len(names)}"
        question = f"delete {of(len(names), 'secret')}? This cannot be undone."
        if await self.app.push_screen_wait(Confirm(question, names[:10], typed=typed)):
            gone = [name for name in names if await attempt(self, "secret.delete", {"name": name}) is not None]
            if gone:
                self.notify(f"{of(len(gone), 'secret')} gone")

    @work
    async def action_rotate(self) -> None:
        """A new key for all of them."""
        about = ["Every secret is encrypted anew, in the background. Old keys stay in the key file: backups need them."]
        if await self.app.push_screen_wait(Confirm("make a new key?", about)):
            made = await attempt(self, "secret.rotate", {})
            if made is not None:
                self.notify(f"key {made['keyVersion']} is the current one; {of(made['waiting'], 'secret')} to encrypt")

    def why_not_add(self) -> str | None:
        """Something must execute it."""
        return self.spoke.why_not_operate()

    def _why_not(self) -> str | None:
        return self.spoke.why_not_operate() or (None if self.table.selected else "there is no secret here: a adds one")

    why_not_update = why_not_delete = why_not_rotate = _why_not


class SecretView(View):
    """One secret; its value only after a question, and forgotten when the screen is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "reveal", "show or hide the value", id="secret.reveal"),
        Binding("u", "update", "new value", id="secret.update"),
    ]
    WRITES = frozenset({"reveal", "update"})

    def __init__(self, name: str) -> None:
        super().__init__()
        self._secret = name
        self._row: SecretRow | None = None
        self._value: str | None = None

    def compose_body(self) -> ComposeResult:
        """One list of lines."""
        yield LineList[tuple[int, str]](lambda row, _: row[1], lambda row: row[0], ("", "  There is no such secret."))

    async def load(self) -> None:
        """Read what may be known of it."""
        rows = await self.spoke.db.read(read_secrets)
        self._row = next((row for row in rows if row.name == self._secret), None)
        self.set_title(f"secret {safe(self._secret)}")
        lines = [] if self._row is None else self._facts(self._row)
        plain = [(number, f" {self.spoke.plain(line)}") for number, line in enumerate(lines) if self.matches(line)]
        self.query_one(LineList).show(plain)

    def _facts(self, row: SecretRow) -> list[str]:
        when = self.spoke.when
        lines = [
            f"name      {safe(row.name)}",
            f"what for  {safe(row.description) or '–'}",
            f"set       {when(row.updated_ms)}, with key {row.key_version}",
            f"used      {'never' if row.used_ms is None else when(row.used_ms)}",
            f"ends      {'never' if row.expires_ms is None else when(row.expires_ms)}",
            "",
        ]
        if row.expired(self.spoke.now_ms()):
            return [*lines, "It is past its date: it cannot be shown, only be set anew (u)."]
        if self._value is None:
            return [*lines, "value     hidden; v shows it, and notes that it was used"]
        shown = self._value.splitlines() or [""]
        return [*lines, f"value     {safe(shown[0])}", *(f"          {safe(line)}" for line in shown[1:])]

    @work
    async def action_reveal(self) -> None:
        """Show the value, or hide it again."""
        if self._value is not None:
            self._value = None
        elif await self.app.push_screen_wait(
            Confirm(f"show the value of {self._secret} on this screen?", ["It is hidden again when you leave."])
        ):
            found = await attempt(self, "secret.get", {"name": self._secret})
            if found is not None and self.is_current:  # who has left meanwhile does not find it shown later
                self._value = found["value"]
        self.spoke.reload()

    def why_not_reveal(self) -> str | None:
        """It must be there, and not be past its date."""
        if self._row is None:
            return "there is no such secret"
        expired = self._row.expired(self.spoke.now_ms())
        return self.spoke.why_not_operate() or ("it is past its date: set it anew with u" if expired else None)

    @work
    async def action_update(self) -> None:
        """Another value."""
        await keep_secret(self, self._row)

    def why_not_update(self) -> str | None:
        """Something must execute it."""
        return self.spoke.why_not_operate()

    def why_not_copy(self) -> str | None:
        """What is not seen is not copied by a slip."""
        return "show it first: v" if self._value is None else None

    def action_copy(self) -> None:
        """Copy the value, while it is shown."""
        self.spoke.copy(self._value or "", secret=True)

    def on_screen_suspend(self) -> None:
        """Left, or covered: hidden again."""
        self._value = None
