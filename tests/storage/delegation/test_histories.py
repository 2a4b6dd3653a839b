"""Random histories: delegations come and go, the process dies, any of the three files comes back from a backup.

After each reconciliation that runs to its end: the files hold exactly what `system.db` says is active, nothing gives
more than its giver holds, what was over everywhere stays over, and what changed is in the audit trail.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage.delegation.traces import ENDED
from storage.graphs.acl import NOTHING, authority_of
from storage.graphs.writing import delete_edge, delete_node
from storage.scopes import covers
from tests.storage.delegation.world import PEOPLE, Crash, World

GIVERS, TAKERS = (st.sampled_from(PEOPLE[slug]) for slug in ("acme", "beta"))
SCOPES = st.lists(st.sampled_from(["fs:read", "fs:*", "db:*", "*", "admin:all"]), max_size=3, unique=True)
NAMES = st.sampled_from(["system", "acme", "beta"])
POWERS = ("fs:read", "fs:write", "db:read", "db:write", "admin:all")


class Histories(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "hub").mkdir()
        self.world = World(self.folder / "hub")
        self.made: list[str] = []
        for name in ("system", "acme", "beta"):
            self.world.save(name, self.folder / name)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            shutil.rmtree(self.folder)

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(giver=GIVERS, taker=TAKERS, scopes=SCOPES.filter(bool), settle=st.booleans())
    def create(self, giver: str, taker: str, scopes: list[str], settle: bool) -> None:
        world = self.world
        if self._statuses() & {giver, taker}:
            return
        self.made.append(world.create(giver, taker, *scopes))
        if settle:
            world.settler.settle(self.made[-1])

    def _statuses(self) -> set[str]:
        """Who is not active."""
        rows = self.world.system.query("SELECT email FROM accounts WHERE status <> 'active'")
        return {str(row["email"]) for row in rows}

    @rule(data=st.data(), settle=st.booleans())
    def revoke(self, data: st.DataObject, settle: bool) -> None:
        known = [str(row["id"]) for row in self.world.system.query("SELECT id FROM delegations ORDER BY rowid")]
        if known:
            which = data.draw(st.sampled_from(known))
            self.world.revoke(which)
            assert self.world.gives(which) == NOTHING
            if settle:
                self.world.settler.settle(which)

    @rule(giver=GIVERS, scopes=SCOPES)
    def hold(self, giver: str, scopes: list[str]) -> None:
        self.world.hold(giver, scopes)

    @rule(who=st.sampled_from([*PEOPLE["acme"], *PEOPLE["beta"]]), status=st.sampled_from(["active", "suspended"]))
    def status(self, who: str, status: str) -> None:
        self.world.status(who, "suspended" if status == "suspended" else "active")

    @rule(steps=st.integers(0, 30))
    def die_while_reconciling(self, steps: int) -> None:
        self.world.countdown = steps
        try:
            self.world.reconcile()
        except Crash:
            self.world.close()
            self.world.reopen()
        self.world.countdown = None

    @rule(name=NAMES)
    def save(self, name: str) -> None:
        self.world.save(name, self.folder / name)

    @rule(name=NAMES, at_once=st.booleans())
    def restore(self, name: str, at_once: bool) -> None:
        self.world.restore(name, self.folder / name)
        if at_once:
            self.check_reconciliation()

    @rule(name=NAMES, giver=GIVERS, taker=TAKERS, data=st.data())
    def lose_what_was_just_done(self, name: str, giver: str, taker: str, data: st.DataObject) -> None:
        """A backup comes back that is one deed old."""
        self.save(name)
        if data.draw(st.booleans()):
            self.create(giver, taker, ["fs:read"], True)
        else:
            self.revoke(data, True)
        self.restore(name, True)

    @rule(slug=st.sampled_from(["acme", "beta"]), whole=st.booleans(), data=st.data())
    def meddle(self, slug: str, whole: bool, data: st.DataObject) -> None:
        """Somebody deletes what a tenant's file holds of a delegation."""
        held = sorted(self.world.live(slug))
        if not held:
            return
        key = f"delegation:{data.draw(st.sampled_from(held))}"
        with self.world.files[slug].transaction() as tx:
            if whole:
                delete_node(tx, "acl", key)
            else:
                for (edge,) in tx.rows("SELECT id FROM edges WHERE key = ?", (key,)):
                    delete_edge(tx, str(edge))

    # -- what holds --------------------------------------------------------------------------------------------------

    @rule()
    def reconcile(self) -> None:
        self.check_reconciliation()

    def check_reconciliation(self) -> None:
        world = self.world
        before = {slug: world.held(slug) for slug in PEOPLE}
        over = {which for slug in PEOPLE for which, trace in before[slug].items() if trace.about.get(ENDED)}
        states = {row["id"]: row["state"] for row in world.system.query("SELECT id, state FROM delegations")}
        told = len(world.trail())
        assert world.reconcile().failed == {}
        after = {row["id"]: row["state"] for row in world.system.query("SELECT id, state FROM delegations")}
        assert set(after.values()) <= {"active", "revoked", "failed"}
        active = {which for which, state in after.items() if state == "active"}
        assert world.live("acme") == world.live("beta") == active
        assert not active & over
        for which, state in states.items():
            assert state in ("pending", "active") or after[which] in ("revoked", "failed")
        audited = {details["id"] for _, details in world.trail()[told:]}
        changed = {which for which, state in after.items() if states.get(which) != state}
        for slug in PEOPLE:
            held = world.held(slug)
            changed |= {
                which for which in held.keys() | before[slug].keys() if held.get(which) != before[slug].get(which)
            }
        assert changed <= audited
        count = len(world.trail())
        assert world.reconcile().settled == 0
        assert len(world.trail()) == count  # it is quiet

    @invariant()
    def nothing_gives_more_than_its_giver_holds(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        with world.system.snapshot() as snapshot:
            rows = snapshot.rows("SELECT id, from_account_id, to_account_id, state FROM delegations")
            inactive = {row[0] for row in snapshot.rows("SELECT id FROM accounts WHERE status <> 'active'")}
        for which, giver, taker, state in rows:
            given = world.gives(str(which)).scopes
            if state != "active" or giver in inactive or taker in inactive:
                assert not given
                continue
            with world.files["acme"].snapshot() as acme:
                held = authority_of(acme, str(giver), frozenset(map(str, inactive))).scopes
            limits = world.intent(str(which)).scopes
            assert not given or (which in world.live("acme") and which in world.live("beta"))
            for power in POWERS:
                if covers(given, power):
                    assert covers(held, power)
                    assert covers(limits, power)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
