"""`spoke hub call`: operations on the hub's own tables, on a tenant's file, and on spokes."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import click

from app.cli.context import Context, json_option, new_id, print_json
from app.cli.durable_calls import Wanted, call_spoke, durable_options
from app.cli.hub_files import system_file, tenant_files
from app.cli.options import dry_run, dry_run_option


@click.command(name="call")
@click.argument("operation")
@click.argument("input_json", metavar="[JSON]", default="{}")
@click.option("--tenant", help="Execute it on this tenant's file instead of the hub's own tables.")
@click.option("--as", "account", metavar="ACCOUNT", help="With the authority of this account there, not as operator.")
@dry_run_option
@durable_options
@json_option
@click.pass_obj
def call_(
    context: Context, /, operation: str, input_json: str, tenant: str | None, account: str | None, **said: Any
) -> None:
    """Execute OPERATION: SPOKE/namespace.name on a spoke, or here on the hub's tables: accounts, api_keys …

    \b
    Examples:
      spoke hub call accounts.list
      spoke hub call accounts.create '{"email": "ann@example.org"}'
      spoke hub call workshop-pc/system.info --deadline 5m
      spoke hub key create press --tenant acme > press.txt
      spoke hub call graphs.list --tenant acme

    A call to a spoke waits for it, however long it is away; prints the id of the call, or with --wait its output
    (exit codes as of `spoke call`).

    Here it runs as the hub's operator, or with --as as somebody who may do there what the access graphs say: as a
    member, or by delegation from another tenant. What is changed of accounts is in the audit trail:
    spoke hub call audit_logs.list
    """
    from app.cli.call import parse_json, tell_admitted
    from app.operations.tables import register, system_registry
    from storage.identity.organizations import find_organization
    from storage.operations.spec import Identity, OperationContext
    from sync.calls.registry import Registry
    from sync.hub.access import identity_in
    from sync.hub.keys import operator

    value = parse_json(input_json, "the input")
    wanted = Wanted(**said)
    if "/" in operation:
        if tenant is not None or account is not None:
            raise click.UsageError("--tenant and --as are for operations of the hub; a spoke is in one tenant")
        call_spoke(context, operation, value, wanted)
        return
    wanted.refuse()
    if account is not None and tenant is None:
        raise click.UsageError("--as needs --tenant: authority is held in a tenant")
    registry = system_registry() if tenant is None else Registry()
    if tenant is not None:
        register(registry)
    registry.check(operation, value)
    with ExitStack() as stack:
        db = system = stack.enter_context(system_file(context))
        with system.transaction() as tx:
            who = Identity(operator(tx).id, ("*",), {"*": ("*",)})
            slug = None if tenant is None else find_organization(tx, tenant).slug
        if slug is not None:
            opened = tenant_files(context)
            db = stack.enter_context(opened(slug))
            if account is not None:
                who = identity_in(system, opened, account, slug)
        if dry_run():
            registry.admit(operation, value, OperationContext(new_id(), who, db=db))
            tell_admitted(registry, operation, value, as_json=wanted.as_json)
            return
        tx_or_none = stack.enter_context(db.transaction()) if registry.is_transactional(operation) else None
        output = registry.execute(operation, value, OperationContext(new_id(), who, db=db, tx=tx_or_none))
    document = output.model_dump(mode="json", by_alias=True)
    if wanted.as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
