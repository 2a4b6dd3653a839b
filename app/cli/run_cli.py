"""Runs one command line: errors become one line on stderr and a documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from app.cli import cli
from app.cli.exit_codes import ExitCode
from app.cli.options import how_verbose

MAX_COLUMNS = 80


def run(arguments: Sequence[str]) -> int:
    """Run `spoke ARGUMENTS` and return its exit code. Never raises, except with SPOKE_DEBUG set."""
    if "_SPOKE_COMPLETE" in os.environ:  # a shell asks: app.cli.completion
        from app.cli.completion import answer

        return answer(cli)
    ctx: click.Context | None = None
    try:
        # Not cli.main(): that makes exit code 1 of a reader that has left.
        with cli.make_context("spoke", list(arguments)) as ctx:
            result = cli.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        _complain(*_wrong(error))
        return ExitCode.NO_INPUT if _names_no_file(error) else error.exit_code
    except (click.Abort, EOFError, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; it got what it wanted. Nothing more may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        if os.environ.get("SPOKE_DEBUG"):
            raise
        return _explain(error, all_causes=ctx is not None and how_verbose(ctx) > 0)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _names_no_file(error: click.ClickException) -> bool:
    """Whether an argument is a file that should be read and is not there, or is none."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param is not None else None
    return isinstance(kind, (click.Path, click.File)) and not isinstance(error, click.MissingParameter)


def _wrong(error: click.ClickException) -> tuple[str, str]:
    """What is wrong with the command line, and the next step: the nearest names, or the help."""
    near = getattr(error, "possibilities", None)
    if isinstance(error, click.MissingParameter) and error.param is not None and error.param.envvar:
        return f"which {error.param.human_readable_name.strip('[]').lower()}? give it, or set {error.param.envvar}", ""
    text = error.message if near else error.format_message()
    if _names_no_file(error):
        return text[:1].lower() + text[1:].rstrip("."), "check the path"
    ctx = getattr(error, "ctx", None)
    hint = f"did you mean {', '.join(near)}?" if near else f"`{ctx.command_path} --help` says how" if ctx else ""
    return text[:1].lower() + text[1:].rstrip("."), hint


def _explain(error: Exception, *, all_causes: bool = False) -> int:
    from app.cli.errors import describe

    if all_causes:
        from app.cli.verbosity import trace
        from app.views.text import safe

        print("\n".join(map(safe, trace(error).split("\n"))), file=sys.stderr)
    known = describe(error)
    if known is None:
        _complain(f"internal error: {type(error).__name__}: {error}", "run it again with -v and report it")
        return ExitCode.BUG
    message, hint, code = known
    _complain(message, hint)
    _drop_what_cannot_be_written()
    return code


def _drop_what_cannot_be_written() -> None:
    """What stdout still holds after it could not be written (a full disk): Python would try again, and exit 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, hint: str) -> None:
    import shutil

    columns = min(MAX_COLUMNS, shutil.get_terminal_size().columns) if sys.stderr.isatty() else None
    print(complaint(message, hint, columns), file=sys.stderr)


def complaint(message: str, hint: str, columns: int | None) -> str:
    """An error as it is shown: one line; where that is longer than `columns`, several, the next step on its own."""
    import textwrap

    from app.views.text import safe

    line = f"spoke: {safe(' '.join(message.split()))}"
    hint = safe(hint)
    whole = f"{line} — {hint}" if hint else line
    if columns is None or len(whole) <= columns:
        return whole
    wrapped = [textwrap.fill(line, columns, subsequent_indent="  ")]
    wrapped += [textwrap.fill(f"  {hint}", columns, subsequent_indent="  ")] if hint else []
    return "\n".join(wrapped)
