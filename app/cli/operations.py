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

    A NAME that is no operation is looked for in ids and descriptions.

    \b
    Examples:
      spoke operations
      spoke operations fs.read
      spoke operations secret
    """
    from app.operations import builtin_registry

    registry = builtin_registry(context.settings(), context.paths.key_file)
    every = registry.list()
    known = any(spec.operation_id == name for spec in every)
    if name is None or not known:
        wanted = (name or "").lower()
        found = [spec for spec in every if wanted in f"{spec.operation_id} {spec.description}".lower()]
        if name is not None and not found:
            registry.get_spec(name)  # says which ones are near
        if as_json:
            print_json([{"operationId": s.operation_id, "type": s.type, "description": s.description} for s in found])
        else:
            width = max(len(spec.operation_id) for spec in found)
            for spec in found:
                click.echo(f"{spec.operation_id:<{width}} {spec.type:<9} {spec.description}")
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
