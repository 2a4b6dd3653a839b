"""`spoke call`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from app.cli.context import PARENT_ENV, SESSION_ENV, Context, Progress, json_option, new_id, now, print_json
from app.cli.durable_calls import Wanted, durable_options, place
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, told
from storage.process_lock import holder

if TYPE_CHECKING:
    from sync.calls.events import Call
    from sync.calls.recorder import Recorder
    from sync.calls.registry import Registry

CHUNK = 500
MAX_LINE_BYTES = 1_048_576


@click.command()
@click.argument("operation", required=False)
@click.argument("input_json", metavar="[JSON]", required=False)
@click.option("--session", "session_id", envvar=SESSION_ENV, help="Record it in this session (SPOKE_SESSION_ID).")
@click.option(
    "--batch", type=click.File("rb"), help='Execute many: one {"operation": …, "input": …} per line; - is stdin.'
)
@dry_run_option
@durable_options
@json_option
@click.pass_obj
def call(
    context: Context,
    /,
    operation: str | None,
    input_json: str | None,
    session_id: str | None,
    batch: IO[bytes] | None,
    **said: Any,
) -> None:
    """Execute OPERATION with the input JSON and record the call.

    \b
    Examples:
      spoke call system.info
      spoke call fs.list '{"path": "~"}'
      echo '{"path": "~"}' | spoke call fs.list -
      spoke call fs.read --dry-run '{"path": "/etc/hostname"}'
      spoke call hub/sessions.list --deadline 5m

    With --dry-run it is not executed: what it needs is looked at, and whether you may call it. Of a call to the hub
    only the hub can know that.

    Prints the output as JSON; with --json the whole answer with its request id. The call is in the log before the
    work begins, its outcome when it ends. A call to the hub (hub/…) waits until the hub is there, and prints its id,
    or with --wait its output.
    """
    from app.operations import node_registry
    from sync.calls.recorder import Recorder

    if (operation is None) == (batch is None):
        raise click.UsageError("give an OPERATION, or --batch FILE")
    wanted = Wanted(**said)
    if operation is not None and operation.startswith("hub/"):
        value = parse_json(sys.stdin.read() if input_json == "-" else input_json or "{}", "the input")
        _call_hub(context, operation, value, wanted)
        return
    wanted.refuse()
    registry = node_registry(context.settings(), context.paths)
    if batch is not None and dry_run():
        _try_batch(registry, batch, session_id)
        return
    if batch is not None:
        with context.database() as db:
            _batch(registry, Recorder(db, now, new_id), batch, session_id)
        return
    assert operation is not None
    value = parse_json(sys.stdin.read() if input_json == "-" else input_json or "{}", "the input")
    if dry_run():
        _admit(registry, _call(operation, value, session_id))
        tell_admitted(registry, operation, value, as_json=wanted.as_json)
        return
    registry.check(operation, value)  # a call that cannot be is refused before anything is written
    with context.database() as db:
        (outcome,) = Recorder(db, now, new_id).execute(registry, [_call(operation, value, session_id)])
    if outcome.error is not None:
        raise outcome.error
    if wanted.as_json:
        print_json({"requestId": outcome.request_id, "operationId": operation, "output": outcome.output})
    else:
        click.echo(json.dumps(outcome.output, ensure_ascii=False, indent=2))


def _call_hub(context: Context, name: str, value: Any, wanted: Wanted) -> None:
    from sync.calls.access import owner
    from sync.durable.topics import HUB
    from sync.spoke.status import read_status

    with context.database() as db:
        with db.snapshot() as snapshot:
            connected = read_status(snapshot).state in ("live", "catching-up")
        present = connected and holder(context.paths.daemon_lock) is not None
        place(db, HUB, name.removeprefix("hub/"), value, wanted, owner(os.getuid()), present=present)


def parse_json(text: str | bytes, what: str) -> Any:
    """Return what the JSON says.

    Raises:
        CommandError: it is not JSON; the message says where.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"{what} is not JSON: {error}", hint='quote it as one shell word: \'{"key": "value"}\'', code=ExitCode.DATA
        ) from error


def _call(operation: str, value: Any, session_id: str | None) -> Call:
    from sync.calls.access import owner
    from sync.calls.events import Call

    return Call(
        operation_id=operation,
        input=value,
        identity=owner(os.getuid()),
        parent_request_id=os.environ.get(PARENT_ENV),
        session_id=session_id,
    )


def _batch(registry: Registry, recorder: Recorder, lines: IO[bytes], session_id: str | None) -> None:
    progress = Progress("calls")
    began = time.monotonic()
    done = failed = 0
    chunk: list[Call] = []
    try:
        for parsed in _lines(lines, session_id, registry):
            chunk.append(parsed)
            if len(chunk) == CHUNK:
                failed += _execute(registry, recorder, chunk)
                done += len(chunk)
                chunk = []
                progress(done)
    finally:
        # What came before a bad line is executed: the message names the line to go on from.
        failed += _execute(registry, recorder, chunk)
        progress.end()
    seconds = time.monotonic() - began
    print_json({"calls": done + len(chunk), "failed": failed, "seconds": round(seconds, 3)})


def _admit(registry: Registry, call: Call) -> None:
    from storage.operations.spec import OperationContext

    registry.admit(call.operation_id, call.input, OperationContext("", call.identity))


def tell_admitted(registry: Registry, operation: str, value: Any, *, as_json: bool) -> None:
    """What --dry-run says of a call that could be executed here."""
    from sync.calls.events import HIDDEN

    if as_json:
        print_json({"operationId": operation, "input": HIDDEN if registry.is_sensitive(operation) else value})
    else:
        click.echo(f"{operation} would be executed: it is there, its input is valid, and the caller may call it")


def _try_batch(registry: Registry, lines: IO[bytes], session_id: str | None) -> None:
    from sync.calls.errors import CallFailed

    done = failed = 0
    for parsed in _lines(lines, session_id, registry):
        done += 1
        try:
            _admit(registry, parsed)
        except CallFailed:
            failed += 1
    print_json({"calls": done, "failed": failed, "seconds": None})


def _execute(registry: Registry, recorder: Recorder, chunk: list[Call]) -> int:
    return sum(outcome.error is not None for outcome in recorder.execute(registry, chunk))


def _lines(lines: IO[bytes], session_id: str | None, registry: Registry) -> Iterator[Call]:
    for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b""), 1):
        if len(line) > MAX_LINE_BYTES:
            raise _bad(number, f"longer than {MAX_LINE_BYTES} bytes")
        if not line.strip():
            continue
        value = parse_json(line, f"line {number}")
        if not isinstance(value, dict) or not isinstance(value.get("operation"), str):
            raise _bad(number, 'not of the form {"operation": …, "input": …}')
        registry.get_spec(value["operation"])
        yield _call(value["operation"], value.get("input", {}), session_id)


def _bad(number: int, why: str) -> CommandError:
    before = told(f"the lines before it were executed; go on from line {number}", "correct it; nothing was executed")
    return CommandError(f"line {number}: {why}", hint=before, code=ExitCode.DATA)
