"""`spoke sync now`, `pause`, `resume`, `rewind`: telling the process that runs the link what to do."""

from __future__ import annotations

import click

from app.audit import audit
from app.cli.context import Context, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run_option, how_verbose, told
from app.views.text import of
from storage.process_lock import ProcessLock, holder
from sync.spoke.status import LinkStatus, nudge, pause, read_status, resume, rewind


@click.command(name="now")
@click.option("--wait", is_flag=True, help="Return when the hub has everything on its disk.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0), help="Seconds to wait at most.")
@json_option
@click.pass_obj
def now_(context: Context, wait: bool, timeout: float, as_json: bool) -> None:
    """Send what waits now, without waiting for the next retry.

    \b
    Examples:
      spoke sync now
      spoke sync now --wait --timeout 300

    With --wait it returns when the hub has said of everything published before the call that it is on its disk.
    Where no process runs the link (spoke run, or the terminal UI), this command does until that is so, with or
    without --wait. Exit codes: 0 done; 69 no hub, or it cannot be reached; 75 it takes longer, or the link is paused;
    77 the hub refuses this node.
    """
    import asyncio
    import logging

    from app.services.catching_up import StillBehindError, catch_up_alone, goal, until_acked

    settings = context.settings()
    if settings.hub.url is None:
        raise CommandError("this node has no hub", hint="spoke join wss://HOST", code=ExitCode.UNAVAILABLE)
    with context.database() as db:
        with db.snapshot() as snapshot:
            before = read_status(snapshot)
            wanted = goal(snapshot, settings.hub.streams)
        if before.paused_at_ms is not None:
            raise CommandError("the link is paused", hint="spoke sync resume", code=ExitCode.TEMPORARY)
        try:
            if holder(context.paths.daemon_lock) is None:
                if how_verbose() < 2:
                    logging.getLogger("spoke.uplink").setLevel(logging.ERROR)  # what broke is told at the end
                with ProcessLock(context.paths.daemon_lock):
                    asyncio.run(catch_up_alone(db, settings, context.paths, wanted, timeout))
                wait = True
            else:
                with db.transaction() as tx:
                    nudge(tx)
                if wait:
                    asyncio.run(until_acked(db, wanted, before, timeout))
        except StillBehindError as error:
            raise _late(error.link, timeout) from error
    if as_json:
        print_json({"acked": wait, "upTo": wanted})
    else:
        say(
            "the hub has everything on its disk" if wait else "the link was told; to wait for it: spoke sync now --wait"
        )


def _late(link: LinkStatus, timeout: float) -> CommandError:
    why = f"{link.error_code}: {link.error}" if link.error else f"the link is {link.state}"
    what = f"{of(link.unsent, 'event')} not acknowledged" if link.unsent else "the hub is not there"
    return CommandError(
        f"{what} after {timeout:g} s ({why})",
        hint=link.hint or "nothing is lost: try again, or look: spoke sync status",
        code=ExitCode.UNAVAILABLE if link.state in ("offline", "connecting") else ExitCode.TEMPORARY,
    )


@click.command(name="pause")
@json_option
@click.pass_obj
def pause_(context: Context, as_json: bool) -> None:
    """Let the link rest until it is resumed, also over restarts.

    \b
    Example:
      spoke sync pause

    What is on its way is acknowledged, then the connection ends. Everything else goes on; events wait here.
    """
    with context.database() as db, db.transaction() as tx:
        changed = pause(tx, round(now().timestamp() * 1000))
        audit(tx, "sync.pause")
    if as_json:
        print_json({"paused": True, "changed": changed})
    else:
        say("the link rests: spoke sync resume" if changed else "the link rests already: spoke sync resume")


@click.command(name="resume")
@json_option
@click.pass_obj
def resume_(context: Context, as_json: bool) -> None:
    """End a pause: dial again.

    \b
    Example:
      spoke sync pause
      spoke sync resume
    """
    with context.database() as db, db.transaction() as tx:
        changed = resume(tx)
        audit(tx, "sync.resume")
    if as_json:
        print_json({"paused": False, "changed": changed})
    else:
        say("the link goes on" if changed else "the link was not paused")


@click.command(name="rewind")
@click.argument("stream")
@dry_run_option
@json_option
@click.pass_obj
def rewind_(context: Context, stream: str, as_json: bool) -> None:
    """Forget how far the hub has STREAM, and compare anew.

    \b
    Example:
      spoke sync rewind call-protocol

    Safe: what counts is what the hub says at the beginning of a session, and what it has is not sent again. A running
    link ends its session and begins another one. Until the hub has spoken, everything is shown as unsent.
    """
    with context.database() as db, db.transaction() as tx:
        known = {str(topic) for (topic,) in tx.rows("SELECT topic FROM link_generations")}
        if known and stream not in known:
            raise CommandError(
                f"no stream {stream!r} is sent to the hub",
                hint=f"one of {', '.join(sorted(known))}",
                code=ExitCode.USAGE,
            )
        forgotten = rewind(tx, stream)
        audit(tx, "sync.rewind", stream=stream)
    if as_json:
        print_json({"stream": stream, "forgotten": forgotten})
    else:
        anew = told("compared anew when the link is up", "would be compared anew when the link is up")
        say(f"{stream}: {anew if forgotten else 'nothing was known'}")
