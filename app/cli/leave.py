"""`spoke leave`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.audit import audit
from app.cli.context import Context, camel, confirm, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, told
from app.views.text import of

if TYPE_CHECKING:
    from sync.spoke.leave import Left


@click.command()
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def leave(context: Context, yes: bool, as_json: bool) -> None:
    """Leave the hub: what `spoke join` made is removed, what was recorded stays.

    \b
    Example:
      spoke join wss://hub.example --key-file key.txt
      spoke leave --dry-run
      spoke leave --yes

    Removes this machine's key (or API key), the hub's address and CA, and what is known of the hub; says first how many
    events it does not have. They stay here, and go to the next hub that is joined. Calls that the hub had asked for and
    that are not done are not executed any more. Refused while a process runs the services.

    The hub keeps what it has, and is not told: its operator ends this node there with `spoke hub revoke NODE`. The same
    hub takes this node again with a token made for it: spoke hub token create --node NODE.
    """
    from app.config import read
    from storage.tenants import find_fact, node_id
    from sync.spoke.leave import LEAVING, Left
    from sync.spoke.leave import leave as forget
    from sync.spoke.status import read_status

    paths = context.paths
    joined = context.settings().hub.url is not None
    origin = read(paths, context.flags).origin(("hub", "url"))
    if joined and origin.kind != "join":
        raise CommandError(
            f"the address of the hub comes from {origin}", hint="take it away there first", code=ExitCode.CONFIG
        )
    nothing = CommandError("this node has no hub", hint="spoke join wss://HOST", code=ExitCode.UNAVAILABLE)
    if not paths.data_dir.exists():
        raise nothing
    with context.alone(paths.daemon_lock), context.database() as db:
        with db.snapshot() as snapshot:
            link, me, begun = read_status(snapshot), node_id(snapshot), find_fact(snapshot, LEAVING)
        if not paths.hub_file.exists() and begun is None:
            raise nothing
        missing = f"{of(link.unsent, 'event')} {'is' if link.unsent == 1 else 'are'} not at the hub"
        known = f"{missing} and will wait here" if link.unsent else "it has everything that was recorded here"
        confirm(f"Leave {link.hub_url}? {known[0].upper()}{known[1:]}.", f"this leaves the hub; {known}", yes=yes)
        if dry_run():
            _tell(Left(link.hub_url, link.unsent), me, known, as_json)
            return
        with db.transaction() as tx:
            audit(tx, "leave", hub=link.hub_url)
        done = forget(db, paths.hub_file, paths.device_key, round(now().timestamp() * 1000))
    _tell(done, me, known, as_json)


def _tell(done: Left, me: str, known: str, as_json: bool) -> None:
    if as_json:
        print_json({**camel(done), "nodeId": me})
        return
    say(f"{told('left', 'would leave')} {done.hub_url}; {known}")
    say(f"the hub {told('keeps', 'would keep')} this node in its lists until: spoke hub revoke {me}")
