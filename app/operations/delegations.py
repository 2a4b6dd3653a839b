"""`delegations.*` of the hub's own registry: delegation across tenants. Tables give `find` and `list`."""

from __future__ import annotations

from pydantic import Field

from app.operations.declare import Group, NothingInput
from storage.background import ask
from storage.delegation.intents import QUEUE, State, create_delegation, find_delegation, revoke_delegation
from storage.identity.errors import IdentityError
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class End(Model):
    """A principal of a tenant."""

    org: str
    """Slug or id."""
    account: str
    """Address or id."""


class CreateInput(Model):
    """Who lets whom do what at most; a resource that is not named is not given."""

    giver: End
    taker: End
    scopes: list[str] = Field(default_factory=list)
    resources: dict[str, list[str]] = Field(default_factory=dict)


class IdInput(Model):
    """A delegation, by its id or the beginning of it."""

    id: str


class StateOutput(Model):
    """A delegation and how far it is."""

    id: str
    state: State


class AskedOutput(Model):
    """A job waits in the queue `delegation`."""

    asked: bool


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "delegations")

    @group.mutation("create", "Let a principal of one tenant do something for a principal of another")
    def create(given: CreateInput, context: OperationContext) -> StateOutput:
        giver, taker = ((end.org, end.account) for end in (given.giver, given.taker))
        made = create_delegation(
            context.transaction, giver, taker, given.scopes, given.resources, actor_id=_actor(context)
        )
        return StateOutput(id=made.id, state=made.state)

    @group.mutation("revoke", "End a delegation, at once")
    def revoke(given: IdInput, context: OperationContext) -> StateOutput:
        revoke_delegation(context.transaction, given.id, actor_id=_actor(context))
        found = find_delegation(context.transaction, given.id)
        return StateOutput(id=found.id, state=found.state)

    @group.mutation("reconcile", "Ask the hub to compare every tenant's file with what is wanted")
    def reconcile(_: NothingInput, context: OperationContext) -> AskedOutput:
        ask(context.transaction, QUEUE, {"task": "reconcile"}, once=True)
        return AskedOutput(asked=True)


def _actor(context: OperationContext) -> str:
    if context.identity is None:
        raise IdentityError("delegating is done by an account: call with the identity of one")
    return context.identity.id
