"""`spoke bundle`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from app.cli.context import Context, confirm, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def bundle(context: Context, file: Path | None, yes: bool, as_json: bool) -> None:
    """Write what helps to find out what is wrong into FILE (.tar.gz), without secrets.

    \b
    Example:
      spoke bundle support.tar.gz --yes

    Says first what is inside: versions, findings of spoke doctor, configuration
    and environment with secrets masked, figures, sizes, the end of the logs. No
    payloads, no keys, no databases. It is sent nowhere.
    """
    from app.bundle import collect, write

    at = now()
    file = file or Path(f"spoke-bundle-{at:%Y%m%d-%H%M%S}.tar.gz")
    parts = collect(context.paths, context.flags, os.environ)
    for part in parts:
        say(f"{part.name:<18} {len(part.text.encode(errors='replace')):>9} bytes  {part.what}")
    confirm(f"Write them into {file}?", "nothing was written", yes=yes)
    try:
        size = write(parts, file, at)
    except OSError as error:
        raise CommandError(
            f"{file}: {error.strerror}", hint="choose another file", code=ExitCode.CANNOT_CREATE
        ) from error
    if as_json:
        print_json({"file": str(file.absolute()), "bytes": size, "parts": [part.name for part in parts]})
    else:
        click.echo(file)
