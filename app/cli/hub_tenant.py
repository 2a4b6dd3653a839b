"""`spoke hub tenant`: the tenants of a hub, each with a file of its own."""

from __future__ import annotations

import click

from app.cli.context import Context, camel, json_option, print_json, say
from app.cli.hub_files import hub_directory, system_file


@click.group()
def tenant() -> None:
    """The tenants of this hub: make one, list them.

    \b
    Example:
      spoke hub tenant create acme
    """


@tenant.command()
@click.argument("slug", metavar="TENANT")
@click.option("--name", help="What it is called; TENANT if not given.")
@json_option
@click.pass_obj
def create(context: Context, slug: str, name: str | None, as_json: bool) -> None:
    """Make a tenant, owned by this hub's operator.

    \b
    Example:
      spoke hub tenant create acme --name "Acme Ltd"

    Its file is made when its first spoke comes. A token or a key for a tenant makes it, too. Exits with 2 when the name
    is taken, or is none: small letters, digits and '-'.
    """
    from storage.identity.organizations import create_organization
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        made = create_organization(tx, slug, operator(tx).id, name=name)
    if as_json:
        print_json({"id": made.id, "slug": made.slug, "name": made.name})
    else:
        say(f"tenant {made.slug} is there — let a spoke join it: spoke hub token create --tenant {made.slug}")


@tenant.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the tenants: the version of their file's schema, and what waits or failed.

    \b
    Example:
      spoke hub tenant list
    """
    _print(context, as_json)


@click.command()
@json_option
@click.pass_obj
def tenants(context: Context, as_json: bool) -> None:
    """List the tenants, like `spoke hub tenant list`.

    \b
    Example:
      spoke hub tenants
    """
    _print(context, as_json)


def _print(context: Context, as_json: bool) -> None:
    from storage.tenant_files import LATEST, list_tenant_files, plan_migrations

    with system_file(context) as db:
        if not context.read_only:
            plan_migrations(db, hub_directory(context))
        with db.snapshot() as snapshot:
            found = list_tenant_files(snapshot)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("no tenants yet: spoke hub tenant create TENANT")
    for file in found:
        schema = "no file yet" if file.state == "empty" else f"schema {file.schema_version or '?'}/{LATEST}"
        state = "" if file.state == "empty" else file.state
        click.echo(f"{file.slug:<24} {schema:<12} {state:<8} {file.error or ''}".rstrip())
