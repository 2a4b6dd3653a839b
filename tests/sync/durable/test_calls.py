"""Both ends over two files, without a network: what is asked for, what comes of it, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.operations.spec import Execution, Identity
from storage.projections.projection import step
from sync.calls.errors import AccessDeniedError, CallFailed, CallTimeoutError
from sync.durable import caller, received
from sync.durable.caller import DurableCall
from sync.durable.errors import (
    IndeterminateError,
    KeyTakenError,
    NoSuchCallError,
    PeerAwayError,
    QuotaExceededError,
    TooLargeError,
)
from sync.durable.states import State
from sync.durable.topics import calls_from, calls_to, results_from, results_to
from sync.link.chain import MAX_EVENT_BYTES
from tests.sync.durable.wire import (
    World,
    carry_calls,
    carry_results,
    effects,
    log_of,
    open_pair,
    reached,
    run_all,
)

NODE = "node-1"


class Pair:
    """A hub that asks and a spoke that does."""

    def __init__(self, folder: Path) -> None:
        self.hub, self.spoke = open_pair(folder)
        self.world = World()
        self.callee = self.world.callee(self.spoke)
        self.count = 0

    def ask(self, operation: str = "test.file", n: Any = 1, **options: Any) -> str:
        self.count += 1
        given: dict[str, Any] = {"call_id": f"call-{self.count:04}", "now_ms": self.world.now_ms, "present": True}
        with self.hub.transaction() as tx:
            return caller.request(tx, NODE, operation, {"n": n}, **{**given, **options}).call_id

    def deliver(self) -> None:
        carry_calls(self.hub, self.spoke)

    def hear(self) -> None:
        carry_results(self.hub, self.spoke)
        with self.hub.transaction() as tx:
            step(tx, caller.results(NODE, lambda: self.world.now_ms))

    def work(self) -> None:
        self.deliver()
        run_all(self.callee, self.spoke)
        self.hear()

    def call(self, call_id: str) -> DurableCall:
        with self.hub.snapshot() as snapshot:
            return caller.get(snapshot, call_id)

    def state(self, call_id: str) -> State:
        return self.call(call_id).state

    def cancel(self, call_id: str) -> bool:
        with self.hub.transaction() as tx:
            return caller.cancel(tx, call_id, self.world.now_ms)

    def expire(self, hub_ms: int) -> int:
        with self.hub.transaction() as tx:
            return caller.expire(tx, hub_ms)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.hub.close()
    pair.spoke.close()


@pytest.mark.parametrize(
    ("operation", "execution", "heard"),
    [
        ("test.file", "exactly_once_local", ["DONE"]),
        ("test.again", "idempotent", ["RUNNING", "DONE"]),
        ("test.once", "at_most_once", ["RUNNING", "DONE"]),
        ("other.read", "idempotent", ["RUNNING", "DONE"]),
    ],
)
def test_a_call_that_waits_for_its_node_is_done_once(
    pair: Pair, operation: str, execution: Execution, heard: list[str]
) -> None:
    asked = pair.ask(operation, 7)
    assert pair.state(asked) is State.QUEUED
    pair.deliver()
    with pair.hub.transaction() as tx:
        caller.sent(tx, NODE, 10**9)
    assert pair.state(asked) is State.SENT
    with pair.hub.transaction() as tx:
        caller.acked(tx, NODE, reached(pair.spoke, calls_to(NODE), calls_from("hub")))
        caller.sent(tx, NODE, 10**9)  # news that comes late does not bring a call back
    assert pair.state(asked) is State.RECEIVED
    pair.work()
    pair.work()
    assert effects(pair.spoke) + pair.world.outside == [7]
    assert [result["state"] for result in log_of(pair.hub, results_from(NODE))] == heard
    done = pair.call(asked)
    assert (done.state, done.ended_at, caller.failure_of(done)) == (State.DONE, pair.world.now_ms, None)
    assert done.result is not None
    assert '"data":{"n":7}' in done.result
    (row,) = pair.spoke.query("SELECT state, execution, request FROM link_received_calls")
    assert row["state"] == "DONE"
    assert row["request"] is None
    assert [(event["type"], event["requestId"]) for event in log_of(pair.spoke)] == [
        ("call.requested", asked),
        ("call.responded", asked),
    ]
    assert log_of(pair.spoke)[0]["identity"]["id"] == "peer"


def test_who_calls_is_the_receivers_word(pair: Pair) -> None:
    king = Identity("king", ("*",))
    pair.ask(identity=king)
    pair.work()
    assert log_of(pair.hub, calls_to(NODE))[0]["identity"]["id"] == "king"
    assert log_of(pair.spoke)[0]["identity"]["id"] == "peer"


@pytest.mark.parametrize(
    ("operation", "n", "options", "code"),
    [
        ("test.nothing", 1, {}, "OPERATION_NOT_FOUND"),
        ("nothing", 1, {}, "OPERATION_NOT_FOUND"),
        ("test.secret", 1, {}, "VALIDATION_ERROR"),
        ("test.file", "x", {}, "VALIDATION_ERROR"),
        ("test.file", 1, {"execution": "at_most_once"}, "VALIDATION_ERROR"),
        ("test.once", 1, {"execution": "idempotent"}, "VALIDATION_ERROR"),
    ],
)
def test_what_is_refused_is_rejected_and_the_next_one_runs(
    pair: Pair, operation: str, n: Any, options: dict[str, Any], code: str
) -> None:
    refused, good = pair.ask(operation, n, **options), pair.ask("test.file", 2)
    pair.work()
    assert (pair.state(refused), pair.state(good)) == (State.REJECTED, State.DONE)
    failure = caller.failure_of(pair.call(refused))
    assert failure is not None
    assert failure.code == code
    assert effects(pair.spoke) + pair.world.outside == [2]
    assert len(log_of(pair.spoke)) == 2, "a call that cannot be is in no log"


@pytest.mark.parametrize("who", [None, Identity("poor", ("other:read",))])
def test_access_is_asked_for_when_it_runs(pair: Pair, who: Identity | None) -> None:
    from app.operations.tables import register

    register(pair.world.registry)
    asked = pair.ask("sessions.list", execution="idempotent")
    pair.deliver()
    run_all(pair.world.callee(pair.spoke, who), pair.spoke)
    pair.hear()
    assert isinstance(caller.failure_of(pair.call(asked)), AccessDeniedError)
    assert pair.state(asked) is State.REJECTED


def test_a_call_that_fails_undoes_its_effects_and_says_why(pair: Pair) -> None:
    def fail(n: int, _: object) -> None:
        raise ValueError("out of paper")

    pair.world.on_outside = fail
    in_file, outside = pair.ask("test.file", 1), pair.ask("test.once", 2)
    pair.work()
    assert effects(pair.spoke) == []
    assert pair.world.outside == [2]
    for asked in (in_file, outside):
        assert pair.state(asked) is State.FAILED
        assert "out of paper" in str(caller.failure_of(pair.call(asked)))


def test_poison_is_quarantined_and_passed_over(pair: Pair) -> None:
    bad = ['{"type": "call.requested"}', "not json", '{"type": "other"}', "[" * 5_000 + "]" * 5_000]
    named = '{"type":"call.requested","operationId":"test.file","requestId":'
    bad += [f'{named}"short"}}', f'{named}"call-9999","input":nope}}', f'{named}"call-9999","deadline":{10**30}}}']
    bad.append('{"type":"call.aborted","requestId":"call-9999\\u0000"}')
    with pair.hub.transaction() as tx:
        pair.hub.stream(calls_to(NODE)).append([(None, text, 1) for text in bad], tx)
    deep = "[" * 3_000 + "]" * 3_000
    with pair.hub.transaction() as tx:
        text = f'{{"type":"call.requested","requestId":"deep-0001","operationId":"test.file","input":{deep}}}'
        pair.hub.stream(calls_to(NODE)).append([(None, text, 1)], tx)
    good = pair.ask(n=3)
    pair.work()
    assert pair.state(good) is State.DONE
    assert effects(pair.spoke) == [3]
    rejects = pair.spoke.query("SELECT reason FROM projection_rejects WHERE topic = 'calls@hub'")
    assert len(rejects) in (len(bad), len(bad) + 1)
    with pair.spoke.transaction() as tx:
        odd = f'{{"type":"call.error","requestId":"{good}","operationId":"x","state":"SENT","timestamp":""}}'
        pair.spoke.stream(results_to("hub")).append([(None, odd, 1), (None, "{}", 1)], tx)
    last = pair.ask(n=4)
    pair.work()
    assert pair.state(last) is State.DONE
    assert len(pair.hub.query("SELECT 1 FROM projection_rejects")) == 2


def test_the_quota_of_a_peer(pair: Pair) -> None:
    asked = [pair.ask(quota=3) for _ in range(3)]
    with pytest.raises(QuotaExceededError):
        pair.ask(quota=3)
    with pair.hub.transaction() as tx:
        caller.request(tx, "node-2", "test.file", {}, call_id="elsewhere", now_ms=1, present=False, quota=3)
    pair.cancel(asked[0])
    pair.ask(quota=3)


def test_the_same_key_is_the_same_call(pair: Pair) -> None:
    first = pair.ask(n=1, idempotency_key="k")
    assert pair.ask(n=1, idempotency_key="k") == first
    with pytest.raises(KeyTakenError):
        pair.ask(n=2, idempotency_key="k")
    pair.work()
    assert pair.ask(n=1, idempotency_key="k", offline="fail_fast", present=False) == first
    pair.work()
    assert effects(pair.spoke) == [1]


def test_what_is_not_asked_leaves_nothing(pair: Pair) -> None:
    with pytest.raises(PeerAwayError):
        pair.ask(offline="fail_fast", present=False)
    with pytest.raises(TooLargeError):
        pair.ask(n="x" * MAX_EVENT_BYTES)
    with pytest.raises(RuntimeError), pair.hub.transaction() as tx:
        caller.request(tx, NODE, "test.file", {}, call_id="undone-1", now_ms=1, present=True)
        raise RuntimeError
    with pytest.raises(NoSuchCallError):
        pair.cancel("undone-1")
    assert log_of(pair.hub, calls_to(NODE)) == []
    assert pair.hub.query("SELECT 1 FROM link_calls") == []
    assert pair.state(pair.ask(offline="fail_fast", present=True)) is State.QUEUED


def test_a_call_that_is_cancelled_before_it_begins_does_nothing(pair: Pair) -> None:
    before, after = pair.ask(n=1), pair.ask(n=2)
    assert pair.cancel(before)
    assert not pair.cancel(before)
    pair.deliver()
    pair.callee.take_in(["hub"])
    assert pair.cancel(after)
    pair.work()
    assert effects(pair.spoke) == []
    for asked in (before, after):
        assert pair.state(asked) is State.CANCELLED
        assert pair.call(asked).late_result is None


def test_a_running_call_is_cancelled(pair: Pair) -> None:
    asked = pair.ask("test.once", 1)

    def meanwhile(_: int, context: Any) -> None:
        pair.cancel(asked)
        pair.deliver()
        pair.callee.take_in(["hub"])
        if context.abort.requested:
            raise ValueError("stopped")

    pair.world.on_outside = meanwhile
    pair.work()
    assert [result["state"] for result in log_of(pair.hub, results_from(NODE))] == ["RUNNING", "CANCELLED"]
    assert pair.state(asked) is State.CANCELLED
    assert log_of(pair.spoke)[-1]["type"] == "call.aborted"


def test_the_result_of_a_call_that_was_given_up_is_kept(pair: Pair) -> None:
    asked = pair.ask(n=1)
    pair.deliver()
    run_all(pair.callee, pair.spoke)
    pair.cancel(asked)
    pair.work()
    call = pair.call(asked)
    assert (call.state, call.result) == (State.CANCELLED, None)
    assert call.late_result is not None
    assert '"data":{"n":1}' in call.late_result


# -- deadlines: F-44 -------------------------------------------------------------------------------------------------


def test_a_deadline_that_passes_while_the_node_is_away(pair: Pair) -> None:
    asked, other = pair.ask(n=1, deadline_ms=1_000_500), pair.ask(n=2)
    assert pair.expire(1_000_499) == 0
    assert pair.expire(1_000_500) == 1
    assert pair.state(asked) is State.EXPIRED
    assert isinstance(caller.failure_of(pair.call(asked)), CallTimeoutError)
    pair.world.hub_ms = 1_000_000  # the spoke's own idea of hub time is behind: the hub's abort still holds
    pair.work()
    assert effects(pair.spoke) == [2]
    assert (pair.state(asked), pair.state(other)) == (State.EXPIRED, State.DONE)
    assert pair.call(asked).late_result is None


def test_a_deadline_that_has_passed_before_the_call_begins(pair: Pair) -> None:
    asked = pair.ask(n=1, deadline_ms=1_000_500)
    pair.world.hub_ms = 1_000_500
    pair.work()
    assert effects(pair.spoke) == []
    assert pair.state(asked) is State.EXPIRED
    assert log_of(pair.spoke) == []


@pytest.mark.parametrize("looks", [True, False])
def test_a_deadline_that_passes_while_the_call_runs(pair: Pair, looks: bool) -> None:
    asked = pair.ask("test.once", 1, deadline_ms=1_000_500)

    def meanwhile(_: int, context: Any) -> None:
        assert pair.callee.next_deadline_ms() == 500
        pair.world.hub_ms = 1_000_600
        pair.callee.stop_overdue()
        assert context.abort.requested
        assert pair.callee.next_deadline_ms() is None, "it has been told"
        if looks:
            raise ValueError("stopped")

    pair.world.on_outside = meanwhile
    pair.work()
    assert pair.state(asked) is (State.EXPIRED if looks else State.DONE)


def test_a_result_that_comes_after_the_deadline_is_kept_as_late(pair: Pair) -> None:
    asked = pair.ask(n=1, deadline_ms=1_000_500)
    pair.deliver()
    run_all(pair.callee, pair.spoke)
    assert pair.expire(1_000_501) == 1
    pair.work()
    call = pair.call(asked)
    assert (call.state, call.result) == (State.EXPIRED, None)
    assert call.late_result is not None
    assert '"state":"DONE"' in call.late_result


def test_a_call_with_a_deadline_waits_until_the_hubs_time_is_known(pair: Pair) -> None:
    pair.world.hub_ms = None
    timed, behind, other = pair.ask(n=1, deadline_ms=1_000_500), pair.ask(n=2), pair.ask("other.read", 3)
    pair.work()
    assert [pair.state(each) for each in (timed, behind, other)] == [State.QUEUED, State.QUEUED, State.DONE]
    pair.world.hub_ms = 1_000_499
    pair.work()
    assert effects(pair.spoke) == [1, 2]


# -- crashes ---------------------------------------------------------------------------------------------------------


def test_effects_in_the_file_are_undone_by_a_crash_and_done_once(pair: Pair) -> None:
    asked = pair.ask("test.file", 1)
    crash_in_the_middle(pair)
    assert effects(pair.spoke) == []
    pair.work()
    assert effects(pair.spoke) == [1]
    assert pair.state(asked) is State.DONE


def test_at_most_once_is_not_run_again(pair: Pair) -> None:
    asked = pair.ask("test.once", 1)
    crash_in_the_middle(pair)
    pair.work()
    assert pair.world.outside == [1]
    assert pair.state(asked) is State.INDETERMINATE
    assert isinstance(caller.failure_of(pair.call(asked)), IndeterminateError)
    assert [event["type"] for event in log_of(pair.spoke)] == ["call.requested", "call.error"]


def test_idempotent_is_run_again_with_the_same_id(pair: Pair) -> None:
    asked = pair.ask("test.again", 1)
    ids: list[str] = []
    crash_in_the_middle(pair)
    pair.world.on_outside = lambda n, context: ids.append(context.request_id)
    pair.work()
    assert pair.world.outside == [1, 1]
    assert ids == [asked]
    assert pair.state(asked) is State.DONE
    assert [event["type"] for event in log_of(pair.spoke)] == ["call.requested", "call.responded"]


def test_idempotent_that_was_cancelled_meanwhile_is_not_run_again(pair: Pair) -> None:
    asked = pair.ask("test.again", 1)

    def cancel_and_crash(_: int, __: object) -> None:
        pair.cancel(asked)
        pair.deliver()
        pair.callee.take_in(["hub"])
        raise KeyboardInterrupt

    crash_in_the_middle(pair, cancel_and_crash)
    pair.work()
    assert pair.world.outside == [1]
    assert [result["state"] for result in log_of(pair.hub, results_from(NODE))] == ["RUNNING", "CANCELLED"]


def crash_in_the_middle(pair: Pair, how: Any = None) -> None:
    """Execute the first call and lose the process in the middle of its handler; another one comes up."""

    def crash(_: int, __: object) -> None:
        raise KeyboardInterrupt

    pair.world.on_outside = how or crash
    pair.deliver()
    with pytest.raises(KeyboardInterrupt):
        run_all(pair.callee, pair.spoke)
    pair.world.on_outside = lambda n, context: None
    pair.callee = pair.world.callee(pair.spoke)
    pair.callee.recover()


# -- restored files --------------------------------------------------------------------------------------------------


def test_a_result_of_a_call_that_this_file_does_not_know_is_recovered(pair: Pair) -> None:
    asked = pair.ask("test.once", 5)
    pair.deliver()
    run_all(pair.callee, pair.spoke)
    with pair.hub.transaction() as tx:  # the hub comes back from before the call
        tx.execute("DELETE FROM link_calls")
    pair.hear()
    call = pair.call(asked)
    assert (call.recovered, call.operation_id, call.state, call.input) == (True, "test.once", State.DONE, None)
    assert call.result is not None
    assert '"data":{"n":5}' in call.result


def test_a_call_that_comes_again_is_answered_again_and_not_done_again(pair: Pair) -> None:
    asked = pair.ask(n=1)
    pair.work()
    text = pair.hub.query("SELECT payload FROM _honker_stream WHERE topic = ?", (calls_to(NODE),))[0]["payload"]
    with pair.hub.transaction() as tx:  # the hub was restored from before the answer, and asks anew
        tx.execute("UPDATE link_calls SET state = 'QUEUED', result = NULL, ended_at = NULL")
        pair.hub.stream(calls_to(NODE)).append([(asked, text, 1)], tx)
    pair.work()
    assert effects(pair.spoke) == [1]
    assert pair.state(asked) is State.DONE


def test_a_restored_spoke_does_not_run_again_what_may_run_at_most_once(pair: Pair) -> None:
    asked = [pair.ask("test.once", 1), pair.ask("test.file", 2), pair.ask("test.again", 3)]
    pair.deliver()
    with pair.spoke.transaction() as tx:  # what the link does when it gives a restored file its calls again
        received.doubt(tx, "hub")
    later = pair.ask("test.once", 4)
    pair.work()
    assert [pair.state(each) for each in asked] == [State.INDETERMINATE, State.DONE, State.DONE]
    assert pair.state(later) is State.DONE
    assert pair.world.outside == [3, 4]
    assert isinstance(caller.failure_of(pair.call(asked[0])), IndeterminateError)


def test_nobody_answers_for_another_peer_or_calls_under_a_foreign_id(pair: Pair, tmp_path: Path) -> None:
    asked = pair.ask(n=1)
    forged = f'{{"type":"call.aborted","requestId":"{asked}","operationId":"x","state":"CANCELLED","timestamp":""}}'
    with pair.hub.transaction() as tx:
        pair.hub.stream(results_from("node-2")).append([(None, forged, 1)], tx)
        step(tx, caller.results("node-2", lambda: 1))
    assert pair.state(asked) is State.QUEUED
    assert len(pair.hub.query("SELECT 1 FROM projection_rejects")) == 1
    pair.work()
    text = f'{{"type":"call.requested","requestId":"{asked}","operationId":"test.file","input":{{"n":9}}}}'
    with pair.spoke.transaction() as tx:
        pair.spoke.stream(calls_from("other")).append([(None, text, 1)], tx)
    run_all(pair.callee, pair.spoke, "other")
    assert effects(pair.spoke) == [1]
    assert log_of(pair.spoke, results_to("other"))[0]["state"] == "REJECTED"


def test_an_output_that_is_too_long_is_told_without_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.durable.received.MAX_EVENT_BYTES", 100)
    asked = pair.ask(n=1)
    pair.work()
    call = pair.call(asked)
    assert call.state is State.DONE
    assert call.result is not None
    assert "bytes of result" in call.result
    assert '"output"' not in call.result


def test_failures_have_their_own_types() -> None:
    for kind in (QuotaExceededError, PeerAwayError, KeyTakenError, TooLargeError, NoSuchCallError, IndeterminateError):
        assert issubclass(kind, CallFailed)
        assert kind("x").hint


def test_calls_that_ended_long_ago_are_forgotten_at_both_ends(pair: Pair) -> None:
    from storage.maintenance import DAY_S, clean_up

    now_ms = round(pair.hub.clock() * 1000)
    pair.world.now_ms = pair.world.hub_ms = now_ms - 91 * DAY_S * 1000
    pair.ask(n=1)
    pair.work()
    waiting = pair.ask(n=2)
    pair.world.now_ms = pair.world.hub_ms = now_ms
    recent = pair.ask(n=3)
    pair.cancel(recent)
    assert [clean_up(db, 90)["durableCalls"] for db in (pair.hub, pair.spoke)] == [1, 1]
    assert {row["call_id"] for row in pair.hub.query("SELECT call_id FROM link_calls")} == {waiting, recent}


def test_lists(pair: Pair) -> None:
    first = pair.ask(n=1)
    pair.world.now_ms += 5
    second = pair.ask(n=2)
    pair.cancel(first)
    with pair.hub.snapshot() as snapshot:
        assert [call.call_id for call in caller.list_calls(snapshot)] == [second, first]
        assert [call.call_id for call in caller.list_calls(snapshot, pending=True)] == [second]
        assert caller.list_calls(snapshot, peer="other") == []
        assert caller.next_deadline(snapshot) is None
