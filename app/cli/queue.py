"""`spoke queue`."""

from __future__ import annotations

from typing import Any

import click
from rich.cells import cell_len

from app.cli.call_recorded import execute
from app.cli.context import Context, camel, json_option, print_json, relative, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, interactive, told
from app.views.columns import table
from app.views.queue_text import cause_columns, job_columns, job_text, queue_columns
from app.views.queues import STATES, JobState, count_jobs, read_causes, read_job, read_jobs, read_queues
from app.views.text import count, of, readable, safe

STATE = click.Choice(list(STATES))
CAUSE_AT = 40
"""Cells of a line before the cause, at most."""


@click.group()
def queue() -> None:
    """Jobs that wait, run, or failed for good.

    \b
    Example:
      spoke queue list
    """


@queue.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """The queues, and how many jobs are in which state.

    \b
    Example:
      spoke queue list
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_queues(snapshot)
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, queue_columns(relative), 100)))
    else:
        say("no queues: a queue is there while it has jobs. Add one: spoke call queue.enqueue")


@queue.command()
@click.argument("name", metavar="QUEUE")
@click.option("--state", type=STATE, help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--before", type=int, metavar="JOB", help="Only jobs older than this one.")
@json_option
@click.pass_obj
def jobs(context: Context, name: str, state: JobState | None, limit: int, before: int | None, as_json: bool) -> None:
    """The newest jobs of QUEUE, the newest first.

    \b
    Example:
      spoke queue jobs secret-rotation --state dead

    When there are older ones too, the last line on stderr says how to go on.
    """
    with context.database() as db, db.snapshot() as snapshot:
        rows = read_jobs(snapshot, name, state, limit + 1, before)  # one more tells whether there are more
        older = len(rows) > limit
        total = count_jobs(snapshot, name, state) if older else 0
    rows = rows[:limit]
    if as_json:
        print_json(camel(rows))
    elif rows:
        click.echo("\n".join(table(rows, job_columns(relative), 120)))
    else:
        say(f"no {state + ' ' if state else ''}{'older ' if before is not None else ''}jobs in {safe(name)}")
    if older:
        say(
            f"{count(len(rows))} of {of(total, f'{state} job' if state else 'job')}; older ones: --before {rows[-1].id}"
        )


@queue.command()
@click.argument("job", type=int)
@json_option
@click.pass_obj
def show(context: Context, job: int, as_json: bool) -> None:
    """Everything about a job: its payload, its last error.

    \b
    Example:
      spoke call queue.enqueue '{"queue": "mail", "payload": {}}'
      spoke queue show 1
    """
    with context.database() as db, db.snapshot() as snapshot:
        row, stored = read_job(snapshot, job)
    payload = readable(stored)
    if as_json:
        print_json(camel(row) | {"payload": payload})
    else:
        click.echo("\n".join(job_text(row, payload, relative)))


@queue.command()
@click.argument("name", metavar="QUEUE")
@json_option
@click.pass_obj
def dead(context: Context, name: str, as_json: bool) -> None:
    """Why the dead jobs of QUEUE died, grouped: numbers, ids and paths in an error are left out.

    \b
    Example:
      spoke queue dead secret-rotation
    """
    with context.database() as db, db.snapshot() as snapshot:
        causes = read_causes(snapshot, name)
    if as_json:
        print_json(camel(causes))
    elif causes:
        widest = max(cell_len(safe(cause.error)) for cause in causes)  # never cut: --cause takes it as it is printed
        click.echo("\n".join(table(causes, cause_columns(relative), max(120, widest + CAUSE_AT))))
    else:
        say(f"no dead jobs in {safe(name)}")


@queue.command()
@click.argument("name", metavar="QUEUE")
@json_option
@click.pass_obj
def pause(context: Context, name: str, as_json: bool) -> None:
    """Hand out no job of QUEUE until it is resumed; what runs goes on, new jobs wait.

    \b
    Example:
      spoke queue pause secret-rotation

    It lasts over restarts. A queue that has no jobs yet can be paused too.
    Programs that claim with Honker itself, not with Spoke, do not know of it.
    """
    done = execute(context, "queue.pause", {"queue": name})
    if not done["done"]:
        raise CommandError(f"{safe(name)} is paused already", hint=f"spoke queue resume {safe(name)}")
    _tell(done, as_json, f"{safe(name)} is paused")


@queue.command()
@click.argument("name", metavar="QUEUE")
@json_option
@click.pass_obj
def resume(context: Context, name: str, as_json: bool) -> None:
    """Let QUEUE go on; workers that wait have its jobs at once.

    \b
    Example:
      spoke queue pause secret-rotation
      spoke queue resume secret-rotation
    """
    done = execute(context, "queue.resume", {"queue": name})
    if not done["done"]:
        raise CommandError(f"{safe(name)} is not paused", hint="`spoke queue list` shows which are")
    _tell(done, as_json, f"{safe(name)} is on")


@queue.command()
@click.argument("job", type=int, required=False)
@click.option("--all", "of_queue", metavar="QUEUE", help="All dead jobs of a queue.")
@click.option("--cause", help="With --all: only those that died of this: an error, or a cause of `spoke queue dead`.")
@dry_run_option
@json_option
@click.pass_obj
def retry(context: Context, job: int | None, of_queue: str | None, cause: str | None, as_json: bool) -> None:
    """Queue a dead JOB anew, or many; their attempts are counted anew.

    \b
    Example:
      spoke queue retry --all secret-rotation --dry-run
      spoke queue retry --all secret-rotation
    """
    if (job is None) == (of_queue is None):
        raise click.UsageError("give a JOB, or --all QUEUE")
    if job is not None:
        done = execute(context, "queue.retry", {"id": job})
        _tell(done, as_json, told(f"queued anew as job {done['id']}", f"job {job} would be queued anew"))
        return
    done = execute(context, "queue.retry_all", {"queue": of_queue, "cause": cause})
    if cause is not None and not done["jobs"]:
        raise CommandError(
            f"no dead job of {safe(str(of_queue))} died of that: nothing was changed",
            hint=f"`spoke queue dead {safe(str(of_queue))}` prints the causes; --json exactly",
        )
    _tell(done, as_json, f"{done['jobs']} jobs {told('queued', 'would be queued')} anew")


@queue.command()
@click.argument("job", type=int)
@dry_run_option
@json_option
@click.pass_obj
def cancel(context: Context, job: int, as_json: bool) -> None:
    """Remove a JOB that waits or runs; a handler that runs is not stopped, its result is not kept.

    \b
    Example:
      spoke call queue.enqueue '{"queue": "mail", "payload": {}}'
      spoke queue cancel 1
    """
    done = execute(context, "queue.cancel", {"id": job})
    if not done["done"]:
        raise CommandError(f"no job {job} waits or runs", hint="`spoke queue jobs QUEUE` shows them")
    _tell(done, as_json, f"job {job} {told('removed', 'would be removed')}")


@queue.command()
@click.argument("name", metavar="QUEUE")
@click.option("--everything", is_flag=True, help="Not only the dead jobs: those that wait and run too.")
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def purge(context: Context, name: str, everything: bool, yes: bool, as_json: bool) -> None:
    """Delete the dead jobs of QUEUE for good.

    \b
    Example:
      spoke queue purge secret-rotation --dry-run
      spoke queue purge secret-rotation --yes
    """
    if not yes and not dry_run():
        if not interactive():
            raise CommandError(
                f"deleting jobs of {name} needs a yes",
                hint="add --yes to do it without a question",
                code=ExitCode.USAGE,
            )
        what = "every job" if everything else "the dead jobs"
        if click.prompt(f"delete {what} of {name} for good? type the queue's name", err=True) != name:
            raise CommandError("that is not its name: nothing was deleted", hint="run it again")
    done = execute(context, "queue.purge", {"queue": name, "state": "all" if everything else "dead"})
    _tell(done, as_json, f"{done['jobs']} jobs {told('deleted', 'would be deleted')}")


def _tell(done: Any, as_json: bool, text: str) -> None:
    if as_json:
        print_json(done)
    else:
        click.echo(text)
