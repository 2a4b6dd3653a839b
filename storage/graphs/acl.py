"""The evaluator: who may do what in the end. Pure; `load` reads the graph it works on.

Rules (ADR-036, `docs/decisions/0007-acl.md`):

* A person, an organisation, a role has authority of its own: its `scopes`, its `resources`, and what its `can_*` edges
  point to. A service (an agent) has none: what its node names is a ceiling.
* `belongs_to` gives a member what the organisation or the role holds.
* `delegates` gives the target what the source may pass on, cut down to `narrowedScopes` and `narrowedResources`. Who
  got something over an edge that is not `narrowable` holds it, and cannot pass it on.
* Several delegations add up; each one stays within its own chain. Cycles add nothing.

So every edge can only add, removing one can only take away, and nothing that a service holds was not held by each
principal of a chain that leads to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from storage.graphs.errors import NotFoundError
from storage.graphs.queries import Source, all_edges, all_nodes
from storage.scopes import (
    Resources,
    covers,
    covers_resource,
    intersect,
    intersect_resources,
    reduced,
    unite_resources,
)

IdentityType: TypeAlias = Literal["account", "org", "service", "role"]
Action: TypeAlias = Literal["read", "write", "execute"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Scopes and resources."""

    scopes: frozenset[str] = frozenset()
    resources: Resources = field(default_factory=dict)

    def narrowed(self, scopes: Iterable[str], resources: Resources | None) -> Authority:
        """What is left within limits; `resources` None does not limit them."""
        kept = dict(self.resources) if resources is None else intersect_resources(self.resources, resources)
        return Authority(intersect(self.scopes, scopes), kept)

    def united(self, other: Authority) -> Authority:
        """Both."""
        return Authority(reduced(self.scopes | other.scopes), unite_resources(self.resources, other.resources))

    def allows(
        self,
        required: Sequence[str] = (),
        required_any: Sequence[str] = (),
        resource: str | None = None,
        action: str | None = None,
    ) -> bool:
        """Whether all of `required`, one of `required_any`, and the action on the resource are covered."""
        return (
            all(covers(self.scopes, scope) for scope in required)
            and (not required_any or any(covers(self.scopes, scope) for scope in required_any))
            and (resource is None or covers_resource(self.resources, resource, action or "read"))
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts."""

    key: str
    identity_type: IdentityType
    identity_id: str
    own: Authority = Authority()


@dataclass(frozen=True, slots=True)
class Delegation:
    """An edge `delegates`."""

    source: str
    target: str
    scopes: frozenset[str]
    resources: Resources | None = None
    narrowable: bool = False


@dataclass(frozen=True, slots=True)
class Acl:
    """An ACL graph as the evaluator needs it. `inactive` principals hold nothing and pass nothing on."""

    principals: Mapping[str, Principal]
    delegations: Sequence[Delegation] = ()
    memberships: Sequence[tuple[str, str]] = ()
    """`belongs_to`: member, organisation or role."""
    inactive: frozenset[str] = frozenset()


NOTHING = Authority()


def evaluate(acl: Acl) -> dict[str, Authority]:
    """What each principal may do.

    The least fixed point: everybody begins with their own, and edges add until nothing changes. It ends, since scopes
    are met from a finite set and only ever added.
    """
    everybody = [key for key in acl.principals if key not in acl.inactive]
    held = {key: _own(acl.principals[key]) for key in everybody}
    passable = dict(held)
    changed = True
    while changed:
        changed = False
        for member, group in acl.memberships:
            changed |= _add(acl, held, member, held.get(group, NOTHING))
            changed |= _add(acl, passable, member, passable.get(group, NOTHING))
        for edge in acl.delegations:
            given = passable.get(edge.source, NOTHING).narrowed(edge.scopes, edge.resources)
            changed |= _add(acl, held, edge.target, given)
            if edge.narrowable:
                changed |= _add(acl, passable, edge.target, given)
    return {key: held.get(key, NOTHING) for key in acl.principals}


def _own(principal: Principal) -> Authority:
    return NOTHING if principal.identity_type == "service" else principal.own


def _add(acl: Acl, to: dict[str, Authority], key: str, more: Authority) -> bool:
    if key not in to:  # unknown, or inactive
        return False
    principal = acl.principals[key]
    if principal.identity_type == "service" and (principal.own.scopes or principal.own.resources):
        more = more.narrowed(principal.own.scopes, principal.own.resources or None)
    united = to[key].united(more)
    if united == to[key]:
        return False
    to[key] = united
    return True


# -- from a graph ----------------------------------------------------------------------------------------------------

_ACTIONS: dict[str | None, Action] = {"can_read": "read", "can_write": "write", "can_execute": "execute"}


def load(source: Source, graph_id: str, inactive_ids: frozenset[str] = frozenset()) -> Acl:
    """Read an ACL graph; `inactive_ids` are identities (accounts) that are suspended."""
    resources: dict[str, str] = {}
    principals: dict[str, Principal] = {}
    for node in all_nodes(source, graph_id):
        given = node.attributes
        if node.type == "resource":
            resources[node.key] = f"{given['resourceType']}:{given['resourceId']}"
        else:
            own = Authority(reduced(given.get("scopes") or ()), _sets(given.get("resources") or {}))
            principals[node.key] = Principal(node.key, given["identityType"], given["identityId"], own)
    delegations, memberships = [], []
    for edge in all_edges(source, graph_id):
        given = edge.attributes
        if edge.type == "delegates":
            limits = given.get("narrowedResources")
            delegations.append(
                Delegation(
                    edge.source,
                    edge.target,
                    frozenset(given["narrowedScopes"]),
                    None if limits is None else _sets(limits),
                    bool(given.get("narrowable", False)),
                )
            )
        elif edge.type == "belongs_to":
            memberships.append((edge.source, edge.target))
        elif edge.type in _ACTIONS and edge.source in principals and edge.target in resources:
            principal = principals[edge.source]
            more = Authority(resources={resources[edge.target]: frozenset({_ACTIONS[edge.type]})})
            own = principal.own.united(more)
            principals[edge.source] = Principal(principal.key, principal.identity_type, principal.identity_id, own)
    inactive = frozenset(key for key, found in principals.items() if found.identity_id in inactive_ids)
    return Acl(principals, delegations, memberships, inactive)


def acl_graphs(source: Source) -> list[str]:
    """The ids of the active ACL graphs."""
    return [
        str(row[0]) for row in source.rows("SELECT id FROM graphs WHERE graph_type_id = 'acl' AND status = 'active'")
    ]


def authority_of(source: Source, identity_id: str, inactive_ids: frozenset[str] = frozenset()) -> Authority:
    """What an account or a service may do in this tenant: all its principals in all active ACL graphs together.

    Raises:
        NotFoundError: no ACL graph knows it.
    """
    found: Authority | None = None
    for graph_id in acl_graphs(source):
        acl = load(source, graph_id, inactive_ids)
        keys = [key for key, principal in acl.principals.items() if principal.identity_id == identity_id]
        if keys:
            results = evaluate(acl)
            for key in keys:
                found = (found or NOTHING).united(results[key])
    if found is None:
        raise NotFoundError(f"no ACL graph of this tenant knows {identity_id!r}")
    return found


def _sets(given: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(actions) for name, actions in given.items()}


def as_json(authority: Authority) -> tuple[str, str]:
    """Scopes and resources as JSON texts, in a fixed order."""
    resources = {name: sorted(actions) for name, actions in sorted(authority.resources.items())}
    return json.dumps(sorted(authority.scopes)), json.dumps(resources)
