"""`spoke session watch` and `spoke session replay`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from app.cli.context import SESSION_ENV, Context, json_option, now, say
from app.cli.exit_codes import ExitCode
from app.cli.projecting import project
from app.cli.session_trace import Shape, Trace, trace_for
from app.services.projector import catch_up
from app.views.calls import CallReader
from app.views.sessions import SessionRow, find_session, read_session
from app.views.waterfall import CallTree, call_tree
from storage.engine import Database

FRAME_S = 0.25
"""Bars of running calls grow, and bursts of changes are drawn, four times a second."""
SAFETY_POLL_S = 15.0

depth_option = click.option("--depth", type=click.IntRange(min=1), help="Show so many levels of calls.")
fold_option = click.option(
    "--fold", type=click.Choice(["ok"]), help="ok: whatever went well, with all below it, takes one row."
)
ascii_option = click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")


@click.command()
@click.argument("session_id", metavar="[SESSION]", envvar=SESSION_ENV)
@depth_option
@fold_option
@ascii_option
@json_option
@click.pass_obj
def watch(
    context: Context, session_id: str, depth: int | None, fold: str | None, ascii_only: bool, as_json: bool
) -> int:
    """Watch a session until it ends: SESSION, or the one in SPOKE_SESSION_ID.

    \b
    Examples:
      spoke session watch 3f2a
      spoke session watch 3f2a --fold ok --depth 3
      spoke session watch 3f2a --json

    On a terminal the waterfall is drawn in place; elsewhere each change is a line, with --json an object. Exits with 0
    if the session completed, with 1 if it failed or was aborted.
    """
    trace = trace_for(Shape(depth, fold == "ok", ascii_only), as_json=as_json)
    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            found = find_session(snapshot, session_id)
        if found.status == "active" and trace.grows:
            say("^C stops watching, not the session")
        import asyncio  # 30 ms that `spoke session list` does without

        ended = asyncio.run(_follow(db, found.id, trace, lambda: now().timestamp() * 1000))
    return ExitCode.OK if ended.status == "completed" else ExitCode.FAILURE


async def _follow(db: Database, session_id: str, trace: Trace, now_ms: Callable[[], float]) -> SessionRow:
    import asyncio

    reader, tree = CallReader(session_id), call_tree(())
    waiter = db.wake.add([("stream", "call-protocol"), ("stream", "session-events")])
    try:
        while True:
            waiter.clear()  # before the read: a commit in between wakes us again
            catch_up(db)
            with db.snapshot() as snapshot:
                session, calls = read_session(snapshot, session_id), reader.read(snapshot)
            tree = tree if calls is None else call_tree(calls)
            if session.status != "active":
                trace.end(session, tree, now_ms())
                return session
            trace.show(session, tree, now_ms())
            if trace.grows:
                await asyncio.sleep(FRAME_S)
            if not (trace.grows and tree.open):
                await waiter.wait(SAFETY_POLL_S)
    finally:
        db.wake.remove(waiter)


class Speed(click.ParamType[float]):
    """`4x`, `0.5`, or `max`: not waiting at all."""

    name = "speed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The factor; infinity for max."""
        text = str(value)
        try:
            speed = float("inf") if text == "max" else float(text.removesuffix("x"))
        except ValueError:
            speed = 0.0
        if not speed > 0:
            self.fail(f"{text!r}: a speed is like 4x, 0.5x or max", param, ctx)
        return speed


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--speed", type=Speed(), default="1x", show_default=True, help="How fast: 4x, 0.5x, max.")
@depth_option
@fold_option
@ascii_option
@json_option
@click.pass_obj
def replay(
    context: Context,
    session_id: str,
    speed: float,
    depth: int | None,
    fold: str | None,
    ascii_only: bool,
    as_json: bool,
) -> None:
    """Watch a recorded session happen again.

    \b
    Example:
      spoke session replay 3f2a --speed 100x

    Its events go through the same projector into a file of their own, which is gone afterwards. Pauses of more than two
    seconds are shortened to two; events without a time come a fifth of a second after the one before.
    """
    import tempfile

    from app.services.replay import replay as play

    trace = trace_for(Shape(depth, fold == "ok", ascii_only), as_json=as_json)
    with context.database() as db, tempfile.TemporaryDirectory(prefix="spoke-replay-") as folder:
        project(db)
        with db.snapshot() as snapshot:
            found = find_session(snapshot, session_id)
        shown: tuple[SessionRow, CallTree, float] | None = None
        for shown in play(db, found.id, Path(folder), speed, time.sleep):
            trace.show(*shown)
        if shown is not None:
            trace.end(*shown)
