"""What every command understands, given to it when it is loaded (--color, --quiet, --verbose, --no-input, …), and
--dry-run, which means one thing wherever it is.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from app.views.times import TimeFormat

_QUIET = "spoke.quiet"
_VERBOSE = "spoke.verbose"
_DRY_RUN = "spoke.dry_run"
_NO_INPUT = "spoke.no_input"
_READ_ONLY = "spoke.read_only"

_TIME_FORMAT = "spoke.time_format"

COLOR = ("auto", "always", "never")
TIMES: tuple[TimeFormat, ...] = ("relative", "local", "utc", "raw")
"""Those of `app.views.times`, which costs 15 ms."""


def _set_color(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """`auto` leaves it to what stdout is; NO_COLOR and TERM=dumb decide where nothing was said, also above."""
    if value is None:
        value = "auto" if ctx.parent is None else None
    if value is not None:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        ctx.color = {"always": True, "never": False}.get(value, False if plain else None)


def _set(name: str, ctx: click.Context, value: bool) -> None:
    if value:
        ctx.meta[name] = True  # shared by all contexts of one invocation


def _set_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """The last of --quiet and --verbose counts, so that one in an alias does not stand in the way."""
    if value:
        ctx.meta.update({_QUIET: True, _VERBOSE: 0})


def _set_verbose(ctx: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        from app.cli.verbosity import begin

        ctx.meta.update({_QUIET: False, _VERBOSE: ctx.meta.get(_VERBOSE, 0) + value})
        begin(ctx.find_root())


def _set_time_format(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_TIME_FORMAT] = value


def say_read_only(ctx: click.Context, value: bool) -> None:
    """For a command that has a --read-only of its own."""
    _set(_READ_ONLY, ctx, value)


def _set_read_only(ctx: click.Context, value: bool) -> None:
    """Also refuses a command whose contract says that it changes something, before any of it runs."""
    _set(_READ_ONLY, ctx, value)
    if not ctx.meta.get(_READ_ONLY) or isinstance(ctx.command, click.Group):
        return
    from app.cli.contract import CONTRACTS

    contract = CONTRACTS.get(ctx.command_path.partition(" ")[2])
    if contract is not None and contract.impact != "read":
        refuse_change(ctx)


def refuse_change(ctx: click.Context) -> None:
    """With --read-only, refuse a command: for those that do not get the option, or are a group that does something.

    Raises:
        CommandError: --read-only was said.
    """
    if not ctx.meta.get(_READ_ONLY):
        return
    from app.cli.errors import CommandError
    from app.cli.exit_codes import ExitCode

    raise CommandError(
        f"`{ctx.command_path}` changes something, and --read-only was said",
        hint="leave it out, or look only",
        code=ExitCode.DENIED,
    )


def _shared(*, hidden: bool) -> list[click.Parameter]:
    return [
        click.Option(
            ["--color"],
            type=click.Choice(COLOR),
            expose_value=False,
            hidden=hidden,
            callback=_set_color,
            help="When to colour; NO_COLOR and TERM=dumb mean never.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            hidden=hidden,
            callback=_set_quiet,
            help="No talk and no progress on stderr; errors stay. The last of -q and -v counts.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            hidden=hidden,
            callback=_set_verbose,
            help="Say on stderr what goes on, and all causes of an error; -vv: the log too, at debug.",
        ),
        click.Option(
            ["--no-input"],
            is_flag=True,
            expose_value=False,
            hidden=hidden,
            callback=lambda ctx, _, value: _set(_NO_INPUT, ctx, value),
            help="Never ask, also not on a terminal.",
        ),
        click.Option(
            ["--time-format"],
            type=click.Choice(TIMES),
            expose_value=False,
            hidden=hidden,
            callback=_set_time_format,
            help="How times are written, but in JSON: how long ago, local, UTC, unix milliseconds.",
        ),
        click.Option(
            ["--read-only"],
            is_flag=True,
            expose_value=False,
            hidden=hidden,
            callback=lambda ctx, _, value: _set_read_only(ctx, value),
            help="Change nothing: databases are opened without write access, and what writes is refused.",
        ),
    ]


def with_shared_options(command: click.Command, *, hidden: bool = True) -> click.Command:
    """Give a command, and all below it, the shared options; hidden, for `spoke --help` shows them once.

    Not one that passes options it does not know to another program (`spoke record ls --color`), and none of whose
    names a command has itself. Doing it again changes nothing.
    """
    if not command.context_settings.get("ignore_unknown_options"):
        taken = {name for parameter in command.params for name in parameter.opts}
        command.params += [option for option in _shared(hidden=hidden) if not taken & set(option.opts)]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_shared_options(below)
    return command


def quiet() -> bool:
    """Whether --quiet was said, and no -v after it."""
    return _said(_QUIET)


def how_verbose(ctx: click.Context | None = None) -> int:
    """How often -v was said, unless -q came after it."""
    ctx = ctx or click.get_current_context(silent=True)
    return 0 if ctx is None else int(ctx.meta.get(_VERBOSE, 0))


dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, value: _set(_DRY_RUN, ctx, value),
    help="Change nothing: say what would be done, or why it cannot be.",
)
"""Checks what the command checks, asks nothing, says what it would do, with the exit code that it would have
(docs/decisions/0029-dry-run-and-verbose.md)."""


def dry_run() -> bool:
    """Whether --dry-run was said."""
    return _said(_DRY_RUN)


def told(done: str, would: str) -> str:
    """How what a command did is told, or with --dry-run what it would do."""
    return would if dry_run() else done


def as_told(document: Any) -> Any:
    """What --json prints: with --dry-run the same fields, and `dryRun`."""
    if not dry_run():
        return document
    if isinstance(document, list):
        return [as_told(one) for one in document]
    return {**document, "dryRun": True} if isinstance(document, dict) else document


def read_only() -> bool:
    """Whether --read-only was said."""
    return _said(_READ_ONLY)


def time_format() -> TimeFormat | None:
    """What --time-format wants; None where it was not said."""
    ctx = click.get_current_context(silent=True)
    wanted: TimeFormat | None = None if ctx is None else ctx.meta.get(_TIME_FORMAT)
    return wanted


def interactive() -> bool:
    """Whether a person can be asked: stdin is a terminal, and --no-input was not said."""
    return sys.stdin.isatty() and not _said(_NO_INPUT)


def colored() -> bool | None:
    """Whether to colour: yes, no, or (None) where the output is a terminal."""
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.color


def _said(name: str) -> bool:
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(name))
