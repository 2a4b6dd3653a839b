"""Makes what the tenants' files hold of delegations what `system.db` wants, from any state they were left in.

Each step looks first, writes one file in one transaction, and is right to be done again; the state in `system.db` is
changed only from the state that the step started from. So it does not matter where a crash comes, or whether several
work at once: who wrote by an outdated intent finds the state changed, looks again, and takes it back.

What changes is audited: a repair before it is made (at least once, should a crash come between), a state with itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage import engine
from storage.delegation.authority import Opened, could_pass_on
from storage.delegation.errors import UnsettledError
from storage.delegation.intents import (
    Intent,
    Party,
    adopt,
    audit_delegation,
    end_gone,
    find_delegation,
    inactive_accounts,
    list_delegations,
    move,
    note_failure,
    parties,
    revoke_delegation,
    why_gone,
)
from storage.delegation.traces import NOTHING, Side, Trace, end, establish, look, look_for_all, wanted
from storage.engine import Database
from storage.engine.errors import EngineError
from storage.graphs.acl import NOTHING as NO_AUTHORITY
from storage.graphs.membership import follow_members, read_members
from storage.identity.organizations import Organization
from storage.tenant_files import file_of

SIDES: tuple[Side, Side] = ("giver", "taker")


@dataclass(slots=True)
class Report:
    """What a reconciliation found."""

    delegations: int = 0
    settled: int = 0
    """How many were not as they should be, and are now."""
    unknown: int = 0
    """How many of those `system.db` did not know."""
    failed: dict[str, str] = field(default_factory=dict)
    """Delegations that could not be settled now, and why."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Tenants whose file could not be read, and why: what it holds is not known."""


class Settler:
    """Settles the delegations of one hub.

    Args:
        system: `system.db`.
        folder: where the tenants' files are; they are looked through read-only.
        opened: opens a tenant's file for writing.
        actor_id: the account in whose name it is audited: the hub's operator.
    """

    def __init__(self, system: Database, folder: Path, opened: Opened, actor_id: str) -> None:
        self._system = system
        self._folder = folder
        self._opened = opened
        self._actor = actor_id

    def settle(self, delegation_id: str) -> None:
        """Bring one delegation to rest. Idempotent.

        Raises:
            UnknownDelegationError: there is none.
            EngineError: a file cannot be opened or written; noted beside the delegation.
        """
        try:
            while not self._step(delegation_id):
                pass
        except EngineError as error:
            with self._system.transaction() as tx:
                note_failure(tx, delegation_id, f"{type(error).__name__}: {error}")
            raise

    def end_gone(self) -> int:
        """End the delegations whose principals are deactivated or no members any more; returns how many."""
        with self._system.transaction() as tx:
            return end_gone(tx, actor_id=self._actor)

    def reconcile(self) -> Report:
        """Compare every tenant's file with `system.db`, both ways, and settle what differs.

        Files that hold nothing to change are only read. What cannot be read or settled stops nothing else.
        """
        report = Report()
        self.end_gone()
        held = list(self._held(report))  # before the intents: what is in a file was wanted then
        with self._system.snapshot() as snapshot:
            intents = {intent.id: intent for intent in list_delegations(snapshot)}
        for org, traces in held:
            for delegation_id, trace in traces.items():
                if delegation_id not in intents and trace.live:
                    report.unknown += self._adopt(org, delegation_id, trace)
        with self._system.snapshot() as snapshot:
            intents = {intent.id: intent for intent in list_delegations(snapshot)}
        report.delegations = len(intents)
        by_org = {org.id: traces for org, traces in held}
        for intent in intents.values():
            ends = (intent.from_org_id, intent.to_org_id)
            if at_rest(intent, *(by_org.get(org_id, {}).get(intent.id, NOTHING) for org_id in ends)):
                continue
            try:
                self.settle(intent.id)
                report.settled += 1
            except EngineError as error:
                report.failed[intent.id] = str(error)
        return report

    def reconcile_or_raise(self) -> Report:
        """`reconcile`, for a job that is tried again.

        Raises:
            UnsettledError: names the delegations that could not be settled.
        """
        report = self.reconcile()
        if report.failed:
            raise UnsettledError("; ".join(f"{name}: {error}" for name, error in report.failed.items()))
        return report

    # -- one step ----------------------------------------------------------------------------------------------------

    def _step(self, delegation_id: str) -> bool:
        """Do what is next; True when nothing is."""
        with self._system.snapshot() as snapshot:
            intent = find_delegation(snapshot, delegation_id)
            ends = dict(zip(SIDES, parties(snapshot, intent), strict=True))
            gone = why_gone(snapshot, intent)
        if intent.live and gone is not None:
            return self._revoke(intent, gone)
        found = {side: self._look(ends[side], intent) for side in SIDES}
        return self._start(intent, ends, found) if intent.live else self._stop(intent, ends, found)

    def _start(self, intent: Intent, ends: dict[Side, Party], found: dict[Side, Trace]) -> bool:
        ended = [ends[side].slug for side in SIDES if found[side].ended]
        if ended:
            return self._revoke(intent, f"the file of {ended[0]} knows that it was revoked; system.db is older")
        missing = [side for side in SIDES if found[side] != wanted(intent, side)]
        if intent.state == "active":
            if not missing:
                return True
            details = {"tenants": [ends[side].slug for side in missing]}
            with self._system.transaction() as tx:
                move(tx, intent, "pending", "lost", self._actor, details=details)
            return False
        for side in SIDES:  # the giver's first: what is in force was granted
            if side in missing and not self._establish(intent, side, ends[side]):
                error = "the giver holds none of what it delegates"
                with self._system.transaction() as tx:
                    move(tx, intent, "failed", "failed", self._actor, error=error, details={"reason": error})
                return False
        with self._system.transaction() as tx:
            return move(tx, intent, "active", "applied", self._actor)

    def _establish(self, intent: Intent, side: Side, end_: Party) -> bool:
        """Write one file; False, and nothing written, when there is nothing to delegate at the very first."""
        org_id = intent.from_org_id if side == "giver" else intent.to_org_id
        with self._system.snapshot() as snapshot:
            members = read_members(snapshot, org_id)
            inactive = inactive_accounts(snapshot)
        assert end_.slug is not None, "an organisation that is gone ends the delegation"
        with self._opened(end_.slug) as db, db.transaction() as tx:
            follow_members(tx, org_id, members)
            first = side == "giver" and intent.applied_at is None
            if first and could_pass_on(tx, intent, inactive) == NO_AUTHORITY:
                return False
            establish(tx, intent, side)
        return True

    def _stop(self, intent: Intent, ends: dict[Side, Party], found: dict[Side, Trace]) -> bool:
        # The taker's first: it is what is acted on. Where nothing is, too: an older system.db must not bring it back.
        left = [
            side
            for side in reversed(SIDES)
            if found[side].live or (intent.state == "revoking" and not found[side].ended and self._exists(ends[side]))
        ]
        if intent.state != "revoking":
            if not left:
                return True
            with self._system.transaction() as tx:
                details = {"tenants": [ends[side].slug for side in left]}
                audit_delegation(tx, intent, "found", self._actor, details)
        for side in left:
            org_id = intent.from_org_id if side == "giver" else intent.to_org_id
            slug = ends[side].slug
            if slug is None:
                continue
            with self._system.snapshot() as snapshot:
                members = read_members(snapshot, org_id)
            with self._opened(slug) as db, db.transaction() as tx:
                follow_members(tx, org_id, members)
                end(tx, intent, side)
        if intent.state != "revoking":
            return False
        with self._system.transaction() as tx:
            return move(tx, intent, "revoked", "revoked", self._actor, error=intent.error)

    def _revoke(self, intent: Intent, reason: str) -> bool:
        with self._system.transaction() as tx:
            revoke_delegation(tx, intent.id, actor_id=self._actor, reason=reason)
        return False

    # -- looking -----------------------------------------------------------------------------------------------------

    def _exists(self, party: Party) -> bool:
        return party.slug is not None and file_of(self._folder, party.slug).exists()

    def _look(self, party: Party, intent: Intent) -> Trace:
        if party.slug is None or not self._exists(party):
            return NOTHING
        with self._opened(party.slug) as db, db.snapshot() as snapshot:
            return look(snapshot, intent.id)

    def _held(self, report: Report) -> Iterator[tuple[Organization, dict[str, Trace]]]:
        """What every tenant's file holds, by delegation."""
        with self._system.snapshot() as snapshot:
            rows = snapshot.rows("SELECT id, name, slug, owner_id FROM organizations ORDER BY slug")
        for org in (Organization(*row) for row in rows):
            path = file_of(self._folder, org.slug)
            if not path.exists():
                continue
            try:
                db = engine.open(path, read_only=True)
                try:
                    with db.snapshot() as held:
                        yield org, look_for_all(held)
                finally:
                    db.close()
            except EngineError as error:
                report.unreadable[org.slug] = str(error)

    def _adopt(self, org: Organization, delegation_id: str, trace: Trace) -> bool:
        about = trace.about
        names = ("fromOrg", "fromAccount", "toOrg", "toAccount")
        from_org, from_account, to_org, to_account = (str(about.get(name, "")) for name in names)
        ends = (from_org or org.id, from_account, to_org, to_account)
        if org.id not in (from_org, to_org):  # made up: what is removed is what was found
            ends = (org.id, "", org.id, "")
        limits = trace.edges[0][3] if trace.edges else {}
        with self._system.transaction() as tx:
            return adopt(
                tx,
                delegation_id,
                ends,
                limits.get("narrowedScopes") or [],
                limits.get("narrowedResources") or {},
                org.slug,
                actor_id=self._actor,
            )


def at_rest(intent: Intent, giver: Trace, taker: Trace) -> bool:
    """Whether there is nothing to do, as far as the files were looked at."""
    if intent.state == "active":
        return giver == wanted(intent, "giver") and taker == wanted(intent, "taker")
    return intent.state in ("revoked", "failed") and not giver.live and not taker.live
