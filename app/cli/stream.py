"""`spoke stream`."""

from __future__ import annotations

import click

from app.cli.context import Context, camel, json_option, print_json, relative, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.columns import table
from app.views.stream_text import gap_columns, stream_columns, stream_text
from app.views.streams import payload_bytes, read_gaps, read_streams


@click.group()
def stream() -> None:
    """The logs of this node: what is in them, and who has read how far.

    \b
    Example:
      spoke stream list
      spoke tail session-events
    """


@stream.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """The streams, with what their slowest consumer has not read.

    \b
    Example:
      spoke stream list
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_streams(snapshot)
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, stream_columns(relative), 110)))
    else:
        say("no events yet — record something: spoke record -- ls")


@stream.command()
@click.argument("name", metavar="STREAM")
@json_option
@click.pass_obj
def show(context: Context, name: str, as_json: bool) -> None:
    """A stream with its consumers and the size of its payloads.

    \b
    Example:
      spoke call system.info
      spoke stream show call-protocol
    """
    with context.database() as db, db.snapshot() as snapshot:
        row = next((one for one in read_streams(snapshot) if one.name == name), None)
        if row is None:
            raise CommandError(f"no stream {name!r}", hint="`spoke stream list` shows them", code=ExitCode.USAGE)
        size = payload_bytes(snapshot, name)
    if as_json:
        print_json(camel(row) | {"payloadBytes": size})
    else:
        click.echo("\n".join(stream_text(row, size, relative)))


@stream.command()
@json_option
@click.pass_obj
def gaps(context: Context, as_json: bool) -> None:
    """Events of other nodes that are missing here for good, as the link has found out.

    \b
    Example:
      spoke stream gaps
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_gaps(snapshot)
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, gap_columns(relative), 110)))
    else:
        say("no gaps are known")
