"""`spoke hub token`: join tokens."""

from __future__ import annotations

import secrets
import time

import click

from app.cli.context import Context, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.hub_files import system_file
from app.cli.options import dry_run_option, told


@click.group()
def token() -> None:
    """Join tokens: what a machine needs to join, once and within an hour.

    \b
    Example:
      spoke hub init
      spoke hub token create > token.txt
    """


@token.command()
@click.option("--tenant", default="local", show_default=True, help="The tenant whose file its events go to.")
@click.option("--minutes", default=60, show_default=True, type=click.IntRange(1), help="How long it can be used.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1), help="How many nodes may join with it.")
@click.option("--node", help="The only node that may join with it, also when it was revoked or has lost its key.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Given to the node; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="What the node may do here beside sending its streams.")
@click.option("--system-ca", is_flag=True, help="The hub's certificate comes from a public CA: do not pin our own.")
@json_option
@click.pass_obj
def create(
    context: Context,
    tenant: str,
    minutes: int,
    uses: int,
    node: str | None,
    labels: tuple[str, ...],
    scopes: tuple[str, ...],
    system_ca: bool,
    as_json: bool,
) -> None:
    """Make a token and print it: this once, it is not stored.

    \b
    Examples:
      spoke hub init
      spoke hub token create > token.txt
      spoke hub token create --tenant acme --uses 20 --label site=north

    It pins the hub's CA: a machine proves that it has the token only to the hub that made it.
    """
    from sync.hub.certificates import load_certificates
    from sync.hub.tokens import create_token
    from sync.link.errors import CertificateError

    pin = None
    if not system_ca:
        own = load_certificates(context.paths.hub_certificates)
        if own is None:
            raise CertificateError("the hub has no CA of its own to pin (or say --system-ca)")
        pin = own.pin
    pairs = [label.partition("=") for label in labels]
    if not all(name and sign for name, sign, _ in pairs):
        raise CommandError("a label is NAME=VALUE", hint="such as --label site=north", code=ExitCode.USAGE)
    with system_file(context) as db:
        made = create_token(
            db,
            pin,
            tenant,
            random=secrets.token_bytes,
            now=int(time.time()),
            ttl_s=minutes * 60,
            uses=uses,
            node_id=node,
            labels={name: value for name, _, value in pairs},
            scopes=scopes,
        )
    if as_json:
        print_json({"id": made.id, "token": made.text, "tenant": tenant, "minutes": minutes, "uses": uses})
        return
    click.echo(made.text)
    say("keep it secret; it cannot be shown again — on the machine: spoke join wss://THIS-HUB:7710 --token-file FILE")


@token.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the tokens, without their secrets.

    \b
    Example:
      spoke hub token list
    """
    from storage.identity.join_tokens import list_join_tokens

    now = int(time.time())
    with system_file(context) as db, db.snapshot() as snapshot:
        found = list_join_tokens(snapshot)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "tenant": one.tenant,
                    "nodeId": one.node_id,
                    "labels": one.labels,
                    "scopes": one.scopes,
                    "usesLeft": one.uses_left,
                    "expiresAt": one.expires_at,
                    "revokedAt": one.revoked_at,
                }
                for one in found
            ]
        )
        return
    for one in found:
        state = "revoked" if one.revoked_at else "expired" if not one.valid(now) else f"{one.uses_left} uses left"
        click.echo(f"{one.id}  {one.tenant:<12} {state}")
    if not found:
        say("no tokens yet: spoke hub token create")


@token.command()
@click.argument("token_id", metavar="ID")
@dry_run_option
@json_option
@click.pass_obj
def revoke(context: Context, token_id: str, as_json: bool) -> None:
    """End the token ID (or the beginning of one) at once; nodes that joined with it stay.

    \b
    Example:
      spoke hub token revoke "$(spoke hub token create --system-ca | cut -d. -f3)"
    """
    from storage.identity.join_tokens import find_join_token, revoke_join_token
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        found = find_join_token(tx, token_id)
        ended = revoke_join_token(tx, found.id, actor_id=operator(tx).id, now=int(time.time()))
    if as_json:
        print_json({"id": found.id, "revoked": ended})
    else:
        say(f"token {found.id} {told('is', 'would be')} revoked" if ended else f"token {found.id} was revoked before")
