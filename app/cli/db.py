"""`spoke db`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.audit import audit, audit_before
from app.cli.context import Context, Progress, camel, json_option, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, told
from app.views.text import count, of, safe, size

if TYPE_CHECKING:
    from storage.salvage import TableSaved


@click.group()
def db() -> None:
    """Look after the node's database.

    \b
    Example:
      spoke db check
    """


@db.command()
@click.option("--force", is_flag=True, help="Also where retention has deleted the beginning of the log.")
@json_option
@click.pass_obj
def rebuild(context: Context, force: bool, as_json: bool) -> None:
    """Make sessions and call graphs anew from the log: the same rows, byte for byte.

    \b
    Example:
      spoke db rebuild

    Safe while the services run; nothing else is touched. Killing it changes nothing.
    """
    from app.services.projector import PROJECTIONS
    from storage.projections.rebuild import rebuild as replay

    audit_before(context.paths, "db.rebuild", say, force=force)
    progress = Progress("events")
    with context.database() as database:
        try:
            done = replay(database, PROJECTIONS, progress, force=force)
        finally:
            progress.end()
    if as_json:
        print_json({"events": done})
    else:
        say(f"{done} events projected")


@db.command()
@click.option("--quick", is_flag=True, help="Leave out what reads every index, and references between rows.")
@json_option
@click.pass_obj
def check(context: Context, quick: bool, as_json: bool) -> None:
    """Look every database over: damage, schema, rows against the log, size.

    \b
    Example:
      spoke db check

    Writes nothing; safe while the services run. Each finding says what to do. Exits with 1 when there is a problem,
    with 0 when there is none (notes are none).
    """
    from app.checking import check_database

    files = context.databases()
    found = [(path, finding) for path in files for finding in check_database(context.paths, path, quick=quick)]
    problems = sum(finding.level == "problem" for _, finding in found)
    if as_json:
        print_json(
            {
                "databases": [str(path) for path in files],
                "problems": problems,
                "findings": [{"file": str(path), **camel(finding)} for path, finding in found],
            }
        )
    else:
        for path, finding in found:
            click.echo(f"{finding.level:<8} {path.name}: {finding.about}: {safe(finding.text)}")
            click.echo(f"         {finding.fix}")
        say(f"{of(len(files), 'database')} checked, {of(problems, 'problem')}")
    if problems:
        raise click.exceptions.Exit(ExitCode.FAILURE)


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def salvage(context: Context, file: Path, out: Path, as_json: bool) -> None:
    """Read a damaged FILE as far as it can be read, into a new file OUT.

    \b
    Example:
      spoke db salvage "$SPOKE_DATA_DIR/tenant-local.db" salvaged.db

    For when there is no backup. FILE is not written to; no program may use it meanwhile. Says of every table how many
    rows were read and what is lost; exits with 1 when something is. What came of it is a copy like a restored one: the
    hub gives back what this node had sent.
    """
    from storage.migrations import system, tenant
    from storage.process_lock import refuse_held
    from storage.salvage import salvage as read

    for lock in ("daemon.lock", "hub.lock"):
        refuse_held(file.absolute().parent / lock)
    migrations = system.MIGRATIONS if file.name == context.paths.system_db.name else tenant.MIGRATIONS
    if file.absolute() not in context.paths.databases:  # a damaged file is not written to
        audit_before(context.paths, "db.salvage", say, file=str(file.absolute()), out=str(out.absolute()))
    tables = read(file.absolute(), out.absolute(), migrations)
    lost = [table for table in tables if not table.whole]
    if as_json:
        print_json({"file": str(out), "tables": [{**camel(table), "whole": table.whole} for table in tables]})
    else:
        for table in tables:
            if table.rows or not table.whole:
                click.echo(_saved(table))
        say(f"{out}: {of(sum(table.rows for table in tables), 'row')}; {of(len(lost), 'table')} not whole")
        say(f"to use it, stop everything, move {file} and the files {file.name}-* away, and give {out} its name")
    if lost:
        raise click.exceptions.Exit(ExitCode.FAILURE)


def _saved(table: TableSaved) -> str:
    of_all = "" if table.expected in (None, table.rows) else f" of {count(table.expected or 0)}"
    line = f"{safe(table.table):<32} {count(table.rows)}{of_all}"
    if table.holes:
        line += f", {of(table.holes, 'hole')}"
    return line + (f", {of(table.unfit, 'row')} unfit" if table.unfit else "")


@db.command()
@dry_run_option
@json_option
@click.pass_obj
def vacuum(context: Context, as_json: bool) -> None:
    """Write the databases anew without their empty pages; shows what that gave back.

    \b
    Example:
      spoke db vacuum --dry-run
      spoke db vacuum

    Refused while a process runs the services. A crash or a full disk changes nothing. Needs as much room again as a
    database holds, beside it and in TMPDIR (/var/tmp).
    """
    from contextlib import ExitStack

    from storage.maintenance import free_bytes
    from storage.maintenance import vacuum as compact

    with ExitStack() as stack:
        files = context.databases()
        stack.enter_context(context.alone(context.paths.daemon_lock))
        if context.paths.hub_dir.is_dir():
            stack.enter_context(context.alone(context.paths.hub_dir / "hub.lock"))
        if dry_run():
            _tell_free([(path, path.stat().st_size, free_bytes(path)) for path in files], as_json)
            return
        audit_before(context.paths, "db.vacuum", say)
        done = [(path, compact(path)) for path in files]
    if as_json:
        print_json([{"file": str(path), **camel(result)} for path, result in done])
        return
    for path, result in done:
        won = max(0, result.before - result.after)
        click.echo(f"{path.name:<32} {size(result.before)} -> {size(result.after)}, {size(won)} won")


def _tell_free(found: list[tuple[Path, int, int]], as_json: bool) -> None:
    if as_json:
        print_json([{"file": str(path), "before": whole, "after": whole - free} for path, whole, free in found])
        return
    for path, whole, free in found:
        click.echo(f"{path.name:<32} {size(whole)}, of which at least {size(free)} would be won")


@db.command()
@dry_run_option
@json_option
@click.pass_obj
def retention(context: Context, as_json: bool) -> None:
    """Delete what [retention] does not keep; the services do it every hour.

    \b
    Example:
      spoke db retention --dry-run

    Never what the hub does not have, nor what was not read here: such events stay, and this says who holds them.
    """
    from app.services.node import retention as configured
    from storage.maintenance import cut_log, plan_log

    keep = configured(context.settings())
    with context.database() as database:
        plans = plan_log(database, keep.limits, keep.required, keep.awaited)
        if not dry_run():
            with database.transaction() as tx:
                audit(tx, "db.retention", events=sum(plan.events for plan in plans))
            cut_log(database, keep.limits, keep.required, keep.awaited)
    if as_json:
        print_json({"dryRun": dry_run(), "streams": camel(plans)})
        return
    for plan in plans:
        held = "" if plan.held_by is None else f"; the rest is held by {safe(plan.held_by)}"
        click.echo(f"{safe(plan.topic):<24} {of(plan.events, 'event')}, up to offset {plan.until}{held}")
    if not plans:
        say("nothing: the configuration sets no limits in [retention], or there are no events")
    elif dry_run():
        say("nothing was deleted (--dry-run)")


@db.command()
@click.option("--prune", is_flag=True, help="Remove those that are not kept.")
@click.option("--keep", default=2, show_default=True, type=click.IntRange(1), help="Of each database, the newest.")
@dry_run_option
@json_option
@click.pass_obj
def copies(context: Context, prune: bool, keep: int, as_json: bool) -> None:
    """List the copies that were made before migrations, and remove the older ones.

    \b
    Example:
      spoke db copies --keep 1

    A copy is the way back to a program that knows that schema. The newest that can be opened is never removed, nor what
    cannot be opened. An upgrade that succeeded keeps the two newest by itself.
    """
    from storage.backup import migration_copies, prune_copies

    found = [copy for path in context.databases() for copy in migration_copies(str(path), keep)]
    if prune and not dry_run():
        audit_before(context.paths, "db.copies", say, keep=keep)
        prune_copies(found)
    if as_json:
        print_json(
            {"copies": [{**camel(copy), "file": str(copy.file)} for copy in found], "pruned": prune and not dry_run()}
        )
        return
    for copy in found:
        fate = "kept" if copy.kept else told("removed", "would be removed") if prune else "goes with --prune"
        name = copy.file.relative_to(context.paths.data_dir)
        click.echo(f"{name!s:<36} {size(copy.bytes):>10}  schema {copy.schema_version:<4} {fate}")
    taken = sum(copy.bytes for copy in found if copy.kept or not prune)
    say(
        f"{of(len(found), 'file')} from before migrations; what {told('stays takes', 'would stay takes')} {size(taken)}"
    )
