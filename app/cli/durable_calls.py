"""Durable calls on the command line: asking for one, waiting for it, looking at them. For the hub and for a node."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from app.cli.context import Context, camel, json_option, new_id, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.hub_files import hub_directory, system_file
from app.cli.options import dry_run, dry_run_option, told
from storage.engine import Database
from storage.process_lock import holder

if TYPE_CHECKING:
    from storage.operations.spec import Execution, Identity
    from sync.durable.caller import DurableCall, Offline

UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was said on the command line beside operation and input."""

    deadline: str | None
    offline: Offline
    execution: Execution | None
    key: str | None
    wait: bool
    live: bool
    as_json: bool

    def refuse(self) -> None:
        """Raise UsageError where one of these was said of a call that is executed here and now."""
        if self.deadline or self.execution or self.key or self.wait or self.live or self.offline != "queue":
            raise click.UsageError(
                "--wait, --live, --deadline, --offline, --class and --key are for calls to other nodes"
            )


def durable_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a call that travels."""
    for option in reversed(
        (
            click.option("--wait", is_flag=True, help="Wait for the result of a call to another node, and print it."),
            click.option("--live", is_flag=True, help="Only if the spoke is here now; nothing is stored."),
            click.option("--deadline", metavar="TIME", help="Give such a call up after so long: 30s, 5m, 2h, 1d."),
            click.option(
                "--offline",
                type=click.Choice(["queue", "fail_fast"]),
                default="queue",
                show_default=True,
                help="What to do when the other node is away.",
            ),
            click.option(
                "--class",
                "execution",
                type=click.Choice(["exactly_once_local", "idempotent", "at_most_once"]),
                help="How it is to run; without it, as the operation says.",
            ),
            click.option("--key", help="The same key again is the same call, not a second one."),
        )
    ):
        command = option(command)
    return command


def place(db: Database, peer: str, operation: str, value: Any, wanted: Wanted, who: Identity, *, present: bool) -> None:
    """Ask for a call, and wait for it if that is wanted; prints its id, or its output."""
    from sync.durable import caller

    if wanted.live:
        raise click.UsageError("--live is for calls from the hub to a spoke")
    now_ms = round(now().timestamp() * 1000)
    deadline_ms = None if wanted.deadline is None else now_ms + duration_ms(wanted.deadline)
    with db.transaction() as tx:
        call = caller.request(
            tx,
            peer,
            operation,
            value,
            call_id=new_id(),
            now_ms=now_ms,
            present=present,
            deadline_ms=deadline_ms,
            execution=wanted.execution,
            offline=wanted.offline,
            idempotency_key=wanted.key,
            identity=who,
        )
    if dry_run():
        _tell_call(peer, operation, wanted, present=present)
        return
    if wanted.wait:
        say(f"asked: {call.call_id}; ^C ends the waiting, not the call")
        from app.services.durable_calls import until_ended

        call = asyncio.run(until_ended(db, call.call_id))
        failure = caller.failure_of(call)
        if failure is not None:
            raise failure
    if wanted.as_json:
        print_json(_detail(call))
    elif wanted.wait:
        output = (_detail(call)["result"] or {}).get("output") or {}
        click.echo(json.dumps(output.get("data"), ensure_ascii=False, indent=2))
    else:
        click.echo(call.call_id)
        say("asked; it runs when the other node is here" if not present else "asked")


def _tell_call(peer: str, operation: str, wanted: Wanted, *, present: bool) -> None:
    if wanted.as_json:
        print_json({"peer": peer, "operationId": operation})
    else:
        when = "" if present else "; it would run when the other node is here"
        click.echo(f"{operation} of {peer} would be asked for{when}")


def duration_ms(text: str) -> int:
    """A time span such as `5m` in milliseconds.

    Raises:
        CommandError: it is none.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None:
        raise CommandError(f"{text!r} is no time span", hint="write 30s, 5m, 2h or 1d", code=ExitCode.USAGE)
    return int(found[1]) * UNITS_MS[found[2]]


# -- the hub ---------------------------------------------------------------------------------------------------------


@click.group()
def calls() -> None:
    """The calls of this hub to its spokes.

    \b
    Example:
      spoke hub calls list --pending
    """


@calls.command(name="list")
@click.option("--pending", is_flag=True, help="Those alone that have not ended.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@json_option
@click.pass_obj
def list_(context: Context, pending: bool, limit: int, as_json: bool) -> None:
    """List calls, the newest first.

    \b
    Example:
      spoke hub calls list --pending
    """
    from sync.durable import caller

    found: list[tuple[str, DurableCall]] = []
    for tenant, db in _tenants(context):
        with db.snapshot() as snapshot:
            found += [(tenant, call) for call in caller.list_calls(snapshot, pending=pending, limit=limit)]
    found = sorted(found, key=lambda entry: -entry[1].created_at)[:limit]
    if as_json:
        print_json([{"tenant": tenant, **_short(call)} for tenant, call in found])
        return
    if not found:
        say("no calls — make one: spoke hub call SPOKE/system.info")
    for tenant, call in found:
        click.echo(f"{call.call_id}  {tenant:<12} {call.peer[:8]:<8} {call.state:<13} {call.operation_id}")


@calls.command()
@click.argument("call_id", metavar="ID")
@json_option
@click.pass_obj
def show(context: Context, call_id: str, as_json: bool) -> None:
    """Show the call ID: what it was given, how it stands, what came of it. The beginning of an id will do.

    \b
    Example:
      spoke hub calls show 7c01d2e4
    """
    with _holding(context, call_id) as (_, call):
        document = _detail(call)
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))


@calls.command()
@click.argument("call_id", metavar="ID")
@dry_run_option
@json_option
@click.pass_obj
def cancel(context: Context, call_id: str, as_json: bool) -> None:
    """Give the call ID up: the spoke does not begin it, or is asked to stop it.

    \b
    Example:
      spoke hub calls cancel 7c01d2e4
    """
    from sync.durable import caller

    with _holding(context, call_id) as (db, call), db.transaction() as tx:
        done = caller.cancel(tx, call.call_id, round(now().timestamp() * 1000))
    if as_json:
        print_json({"callId": call.call_id, "cancelled": done})
    else:
        fate = f"{told('is', 'would be')} cancelled" if done else f"had ended: {call.state}"
        say(f"call {call.call_id} {fate}")


@click.command()
@json_option
@click.pass_obj
def operations(context: Context, as_json: bool) -> None:
    """List what the spokes offer: SPOKE/namespace.name, for `spoke hub call`.

    \b
    Example:
      spoke hub operations
    """
    from sync.durable.catalogue import list_offered

    found = []
    running = holder(hub_directory(context) / "hub.lock") is not None
    for tenant, db in _tenants(context):
        with db.snapshot() as snapshot:
            found += [(tenant, offered, offered.active and running) for offered in list_offered(snapshot)]
    if as_json:
        print_json([{"tenant": tenant, **camel(offered), "active": active} for tenant, offered, active in found])
        return
    if not found:
        say("no spoke has said yet what it offers")
    for tenant, offered, active in found:
        click.echo(f"{tenant:<12} {'active' if active else 'away':<7} {offered.name:<40} {offered.description}")


def call_spoke(context: Context, name: str, value: Any, wanted: Wanted) -> None:
    """Ask a spoke of this hub for an operation: NAME/namespace.name."""
    from storage.operations.spec import Identity
    from sync.hub.keys import operator

    spoke, _, operation = name.partition("/")
    found = []
    for tenant, db in _tenants(context):
        with db.snapshot() as snapshot:
            rows = snapshot.rows(
                "SELECT node_id, connected > 0 FROM link_spokes WHERE name = ?1 OR node_id = ?1", (spoke,)
            )
        found += [(tenant, str(row[0]), bool(row[1])) for row in rows]
    if len(found) != 1:
        what = "no spoke" if not found else f"{len(found)} spokes are called"
        raise CommandError(
            f"{what} {spoke!r}", hint="`spoke hub spokes --json` lists names and ids", code=ExitCode.USAGE
        )
    tenant, node_id, connected = found[0]
    with system_file(context) as system, system.transaction() as tx:
        who = Identity(operator(tx).id, ("*",))
    present = connected and holder(hub_directory(context) / "hub.lock") is not None
    with context.tenant_file(hub_directory(context) / f"tenant-{tenant}.db") as db:
        if wanted.live:
            _call_live(db, node_id, operation, value, wanted, present=present)
            return
        place(db, node_id, operation, value, wanted, who, present=present)


def _call_live(db: Database, node_id: str, operation: str, value: Any, wanted: Wanted, *, present: bool) -> None:
    from app.services import live_calls
    from sync.calls.errors import from_code

    if wanted.execution or wanted.key or wanted.wait or wanted.offline != "queue":
        raise click.UsageError("--live goes with --deadline alone: such a call is not stored")
    if not present:
        raise CommandError(
            f"node {node_id} is not here", hint="without --live the call waits for it", code=ExitCode.UNAVAILABLE
        )
    if dry_run():
        _tell_call(node_id, operation, wanted, present=True)
        return
    seconds = LIVE_S if wanted.deadline is None else duration_ms(wanted.deadline) / 1000
    event = asyncio.run(live_calls.ask(db, node_id, operation, value, min(seconds, live_calls.MAX_LIVE_S)))
    if event["type"] != "call.responded":
        raise from_code(str(event.get("code")), str(event.get("message")), event.get("details"))
    data = event["output"]["data"]
    if wanted.as_json:
        print_json(data)
    else:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _tenants(context: Context) -> Iterator[tuple[str, Database]]:
    for file in sorted(hub_directory(context).glob("tenant-*.db")):
        with context.tenant_file(file) as db:
            yield file.stem.removeprefix("tenant-"), db


@contextmanager
def _holding(context: Context, prefix: str) -> Iterator[tuple[Database, DurableCall]]:
    """The call and the file that holds it, open."""
    from sync.durable import caller
    from sync.durable.errors import NoSuchCallError

    for _, db in _tenants(context):
        with db.snapshot() as snapshot:
            rows = snapshot.rows(
                "SELECT call_id FROM link_calls WHERE call_id = ?1 OR (length(?1) >= 6 AND call_id >= ?1"
                " AND call_id < ?1 || char(1114111)) LIMIT 2",
                (prefix,),
            )
            if len(rows) > 1:
                raise CommandError(f"several calls begin with {prefix!r}", hint="give more of it", code=ExitCode.USAGE)
            call = caller.get(snapshot, str(rows[0][0])) if rows else None
        if call is not None:
            yield db, call
            return
    raise NoSuchCallError(f"no call {prefix!r}")


def _short(call: DurableCall) -> dict[str, Any]:
    from app.operations.durable_calls import call_output

    return call_output(call).model_dump(mode="json", by_alias=True)


def _detail(call: DurableCall) -> dict[str, Any]:
    from app.operations.durable_calls import call_detail

    return call_detail(call).model_dump(mode="json", by_alias=True)
