"""Aborts: the handler stops, descendants stop too, and the log says what was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.config import CommandSettings
from app.operations import shell
from storage.engine import Database
from storage.operations.abort import Abort
from storage.operations.spec import Identity, Model, OperationContext, OperationSpec
from sync.calls.errors import AbortedError
from sync.calls.events import Call
from sync.calls.recorder import AbortPolicy, Outcome, Recorder
from sync.calls.registry import Registry
from tests.app.operations.clock import ids

ME = Identity("me", ("*",))


class Nothing(Model):
    pass


def registry_of(handler: Callable[[Nothing, OperationContext], Nothing]) -> Registry:
    registry = Registry()
    spec = OperationSpec(
        namespace="test", name="op", type="query", description="", input_model=Nothing, output_model=Nothing
    )
    registry.register(spec, handler)
    return registry


class Running:
    """Calls on threads, each until it is told to stop or to go on."""

    def __init__(self, db: Database) -> None:
        self.recorder = Recorder(db, lambda: datetime.now(UTC), ids())
        self.go_on = threading.Event()
        self.registry = registry_of(self._wait)
        self.outcomes: dict[str, Outcome] = {}
        self.threads: list[threading.Thread] = []

    def _wait(self, _: Nothing, context: OperationContext) -> Nothing:
        while not self.go_on.is_set():
            if context.abort.wait(0.001):
                raise AbortedError("stopped")
        return Nothing()

    def start(self, name: str, parent: str | None = None) -> None:
        call = Call(operation_id="test.op", input={}, identity=ME, request_id=name, parent_request_id=parent)

        def work() -> None:
            (self.outcomes[name],) = self.recorder.execute(self.registry, [call])

        thread = threading.Thread(target=work)
        thread.start()
        self.threads.append(thread)
        while name not in self.recorder.running():
            assert thread.is_alive()

    def finish(self) -> dict[str, str]:
        self.go_on.set()
        for thread in self.threads:
            thread.join(30)
        return {name: out.error.code if out.error else "completed" for name, out in self.outcomes.items()}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("abort-dependents", {"a": "ABORTED", "b": "ABORTED", "c": "ABORTED", "other": "completed"}),
        ("continue-running", {"a": "ABORTED", "b": "completed", "c": "completed", "other": "completed"}),
    ],
)
def test_an_abort_reaches_what_the_policy_says(tenant: Database, policy: AbortPolicy, expected: dict[str, str]) -> None:
    running = Running(tenant)
    for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("other", None)):
        running.start(name, parent)
    assert running.recorder.abort("a", policy) == len([code for code in expected.values() if code == "ABORTED"])
    while set(running.recorder.running()) & {name for name, code in expected.items() if code == "ABORTED"}:
        continue
    assert running.finish() == expected
    assert running.recorder.abort("a") == 0  # it has ended
    types = {e.payload["requestId"]: e.payload["type"] for e in tenant.stream("call-protocol").read()}
    assert {name: kind == "call.aborted" for name, kind in types.items()} == {
        name: code == "ABORTED" for name, code in expected.items()
    }


def test_a_call_that_ends_in_spite_of_it_is_recorded_as_it_ended(tenant: Database) -> None:
    recorder = Recorder(tenant, lambda: datetime.now(UTC), ids())

    def stubborn(_: Nothing, context: OperationContext) -> Nothing:
        recorder.abort(context.request_id)
        return Nothing()

    (outcome,) = recorder.execute(registry_of(stubborn), [Call(operation_id="test.op", input={}, identity=ME)])
    assert outcome.error is None
    assert tenant.stream("call-protocol").read()[-1].payload["type"] == "call.responded"


def test_a_command_is_killed_with_its_whole_group(tenant: Database) -> None:
    registry = Registry()
    shell.register(registry, {"long": CommandSettings(argv=("sh", "-c", "sleep 1000 & sleep 1000"))})
    recorder = Recorder(tenant, lambda: datetime.now(UTC), ids())
    call = Call(operation_id="shell.run", input={"command": "long"}, identity=ME, request_id="r")
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(recorder.execute(registry, [call])))
    thread.start()
    while not recorder.abort("r"):
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(outcomes[0].error, AbortedError)
    assert tenant.stream("call-protocol").read()[-1].payload["type"] == "call.aborted"


def test_listeners_of_an_abort() -> None:
    heard: list[str] = []
    abort = Abort()
    with abort.calling(lambda: heard.append("over")):
        pass
    with abort.calling(lambda: heard.append("set")):
        abort.set()
        abort.set()
    with abort.calling(lambda: heard.append("late")):
        assert abort.requested
    assert heard == ["set", "late"]
