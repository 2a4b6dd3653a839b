"""`spoke operations`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from app.cli.call import call
from app.cli.context import Context, camel, json_option, print_json

if TYPE_CHECKING:
    from app.views.operations import OperationRow
    from sync.calls.registry import Registry


@click.group(invoke_without_command=True)
@click.pass_context
def operations(ctx: click.Context) -> None:
    """What can be called on this node: list it, search it, look at a schema, call it.

    \b
    Examples:
      spoke operations
      spoke operations search secret
      spoke operations schema fs.read
      spoke operations call fs.list '{"path": "~"}'
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=False, where=None)


@operations.command(name="list")
@json_option
@click.option("--where", type=click.Choice(["here", "yours", "hub"]), help="Only these; the hub's only if asked for.")
@click.pass_obj
def list_(context: Context, as_json: bool, where: str | None) -> None:
    """List every operation of this node, or those of its hub.

    \b
    Examples:
      spoke operations list --json
      spoke operations list --where hub

    `here` is built in, `yours` is declared in your configuration; what runs on the hub is called as hub/NAME.
    """
    _print([row for row in _rows(context, hub=where == "hub") if row.where == (where or row.where)], as_json)


@operations.command()
@click.argument("text")
@json_option
@click.pass_obj
def search(context: Context, text: str, as_json: bool) -> None:
    """List the operations whose id, description or tags hold TEXT.

    \b
    Example:
      spoke operations search session
    """
    from app.views.operations import found_in

    found = [row for row in _rows(context) if found_in(row, text)]
    if not found:
        _registry(context).get_spec(text)  # says which ones are near
    _print(found, as_json)


@operations.command()
@click.argument("name")
@json_option
@click.pass_obj
def schema(context: Context, name: str, as_json: bool) -> None:
    """Show the operation NAME: what it does, what it needs, the JSON Schema of its input and output.

    \b
    Example:
      spoke operations schema fs.read
    """
    from storage.operations.document import describe

    spec = _registry(context).get_spec(name)
    document = describe(spec)
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))


operations.add_command(call)


def _registry(context: Context) -> Registry:
    from app.operations import node_registry

    return node_registry(context.settings(), context.paths)


def _rows(context: Context, *, hub: bool = False) -> list[OperationRow]:
    from app.operations import node_registry
    from app.views.operations import read_operations

    settings = context.settings()
    return read_operations(node_registry(settings, context.paths), settings, context.paths, hub=hub)


def _print(found: list[OperationRow], as_json: bool) -> None:
    if as_json:
        print_json([{"operationId": row.operation_id, **camel(row)} for row in found])
        return
    from app.views.operations import operation_line

    width = max((len(row.name) for row in found), default=0)
    for row in found:
        click.echo(operation_line(row, 120, width))
