"""`spoke operations`."""

from __future__ import annotations

import json

import click

from app.cli.context import Context, json_option, print_json


@click.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def operations(context: Context, name: str | None, as_json: bool) -> None:
    """List what can be called, or show the operation NAME with its schemas.

    \b
    Examples:
      spoke operations
      spoke operations fs.read
    """
    from app.operations import builtin_registry

    registry = builtin_registry(context.settings(), context.paths.key_file)
    if name is None:
        found = registry.list()
        if as_json:
            print_json([{"operationId": s.operation_id, "type": s.type, "description": s.description} for s in found])
        else:
            for spec in found:
                click.echo(f"{spec.operation_id:<14} {spec.type:<9} {spec.description}")
        return
    spec = registry.get_spec(name)
    document = {
        "operationId": spec.operation_id,
        "version": spec.version,
        "type": spec.type,
        "description": spec.description,
        "inputSchema": spec.input_schema,
        "outputSchema": spec.output_schema,
        "accessControl": {"requiredScopes": list(spec.access_control.required_scopes)},
    }
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
