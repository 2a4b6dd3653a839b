"""`spoke operations`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from app.cli.call import call
from app.cli.context import Context, json_option, print_json

if TYPE_CHECKING:
    from storage.operations.spec import OperationSpec
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
        ctx.invoke(list_, as_json=False)


@operations.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List every operation.

    \b
    Example:
      spoke operations list --json
    """
    _print(_registry(context).list(), as_json)


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
    registry, wanted = _registry(context), text.lower()
    found = [
        spec
        for spec in registry.list()
        if wanted in f"{spec.operation_id} {spec.description} {' '.join(spec.tags)}".lower()
    ]
    if not found:
        registry.get_spec(text)  # says which ones are near
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


def _print(found: list[OperationSpec[Any, Any]], as_json: bool) -> None:
    if as_json:
        print_json([{"operationId": s.operation_id, "type": s.type, "description": s.description} for s in found])
        return
    width = max((len(spec.operation_id) for spec in found), default=0)
    for spec in found:
        click.echo(f"{spec.operation_id:<{width}} {spec.type:<12} {spec.description}")
