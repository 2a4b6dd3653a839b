"""`spoke reidentify`."""

from __future__ import annotations

import click

from app.audit import audit
from app.cli.context import Context, camel, confirm, json_option, now, print_json, say
from app.cli.options import dry_run, dry_run_option
from app.views.text import of


@click.command()
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def reidentify(context: Context, yes: bool, as_json: bool) -> None:
    """Make a copy of a node a node of its own (IDENTITY_CONFLICT).

    \b
    Example:
      spoke reidentify --dry-run
      spoke reidentify --yes

    For a machine whose data directory was copied from another one that goes on. It gets a new node id; its key is
    removed; then it joins like any new machine: spoke join URL --token-file FILE. What the hub had acknowledged when
    the copy was made stays the other node's; what it had not is kept here and sent as this node's, once. An event that
    the other node has sent since the copy is at the hub twice then, once of each node: nobody can know that here.
    Refused while a process runs the services. Run it on the copy, not on the machine that is to keep its name.
    """
    from sync.spoke.reidentify import change_identity
    from sync.spoke.reidentify import reidentify as change

    confirm("Give this database an identity of its own?", "this changes who this node is", yes=yes)
    context.make_data_dir()
    with context.alone(context.paths.daemon_lock), context.database() as db:
        at_ms = round(now().timestamp() * 1000)
        if dry_run():
            with db.transaction() as tx:
                done = change_identity(tx, at_ms)
        else:
            done = change(db, context.paths.device_key, at_ms, lambda tx: audit(tx, "reidentify"))
    if as_json:
        new_id = None if dry_run() else done.node_id  # that of another time would be another
        print_json({**camel(done), "nodeId": new_id, "kept": done.kept})
        return
    if dry_run():
        say(f"this is node {done.old_node_id}, and would be another one; {of(done.kept, 'event')} to be sent")
        return
    say(f"this was node {done.old_node_id}, and is node {done.node_id}; {of(done.kept, 'event')} to be sent")
    say("next, with a new token of the hub's operator: spoke join URL --token-file FILE")
