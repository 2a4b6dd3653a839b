"""Runs one command line: errors become one line on stderr and a documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from app.cli import cli
from app.cli.exit_codes import ExitCode


def run(arguments: Sequence[str]) -> int:
    """Run `spoke ARGUMENTS` and return its exit code. Never raises, except with SPOKE_DEBUG set."""
    try:
        result = cli.main(list(arguments), prog_name="spoke", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; it got what it wanted. Nothing more may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        if os.environ.get("SPOKE_DEBUG"):
            raise
        return _explain(error)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _explain(error: Exception) -> int:
    from app.cli.errors import describe

    known = describe(error)
    if known is None:
        print(
            f"spoke: internal error: {type(error).__name__}: {error} — run it again with SPOKE_DEBUG=1 and report it",
            file=sys.stderr,
        )
        return ExitCode.BUG
    message, hint, code = known
    line = " ".join(message.split())
    print(f"spoke: {line}" + (f" — {hint}" if hint else ""), file=sys.stderr)
    return code
