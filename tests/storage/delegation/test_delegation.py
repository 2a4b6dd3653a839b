"""A delegation from its creation to its end, with crashes between the files and backups that come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.delegation.authority import authority_in
from storage.delegation.errors import DelegationError, UnknownDelegationError, UnsettledError
from storage.delegation.intents import create_delegation
from storage.delegation.settling import Settler
from storage.engine import Database
from storage.graphs.acl import NOTHING, authority_of
from storage.graphs.errors import NotFoundError
from storage.graphs.queries import all_edges
from storage.graphs.writing import delete_edge, put_edge, put_node
from storage.identity.errors import UnknownIdentityError
from storage.identity.organizations import create_organization, remove_member
from storage.tenant_files import file_of
from tests.storage.delegation.world import Crash, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "hub"
    folder.mkdir()
    world = World(folder)
    yield world
    world.close()


def scopes(world: World, which: str) -> set[str]:
    return set(world.gives(which).scopes)


def settled(world: World, *given: str) -> str:
    made = world.create("ann@acme", "bob@beta", *given)
    world.settler.settle(made)
    return made


def test_the_life_of_a_delegation(world: World) -> None:
    made = world.create("ann@acme", "bob@beta", "fs:read", "db:*", doc_7=["read"])
    jobs = world.system.query("SELECT payload FROM _honker_live WHERE queue = 'delegation'")
    assert jobs == [{"payload": f'{{"task":"settle","id":"{made}"}}'}]  # committed with the intent
    assert (world.intent(made).state, world.gives(made)) == ("pending", NOTHING)
    world.settler.settle(made)
    world.settler.settle(made)
    assert world.intent(made).state == "active"
    assert (world.live("acme"), world.live("beta")) == ({made}, {made})
    assert scopes(world, made) == {"fs:read", "db:read"}  # ann holds no more of db:*
    assert world.gives(made).resources == {}  # and nothing of doc:7
    key = f"delegation:{made}"
    with world.files["acme"].snapshot() as acme, world.files["beta"].snapshot() as beta:
        ours = [(edge.source, edge.target) for edge in all_edges(acme, "acl") if edge.type == "delegates"]
        theirs = [(edge.source, edge.target) for edge in all_edges(beta, "acl") if edge.type == "delegates"]
        assert ours == [(f"account:{world.ids['ann@acme']}", key)]
        assert theirs == [(key, f"account:{world.ids['bob@beta']}")]
        assert authority_of(beta, world.ids["bob@beta"]) == NOTHING  # what is acme's counts in acme alone
        with pytest.raises(NotFoundError):
            authority_of(acme, world.ids["bob@beta"])
    assert world.revoke(made)
    assert world.gives(made) == NOTHING  # at once, whatever the files hold
    assert not world.revoke(made)
    world.settler.settle(made)
    assert world.intent(made).state == "revoked"
    assert (world.live("acme"), world.live("beta")) == (set(), set())
    assert world.verbs() == ["created", "applied", "revoking", "revoked"]


def test_what_cannot_be_delegated(world: World) -> None:
    boss = ("acme", "boss@hub")
    with world.system.transaction() as tx:
        ann, bob = ("acme", "ann@acme"), ("beta", "bob@beta")
        for giver, taker, given, resources in (
            (ann, ("acme", "abe@acme"), ["fs:read"], {}),
            (("beta", "ann@acme"), ("acme", "abe@acme"), ["fs:read"], {}),
            (ann, bob, [], {}),
            (ann, bob, ["not a scope"], {}),
            (boss, bob, ["fs:read"], {"doc": ["read"]}),
            (ann, bob, [], {"doc:7": ["delete"]}),
            (ann, bob, [], {"doc:7": []}),
        ):
            with pytest.raises(DelegationError):
                create_delegation(tx, giver, taker, given, resources, actor_id=world.boss)
        with pytest.raises(UnknownIdentityError):
            create_delegation(tx, ("nowhere", "ann@acme"), bob, ["fs:read"], {}, actor_id=world.boss)
    with pytest.raises(UnknownDelegationError):
        world.settler.settle("nothing")
    assert world.trail() == []


def test_who_holds_nothing_delegates_nothing(world: World) -> None:
    made = world.create("ann@acme", "bob@beta", "admin:all")
    world.settler.settle(made)
    assert world.intent(made).state == "failed"
    assert "holds none" in (world.intent(made).error or "")
    assert (world.live("acme"), world.live("beta")) == (set(), set())
    assert world.verbs() == ["created", "failed"]


def test_it_narrows_with_the_giver_and_comes_back(world: World) -> None:
    made = settled(world, "fs:*")
    for held, given in ((["fs:read"], {"fs:read"}), ([], set()), (["*"], {"fs:*"})):
        world.hold("ann@acme", held)
        world.reconcile()
        assert scopes(world, made) == given
        assert world.intent(made).state == "active"
    for email in ("ann@acme", "bob@beta"):
        world.status(email, "suspended")
        world.reconcile()
        assert (scopes(world, made), world.intent(made).state) == (set(), "active")
        world.status(email, "active")
        assert scopes(world, made) == {"fs:*"}
    assert world.verbs() == ["created", "applied"]


@pytest.mark.parametrize("email", ["ann@acme", "bob@beta"])
@pytest.mark.parametrize("how", ["deactivated", "removed"])
def test_it_ends_with_the_account_or_the_membership(world: World, email: str, how: str) -> None:
    made = settled(world, "fs:*")
    if how == "deactivated":
        world.status(email, "deactivated")
    else:
        with world.system.transaction() as tx:
            remove_member(tx, email.split("@")[1], email, actor_id=world.boss)
    assert world.gives(made) == NOTHING
    assert world.settler.end_gone() == 1
    assert world.settler.end_gone() == 0
    world.settler.settle(made)
    assert world.intent(made).state == "revoked"
    assert (world.live("acme"), world.live("beta")) == (set(), set())
    assert world.verbs() == ["created", "applied", "revoking", "revoked"]


@pytest.mark.parametrize("steps", range(20))
def test_a_crash_at_any_step_converges(world: World, steps: int) -> None:
    made = world.create()
    for wanted, state in (("apply", "active"), ("revoke", "revoked")):
        if wanted == "revoke":
            world.revoke(made)
        world.countdown = steps
        try:
            world.settler.settle(made)
        except Crash:
            world.close()
            world.reopen()
        world.countdown = None
        assert world.reconcile().failed == {}
        assert world.intent(made).state == state
        for slug in ("acme", "beta"):
            assert world.live(slug) == ({made} if state == "active" else set())
    assert world.verbs() == ["created", "applied", "revoking", "revoked"]


@pytest.mark.parametrize("name", ["acme", "beta"])
def test_a_tenant_restored_from_before_it_gets_it_again(world: World, tmp_path: Path, name: str) -> None:
    world.save(name, tmp_path / "saved")
    made = settled(world)
    world.restore(name, tmp_path / "saved")
    assert world.gives(made) == NOTHING
    assert world.reconcile().settled == 1
    assert scopes(world, made) == {"fs:read"}
    assert world.verbs() == ["created", "applied", "lost", "applied"]
    assert world.trail()[2][1]["tenants"] == [name]
    assert world.reconcile().settled == 0


@pytest.mark.parametrize("name", ["acme", "beta"])
def test_a_tenant_restored_from_before_the_end_loses_it_again(world: World, tmp_path: Path, name: str) -> None:
    made = settled(world)
    world.save(name, tmp_path / "saved")
    world.revoke(made)
    world.settler.settle(made)
    world.restore(name, tmp_path / "saved")
    assert world.live(name) == {made}
    assert world.gives(made) == NOTHING
    assert world.reconcile().settled == 1
    assert world.live(name) == set()
    assert world.trail()[-1][0] == "found"
    assert world.trail()[-1][1]["tenants"] == [name]


def test_a_system_file_from_before_it_does_not_believe_the_tenants(world: World, tmp_path: Path) -> None:
    world.save("system", tmp_path / "saved")
    made = settled(world)
    world.restore("system", tmp_path / "saved")
    report = world.reconcile()
    assert (report.unknown, report.failed) == (1, {})
    assert (world.live("acme"), world.live("beta")) == (set(), set())
    intent = world.intent(made)
    assert (intent.state, intent.scopes, intent.to_account_id) == ("revoked", ("fs:read",), world.ids["bob@beta"])
    assert "unknown to system.db" in (intent.error or "")
    assert world.verbs() == ["unknown", "found"]


def test_a_system_file_from_before_the_end_does_not_bring_it_back(world: World, tmp_path: Path) -> None:
    made = settled(world)
    early = world.create("abe@acme")
    world.save("system", tmp_path / "saved")
    for which in (made, early):
        world.revoke(which)
        world.settler.settle(which)
    world.restore("system", tmp_path / "saved")
    assert (world.intent(made).state, world.gives(made)) == ("active", NOTHING)
    world.reconcile()
    for which in (made, early):
        assert world.intent(which).state == "revoked"
        assert "system.db is older" in (world.intent(which).error or "")
    assert (world.live("acme"), world.live("beta")) == (set(), set())


def test_a_trace_that_somebody_widened_gives_nothing_and_is_mended(world: World) -> None:
    made = settled(world, "fs:read")
    key = f"delegation:{made}"
    bob = f"account:{world.ids['bob@beta']}"
    with world.files["beta"].transaction() as tx:
        put_edge(tx, "acl", "delegates", key, bob, {"narrowedScopes": ["*"], "narrowable": True}, key=key)
        put_edge(tx, "acl", "delegates", key, f"account:{world.ids['bea@beta']}", {"narrowedScopes": ["*"]})
    assert world.gives(made) == NOTHING
    world.reconcile()
    assert scopes(world, made) == {"fs:read"}
    with world.files["beta"].snapshot() as beta:
        assert [edge.target for edge in all_edges(beta, "acl") if edge.type == "delegates"] == [bob]
    assert world.verbs() == ["created", "applied", "lost", "applied"]


def test_a_trace_that_somebody_made_up_touches_no_other_tenant(world: World) -> None:
    made = settled(world)
    about = {"fromOrg": world.orgs["acme"], "fromAccount": world.ids["ann@acme"], "toOrg": "o", "toAccount": "a"}
    with world.files["beta"].transaction() as tx:
        for name in (made + "x", "made-up"):
            node = {"identityType": "service", "identityId": "x", "scopes": ["*"], "metadata": about}
            put_node(tx, "acl", "principal", f"delegation:{name}", node)
            put_edge(
                tx,
                "acl",
                "delegates",
                f"delegation:{name}",
                f"account:{world.ids['bob@beta']}",
                {"narrowedScopes": ["*"]},
            )
    before = world.held("acme")
    assert world.reconcile().unknown == 2
    assert world.held("acme") == before
    assert world.live("beta") == {made}
    assert scopes(world, made) == {"fs:read"}


def test_a_file_that_cannot_be_read_stops_no_other(world: World) -> None:
    made, other = world.create(), world.create("abe@acme")
    world.files["beta"].close()
    with pytest.raises(UnsettledError, match=other):
        world.settler.reconcile_or_raise()
    assert {world.intent(which).attempts for which in (made, other)} == {1}
    assert world.intent(made).error
    world.close()
    world.reopen()
    world.settler.reconcile_or_raise()
    assert [world.intent(which).state for which in (made, other)] == ["active", "active"]
    assert (world.intent(made).attempts, world.intent(made).error) == (0, None)


def test_a_file_that_is_no_database_is_named(world: World) -> None:
    made = settled(world)
    with world.system.transaction() as tx:
        create_organization(tx, "broken", world.boss)
    file_of(world.folder, "broken").write_bytes(b"no database" * 100)
    report = world.settler.reconcile_or_raise()
    assert (list(report.unreadable), report.failed) == (["broken"], {})
    assert scopes(world, made) == {"fs:read"}


def test_two_that_settle_by_outdated_intents_agree_in_the_end(world: World) -> None:
    """One establishes by what it read before the other revoked and finished."""
    made = world.create()
    other = world.settler
    done = False

    @contextmanager
    def slow(slug: str) -> Iterator[Database]:
        nonlocal done
        if slug == "beta" and world.live("acme") and not done:
            done = True
            world.revoke(made)
            other.settle(made)
        yield world.files[slug]

    Settler(world.system, world.folder, slow, world.boss).settle(made)
    assert done
    assert world.intent(made).state == "revoked"
    assert (world.live("acme"), world.live("beta")) == (set(), set())


def test_what_an_account_may_do_in_another_tenant(world: World) -> None:
    settled(world, "fs:read")
    second = world.create("abe@acme", "bob@beta", "db:*")
    world.settler.settle(second)
    found = {who: authority_in(world.system, world.opened, who, "acme") for who in ("bob@beta", "bea@beta", "ann@acme")}
    assert found["bob@beta"].scopes == {"fs:read", "db:read"}
    assert found["bea@beta"] == NOTHING
    assert found["ann@acme"].scopes == {"fs:*", "db:read"}
    assert authority_in(world.system, world.opened, "bob@beta", "beta") == NOTHING
    world.status("bob@beta", "suspended")
    assert authority_in(world.system, world.opened, "bob@beta", "acme") == NOTHING
    with pytest.raises(UnknownIdentityError):
        authority_in(world.system, world.opened, "nobody", "acme")


def test_an_edge_that_somebody_deleted_is_put_back(world: World) -> None:
    made = settled(world)
    with world.files["acme"].transaction() as tx:
        for edge in all_edges(tx, "acl"):
            if edge.key == f"delegation:{made}":
                delete_edge(tx, edge.id)
    assert world.gives(made) == NOTHING
    world.reconcile()
    assert scopes(world, made) == {"fs:read"}
