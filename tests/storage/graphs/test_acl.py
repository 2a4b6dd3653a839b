"""Authority never grows on its way, and what is revoked is gone for everybody behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.engine import Database
from storage.graphs.acl import (
    Acl,
    Authority,
    Delegation,
    IdentityType,
    Principal,
    as_json,
    authority_of,
    evaluate,
    load,
)
from storage.graphs.errors import NotFoundError
from storage.graphs.writing import create_graph, delete_edge, put_edge, put_node

WANTED = ["fs:read", "fs:write", "db:read", "db:write", "admin"]
RESOURCES = [("doc:1", "read"), ("doc:1", "write"), ("doc:2", "read")]
scopes = st.frozensets(st.sampled_from(["fs:*", "*:read", "fs:write", "db:read", "*", "admin"]), max_size=3)
resources = st.dictionaries(
    st.sampled_from(["doc:1", "doc:2", "doc:*"]),
    st.frozensets(st.sampled_from(["read", "write", "*"]), min_size=1),
    max_size=2,
)
KEYS = [f"p{number}" for number in range(6)]
kinds: st.SearchStrategy[IdentityType] = st.sampled_from(["account", "org", "service", "role"])


@st.composite
def acls(draw: st.DrawFn) -> Acl:
    principals = {
        key: Principal(key, draw(kinds), f"id-{key}", Authority(draw(scopes), draw(resources))) for key in KEYS
    }
    edge = st.builds(
        Delegation, st.sampled_from(KEYS), st.sampled_from(KEYS), scopes, st.none() | resources, st.booleans()
    )
    pair = st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS))
    return Acl(principals, draw(st.lists(edge, max_size=8)), draw(st.lists(pair, max_size=4)))


def powers(authority: Authority) -> set[object]:
    """Everything out of a finite world that an authority allows."""
    return {scope for scope in WANTED if authority.allows([scope])} | {
        (name, action) for name, action in RESOURCES if authority.allows(resource=name, action=action)
    }


def sources(acl: Acl, key: str) -> set[str]:
    """Everybody from whom a chain of edges leads to a principal, and itself."""
    seen, waiting = {key}, [key]
    while waiting:
        at = waiting.pop()
        before = [edge.source for edge in acl.delegations if edge.target == at]
        before += [group for member, group in acl.memberships if member == at]
        for found in before:
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return seen


def own(acl: Acl, key: str) -> set[object]:
    principal = acl.principals[key]
    return set() if principal.identity_type == "service" else powers(principal.own)


@settings(max_examples=300)
@given(acl=acls())
def test_authority_never_grows(acl: Acl) -> None:
    """Nobody holds what nobody before them had of their own, and a service stays under its ceiling."""
    result = evaluate(acl)
    for key, authority in result.items():
        assert powers(authority) <= set().union(*(own(acl, source) for source in sources(acl, key)))
        principal = acl.principals[key]
        if principal.identity_type == "service" and principal.own.scopes:
            assert {p for p in powers(authority) if isinstance(p, str)} <= powers(principal.own)


@settings(max_examples=300)
@given(acl=acls(), data=st.data())
def test_one_delegation_gives_no_more_than_its_source_may_pass_on(acl: Acl, data: st.DataObject) -> None:
    """Whoever hangs on one edge alone holds at most what its source holds, within what the edge names."""
    if not acl.delegations:
        return
    edge = data.draw(st.sampled_from(acl.delegations))
    target = replace(acl.principals[edge.target], identity_type="service")
    alone = replace(
        acl,
        principals={**acl.principals, edge.target: target},
        delegations=[other for other in acl.delegations if other.target != edge.target] + [edge],
        memberships=[pair for pair in acl.memberships if pair[0] != edge.target],
    )
    result = evaluate(alone)
    limit = powers(Authority(edge.scopes, edge.resources if edge.resources is not None else {"*": frozenset("*")}))
    if edge.source != edge.target:
        assert powers(result[edge.target]) <= powers(result[edge.source])
    assert {p for p in powers(result[edge.target]) if isinstance(p, str)} <= limit


@settings(max_examples=300)
@given(acl=acls(), data=st.data())
def test_removing_anything_takes_away_and_adding_never_does(acl: Acl, data: st.DataObject) -> None:
    before = evaluate(acl)
    if acl.delegations:
        index = data.draw(st.integers(0, len(acl.delegations) - 1))
        less = replace(acl, delegations=[edge for n, edge in enumerate(acl.delegations) if n != index])
        after = evaluate(less)
        assert all(powers(after[key]) <= powers(before[key]) for key in KEYS)
    key = data.draw(st.sampled_from(KEYS))
    suspended = evaluate(replace(acl, inactive=frozenset({key})))
    assert suspended[key] == Authority()
    assert all(powers(suspended[other]) <= powers(before[other]) for other in KEYS)


@settings(max_examples=300)
@given(acl=acls(), data=st.data())
def test_revoking_cuts_every_descendant(acl: Acl, data: st.DataObject) -> None:
    """Without the edges into a service, it and everybody who had nothing from elsewhere hold nothing."""
    key = data.draw(st.sampled_from(KEYS))
    cut = replace(
        acl,
        principals={k: replace(p, identity_type="service") if k != "p0" else p for k, p in acl.principals.items()},
        delegations=[edge for edge in acl.delegations if edge.target != key],
        memberships=[],
    )
    result = evaluate(cut)
    for other in KEYS:
        if "p0" not in sources(cut, other):
            assert result[other] == Authority()


def test_a_chain_by_hand() -> None:
    acl = Acl(
        {
            "ann": Principal(
                "ann", "account", "1", Authority(frozenset({"fs:*", "db:read"}), {"doc:*": frozenset("*")})
            ),
            "bot": Principal("bot", "service", "2"),
            "sub": Principal("sub", "service", "3", Authority(frozenset({"fs:read", "db:*"}))),
            "end": Principal("end", "service", "4"),
        },
        [
            Delegation("ann", "bot", frozenset({"fs:read", "db:*"}), {"doc:7": frozenset({"read"})}, narrowable=True),
            Delegation("bot", "sub", frozenset({"*"}), narrowable=False),
            Delegation("sub", "end", frozenset({"*"})),
        ],
    )
    result = evaluate(acl)
    assert result["bot"] == Authority(frozenset({"fs:read", "db:read"}), {"doc:7": frozenset({"read"})})
    assert result["sub"].scopes == {"fs:read", "db:read"}
    assert result["end"] == Authority()  # sub may not pass on
    assert result["bot"].allows(["fs:read"], resource="doc:7", action="read")
    assert not result["bot"].allows(resource="doc:8", action="read")  # ids are compared


def test_from_a_graph(db: Database) -> None:
    with db.transaction() as tx:
        graph = create_graph(tx, "acl", "acl")
        put_node(tx, graph, "principal", "ann", {"identityType": "account", "identityId": "1", "scopes": ["fs:*"]})
        put_node(tx, graph, "principal", "shop", {"identityType": "org", "identityId": "o", "scopes": ["db:read"]})
        put_node(tx, graph, "principal", "bot", {"identityType": "service", "identityId": "2"})
        put_node(tx, graph, "resource", "plan", {"resourceType": "doc", "resourceId": "7"})
        put_edge(tx, graph, "belongs_to", "ann", "shop")
        put_edge(tx, graph, "can_write", "ann", "plan")
        edge = put_edge(tx, graph, "delegates", "ann", "bot", {"narrowedScopes": ["db:read"]})
        assert authority_of(tx, "1").scopes == {"fs:*", "db:read"}
        assert authority_of(tx, "2") == Authority(frozenset({"db:read"}), {"doc:7": frozenset({"write"})})
        assert authority_of(tx, "2", frozenset({"1"})) == Authority()
        assert as_json(authority_of(tx, "2")) == ('["db:read"]', '{"doc:7": ["write"]}')
        put_edge(tx, graph, "delegates", "bot", "ann", {"narrowedScopes": ["*"], "narrowable": True})  # a cycle
        assert authority_of(tx, "1").scopes == {"fs:*", "db:read"}
        delete_edge(tx, edge)
        assert authority_of(tx, "2") == Authority()
        with pytest.raises(NotFoundError):
            authority_of(tx, "nobody")
        tx.execute("UPDATE graphs SET status = 'archived' WHERE id = ?", (graph,))
        with pytest.raises(NotFoundError):
            authority_of(tx, "1")
        assert len(load(tx, graph).principals) == 3
    queued = db.query("SELECT payload, count(*) AS n FROM _honker_live WHERE queue = 'acl-evaluation'")
    assert queued == [{"payload": f'{{"graphId":"{graph}"}}', "n": 1}]  # asked often, queued once
