"""`spoke sql`."""

from __future__ import annotations

import base64
import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.cli.context import Context, Progress, json_option, print_json
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.table import table_lines
from app.views.text import safe


@click.command()
@click.argument("query", metavar="SELECT")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
@click.option("--hub", is_flag=True, help="Ask the hub's system.db.")
@click.option("--tenant", metavar="ORG", help="Ask the file of a tenant of the hub.")
@click.option("--timeout", default=5.0, show_default=True, type=click.FloatRange(0), help="Seconds to wait at most.")
@json_option
@click.pass_obj
def sql(
    context: Context, query: str, as_csv: bool, hub: bool, tenant: str | None, timeout: float, as_json: bool
) -> None:
    """Ask the database of this node with one SELECT; nothing can be written.

    \b
    Examples:
      spoke sql "select status, count(*) from sessions group by status"
      spoke sql "select id, title from sessions" --json
      echo "select count(*) from nodes" | spoke sql - --csv
      spoke sql "pragma table_info(sessions)"

    A table for people: no cell wider than 60. With --json one object a row; a
    blob is {"base64": …}, infinity is null, and of columns of one name the second
    is called name_2. In CSV NULL is empty and a blob is hexadecimal. Exit codes:
    65 the SQL is wrong, and where; 75 it took too long; 77 it would write.
    """
    from storage.query import select

    if hub and tenant is not None:
        raise click.UsageError("--hub and --tenant are two different files")
    if as_csv and as_json:
        raise click.UsageError("--csv and --json are two different forms")
    text = sys.stdin.read() if query == "-" else query
    path = _file(context, hub=hub, tenant=tenant)
    with select(path, text, timeout_s=timeout) as answer:
        if as_json:
            names = _unique(answer.columns)
            for row in answer.rows:
                print_json(dict(zip(names, map(_json_value, row), strict=True)))
        elif as_csv:
            _print_csv(answer.columns, answer.rows)
        else:
            for line in table_lines(answer.columns, answer.rows):
                click.echo(line)


def _file(context: Context, *, hub: bool, tenant: str | None) -> Path:
    if not hub and tenant is None:
        from app.services.projector import catch_up

        with context.database() as db:  # sessions and calls as they are in the log now, like every command shows them
            catch_up(db, progress=Progress("projecting"))
        return context.paths.tenant_db
    folder = context.paths.hub_dir
    files = {file.stem.removeprefix("tenant-"): file for file in sorted(folder.glob("tenant-*.db"))}
    found = folder / "system.db" if tenant is None else files.get(tenant)
    if found is None or not found.exists():
        what = "this machine is no hub" if not files and tenant is None else f"no tenant {tenant!r}"
        hint = f"tenants here: {', '.join(files)}" if files else "spoke hub init"
        raise CommandError(what, hint=hint, code=ExitCode.USAGE)
    return found


def _unique(columns: tuple[str, ...]) -> list[str]:
    """Names that an object can have: the second `a` becomes `a_2`, or what comes next and is free."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_csv(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    shown = safe if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, columns))
    for row in rows:
        writer.writerow(
            value.hex() if isinstance(value, bytes) else shown(value) if isinstance(value, str) else value
            for value in row
        )
