"""`spoke tail`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli.context import Context, json_option, now, say, shown_json
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import TIMES
from app.cli.options import time_format as wanted_times
from app.views.conditions import all_hold, parse_condition
from app.views.text import readable
from storage.engine import Database, Event
from storage.engine.stream import last_offset
from storage.events.envelope import EventShapeError, envelope_of

if TYPE_CHECKING:
    from app.views.conditions import Condition

TIME_FORMATS = ("clock", "iso", *TIMES)


def _conditions(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[Condition]:
    try:
        return [parse_condition(text) for text in given]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("topic", default="call-protocol")
@click.option("--from", "start", default=-10, show_default=True, help="Offset to begin behind; -N: the last N events.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new events until ^C.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=_conditions,
    help="Only events of which it holds; may be repeated. FIELD may be a path: input.path.",
)
@click.option(
    "--time-format",
    type=click.Choice(TIME_FORMATS),
    help="Time of day (UTC, the default), ISO-8601, how long ago, local, UTC, or unix milliseconds.",
)
@json_option
@click.pass_obj
def tail(
    context: Context,
    topic: str,
    start: int,
    follow: bool,
    count: int | None,
    conditions: list[Condition],
    time_format: str | None,
    as_json: bool,
) -> None:
    """Print the events of the stream TOPIC.

    \b
    Examples:
      spoke tail
      spoke tail session-events --from 0 --json
      spoke tail --from -100 --where type=call.responded --count 5
      spoke tail --where "operationId=command.*" --time-format relative
      spoke tail call-protocol --follow

    With --json one object a line: offset, key, createdAt and the event's envelope (type, id, payload). --from counts
    events before --where looks at them, --count those that are printed. VALUE is compared with text as it is and with
    anything else as JSON; * and ? stand for characters.
    """
    printer = _Printer(topic, count, conditions, _writer(time_format or wanted_times() or "clock", as_json))
    with context.database() as db:
        after = start if start >= 0 else _behind_last(db, topic, -start)
        while not printer.done:
            events = db.stream(topic).read(after)
            if not events:
                break
            for event in events:
                printer.take(event)
                after = event.offset
        if printer.seen == 0 and not follow:
            _explain_empty(db, topic)
        elif printer.printed == 0 and not follow:
            say(f"of {printer.seen} events none is so")
        if follow and not printer.done:
            asyncio.run(_follow(db, topic, after, printer))


class _Printer:
    """Prints the events that fit, until enough are printed."""

    def __init__(
        self, topic: str, count: int | None, conditions: list[Condition], write: Callable[[Event], str]
    ) -> None:
        self._left = count
        self._conditions = conditions
        self._write = write
        self.seen = self.printed = 0

    @property
    def done(self) -> bool:
        return self._left == 0

    def take(self, event: Event) -> None:
        self.seen += 1
        if self.done or (self._conditions and not _fits(event, self._conditions)):
            return
        click.echo(self._write(event))
        self.printed += 1
        if self._left is not None:
            self._left -= 1


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


async def _follow(db: Database, topic: str, after: int, printer: _Printer) -> None:
    async for event in db.stream(topic).subscribe(from_offset=after):
        printer.take(event)
        if printer.done:
            return


def _document(event: Event) -> dict[str, Any]:
    """An event as it is shown; what is no event, or not JSON, as the text it is."""
    shown: dict[str, Any] = {"offset": event.offset, "key": event.key, "createdAt": event.created_at}
    try:
        envelope = envelope_of(event)
    except EventShapeError:
        return {**shown, "type": None, "id": "", "payload": readable(event.payload_json)}
    return {**shown, "type": envelope.type, "id": envelope.id, "payload": envelope.payload}


def _json_line(event: Event) -> str:
    line = msgspec.json.encode(_document(event))
    if b"\n" in line or b"\r" in line:  # between the values of a payload, which is shown as it is
        line = msgspec.json.format(line, indent=-1)
    return shown_json(line.decode(errors="surrogatepass"))


def _fits(event: Event, conditions: list[Condition]) -> bool:
    document = _document(event)
    if isinstance(document["payload"], msgspec.Raw):
        try:
            document["payload"] = json.loads(event.payload_json)
        except (ValueError, RecursionError):
            return False
    return all_hold(conditions, document)


def _writer(time_format: str, as_json: bool) -> Callable[[Event], str]:
    if as_json:
        return _json_line
    from app.views.streams import describe

    return lambda event: _colored(describe(event, _time(time_format)))


def _colored(line: str) -> str:
    return line.replace("call.error", click.style("call.error", fg="red"), 1)


def _time(time_format: str) -> Callable[[str | None, int], str] | None:
    """How to write the time of an event: its own, or else when it came into the log."""
    from app.views.times import when

    def moment(timestamp: str | None, created_at: int) -> datetime:
        try:
            return datetime.fromisoformat(timestamp or "").astimezone(UTC)
        except (ValueError, OverflowError):
            return datetime.fromtimestamp(created_at, UTC)

    def milliseconds(timestamp: str | None, created_at: int) -> int:
        return round(moment(timestamp, created_at).timestamp() * 1000)

    if time_format == "iso":
        return lambda *of: moment(*of).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    form = next((each for each in TIMES if each == time_format), None)
    if form is None:
        return None
    return lambda *of: f"{when(milliseconds(*of), round(now().timestamp() * 1000), form):>10}"
