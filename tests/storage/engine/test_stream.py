"""Streams: order, offsets, consumers, subscriptions."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.engine import Database, Event, PayloadError

LIMIT_S = 30


async def take(db: Database, number: int, **how: Any) -> list[Event]:
    """The first events of a subscription, which then ends as `async for … break` ends it."""
    subscription = db.stream("s").subscribe(**how)
    async with asyncio.timeout(LIMIT_S):
        taken = [await anext(subscription) for _ in range(number)]
    await subscription.aclose()  # type: ignore[attr-defined]
    return taken


def test_publish_gives_the_offset_and_read_gives_it_back(db: Database) -> None:
    stream = db.stream("s")
    first, second = stream.publish({"a": [1, None, "é"]}, key="k"), stream.publish("text")
    assert second > first
    one, two = stream.read()
    assert (one.offset, one.topic, one.key, one.payload) == (first, "s", "k", {"a": [1, None, "é"]})
    assert (two.offset, two.key, two.payload) == (second, None, "text")
    assert stream.read(after=first, limit=5)[0].offset == second
    assert db.stream("s") is stream


def test_topics_share_offsets_and_nothing_else(db: Database) -> None:
    offsets = [db.stream(topic).publish(topic) for topic in "abab"]
    assert offsets == sorted(set(offsets))
    assert [event.payload for event in db.stream("a").read()] == ["a", "a"]


@pytest.mark.parametrize("payload", [object(), "\ud800", float("nan"), [1, {"x": -float("inf")}], (None, float("nan"))])
def test_a_payload_that_is_not_json_is_refused_and_nothing_written(db: Database, payload: Any) -> None:
    with pytest.raises(PayloadError):
        db.stream("s").publish(payload)
    assert db.stream("s").read() == []


def test_what_a_foreign_program_stored_is_an_error_when_it_is_looked_at(db: Database) -> None:
    with db.transaction() as tx:
        db.stream("s").append([(None, "not json", 0)], tx)
    (event,) = db.stream("s").read()
    assert event.payload_json == "not json"
    with pytest.raises(PayloadError):
        _ = event.payload


def test_rolled_back_events_are_not_there(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        db.stream("s").publish(1, tx=tx)
        raise ZeroDivisionError
    assert db.stream("s").read() == []


def test_a_saved_offset_never_goes_back(db: Database) -> None:
    stream = db.stream("s")
    assert stream.get_offset("me") == 0
    assert stream.save_offset("me", 5)
    assert not stream.save_offset("me", 5)
    assert not stream.save_offset("me", 3)
    assert stream.get_offset("me") == 5
    assert db.stream("other").get_offset("me") == 0


async def test_a_subscription_replays_then_follows(db: Database) -> None:
    for number in range(3):
        db.stream("s").publish(number)
    subscription = db.stream("s").subscribe()
    async with asyncio.timeout(LIMIT_S):
        seen = [(await anext(subscription)).payload for _ in range(3)]
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        await db.run(lambda tx: db.stream("s").publish("new", tx=tx))
        seen.append((await waiting).payload)
    assert seen == [0, 1, 2, "new"]
    await subscription.aclose()  # type: ignore[attr-defined]


async def test_a_named_consumer_goes_on_behind_what_it_has_finished(db: Database) -> None:
    offsets = [db.stream("s").publish(number) for number in range(5)]
    assert [event.payload for event in await take(db, 3, consumer="me")] == [0, 1, 2]
    # The third was taken, but the consumer never came back for the next one: it gets it again.
    assert db.stream("s").get_offset("me") == offsets[1]
    assert [event.payload for event in await take(db, 3, consumer="me")] == [2, 3, 4]


async def test_the_last_offset_is_saved_when_there_is_nothing_more(db: Database) -> None:
    """Honker keeps the last offset until another event comes; an idle consumer would get its last event again."""
    offset = db.stream("s").publish(1)
    subscription = db.stream("s").subscribe("me", save_every_n=1_000, save_every_s=1_000)
    await anext(subscription)
    waiting = asyncio.ensure_future(anext(subscription))
    async with asyncio.timeout(LIMIT_S):
        while db.stream("s").get_offset("me") != offset:
            await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_consumer_that_saves_by_itself_is_left_alone(db: Database) -> None:
    for number in range(3):
        db.stream("s").publish(number)
    await take(db, 3, consumer="me", save_every_n=0, save_every_s=0)
    assert db.stream("s").get_offset("me") == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.booleans()), max_size=25),
    limit=st.integers(1, 7),
)
def test_any_mix_of_transactions_reads_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, int, bool]], limit: int
) -> None:
    from storage import engine

    db = engine.open(tmp_path_factory.mktemp("s") / "s.db")
    try:
        model: dict[str, list[int]] = {"a": [], "b": []}
        serial = 0
        for topic, number, commit in script:
            written = []
            try:
                with db.transaction() as tx:
                    for _ in range(number):
                        serial += 1
                        db.stream(topic).publish(serial, tx=tx)
                        written.append(serial)
                    if not commit:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            model[topic] += written
        for topic, expected in model.items():
            seen, after = [], 0
            while events := db.stream(topic).read(after, limit):
                assert all(a.offset < b.offset for a, b in pairwise(events))
                seen += [event.payload for event in events]
                after = events[-1].offset
            assert seen == expected
    finally:
        db.close()
