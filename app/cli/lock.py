"""`spoke lock`."""

from __future__ import annotations

import sys

import click

from app.cli.context import Context, camel, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.queue import execute, relative
from app.views.columns import table
from app.views.schedule_text import lock_columns
from app.views.schedules import read_locks


@click.group()
def lock() -> None:
    """Who holds which lock.

    \b
    Example:
      spoke lock list
    """


@lock.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """The locks that are held, by whom, and until when.

    \b
    Example:
      spoke lock list
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_locks(snapshot)
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, lock_columns(relative), 100)))
    else:
        say("no lock is held")


@lock.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def release(context: Context, name: str, yes: bool, as_json: bool) -> None:
    """Take a lock from whoever holds it: for a holder that is dead. One that lives goes on without it.

    \b
    Example:
      spoke lock release backup --yes
    """
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError(
                f"releasing {name} needs a yes", hint="add --yes to do it without a question", code=ExitCode.USAGE
            )
        click.confirm(f"take the lock {name} from its holder?", abort=True, err=True)
    done = execute(context, "lock.release", {"name": name})
    if as_json:
        print_json(done)
    else:
        click.echo(f"{name} is free" if done["done"] else f"{name} was free: nobody held it")
