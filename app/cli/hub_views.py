"""`spoke hub status`, `spokes`, `gaps`, `rejected`: what a hub holds; a hub may be running."""

from __future__ import annotations

import click

from app.cli.context import Context, as_wanted, camel, json_option, now, print_json, say
from app.cli.hub_files import hub_directory
from app.views.text import clip, count, of, safe
from app.views.times import told


@click.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Whether the hub runs, where, and what it holds.

    \b
    Example:
      spoke hub status

    Exits with 0 whether it runs or not; in JSON `pid` is null when it does not.
    """
    from msgspec import to_builtins

    from app.views.hub import hub_lines, read_hub

    found = read_hub(hub_directory(context), read_only=context.read_only)
    if as_json:
        print_json({**camel(found), "restored": to_builtins(found.restored)})
        return
    click.echo("\n".join(hub_lines(found, round(now().timestamp() * 1000), as_wanted())))


@click.command()
@json_option
@click.pass_obj
def spokes(context: Context, as_json: bool) -> None:
    """List the spokes that ever came, and what of their streams is here.

    \b
    Example:
      spoke hub spokes --json

    Of each: whether it is connected, the number of its newest session, when it was seen last; of each stream events,
    the newest generation, gaps that nobody can fill (spoke hub gaps), events in quarantine (spoke hub rejected), and
    how many came again when they were here, as happens when a connection is lost; each is stored once.
    """
    from app.views.hub import list_spokes

    found = list_spokes(hub_directory(context), read_only=context.read_only)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("no spoke has been here yet — let one join: spoke hub token create")
    now_ms = round(now().timestamp() * 1000)
    for row in found:
        state = "connected" if row.connected else f"away, seen {told(row.seen_ms, now_ms, as_wanted())}"
        session = "" if row.epoch is None else f", session {row.epoch}"
        click.echo(
            f"{row.tenant:<12} {safe(row.name):<24} {of(row.events, 'event'):>16}  {state}{session}  {row.node_id}"
        )
        for stream in row.streams:
            extra = [f"generation {stream.generation}"] if stream.generation > 1 else []
            extra += [of(stream.gaps, "gap")] if stream.gaps else []
            extra += [f"{count(stream.quarantined)} in quarantine"] if stream.quarantined else []
            extra += [f"{count(stream.duplicates)} came again"] if stream.duplicates else []
            line = f"  {safe(stream.name):<35} {of(stream.events, 'event'):>16}  {', '.join(extra)}"
            click.echo(line.rstrip())


@click.command()
@json_option
@click.pass_obj
def gaps(context: Context, as_json: bool) -> None:
    """Events that a spoke had, and that nobody has any more.

    \b
    Example:
      spoke hub gaps

    Noted when a spoke begins a generation behind events that were deleted there before they were here. Offsets are the
    spoke's own, of all its streams together: between two of them there may have been few events of this one, or none.
    """
    from app.views.hub import list_gaps

    found = list_gaps(hub_directory(context), read_only=context.read_only)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("no gaps")
    now_ms = round(now().timestamp() * 1000)
    for row in found:
        click.echo(
            f"{row.tenant:<12} {safe(row.name or row.node_id)}/{safe(row.stream)}  behind {count(row.after)}, up to"
            f" {count(row.upto)}  generation {row.generation}  noted {told(row.noted_at_ms, now_ms, as_wanted())}"
        )


@click.command()
@json_option
@click.pass_obj
def rejected(context: Context, as_json: bool) -> None:
    """Events of spokes that cannot be read: they lie in quarantine, as they came.

    \b
    Example:
      spoke hub rejected --json

    With --json whole payloads. They are part of the log that is compared with the spoke's; no consumer gets them.
    """
    from app.views.hub import list_quarantined

    found = list_quarantined(hub_directory(context), read_only=context.read_only)
    if as_json:
        print_json(camel(found))
        return
    if not found:
        say("nothing is in quarantine")
    now_ms = round(now().timestamp() * 1000)
    for row in found:
        what = f"{safe(row.name or row.node_id)}/{safe(row.stream)} {row.offset}"
        why = f"{row.code}: {clip(safe(row.detail[:200]), 40)}"
        payload = clip(safe(row.payload[:200]), 60)
        click.echo(f"{row.tenant:<12} {what}  {why}  {told(row.noted_at_ms, now_ms, as_wanted())}  {payload}")
