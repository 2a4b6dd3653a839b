"""What a call leaves in the log."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.engine import Database
from storage.operations.spec import Identity, Model, OperationContext, OperationSpec
from sync.calls.errors import CallFailed
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry


class Text(Model):
    text: str


ECHO = OperationSpec(namespace="test", name="echo", type="query", description="", input_model=Text, output_model=Text)


def ids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"r{next(numbers)}"


def clock() -> Callable[[], datetime]:
    """A clock that goes on by a quarter of a second each time it is asked."""
    ticks = itertools.count()
    return lambda: datetime(2026, 11, 24, 8, tzinfo=UTC) + timedelta(seconds=0.25 * next(ticks))


def log(db: Database) -> list[Any]:
    return [event.payload for event in db.stream("call-protocol").read()]


def runs(db: Database) -> list[str]:
    return [row["id"] for row in db.query("SELECT id FROM running ORDER BY id")]


@pytest.fixture
def recorder(tenant: Database) -> Recorder:
    return Recorder(tenant, clock(), ids())


def registry_of(handler: Callable[[Text, OperationContext], Text]) -> Registry:
    registry = Registry()
    registry.register(ECHO, handler)
    return registry


def call(text: str = "hi") -> Call:
    return Call(
        operation_id="test.echo",
        input={"text": text},
        identity=Identity("me", ("*",)),
        parent_request_id="p",
        session_id="s",
    )


def test_a_call_is_recorded_flat_and_in_camel_case(tenant: Database, recorder: Recorder) -> None:
    recorder.execute(registry_of(lambda value, _: value), [call()])
    assert log(tenant) == [
        {
            "type": "call.requested",
            "requestId": "r1",
            "operationId": "test.echo",
            "input": {"text": "hi"},
            "parentRequestId": "p",
            "identity": {"id": "me", "scopes": ["*"]},
            "metadata": {"sessionId": "s"},
            "timestamp": "2026-11-24T08:00:00.000Z",
        },
        {
            "type": "call.responded",
            "requestId": "r1",
            "output": {
                "data": {"text": "hi"},
                "meta": {"source": "local", "operationId": "test.echo", "timestamp": 1795507200750},
            },
            "timestamp": "2026-11-24T08:00:00.750Z",
            "metadata": {"durationMs": 250.0},
        },
    ]
    assert [event.key for event in tenant.stream("call-protocol").read()] == ["r1", "r1"]


def test_the_request_is_durable_before_the_work_begins(tenant: Database, recorder: Recorder) -> None:
    seen: list[int] = []

    def handler(value: Text, context: OperationContext) -> Text:
        seen.append(len(log(tenant)))
        assert context == OperationContext("r1", Identity("me", ("*",)), "p", "s")
        return value

    recorder.execute(registry_of(handler), [call()])
    assert seen == [1]


def test_a_failing_call_is_an_outcome_and_the_others_go_on(tenant: Database, recorder: Recorder) -> None:
    def handler(value: Text, _: OperationContext) -> Text:
        if value.text == "bad":
            raise ValueError("no")
        return value

    outcomes = recorder.execute(registry_of(handler), [call("bad"), call("good")])
    assert outcomes[0].error is not None
    assert outcomes[0].error.code == "EXECUTION_ERROR"
    assert outcomes[1].output == {"text": "good"}
    assert [event["type"] for event in log(tenant)] == [
        "call.requested",
        "call.requested",
        "call.error",
        "call.responded",
    ]


def test_an_interrupt_leaves_what_did_not_end_pending(tenant: Database, recorder: Recorder) -> None:
    def handler(value: Text, _: OperationContext) -> Text:
        if value.text == "stop":
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        recorder.execute(registry_of(handler), [call("one"), call("stop"), call("three")])
    assert [(event["type"], event["requestId"]) for event in log(tenant)] == [
        ("call.requested", "r1"),
        ("call.requested", "r2"),
        ("call.requested", "r3"),
        ("call.responded", "r1"),
    ]
    assert runs(tenant) == ["r2", "r3"], "until somebody says that this process is gone"


def test_what_has_ended_runs_no_longer(tenant: Database, recorder: Recorder) -> None:
    def handler(value: Text, context: OperationContext) -> Text:
        assert runs(tenant)[-1] == context.request_id
        if value.text == "bad":
            raise ValueError("no")
        return value

    recorder.execute(registry_of(handler), [call("bad"), call("good")])
    with recorder.manual(call()) as work:
        assert runs(tenant) == ["r3"]
        work.succeed({"ok": True})
    with pytest.raises(OSError, match="x"), recorder.manual(call()):
        raise OSError("x")
    assert runs(tenant) == []


def test_a_manual_call_records_what_it_is_given(tenant: Database, recorder: Recorder) -> None:
    with recorder.manual(call()) as running:
        assert len(log(tenant)) == 1
        running.succeed({"ok": True})
    assert log(tenant)[1]["output"]["data"] == {"ok": True}


@pytest.mark.parametrize(
    ("error", "code"),
    [(CallFailed("x"), "EXECUTION_ERROR"), (OSError("x"), "EXECUTION_ERROR"), (KeyboardInterrupt(), "ABORTED")],
)
def test_a_manual_call_that_raises_is_recorded_and_raised_on(
    tenant: Database, recorder: Recorder, error: BaseException, code: str
) -> None:
    with pytest.raises(type(error)), recorder.manual(call()):
        raise error
    assert log(tenant)[1]["type"] == "call.error"
    assert log(tenant)[1]["code"] == code
