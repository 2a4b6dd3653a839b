"""`spoke doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from app.cli.context import Context, json_option, print_json, say
from app.cli.exit_codes import ExitCode


@click.command()
@click.option("--full", is_flag=True, help="Read whole databases, however long it takes.")
@json_option
@click.pass_obj
def doctor(context: Context, full: bool, as_json: bool) -> int:
    """Look at everything that keeps a node or a hub from working, and say how to mend it.

    \b
    Example:
      spoke doctor --json || echo "something is wrong" >&2

    Changes nothing. Works without a configuration, without a database, and
    beside a running node. Exits with 1 when there is a problem (✗); a warning
    (!) is none.
    """
    from app.doctor.examine import examine
    from app.doctor.finding import finding_lines, summary

    found = examine(context.paths, context.flags, full=full)
    ok = all(one.level != "problem" for one in found)
    if as_json:
        print_json({"ok": ok, "findings": [asdict(one) for one in found]})
    else:
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        for one in found:
            for line in finding_lines(one, ascii_only=ascii_only):
                click.echo(line)
        say(summary(found))
    return ExitCode.OK if ok else ExitCode.FAILURE
