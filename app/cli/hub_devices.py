"""`spoke hub devices` and `spoke hub revoke`: the nodes that joined with a token."""

from __future__ import annotations

import time

import click

from app.cli.context import Context, json_option, print_json, say
from app.cli.hub_files import system_file
from app.cli.options import dry_run_option, told


@click.command()
@json_option
@click.pass_obj
def devices(context: Context, as_json: bool) -> None:
    """List the nodes that joined with a token, and whether their keys open sessions.

    \b
    Example:
      spoke hub devices
    """
    from storage.identity.devices import list_devices, standing

    now = int(time.time())
    with system_file(context) as db, db.snapshot() as snapshot:
        found = list_devices(snapshot)
    if as_json:
        print_json(
            [
                {
                    "nodeId": one.id,
                    "name": one.name,
                    "tenant": one.tenant,
                    "standing": standing(one, now),
                    "labels": one.labels,
                    "scopes": one.scopes,
                    "keyNotAfter": one.key_not_after,
                }
                for one in found
            ]
        )
        return
    for one in found:
        click.echo(f"{one.id}  {one.tenant:<12} {one.name:<24} {standing(one, now)}")
    if not found:
        say("no node has joined yet: spoke hub token create")


@click.command(name="revoke")
@click.argument("node", metavar="NODE")
@dry_run_option
@json_option
@click.pass_obj
def revoke_node(context: Context, node: str, as_json: bool) -> None:
    """End the key of NODE at once: its id, the beginning of one, or its name.

    \b
    Example:
      spoke hub revoke workshop-pc

    What it sent stays. It joins again only with a token that is made for it: spoke hub token create --node NODE
    """
    from storage.identity.devices import revoke_device
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        found, ended = revoke_device(tx, node, actor_id=operator(tx).id, now=int(time.time()))
    if as_json:
        print_json({"nodeId": found.id, "name": found.name, "revoked": ended})
    else:
        fate = f"{told('is', 'would be')} revoked" if ended else "was revoked before"
        say(f"node {found.name} ({found.id}) {fate}")
