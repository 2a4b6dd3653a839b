"""`spoke schedule`."""

from __future__ import annotations

from typing import Any

import click

from app.cli.call import parse_json
from app.cli.call_recorded import execute
from app.cli.context import Context, camel, json_option, print_json, relative, say
from app.cli.errors import CommandError
from app.cli.options import dry_run_option, told
from app.views.columns import table
from app.views.schedule_text import schedule_columns
from app.views.schedules import read_schedules


@click.group()
def schedule() -> None:
    """Jobs that are queued again and again.

    \b
    Example:
      spoke schedule add nightly reports "0 3 * * *"
      spoke schedule list
    """


@schedule.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """The schedules, their next times, and how their queues stand.

    \b
    Example:
      spoke schedule list
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_schedules(snapshot)
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, schedule_columns(relative), 120)))
    else:
        say('no schedules. Add one: spoke schedule add NAME QUEUE "0 3 * * *"')


@schedule.command()
@click.argument("name")
@click.argument("queue")
@click.argument("expression")
@click.option("--payload", default="null", help="What the job holds, as JSON.")
@dry_run_option
@json_option
@click.pass_obj
def add(context: Context, name: str, queue: str, expression: str, payload: str, as_json: bool) -> None:
    """Queue a job into QUEUE whenever EXPRESSION says; replaces the schedule of that NAME.

    \b
    Examples:
      spoke schedule add nightly reports "0 3 * * *"
      spoke schedule add ping pings "@every 5m" --payload '{"host": "10.0.0.1"}'

    EXPRESSION is cron with five fields (names and ranges too), @hourly, @daily, …, or @every 30s.
    """
    value = {"name": name, "queue": queue, "expression": expression, "payload": parse_json(payload, "the payload")}
    done = execute(context, "schedule.add", value)
    if as_json:
        print_json(done)
    else:
        click.echo(f"schedule {name} {told('is', 'would be')} on")


def _change(verb: str, operation: str, help_text: str, text: str) -> None:
    """Add a command that does one thing to a schedule."""
    before = ["add nightly reports @daily", *(["pause nightly"] if verb == "resume" else []), f"{verb} nightly"]
    example = "\n".join(f"  spoke schedule {line}" for line in before)

    @schedule.command(verb, help=f"{help_text}\n\n\b\nExample:\n{example}")
    @click.argument("name")
    @dry_run_option
    @json_option
    @click.pass_obj
    def command(context: Context, name: str, as_json: bool) -> None:
        done: Any = execute(context, operation, {"name": name})
        if done.get("done") is False:
            raise CommandError(f"schedule {name!r}: nothing to change", hint="`spoke schedule list` shows them")
        if as_json:
            print_json(done)
        else:
            click.echo(text.format(name=name, be=told("is", "would be"), **done))


_change("remove", "schedule.remove", "Remove a schedule; jobs that it has queued stay.", "schedule {name} {be} gone")
_change("pause", "schedule.pause", "Stop a schedule until it is resumed.", "schedule {name} {be} paused")
_change("resume", "schedule.resume", "Let a schedule go on; what was missed stays so.", "schedule {name} {be} on")
_change("run-now", "schedule.run_now", "Queue its job now; its next time stays.", "job {id} {be} queued")
