"""`spoke hub delegation`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from app.cli.context import Context, camel, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.hub_files import hub_directory, system_file, tenant_files
from app.cli.options import dry_run_option, told
from storage.engine import Snapshot


@click.group()
def delegation() -> None:
    """Let a principal of one tenant act for a principal of another.

    \b
    Example:
      spoke hub delegation list
    """


@delegation.command()
@click.argument("giver", metavar="ORG/ACCOUNT")
@click.argument("taker", metavar="ORG/ACCOUNT")
@click.option("--scope", "scopes", multiple=True, help="What the second may do at most, such as graphs:read.")
@click.option(
    "--resource", "resources", multiple=True, metavar="TYPE:ID=ACTIONS", help="And on what: doc:7=read,write."
)
@json_option
@click.pass_obj
def create(
    context: Context, giver: str, taker: str, scopes: tuple[str, ...], resources: tuple[str, ...], as_json: bool
) -> None:
    """Let the second account do something in the first one's tenant.

    \b
    Example:
      spoke hub key create press --tenant acme > press.txt
      spoke hub key create buyer --tenant beta > buyer.txt
      spoke hub delegation create acme/press@acme.spoke \\
        beta/buyer@beta.spoke --scope graphs:read

    It gives what the first account may pass on at each moment, never more. A hub
    that runs brings it into both tenants' files at once, another one when it is
    started. Prints the id.
    """
    from storage.delegation.intents import create_delegation
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        made = create_delegation(tx, _end(giver), _end(taker), scopes, _resources(resources), actor_id=operator(tx).id)
    if as_json:
        print_json(camel(made))
    else:
        click.echo(made.id)
        say("wanted; `spoke hub delegation list` shows when it is in force")


@delegation.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the delegations, those that are over too, and what is wrong with them.

    \b
    Example:
      spoke hub delegation list --json
    """
    from storage.delegation.intents import list_delegations

    with system_file(context) as db, db.snapshot() as snapshot:
        found = list_delegations(snapshot)
        names = _names(snapshot)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("no delegations yet: spoke hub delegation create ORG/ACCOUNT ORG/ACCOUNT --scope SCOPE")
    for one in found:
        giver, taker = (
            f"{names.get(org, org[:8] or '?')}/{names.get(account, account[:8] or '?')}"
            for org, account in ((one.from_org_id, one.from_account_id), (one.to_org_id, one.to_account_id))
        )
        limits = [*one.scopes, *(f"{name}={','.join(actions)}" for name, actions in one.resources.items())]
        said = f"  ({one.error})" if one.error else ""
        click.echo(f"{one.id[:8]}  {one.state:<8} {giver} -> {taker}  {' '.join(limits)}{said}")


@delegation.command()
@click.argument("delegation_id", metavar="ID")
@dry_run_option
@json_option
@click.pass_obj
def revoke(context: Context, delegation_id: str, as_json: bool) -> None:
    """End the delegation ID (or the beginning of one) at once.

    \b
    Example:
      spoke hub key create press --tenant acme > press.txt
      spoke hub key create buyer --tenant beta > buyer.txt
      spoke hub delegation create acme/press@acme.spoke \\
        beta/buyer@beta.spoke --scope graphs:read > id.txt
      spoke hub delegation revoke $(cat id.txt)
    """
    from storage.delegation.intents import find_delegation, revoke_delegation
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        found = find_delegation(tx, delegation_id)
        ended = revoke_delegation(tx, found.id, actor_id=operator(tx).id)
    if as_json:
        print_json({"id": found.id, "revoked": ended})
    else:
        gives = told("gives nothing any more", "would give nothing any more")
        say(f"delegation {found.id} {gives if ended else 'was over before'}")


@delegation.command()
@json_option
@click.pass_obj
def reconcile(context: Context, as_json: bool) -> None:
    """Compare every tenant's file with what is wanted, both ways, and settle it.

    \b
    Example:
      spoke hub delegation reconcile

    A hub does so when it starts, after each change and every hour; this works
    with and without one. Exit code 1 when something could not be settled.
    """
    from storage.delegation.settling import Settler
    from sync.hub.keys import operator

    with system_file(context) as db:
        with db.transaction() as tx:
            actor = operator(tx).id
        report = Settler(db, hub_directory(context), tenant_files(context), actor).reconcile()
    if as_json:
        print_json(camel(report))
    else:
        click.echo(f"{report.delegations} delegations, {report.settled} settled, {report.unknown} were unknown")
    left = {**report.unreadable, **report.failed}
    if left:
        raise CommandError(
            "; ".join(f"{name}: {error}" for name, error in left.items()),
            hint="mend the files and run it again; a hub tries again by itself",
            code=ExitCode.FAILURE,
        )


def _end(text: str) -> tuple[str, str]:
    org, slash, account = text.partition("/")
    if not (org and slash and account):
        raise click.UsageError(f"{text!r}: write ORG/ACCOUNT, such as acme/ann@example.org")
    return org, account


def _resources(given: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, actions = text.rpartition("=")
        if not equals:
            raise click.UsageError(f"{text!r}: write TYPE:ID=ACTIONS, such as doc:7=read,write")
        found.setdefault(name, []).extend(actions.split(","))
    return found


def _names(snapshot: Snapshot) -> dict[Any, str]:
    """What people call organisations and accounts, by id."""
    return dict(snapshot.rows("SELECT id, slug FROM organizations UNION ALL SELECT id, email FROM accounts"))
