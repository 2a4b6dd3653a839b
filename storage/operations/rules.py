"""What must hold for the rows of a table beyond its constraints, and who hears of a change.

`check` runs before the row is written, `tell` after it, both in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from storage.background import ask
from storage.engine import Transaction
from storage.graphs import types, writing
from storage.graphs.attributes import check_attributes, check_schema
from storage.graphs.errors import GraphError, UnknownTypeError
from storage.graphs.module import check_config
from storage.identity import accounts, organizations
from storage.identity.audit import audit
from storage.identity.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is created (`before` is None), changed, or deleted (`after` is None)."""

    tx: Transaction
    table: sa.Table
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    actor: str | None

    @property
    def row(self) -> Mapping[str, Any]:
        """The row that it is about."""
        found = self.after if self.after is not None else self.before
        return found if found is not None else {}

    @property
    def changed(self) -> list[str]:
        """The columns that an update changes."""
        if self.before is None or self.after is None:
            return []
        return [
            str(name) for name, value in self.after.items() if self.before.get(name) != value and name != "updated_at"
        ]


def _nothing(_: Change) -> None:
    return


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a table; `fixed` columns cannot be changed once a row is there."""

    check: Callable[[Change], None] = _nothing
    tell: Callable[[Change], None] = _nothing
    fixed: tuple[str, ...] = ()
    create: bool = True


# -- graphs ----------------------------------------------------------------------------------------------------------

PROJECTED = ("call-graph",)
"""Graph types whose rows are made from a log: what is written into them by hand would be gone after a rebuild."""


def _check_graph(change: Change) -> None:
    type_id = change.row.get("graph_type_id")
    rows = change.tx.rows("SELECT name FROM graph_types WHERE id = ?", (type_id,)) if type_id is not None else []
    if change.before is None and not rows:
        names = ", ".join(types.graph_type_names(change.tx))
        raise UnknownTypeError(f"no graph type with the id {type_id!r}; there are {names}")
    _refuse_projected(str(rows[0][0]) if rows else None)


def _refuse_projected(type_name: str | None) -> None:
    if type_name in PROJECTED:
        raise GraphError(f"{type_name} graphs are made from the log: record calls instead")


def _tell_graph(change: Change) -> None:
    row = change.row
    if change.before is None:
        writing.tell_created(change.tx, row["id"], row["graph_type_id"], row["owner_id"])
    else:
        writing.tell_updated(change.tx, row["id"], change.changed if change.after is not None else ["deleted"])
        if row["graph_type_id"] == "acl":
            writing.ask_evaluation(change.tx, row["id"])


def _graph_of(change: Change) -> writing.GraphRow:
    graph = writing.load_graph(change.tx, change.row["graph_id"])
    _refuse_projected(graph.type_name)
    return graph


def _check_node(change: Change) -> None:
    graph = _graph_of(change)
    if change.after is None:
        return
    row = change.after
    writing.check_key(row["key"])
    node_type = (row.get("metadata") or {}).get(writing.NODE_TYPE)
    if not isinstance(node_type, str):
        raise UnknownTypeError(f'a node says its type in metadata: {{"{writing.NODE_TYPE}": …}}')
    schema = writing.node_schema(change.tx, graph, node_type)
    check_attributes(f"node {row['key']!r} of type {node_type!r}", schema, row.get("attributes") or {})


def _tell_node(change: Change) -> None:
    created = [change.row["key"]] if change.before is None else []
    writing.tell_nodes(change.tx, writing.load_graph(change.tx, change.row["graph_id"]), created, [change.row["key"]])


def _check_edge(change: Change) -> None:
    graph = _graph_of(change)
    if change.after is None:
        return
    row = change.after
    attributes = row.get("attributes") or {}
    edge_type = attributes.get("edgeType")
    if not isinstance(edge_type, str):
        raise UnknownTypeError('an edge says its type in attributes: {"edgeType": …}')
    if row.get("key") is not None:
        writing.check_key(row["key"])
    writing.check_edge(
        change.tx,
        graph,
        edge_type,
        row["source_node_key"],
        row["target_node_key"],
        attributes,
        undirected=bool(row.get("undirected")),
        but=None if change.before is None else change.before["id"],
    )


def _tell_edge(change: Change) -> None:
    row = change.row
    graph = writing.load_graph(change.tx, row["graph_id"])
    writing.tell_edge(change.tx, graph, row["attributes"]["edgeType"], row["source_node_key"], row["target_node_key"])


# -- types -----------------------------------------------------------------------------------------------------------


def _check_graph_type(change: Change) -> None:
    _refuse_system(change.row.get("scope"), change.before)
    if change.after is None:
        types.check_deletable(change.tx, change.row["id"], change.row["scope"], change.row["name"])
        return
    check_config(change.after["name"], change.after["config"])


def _refuse_system(scope: object, before: Mapping[str, Any] | None) -> None:
    if scope == "system" or (before is not None and before.get("scope") == "system"):
        raise GraphError("graph types of the scope 'system' belong to the program; use 'tenant' or 'user'")


def _check_entry(change: Change) -> None:
    (rows) = change.tx.rows("SELECT scope FROM graph_types WHERE id = ?", (change.row["graph_type_id"],))
    if not rows:
        raise UnknownTypeError(f"no graph type with the id {change.row['graph_type_id']!r}")
    _refuse_system(rows[0][0], None)
    if change.after is not None:
        check_schema(str(change.after["name"]), change.after["schema"])


def _tell_entry(change: Change) -> None:
    """A changed schema is a new version of the graph type: what exists is looked at by `schema-migration`."""
    if change.before is None:
        return
    rows = change.tx.rows(
        "UPDATE graph_types SET version = version + 1, updated_at = unixepoch() WHERE id = ? RETURNING name, version",
        (change.row["graph_type_id"],),
    )
    for name, version in rows:
        ask(change.tx, types.MIGRATION_QUEUE, {"graphType": name, "version": version})


# -- identity --------------------------------------------------------------------------------------------------------


def _actor(change: Change) -> str:
    if change.actor is None or not change.tx.rows("SELECT 1 FROM accounts WHERE id = ?", (change.actor,)):
        raise IdentityError("what is done to accounts is done by an account: call with the identity of one")
    return change.actor


def _audited(noun: str, credential: str | None = None) -> Callable[[Change], None]:
    def tell(change: Change) -> None:
        verb = "created" if change.before is None else "deleted" if change.after is None else "updated"
        details: dict[str, Any] = {"id": change.row["id"]}
        if verb == "updated":
            details["changes"] = sorted(change.changed)
        audit(
            change.tx,
            f"{noun}.{verb}",
            _actor(change),
            credential_id=change.row["id"] if credential else None,
            credential_type=credential,
            org_id=_org(change),
            details=details,
        )

    return tell


def _org(change: Change) -> str | None:
    found = change.row.get("org_id") if "org_id" in change.table.columns else None
    if change.table.name == "organizations" and change.after is not None:
        found = change.row["id"]
    return found if isinstance(found, str) else None


def _check_account(change: Change) -> None:
    _actor(change)
    if change.after is not None:
        accounts.check_email(str(change.after["email"]))
    if change.before is not None and change.after is not None and "status" in change.changed:
        accounts.check_status(change.tx, change.row["id"], change.after["status"])


def _tell_account(change: Change) -> None:
    _audited("account")(change)
    row = change.row
    if change.before is None:
        accounts.tell_created(change.tx, row["id"], row["email"], row.get("access_level") or "user")
    elif change.after is not None:
        accounts.tell_updated(change.tx, row["id"], {name: row[name] for name in change.changed}, _actor(change))


def _check_organization(change: Change) -> None:
    _actor(change)
    if change.after is not None:
        organizations.check_name(str(change.after["slug"]))


def _tell_organization(change: Change) -> None:
    _audited("org")(change)
    if change.before is None:
        organizations.tell_created(change.tx, change.row["id"], change.row["slug"], change.row["owner_id"])
        organizations.add_member(change.tx, change.row["id"], change.row["owner_id"], "owner", actor_id=_actor(change))


def _check_member(change: Change) -> None:
    _actor(change)
    owner = change.tx.rows("SELECT owner_id FROM organizations WHERE id = ?", (change.row["org_id"],))
    owns = bool(owner) and owner[0][0] == change.row["account_id"]
    level = change.after["membership_level"] if change.after is not None else None
    if owns or level == "owner":
        raise IdentityError("an organisation has one owner: transfer the ownership instead")


def _tell_member(change: Change) -> None:
    _audited("org.member")(change)
    if change.after is not None:
        row = change.after
        organizations.tell_member(change.tx, row["org_id"], row["account_id"], row["membership_level"])


def _check_actor(change: Change) -> None:
    _actor(change)


RULES: dict[str, Rules] = {
    "graph_types": Rules(_check_graph_type, fixed=("name", "version")),
    "node_types": Rules(_check_entry, _tell_entry, fixed=("graph_type_id", "name")),
    "edge_types": Rules(_check_entry, _tell_entry, fixed=("graph_type_id", "name")),
    "graphs": Rules(_check_graph, _tell_graph, fixed=("graph_type_id",)),
    "nodes": Rules(_check_node, _tell_node, fixed=("graph_id", "key")),
    "edges": Rules(_check_edge, _tell_edge, fixed=("graph_id",)),
    "accounts": Rules(_check_account, _tell_account),
    "organizations": Rules(_check_organization, _tell_organization, fixed=("owner_id", "slug")),
    "organization_members": Rules(_check_member, _tell_member, fixed=("org_id", "account_id")),
    "api_keys": Rules(
        _check_actor, _audited("api_key", "api_key"), fixed=("owner_id", "last_used_at", "rotated_to_id"), create=False
    ),
    "peer_credentials": Rules(
        _check_actor,
        _audited("peer_credential", "peer_credential"),
        fixed=("owner_id", "fingerprint", "public_key_data"),
    ),
}
"""By table. A table that is not here is written by the program alone, and can be read: sessions, messages and parts
(made from the log), the link's and the projector's state, the audit trail.
"""
