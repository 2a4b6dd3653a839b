"""The session screen with 100 000 calls: opening, scrolling, folding, zooming, filtering.

The floor of a key press is the same press in the same screen with 20 calls; that of opening is decoding the calls' rows.
Key presses are CPU time of the event loop's thread, painting included (a headless terminal of 200x50); what a reader
thread does meanwhile is wall clock, and marked so.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.services.projector import catch_up
from app.tui.app import SpokeApp
from app.tui.session import SessionView
from app.views.calls import read_calls
from app.views.waterfall import call_tree, critical_path, fall_of, name_width, render_row, succeeded
from storage.engine import Database
from storage.events.envelope import iso
from storage.tenants import open_tenant_database

CALLS = 100_000
FEW = 20
ROUNDS = 15
START = datetime(2026, 11, 24, 8, tzinfo=UTC)


def at(ms: int) -> str:
    """A time of the session."""
    return iso(START + timedelta(milliseconds=ms))


def fill(db: Database, session: str, number: int) -> None:
    """A run of tools, each with calls of its own; every hundredth fails."""
    metadata = {"metadata": {"sessionId": session}}
    started = {"type": "session.started", "sessionId": session, "title": "many", "source": "bench", "slug": session}
    with db.transaction() as tx:
        db.stream("session-events").append([(session, json.dumps(started), 0)], tx)
        rows = []
        for index in range(number):
            request_id = f"{session}-{index}"
            parent = f"{session}-{0 if index % 10 == 1 else index - 1 if index % 3 else index // 10 * 10}"
            asked = {
                "type": "call.requested",
                "requestId": request_id,
                "operationId": f"tool.name_{index % 40}",
                "input": {"path": f"/srv/{index}"},
                "timestamp": at(index * 10),
                **metadata,
                **({"parentRequestId": parent} if index else {}),
            }
            outcome = (
                {"type": "call.error", "code": "E", "message": "x"}
                if index % 100 == 99
                else {"type": "call.responded", "output": {"data": {"size": index}}}
            )
            answered = {**outcome, "requestId": request_id, "timestamp": at(index * 10 + 9)}
            rows += [(request_id, json.dumps(asked), 0), (request_id, json.dumps(answered), 0)]
        db.stream("call-protocol").append(rows, tx)
    catch_up(db)


async def timed(
    work: Callable[[], Awaitable[object]], rounds: int = ROUNDS, clock: Callable[[], float] = time.thread_time
) -> float:
    """The median in milliseconds."""
    took = []
    for _ in range(rounds):
        began = clock()
        await work()
        took.append((clock() - began) * 1000)
    return statistics.median(took)


async def screen(db: Database, session: str) -> dict[str, float]:
    """Times of the screen."""
    figures: dict[str, float] = {}
    app = SpokeApp(db, node_name="bench", repaint_s=0, debounce_s=0)
    async with app.run_test(size=(200, 50)) as pilot:
        await app.idle()
        began = time.perf_counter()
        app.open_session(session)
        await app.idle()
        await pilot.pause()
        figures["open, wall clock"] = (time.perf_counter() - began) * 1000
        view = app.screen
        assert isinstance(view, SessionView)

        def pressing(*keys: str) -> Callable[[], Awaitable[object]]:
            return lambda: pilot.press(*keys)

        figures["cursor down"] = await timed(pressing("j"))
        figures["page down"] = await timed(pressing("ctrl+d"))
        figures["last, first"] = await timed(pressing("G", "g")) / 2
        figures["fold, unfold"] = await timed(pressing("space"))
        figures["fold all, unfold all"] = await timed(pressing("z"))
        await pilot.press("g", "j")
        figures["zoom in"] = await timed(pressing("plus"))
        await pilot.press("0")
        figures["next failed"] = await timed(pressing("e"))

        async def filtering() -> None:
            view.filter_text = "name_7" if not view.filter_text else ""
            await app.idle()
            await pilot.pause()

        figures["filter, wall clock"] = await timed(filtering, 6, time.perf_counter)
        view.filter_text = ""

        async def marking() -> None:
            await pilot.press("c")
            await app.idle()

        figures["critical path, wall clock"] = await timed(marking, 4, time.perf_counter)
        return figures


def pure(db: Database, session: str) -> None:
    """What the screen is made of, without a screen."""

    def show(name: str, work: Callable[[], object]) -> None:
        took = []
        for _ in range(5):
            began = time.thread_time()
            work()
            took.append((time.thread_time() - began) * 1000)
        print(f"  {name:34} {statistics.median(took):9.2f} ms")

    with db.snapshot() as snapshot:
        calls = read_calls(snapshot, session)
        show("floor: read and decode the rows", lambda: read_calls(snapshot, session))
    tree = call_tree(calls)
    fall, now_ms, folded = fall_of(tree, 0.0), 0.0, succeeded(tree)
    names = name_width(fall, 200)
    show("lay out the tree", lambda: call_tree(calls))
    show("choose rows, nothing folded", lambda: fall_of(tree, now_ms))
    show("choose rows, one fold", lambda: fall_of(tree, now_ms, {tree.calls[1].request_id}))
    show(f"choose rows, {len(folded)} folds", lambda: fall_of(tree, now_ms, folded))
    show("draw 48 rows", lambda: [render_row(row, fall, names, 200) for row in fall.rows[50_000:50_048]])
    show("critical path", lambda: critical_path(tree, now_ms))


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        db = open_tenant_database(Path(folder) / "bench.db", durability="normal")
        fill(db, "many", CALLS)
        fill(db, "few", FEW)
        print(f"{CALLS:,} calls, pure:")
        pure(db, "many")
        floor, figures = asyncio.run(screen(db, "few")), asyncio.run(screen(db, "many"))
        print(f"{CALLS:,} calls on the screen; floor: {FEW} calls")
        for name, ms in figures.items():
            print(f"  {name:34} {ms:9.2f} ms   floor {floor[name]:9.2f} ms")
        db.close()


if __name__ == "__main__":
    main()
