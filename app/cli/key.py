"""`spoke key`: keys to the local API on a port."""

from __future__ import annotations

import click

from app.audit import audit_before
from app.cli.context import Context, json_option, now, print_json, say
from app.cli.options import dry_run, dry_run_option


@click.group()
def key() -> None:
    """Keys for programs that use the local API on a port (the Unix socket needs none).

    \b
    Example:
      spoke key create dashboard --scope system:read --scope stream:read
    """


@key.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it opens, such as stream:read or *.")
@json_option
@click.pass_obj
def create(context: Context, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it: this is the only time that it is seen.

    \b
    Example:
      spoke key create dashboard --scope system:read
    """
    from app.services.api_keys import create_key

    context.make_data_dir()
    audit_before(context.paths, "key.create", say, name=name, scopes=" ".join(scopes))
    made, secret = create_key(context.paths.api_keys, name, scopes, int(now().timestamp()))
    if as_json:
        print_json({"id": made.id, "name": made.name, "scopes": made.scopes, "key": secret})
    else:
        click.echo(secret)
        say(f"key {made.id[:8]} for {name}; keep it, it is not shown again. The port: [api] port in the configuration")


@key.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the keys.

    \b
    Example:
      spoke key list
    """
    from app.services.api_keys import read_keys

    found = read_keys(context.paths.api_keys)
    if as_json:
        print_json([{"id": k.id, "name": k.name, "scopes": k.scopes, "createdAt": k.created_at} for k in found])
        return
    for one in found:
        click.echo(f"{one.id[:8]}  {one.name:<20} {' '.join(one.scopes)}")
    if not found:
        say("no keys yet: spoke key create NAME --scope SCOPE")


@key.command()
@click.argument("name")
@dry_run_option
@click.pass_obj
def revoke(context: Context, name: str) -> None:
    """Revoke the key NAME (or the id, or its beginning).

    \b
    Example:
      spoke key revoke dashboard
    """
    from app.services.api_keys import find_key, revoke_key

    if dry_run():
        found = find_key(context.paths.api_keys, name)
        say(f"key {found.id[:8]} of {found.name} would open nothing any more")
        return
    audit_before(context.paths, "key.revoke", say, name=name)
    gone = revoke_key(context.paths.api_keys, name)
    say(f"key {gone.id[:8]} of {gone.name} opens nothing any more")
