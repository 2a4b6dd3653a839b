"""`spoke sync`: how the link stands, and what is known of the hub."""

from __future__ import annotations

import click

from app.cli.context import Context, as_wanted, camel, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.sync_now import now_, pause_, resume_, rewind_
from app.views.generations import generation_lines, read_generations
from app.views.link import link_details
from app.views.room import read_room, room_json, room_note, room_text
from app.views.sync import read_refusals, read_verified, verified_line
from app.views.text import clip, safe
from app.views.times import told
from storage.process_lock import holder
from sync.spoke.status import read_status


@click.group()
def sync() -> None:
    """The link to the hub.

    \b
    Example:
      spoke sync status
    """


for command in (now_, pause_, resume_, rewind_):
    sync.add_command(command)


@sync.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """How the link stands, stream by stream.

    \b
    Example:
      spoke sync status --json

    `unsent` are events that the hub does not have on its disk; an event counts as sent when the hub said that it has.
    `generation` counts the lives of a log (spoke sync generations), `refused` are events in the hub's quarantine
    (spoke sync rejected), a gap is where events were gone here before the hub had them. `outbox` is what waits for the
    hub; its bytes are an estimate. `storage` is how full the file is, and what happens at its limit
    (storage.max_bytes): `block` refuses what is new. The states: unpaired, offline, connecting, authenticating,
    catching-up, live, draining, refused(CODE), paused; STOPPED: no process runs the link.
    """
    with context.database() as db, db.snapshot() as snapshot:
        link = read_status(snapshot)
        lives = read_generations(snapshot)
        room = read_room(snapshot, db.max_bytes)
    pid = holder(context.paths.daemon_lock)
    if as_json:
        outbox = {"unsent": link.unsent, "unsentBytes": link.unsent_bytes, "unsentSinceMs": link.unsent_since_ms}
        said = {**camel(link), **outbox, "storage": room_json(room)}
        print_json({**said, "daemonPid": pid, "generations": camel(lives)})
        return
    lines = link_details(link, round(now().timestamp() * 1000), running=pid is not None, when=as_wanted())
    lines.append(f"storage    {room_text(room)}")
    if note := room_note(room):
        lines += [f"attention  {note[0]}: {note[1]}", f"           {note[2]}"]
    click.echo("\n".join(lines))


@sync.command()
@click.argument("topic", required=False)
@json_option
@click.pass_obj
def generations(context: Context, topic: str | None, as_json: bool) -> None:
    """The lives of the logs of this node, or of one, and what each branched from.

    \b
    Example:
      spoke sync generations call-protocol

    A log begins a new one (first) when it was restored and wrote on, when two copies of it went different ways
    (diverged), when an old copy has something to say (stale), when events were gone before the hub had them (gap), and
    when a copy became a node of its own (reidentified). Nothing is overwritten: the hub keeps every generation.
    """
    with context.database() as db, db.snapshot() as snapshot:
        found = read_generations(snapshot, topic)
    if as_json:
        print_json(camel(found))
    elif not found:
        say("no generations yet: they begin with the first session with a hub")
    else:
        click.echo("\n".join(generation_lines(found, as_wanted())))


@sync.command()
@json_option
@click.pass_obj
def verify(context: Context, as_json: bool) -> None:
    """Recompute the hashes of every log from its events, and compare.

    \b
    Example:
      spoke sync verify

    Compared with the hub's last acknowledgement, which this node has noted, and with the hashes noted on the way.
    `same` proves that the hub has acknowledged exactly the events that are here, every byte, in this order, up to that
    offset. It proves nothing of the hub's file since then (that is compared at the beginning of each session), nor of
    events behind it. Exits with 1 when something differs.
    """
    with context.database() as db, db.snapshot() as snapshot:
        found = read_verified(snapshot)
    if as_json:
        print_json([{**camel(one), "good": one.good} for one in found])
    elif not found:
        say("nothing to compare with: no hub has acknowledged anything yet")
    else:
        for one in found:
            click.echo(verified_line(one))
    if not all(one.good for one in found):
        raise CommandError(
            "a log is not what was noted of it: rows were changed behind our back",
            hint="keep a copy of the file and check the disk; the next session begins a generation where they part",
        )


@sync.command()
@json_option
@click.pass_obj
def rejected(context: Context, as_json: bool) -> None:
    """Events of ours that the hub could not read: they lie in its quarantine.

    \b
    Example:
      spoke sync rejected

    They stay where they are here too, and everything behind them is sent. On the hub: spoke hub rejected
    """
    with context.database() as db, db.snapshot() as snapshot:
        found = read_refusals(snapshot)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("the hub has refused none of our events")
    now_ms = round(now().timestamp() * 1000)
    for one in found:
        payload = "(deleted here)" if one.payload is None else clip(safe(one.payload[:200]), 60)
        when = told(one.noted_at_ms, now_ms, as_wanted())
        click.echo(f"{safe(one.topic)} {one.offset}  {safe(one.code)}: {safe(one.detail)}  {when}  {payload}")
