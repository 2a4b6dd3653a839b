"""Both ends against a model, with a crash between every two commits: files are reopened, objects are lost.

The oracle: an effect in the file happens at most once whatever crashes, and exactly once when its call is DONE; an
effect outside the file at most once for `at_most_once`; every call ends, and both ends agree how.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage.engine import Database
from storage.projections.projection import step
from sync.durable import caller
from sync.durable.callee import Callee
from sync.durable.states import ENDED, State
from sync.durable.topics import calls_from, calls_to
from tests.sync.durable.wire import World, carry_calls, carry_results, effects, open_pair, reached, run_all

NODE = "node-1"
OPERATIONS = ("test.file", "test.again", "test.once", "other.read", "test.nothing")


class PowerCut(BaseException):
    """The process is gone: nothing after this line of it happens."""


class Fuse:
    """Lets so many commits of a file pass, then cuts the power before or after the next one."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.after = False
        writer: Any = db._writer
        commit = writer.commit

        def cut(tx: Any) -> None:
            if self.left is None:
                commit(tx)
                return
            if self.left == 0 and not self.after:
                writer.rollback(tx)
                raise PowerCut
            commit(tx)
            if self.left == 0:
                raise PowerCut
            self.left -= 1

        monkeypatch.setattr(writer, "commit", cut)


class Ends(RuleBasedStateMachine):
    """A hub and a spoke, each of which loses its process now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.monkeypatch = pytest.MonkeyPatch()
        self.world = World()
        self.count = 0
        self.asked: dict[str, tuple[str, int]] = {}
        self.keys: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        self.hub, self.spoke = open_pair(Path(self.folder.name))
        self.fuse = Fuse(self.spoke, self.monkeypatch)
        self.callee: Callee = self.world.callee(self.spoke)
        self.callee.recover()

    def reopen(self) -> None:
        self.monkeypatch.undo()
        self.hub.close()
        self.spoke.close()
        self.open()

    def teardown(self) -> None:
        self.settle()
        self.monkeypatch.undo()
        self.hub.close()
        self.spoke.close()
        self.folder.cleanup()

    # -- what happens ------------------------------------------------------------------------------------------------

    @initialize(operations=st.lists(st.sampled_from(OPERATIONS), min_size=3, max_size=8))
    def begin(self, operations: list[str]) -> None:
        """Some calls wait from the start, so that crashes find something."""
        for operation in operations:
            self.ask(operation, None, None, crash=False)
        self.deliver(len(operations))

    @rule(
        operation=st.sampled_from(OPERATIONS),
        deadline=st.sampled_from([None, None, 500, 5_000]),
        key=st.sampled_from([None, None, "a", "b"]),
        crash=st.sampled_from([False, False, False, True]),
    )
    def ask(self, operation: str, deadline: int | None, key: str | None, crash: bool) -> None:
        """A call, in a transaction that may be lost with its process."""
        self.count += 1
        if key is not None:
            operation, value = "test.file", {"n": ord(key)}
        else:
            value = {"n": self.count}
        call_id = f"call-{self.count:05}"
        try:
            with self.hub.transaction() as tx:
                call = caller.request(
                    tx,
                    NODE,
                    operation,
                    value,
                    call_id=call_id,
                    now_ms=self.world.now_ms,
                    present=False,
                    deadline_ms=None if deadline is None else self.world.now_ms + deadline,
                    idempotency_key=key,
                )
                if crash:
                    raise PowerCut
        except PowerCut:
            self.reopen()
            return
        if key is not None and key in self.keys:
            assert call.call_id == self.keys[key], "the same key is the same call"
        else:
            self.asked[call_id] = operation, value["n"]
            if key is not None:
                self.keys[key] = call_id

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = [row["call_id"] for row in self.hub.query("SELECT call_id FROM link_calls ORDER BY call_id")]
        if known:
            call_id = data.draw(st.sampled_from(known))
            with self.hub.transaction() as tx:
                caller.cancel(tx, call_id, self.world.now_ms)

    @rule(ms=st.sampled_from([100, 1_000, 10_000]))
    def wait(self, ms: int) -> None:
        """Time passes; the hub looks at its deadlines."""
        self.world.now_ms += ms
        if self.world.hub_ms is not None:
            self.world.hub_ms = self.world.now_ms
        with self.hub.transaction() as tx:
            caller.expire(tx, self.world.now_ms)

    @rule(limit=st.integers(1, 3))
    def deliver(self, limit: int) -> None:
        carry_calls(self.hub, self.spoke, limit=limit)
        with self.hub.transaction() as tx:
            caller.acked(tx, NODE, reached(self.spoke, calls_to(NODE), calls_from("hub")))

    @rule(limit=st.integers(1, 3))
    def answer(self, limit: int) -> None:
        carry_results(self.hub, self.spoke, limit=limit)
        with self.hub.transaction() as tx:
            step(tx, caller.results(NODE, lambda: self.world.now_ms), limit)

    @rule(calls=st.integers(1, 4))
    def execute(self, calls: int) -> None:
        run_all(self.callee, self.spoke, most=calls)

    @rule(commits=st.integers(0, 12), after=st.booleans())
    def crash_at_a_commit(self, commits: int, after: bool) -> None:
        """Executes until the power is cut at a commit of the spoke: before it, or right after it."""
        self.fuse.left, self.fuse.after = commits, after
        try:
            run_all(self.callee, self.spoke)
        except PowerCut:
            self.reopen()
        else:
            self.fuse.left = None

    @rule(handlers=st.integers(0, 5))
    def crash_in_a_handler(self, handlers: int) -> None:
        """Executes until a handler is in the middle of its effect, and loses the process there."""
        left = iter(range(handlers))

        def crash(_: int, __: object) -> None:
            if next(left, None) is None:
                raise PowerCut

        self.world.on_outside = crash
        try:
            run_all(self.callee, self.spoke)
        except PowerCut:
            self.reopen()
        finally:
            self.world.on_outside = lambda n, context: None

    @rule(known=st.booleans())
    def restart(self, known: bool) -> None:
        """Both processes anew; the spoke may not have heard the hub's time yet."""
        self.world.hub_ms = self.world.now_ms if known else None
        self.reopen()

    @precondition(lambda self: self.count > 0)
    @rule()
    def the_hub_forgets(self) -> None:
        """The hub's file comes back from before a call that had been heard of: a result nobody asked for."""
        lost = [row["call_id"] for row in self.hub.query("SELECT call_id FROM link_calls WHERE state = 'RECEIVED'")]
        if lost:
            with self.hub.transaction() as tx:
                tx.execute("DELETE FROM link_calls WHERE call_id = ?", (lost[0],))
            self.keys = {key: value for key, value in self.keys.items() if value != lost[0]}

    # -- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def no_effect_happens_twice(self) -> None:
        if not hasattr(self, "spoke"):
            return
        in_file = Counter(effects(self.spoke))
        asked = Counter(n for operation, n in self.asked.values() if operation == "test.file")
        assert all(count <= asked[n] for n, count in in_file.items())
        once = {n for operation, n in self.asked.values() if operation == "test.once"}
        outside = Counter(self.world.outside)
        assert all(outside[n] <= 1 for n in once)

    def settle(self) -> None:
        """Everything comes to rest, and then both ends agree with each other and with what has happened."""
        self.fuse.left = None
        self.world.hub_ms = self.world.now_ms
        for _ in range(3):
            while carry_calls(self.hub, self.spoke):
                pass
            run_all(self.callee, self.spoke)
            while carry_results(self.hub, self.spoke):
                pass
            with self.hub.transaction() as tx:
                while step(tx, caller.results(NODE, lambda: self.world.now_ms)):
                    pass
        self.no_effect_happens_twice()
        there = {row["call_id"]: State(row["state"]) for row in self.spoke.query("SELECT * FROM link_received_calls")}
        here = {row["call_id"]: row for row in self.hub.query("SELECT * FROM link_calls")}
        in_file, outside = Counter(effects(self.spoke)), Counter(self.world.outside)
        done = Counter(
            n for call_id, (operation, n) in self.asked.items() if operation == "test.file" and there[call_id] == "DONE"
        )
        assert in_file == done, "an effect in the file is there if and only if its call is done"
        for call_id, (operation, n) in self.asked.items():
            callee, row = there[call_id], here[call_id]
            assert callee in ENDED
            state = State(row["state"])
            assert state in ENDED
            if state is not callee:
                assert state in (State.EXPIRED, State.CANCELLED), "only who gives up sees it otherwise"
                if callee not in (State.EXPIRED, State.CANCELLED):
                    assert row["late_result"] is not None
            if operation == "test.nothing" and callee is not State.CANCELLED:
                assert callee is State.REJECTED
            if operation == "test.once":
                assert outside[n] == (callee in (State.DONE, State.INDETERMINATE)) or callee is State.INDETERMINATE
            if operation in ("test.again", "other.read"):
                assert callee is not State.INDETERMINATE
                assert outside[n] >= (callee is State.DONE)
        log = [event.payload for event in self.spoke.stream("call-protocol").read(limit=100_000)]
        begun = Counter(event["requestId"] for event in log if event["type"] == "call.requested")
        ended = Counter(event["requestId"] for event in log if event["type"] != "call.requested")
        assert begun == ended, "every call that began has one end in the log"
        assert set(begun.values()) <= {1}


Ends.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestEnds = Ends.TestCase
