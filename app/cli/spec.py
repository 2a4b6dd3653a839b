"""`spoke spec`."""

from __future__ import annotations

import json

import click

from app.cli.context import json_option, print_json


@click.command()
@json_option
@click.pass_context
def spec(ctx: click.Context, as_json: bool) -> None:
    """Print every command, argument, option and exit code, for programs; with --json on one line.

    \b
    Example:
      spoke spec --json

    `impact` says what a command does to the world: read, write or destructive.
    Programs that choose commands by themselves can go by it.
    """
    from app.cli import reference

    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    document = reference.spec(root)
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
