"""`spoke completion`, and the answers to what a shell asks when somebody presses TAB."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from app.paths import resolve

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "spoke"
COMPLETE_ENV = "_SPOKE_COMPLETE"
"""Set by the shell when it asks what could stand where the cursor is."""
BUDGET_S = 0.2
MOST = 100

_SQL = {
    "session": """-- those that are not projected yet, then the others
SELECT id, title FROM (
  SELECT key AS id, payload ->> '$.title' AS title, offset AS at FROM _honker_stream
  WHERE topic = 'session-events' AND json_valid(payload) AND payload ->> '$.type' = 'session.started' AND offset > (
    SELECT coalesce(max(offset), 0) FROM _honker_stream_consumers
    WHERE topic = 'session-events' AND name = 'projector@spoke')
  UNION ALL SELECT id, title, position FROM sessions)
WHERE id >= ?1 AND id < ?1 || char(1114111) ORDER BY at DESC""",
    "stream": """SELECT DISTINCT topic, '' FROM _honker_stream WHERE topic >= ?1 AND topic < ?1 || char(1114111)
ORDER BY topic""",
    "operation": """-- what the node said last of itself (spoke run)
SELECT name, said FROM (
  SELECT o.value ->> '$.operationId' AS name, o.value ->> '$.description' AS said FROM (
    SELECT payload FROM _honker_stream WHERE topic = 'node' ORDER BY offset DESC LIMIT 1) AS newest,
    json_each(newest.payload, '$.operations') AS o)
WHERE name >= ?1 AND name < ?1 || char(1114111) ORDER BY name""",
}
_SOURCE_OF = {
    "session_id": "session",
    "topic": "stream",
    "stream": "stream",
    "operation": "operation",
}
"""By the name of a parameter: what can stand there."""


class _Id(click.types.StringParamType):
    """Text, of which the shell can be told what there is."""

    def __init__(self, source: str) -> None:
        self._source = source

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """What the node's file knows: within a fifth of a second, or nothing."""
        root = ctx.find_root().params
        file = resolve(root.get("data_dir"), root.get("config")).tenant_db
        return known(file, self._source, incomplete)


def known(file: Path, source: str, incomplete: str) -> list[CompletionItem[str]]:
    """Ids in a node's file that begin so: those that it tells in time. Never raises an EngineError."""
    from storage.engine import EngineError
    from storage.query import select

    found: list[CompletionItem[str]] = []
    # No file yet, a busy or damaged one, or one that is too large: then what was found until then.
    with suppress(EngineError), select(file, f"{_SQL[source]} LIMIT {MOST}", (incomplete,), timeout_s=BUDGET_S) as told:
        for name, said in told.rows:
            if _typable(name):
                found.append(CompletionItem(name, help=_plain(said)))
    return found


def _typable(id_: object) -> bool:
    """Whether a shell can be given it as it is: what a foreign program stored may hold anything."""
    return isinstance(id_, str) and id_.isprintable() and not set(id_) & set(" \t\"'`$\\;&|<>(){}*?!#~")


def _plain(text: object) -> str | None:
    from app.views.text import clip, safe

    return clip(safe(str(text)[:200]), 60) or None if text else None


def complete_ids(command: click.Command) -> None:
    """Let the parameters of a command, and of all below it, know what could stand there; by their names."""
    for parameter in command.params:
        source = _SOURCE_OF.get(parameter.name or "")
        if source is not None and isinstance(parameter.type, click.types.StringParamType):
            parameter.type = _Id(source)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            complete_ids(below)


def answer(cli: click.Command) -> int:
    """Answer a shell's question (`_SPOKE_COMPLETE=bash_complete`); returns the exit code. Never raises.

    Whatever goes wrong, the person at the shell gets nothing, not a traceback in the line that is being typed.
    """
    shell, _, instruction = os.environ[COMPLETE_ENV].partition("_")
    kind = get_completion_class(shell)
    if kind is None or instruction != "complete":
        return 1
    try:
        click.echo(kind(cli, {}, PROGRAM, COMPLETE_ENV).complete().encode())
    except Exception:  # noqa: BLE001
        return 1
    return 0


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, sessions, streams and operations.

    \b
    Examples:
      eval "$(spoke completion bash)"             in ~/.bashrc
      spoke completion bash > spoke.bash          for bash-completion's folder
      spoke completion zsh > _spoke               in a folder of $fpath
      spoke completion fish > spoke.fish          in ~/.config/fish/completions
    """
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(click.Command(PROGRAM), {}, PROGRAM, COMPLETE_ENV)
    click.echo((made.source_template % made.source_vars()).encode(), nl=False)
