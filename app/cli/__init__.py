"""The command line: one module per noun, imported only when its command runs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import __version__
from app.cli.exit_codes import EXPLAINED
from app.cli.options import with_shared_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("app.cli.init:init", "Write a spoke.toml; three questions, or flags."),
    "status": ("app.cli.status:status", "What this node holds and how it stands."),
    "tui": ("app.cli.tui:tui", "Open the terminal UI (also: plain `spoke`)."),
    "call": ("app.cli.call:call", "Execute an operation and record the call."),
    "operations": ("app.cli.operations:operations", "List what can be called, or show one with its schema."),
    "record": ("app.cli.record:record", "Run a command as a recorded call in a session."),
    "session": ("app.cli.session:session", "Start, end, list and show sessions."),
    "graph": ("app.cli.graph:graph", "Look at graphs and change them: outline, picture, nodes, edges."),
    "import": ("app.cli.imports:import_", "Import sessions from the logs of agent tools."),
    "secret": ("app.cli.secret:secret", "Keep secrets, encrypted: set, get, list, delete, rotate."),
    "key": ("app.cli.key:key", "Keys for programs that use the local API on a port."),
    "queue": ("app.cli.queue:queue", "Jobs that wait, run, or failed for good."),
    "schedule": ("app.cli.schedule:schedule", "Jobs that are queued again and again."),
    "lock": ("app.cli.lock:lock", "Who holds which lock."),
    "stream": ("app.cli.stream:stream", "The streams, their consumers, gaps."),
    "logs": ("app.cli.logs:logs", "What the services of this node told."),
    "tail": ("app.cli.tail:tail", "Print the events of a stream."),
    "find": ("app.cli.find:find", "Find a text in calls, messages and events."),
    "sql": ("app.cli.sql:sql", "Ask the database in SQL; nothing can be written."),
    "backup": ("app.cli.backup:backup", "Write everything that is here into one file, verified."),
    "restore": ("app.cli.restore:restore", "Put a backup back."),
    "db": ("app.cli.db:db", "Look after the database: check, salvage, vacuum, rebuild."),
    "config": ("app.cli.config:config", "The configuration: show, check, schema."),
    "doctor": ("app.cli.doctor:doctor", "Find out what is wrong here, and how to mend it."),
    "health": ("app.cli.health:health", "Whether it lives, is ready, is in sync; for monitoring."),
    "bundle": ("app.cli.bundle:bundle", "Everything that helps to help you, in one file, without secrets."),
    "run": ("app.cli.run:run", "Run the services of this node in the foreground."),
    "join": ("app.cli.join:join", "Tell this node its hub and key."),
    "leave": ("app.cli.leave:leave", "Leave the hub; what was recorded stays."),
    "sync": ("app.cli.sync:sync", "The link to the hub: status, now, pause, verify, rejected."),
    "reidentify": ("app.cli.reidentify:reidentify", "Make a copy of a node a node of its own."),
    "hub": ("app.cli.hub:hub", "Be the hub: run it, keys, tenants, spokes, accounts."),
    "demo": ("app.cli.demo:demo", "Watch it work: offline, sync, SIGKILL, resume, compare."),
    "install": ("app.cli.install:install", "Install this program and its service; what is installed."),
    "upgrade": ("app.cli.upgrade:upgrade", "Make a newer release the current one, if it works."),
    "rollback": ("app.cli.upgrade:rollback", "Go back to the release before."),
    "uninstall": ("app.cli.uninstall:uninstall", "Remove the program and its service; the data stays."),
    "paths": ("app.cli.paths:paths", "Where the files of this node are."),
    "completion": ("app.cli.completion:completion", "Completion for bash, zsh and fish."),
    "man": ("app.cli.man:man", "The manual page."),
    "spec": ("app.cli.spec:spec", "Every command, option and exit code, for programs."),
    "version": ("app.cli.version:version", "What this program is made of."),
    "selftest": ("app.cli.selftest:selftest", ""),
}
_HIDDEN = frozenset({"selftest"})


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command and give it what all commands have."""
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target[0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        if ctx.resilient_parsing:  # a shell asks
            from app.cli.completion import complete_ids

            complete_ids(command)
        return with_shared_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is an error that knows the nearest."""
        if args and args[0] not in _COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=_COMMANDS.keys() - _HIDDEN, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Names and what they do, out of the table: completing imports no command."""
        from click.shell_completion import CompletionItem

        names = [name for name in _COMMANDS if name.startswith(incomplete) and name not in _HIDDEN]
        return [CompletionItem(name, help=_COMMANDS[name][1]) for name in names] + [
            item for item in click.Command.shell_complete(self, ctx, incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items() if name not in _HIDDEN])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in EXPLAINED.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where this node keeps its files (SPOKE_DATA_DIR).")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file (SPOKE_CONFIG).")
@click.option("--set", "flags", multiple=True, metavar="TABLE.KEY=VALUE", help="Set this for this time.")
@click.version_option(__version__, message="spoke %(version)s")
@click.pass_context
def cli(ctx: click.Context, data_dir: Path | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """A node that keeps working without a network.

    \b
    Example:
      spoke record -- ls -l      run a command as a recorded session
      spoke                      look at it

    stdout is data, stderr is talk. Commands that print data know --json. Every
    command knows --color, -q, -v, --no-input, --read-only, --time-format too. What
    takes something away knows --dry-run.
    """
    from app.cli.context import Context

    ctx.obj = Context(data_dir, config, flags)
    if flags and ctx.invoked_subcommand != "config":  # which lists them; others may not read the configuration
        from app.config import refuse_flags

        refuse_flags(ctx.obj.paths, flags)
    if ctx.invoked_subcommand is None:
        import sys

        if sys.stdout.isatty() and sys.stdin.isatty():
            from app.cli.tui import open_tui

            open_tui(ctx.obj)
        else:
            click.echo(ctx.get_help())


with_shared_options(cli, hidden=False)
