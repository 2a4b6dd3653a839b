"""`spoke tail`."""

from __future__ import annotations

import asyncio

import click
import msgspec

from app.cli.context import Context, json_option, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from storage.engine import Database, Event
from storage.engine.stream import last_offset
from storage.events.envelope import EventShapeError, envelope_of


@click.command()
@click.argument("topic", default="call-protocol")
@click.option("--from", "start", default=-10, show_default=True, help="Offset to begin behind; -N: the last N events.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new events until ^C.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@json_option
@click.pass_obj
def tail(context: Context, topic: str, start: int, follow: bool, count: int | None, as_json: bool) -> None:
    """Print the events of the stream TOPIC.

    \b
    Examples:
      spoke tail
      spoke tail session-events --from 0 --json
      spoke tail call-protocol --follow

    With --json one object a line: offset, key, createdAt and the event's envelope (type, id, payload).
    """
    with context.database() as db:
        after = start if start >= 0 else _behind_last(db, topic, -start)
        printed = 0
        while True:
            events = db.stream(topic).read(after, min(1_000, count - printed) if count else 1_000)
            for event in events:
                click.echo(_json_line(event) if as_json else _text_line(event))
                after = event.offset
                printed += 1
            if count is not None and printed >= count:
                return
            if not events:
                break
        if printed == 0 and not follow:
            _explain_empty(db, topic)
        if follow:
            asyncio.run(_follow(db, topic, after, None if count is None else count - printed, as_json))


def _behind_last(db: Database, topic: str, number: int) -> int:
    rows = db.query(
        "SELECT offset FROM _honker_stream WHERE topic = ? ORDER BY offset DESC LIMIT 1 OFFSET ?", (topic, number)
    )
    return int(rows[0]["offset"]) if rows else 0


def _explain_empty(db: Database, topic: str) -> None:
    with db.snapshot() as snapshot:
        if last_offset(snapshot, topic):
            say(f"no events of {topic} behind that offset")
            return
        topics = [str(row[0]) for row in snapshot.rows("SELECT DISTINCT topic FROM _honker_stream ORDER BY topic")]
    if not topics:
        say("no events yet — record something: spoke record -- ls")
        return
    raise CommandError(f"no stream {topic!r}", hint=f"streams here: {', '.join(topics)}", code=ExitCode.USAGE)


async def _follow(db: Database, topic: str, after: int, count: int | None, as_json: bool) -> None:
    printed = 0
    async for event in db.stream(topic).subscribe(from_offset=after):
        click.echo(_json_line(event) if as_json else _text_line(event))
        printed += 1
        if count is not None and printed >= count:
            return


def _json_line(event: Event) -> bytes:
    try:
        envelope = envelope_of(event)
        shown: dict[str, object] = {"type": envelope.type, "id": envelope.id, "payload": envelope.payload}
    except EventShapeError:
        shown = {
            "type": None,
            "id": "",
            "payload": event.payload_json,
        }  # not JSON, or no event: shown as the text it is
    return msgspec.json.encode({"offset": event.offset, "key": event.key, "createdAt": event.created_at, **shown})


def _text_line(event: Event) -> str:
    from app.views.streams import describe

    return describe(event)
