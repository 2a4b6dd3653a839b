"""Operations made of operations: children in the log, one identity, one transaction, one abort."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from storage.engine import Database
from storage.operations.spec import AccessControl, ContextError, Identity, Model, OperationContext, OperationSpec
from sync.calls.errors import AbortedError, AccessDeniedError, CallFailed, ExecutionError
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from tests.app.operations.clock import ids, now

ME = Identity("me", ("front:run",))


class Number(Model):
    n: int = 0


def spec(name: str, *, scope: str = "front:run", transactional: bool = False) -> OperationSpec[Number, Number]:
    return OperationSpec(
        namespace="test",
        name=name,
        type="mutation",
        description="",
        input_model=Number,
        output_model=Number,
        access_control=AccessControl((scope,)),
        transactional=transactional,
    )


class Node:
    def __init__(self, db: Database) -> None:
        self.db = db
        self.recorder = Recorder(db, now, ids())
        self.registry = Registry()
        self.registry.register(spec("inner", scope="back:run"), lambda value, _: Number(n=value.n + 1))
        self.registry.register(spec("outer"), lambda value, context: Number(**context.call("test.inner", {"n": 1})))
        self.registry.register(spec("write", scope="back:run", transactional=True), self._write)
        self.registry.register(spec("both", transactional=True), self._both)

    def _write(self, value: Number, context: OperationContext) -> Number:
        context.database.stream("facts").publish({"n": value.n}, tx=context.transaction)
        if value.n == 13:
            raise ValueError("unlucky")
        return value

    def _both(self, value: Number, context: OperationContext) -> Number:
        context.call("test.write", {"n": 1})
        if value.n == 2:
            raise ValueError("the second half failed")
        try:
            context.call("test.write", {"n": value.n})
        except CallFailed:
            return Number(n=-1)
        return Number(n=2)

    def call(self, operation: str, value: Any = None, **more: Any) -> dict[str, Any]:
        call = Call(operation_id=operation, input=value or {}, identity=ME, request_id="outer", **more)
        (outcome,) = self.recorder.execute(self.registry, [call])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.output is not None
        return outcome.output

    def log(self) -> list[dict[str, Any]]:
        return self.stream("call-protocol")

    def stream(self, topic: str) -> list[dict[str, Any]]:
        rows = self.db.query("SELECT payload FROM _honker_stream WHERE topic = ? ORDER BY offset", (topic,))
        return [json.loads(row["payload"]) for row in rows]

    def facts(self) -> list[int]:
        return [event["n"] for event in self.stream("facts")]


def test_a_child_is_recorded_under_its_parent_with_the_same_identity(tenant: Database) -> None:
    node = Node(tenant)
    assert node.call("test.outer", session_id="s") == {"n": 2}
    first, child, child_end, end = node.log()
    assert (first["requestId"], end["requestId"]) == ("outer", "outer")
    assert child["parentRequestId"] == "outer"
    assert child["identity"] == first["identity"]
    assert child["metadata"] == {"sessionId": "s"}
    assert child_end["requestId"] == child["requestId"]


def test_only_a_composition_may_pass_without_the_scope(tenant: Database) -> None:
    with pytest.raises(AccessDeniedError):
        Node(tenant).call("test.inner")


def test_children_of_a_transaction_commit_with_it(tenant: Database) -> None:
    node = Node(tenant)
    assert node.call("test.both", {"n": 5}) == {"n": 2}
    assert node.facts() == [1, 5]
    assert [event["type"] for event in node.log()].count("call.responded") == 3


def test_a_failing_parent_takes_its_children_back(tenant: Database) -> None:
    node = Node(tenant)
    with pytest.raises(ExecutionError, match="second half"):
        node.call("test.both", {"n": 2})
    assert node.facts() == []
    assert [event["type"] for event in node.log()] == ["call.requested", "call.error"]


def test_a_failing_child_takes_back_only_its_own(tenant: Database) -> None:
    node = Node(tenant)
    assert node.call("test.both", {"n": 13}) == {"n": -1}
    assert node.facts() == [1]
    assert [event["type"] for event in node.log()].count("call.error") == 1


def test_a_parent_that_is_aborted_makes_no_more_calls(tenant: Database) -> None:
    node = Node(tenant)
    began, go_on = threading.Event(), threading.Event()

    def slow(_: Number, context: OperationContext) -> Number:
        began.set()
        go_on.wait(60)
        return Number(**context.call("test.inner"))

    node.registry.register(spec("slow"), slow)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            node.call("test.slow")
        except CallFailed as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(60)
    assert node.recorder.abort("outer") == 1
    go_on.set()
    thread.join(60)
    assert isinstance(caught[0], AbortedError)
    assert [event["type"] for event in node.log()] == ["call.requested", "call.aborted"]


def test_without_an_executor_there_is_nothing_to_call() -> None:
    with pytest.raises(ContextError):
        OperationContext("r").call("test.inner")
