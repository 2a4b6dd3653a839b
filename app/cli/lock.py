"""`spoke lock`."""

from __future__ import annotations

import click

from app.cli.call_recorded import execute
from app.cli.context import Context, camel, confirm, json_option, print_json, relative, say
from app.cli.options import dry_run_option, told
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
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def release(context: Context, name: str, yes: bool, as_json: bool) -> None:
    """Take a lock from whoever holds it: for a holder that is dead. One that lives goes on without it.

    \b
    Example:
      spoke lock release backup --yes
    """
    confirm(f"take the lock {name} from its holder?", f"releasing {name} needs a yes", yes=yes)
    done = execute(context, "lock.release", {"name": name})
    if as_json:
        print_json(done)
    else:
        click.echo(f"{name} {told('is', 'would be')} free" if done["done"] else f"{name} was free: nobody held it")
