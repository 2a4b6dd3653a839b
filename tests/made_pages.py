"""Pages that are made from the code: docs/errors.md and docs/schema.md.

`make pages` writes them (`python -m tests.made_pages`), `test_made_pages` compares.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import app
import storage
import sync
from app.cli.errors import describe
from app.config import ConfigError
from app.importers.imported import ImportFailedError
from storage.engine import Database
from storage.engine.errors import EngineError
from storage.tenants import open_system_database, open_tenant_database
from sync.calls.errors import CallFailed
from sync.link.errors import LinkError

E = TypeVar("E", bound=Exception)
DOCS = Path(__file__).parents[1] / "docs"

# -- errors ----------------------------------------------------------------------------------------------------------


def errors_page() -> str:
    """docs/errors.md."""
    for package in (app, storage, sync):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    link = [
        (f"`{kind.code}`", _meaning(kind), kind.hint, "rarely" if kind.permanent else "soon", _exit_code(kind))
        for kind in sorted(_kinds(LinkError), key=lambda kind: kind.code)
    ]
    calls = [
        (f"`{kind.code}`", _meaning(kind), kind.hint, _exit_code(kind))
        for kind in sorted(_kinds(CallFailed), key=lambda kind: (kind.code, kind.__name__))
        if kind is not CallFailed
    ]
    other: list[type[EngineError | ConfigError | ImportFailedError]] = [*_kinds(EngineError), ConfigError]
    other.append(ImportFailedError)
    files = [
        (f"`{kind.__name__}`", _meaning(kind), kind.hint, _exit_code(kind))
        for kind in sorted(other, key=lambda kind: kind.__name__)
        if kind is not EngineError
    ]
    return (
        "\n\n".join(
            [
                "# Errors",
                "Made from the classes of the code by `make pages`; a test holds it equal. Every error is one line on"
                " stderr that ends with what to do next, and an [exit code](cli.md#exit-codes). Where no next step is"
                " named, the message of the error itself does, or there is none but to correct what was given.",
                "## Calls",
                "Codes of `call.error`, in the log, over the local API and between nodes. Operations may declare codes"
                " of their own; `spoke operations schema NAME` lists them.",
                _table(("code", "meaning", "what to do", "exit code"), calls),
                "## The link",
                "As `spoke sync status` and `spoke join` say them. Tried again *soon*, with a growing random wait, or"
                " *rarely*, after minutes, since somebody must mend it first. States and limits: [link.md](link.md).",
                _table(("code", "meaning", "what to do", "again", "exit code"), link),
                "## Files, configuration, input",
                "Names of Python classes, for programs that embed the packages; the terminal shows message and hint.",
                _table(("error", "meaning", "what to do", "exit code"), files),
            ]
        )
        + "\n"
    )


def _kinds(base: type[E]) -> Iterator[type[E]]:
    """The class and all that derive from it in the product."""
    if base.__module__.split(".")[0] in ("app", "storage", "sync"):
        yield base
    seen = set()
    for kind in base.__subclasses__():
        for below in _kinds(kind):
            if below not in seen:
                seen.add(below)
                yield below


def _meaning(kind: type[Any]) -> str:
    return re.sub(r"\s+", " ", (kind.__doc__ or "").split("\n\n")[0])


def _exit_code(kind: type[Exception]) -> str:
    found = describe(kind.__new__(kind))
    return str(int(found[2])) if found else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    unique = list(dict.fromkeys(tuple(row) for row in rows))
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in unique])


# -- tables ----------------------------------------------------------------------------------------------------------

TABLES = {
    "node_facts": ("What the node knows of itself: id, ratchet, when it was backed up or restored.", "the node"),
    "graph_types": ("Types of graphs.", "migrations; `graph_types.…` for your own"),
    "node_types": ("What nodes a type of graph has, with the JSON Schema of their attributes.", "as graph_types"),
    "edge_types": ("What edges a type of graph has, and between which nodes.", "as graph_types"),
    "graphs": ("Graphs: one of calls a session, and your own.", "the projector; `spoke graph`; secrets; access"),
    "nodes": ("Nodes of graphs.", "as graphs"),
    "edges": ("Edges of graphs.", "as graphs"),
    "acl_effective": ("What each principal may do in the end, for lists.", "queue `acl-evaluation`, from the graph"),
    "sessions": ("Sessions.", "the projector, from `session-events`"),
    "messages": ("Messages of sessions.", "the projector, from `session-events`"),
    "parts": ("Parts of messages: text, reasoning, tools, results.", "the projector, from `session-events`"),
    "imports": ("What was imported, by the digest of its bytes.", "importers"),
    "import_events": ("Ids of the events that were imported, so that each is written once.", "importers"),
    "call_orphans": ("Outcomes of calls whose request has not come yet.", "the projector"),
    "call_waiting_children": ("Calls whose parent has not come yet.", "the projector"),
    "projection_rejects": ("Events that were passed over, and why.", "the projector"),
    "running": ("What runs now, and in which process.", "whoever runs it; ended by others if its process is killed"),
    "link_generations": ("Generations of the logs that are sent.", "the link, sending"),
    "link_positions": ("What the other end has acknowledged.", "the link, sending"),
    "link_checkpoints": ("Hashes at some positions of the logs that are sent.", "the link, sending"),
    "link_refusals": ("Events of ours that lie in quarantine at the other end.", "the link, sending"),
    "link_status": ("The state of the link, one row, for other processes to read.", "the link, on a spoke"),
    "link_cursors": ("How far each generation of a received log has come.", "the link, receiving, with the events"),
    "link_batches": ("Which of our offsets holds which of the sender's.", "the link, receiving, with the events"),
    "link_gaps": ("What is missing for good, with its range.", "the link, receiving"),
    "link_quarantine": ("Events that could not be read, as they came.", "the link, receiving"),
    "link_spokes": ("Who is there, and was.", "the link, on a hub"),
    "link_calls": ("What this end asked another one to do.", "durable calls"),
    "link_received_calls": ("What others asked this end to do, and its answers.", "durable calls"),
    "link_operations": ("What the spokes of a hub offer.", "durable calls, on a hub"),
    "ingest_files": ("How far each file of the drop folder was read.", "the drop folder, with the events"),
    "ingest_rejects": ("Lines of the drop folder that were no events.", "the drop folder"),
    "hub_facts": ("What the hub knows of itself.", "the hub"),
    "accounts": ("People, machines and services.", "`spoke hub call accounts.…`; joining"),
    "organizations": ("Tenants.", "`spoke hub tenant create`, `spoke hub call organizations.…`"),
    "organization_members": ("Who belongs to which tenant.", "as accounts"),
    "api_keys": ("API keys: hashes, never the keys.", "`spoke hub key …`"),
    "peer_credentials": ("Credentials of other systems.", "`spoke hub call peer_credentials.…`"),
    "join_tokens": ("Join tokens: what proofs are checked with, not the token.", "`spoke hub token …`; joining"),
    "devices": ("Machines that have joined, and their public keys.", "joining, renewal of keys, `spoke hub revoke`"),
    "ratchets": ("Hashes of what each machine must show next.", "the link, on a hub"),
    "audit_logs": ("The audit trail. Nothing of it is changed or deleted.", "whatever changes accounts, keys, tokens"),
    "tenant_files": ("The tenants' files and their schema versions.", "the hub, when it opens or migrates them"),
    "delegations": ("Delegations between tenants, as they are wanted.", "`spoke hub delegation …`"),
    "_honker_stream": ("The log: events of all streams.", "whatever publishes"),
    "_honker_stream_consumers": ("How far each named consumer has read.", "consumers"),
    "_honker_live": ("Jobs that wait or run.", "whatever enqueues; workers"),
    "_honker_dead": ("Jobs that failed for good or expired.", "workers"),
    "_honker_results": ("Results of jobs, until they expire.", "workers"),
    "_honker_locks": ("Who holds which lock, until when.", "whoever locks"),
    "_honker_rate_limits": ("Counters of rate limits.", "whoever is limited"),
    "_honker_scheduler_tasks": ("Schedules.", "`spoke schedule …`, `schedules.…`"),
    "_honker_notifications": ("Notifications that listeners are woken by.", "whatever notifies"),
    "engine_job_errors": ("The error of a job's last attempt, for which Honker's format has no place.", "workers"),
}
"""What each table is for, and who writes it."""


def schema_page() -> str:
    """docs/schema.md."""
    with tempfile.TemporaryDirectory() as folder:
        tenant = _read(lambda: open_tenant_database(Path(folder) / "tenant.db"))
        system = _read(lambda: open_system_database(Path(folder) / "system.db"))
    engine = {name for name in tenant if name.startswith(("_honker", "engine_"))}
    parts = [
        "# The tables",
        "Made from the files that the migrations make, by `make pages`; a test holds it equal. `spoke sql` reads them.",
        "Rows that the projector writes are a function of the log: `spoke db rebuild` makes them anew. Do not write"
        " them. JSON is text. Times are integers since 1970: with 10 digits seconds, with 13 milliseconds.",
        "`*` part of the primary key; `!` never null; `=` the default; `→` what it refers to.",
        "## The engine's, in every file",
        "The format of Honker 0.5.0, and one table of our own.",
        *_told({name: tenant[name] for name in sorted(engine)}),
        "## `tenant-….db`: a node, or a tenant of a hub",
        *_told({name: rows for name, rows in tenant.items() if name not in engine}),
        "## `system.db`: a hub",
        "Also `graph_types`, `node_types` and `edge_types`, as above.",
        *_told({name: rows for name, rows in system.items() if name not in tenant}),
    ]
    return "\n\n".join(parts) + "\n"


def _read(opening: Callable[[], Database]) -> dict[str, str]:
    db = opening()
    try:
        names = [
            str(row["name"])
            for row in db.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        ]
        return {name: _columns(db, name) for name in names}
    finally:
        db.close()


def _columns(db: Database, table: str) -> str:
    refers = {row["from"]: f" → {row['table']}" for row in db.query(f"PRAGMA foreign_key_list({table})")}
    return ", ".join(
        f"`{row['name']}` {row['type'] or 'any'}{'*' if row['pk'] else '!' if row['notnull'] else ''}"
        + (f" = `{row['dflt_value']}`" if row["dflt_value"] is not None else "")
        + refers.get(row["name"], "")
        for row in db.query(f"PRAGMA table_info({table})")
    )


def _told(tables: dict[str, str]) -> Iterator[str]:
    for name, columns in tables.items():
        what, who = TABLES[name]
        yield f"### {name}\n\n{what} Written by: {who}.\n\n{columns}"


PAGES: dict[str, Callable[[], str]] = {"errors.md": errors_page, "schema.md": schema_page}


def main() -> None:
    """Write the pages, or print the one that is named."""
    for name in sys.argv[1:]:
        sys.stdout.write(PAGES[name]())
    if not sys.argv[1:]:
        for name, made in PAGES.items():
            (DOCS / name).write_text(made())


if __name__ == "__main__":
    main()
