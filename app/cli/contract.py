"""What programs may rely on: of each command what it does to the world, and the shape of its --json.

Tests hold that every command has a line here, and that what it prints has the form and the fields. A field may be
added, none is taken away or changes its meaning (docs/cli-json.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Impact: TypeAlias = Literal["read", "write", "destructive"]
Form: TypeAlias = Literal["object", "array", "lines"]

IMPACTS: dict[Impact, str] = {
    "read": "changes nothing that another command shows",
    "write": "adds or changes something",
    "destructive": "takes something away for good, or runs what may",
}
FORMS: dict[Form, str] = {
    "object": "one object",
    "array": "one array, of objects",
    "lines": "one object a line (JSONL)",
}


@dataclass(frozen=True, slots=True)
class Contract:
    """What a command does (`impact`); the `form` of its --json (None: it has none) and the `fields` of its objects.

    Fields may be fewer where the object is somebody else's: an operation's output, a query's columns; `note` says so.
    """

    impact: Impact
    form: Form | None = None
    fields: tuple[str, ...] = ()
    note: str = ""
    no_dry_run: str = ""
    """Why a command that destroys has no --dry-run."""


def _reads(form: Form | None = None, fields: str = "", note: str = "") -> Contract:
    return Contract("read", form, tuple(fields.split()), note)


def _writes(form: Form | None = None, fields: str = "", note: str = "") -> Contract:
    return Contract("write", form, tuple(fields.split()), note)


def _destroys(form: Form | None = None, fields: str = "", note: str = "", no_dry_run: str = "") -> Contract:
    return Contract("destructive", form, tuple(fields.split()), note, no_dry_run)


_CALL = "callId peer operationId state execution deadline idempotencyKey recovered createdAt endedAt"
_SESSION = "sessionId title source status startedAt endedAt callCount failedCount runningCount"
_OPERATION = "operationId type description"
_GRAPH = "graphId name type status nodeCount edgeCount changedAt"
_NODE = "key type label status"
_JOB = "id queue state payload priority attempts maxAttempts createdMs atMs worker error pausedMs"
_IMPORTED = "name sessionId calls newEvents new"
_FOLLOWED = "state current other backup restored reason removed"
_ASKED = "or requestId, operationId and output where it was executed here"

CONTRACTS: dict[str, Contract] = {
    "status": _reads("object", "version nodeId dataDir daemonPid link sessions activeSessions calls events sizeBytes"),
    "tui": _writes(note="looking changes nothing; without a daemon it runs the services"),
    "call": _destroys("object", note=f"{_CALL.replace(' ', ', ')} and input, {_ASKED}"),
    "operations call": _destroys("object", note="as `spoke call`"),
    "operations list": _reads("array", _OPERATION),
    "operations search": _reads("array", _OPERATION),
    "operations schema": _reads("object", f"{_OPERATION} inputSchema outputSchema errors executions"),
    "queue list": _reads("array", "name ready delayed running dead oldestMs pausedMs"),
    "queue jobs": _reads("array", _JOB),
    "queue show": _reads("object", _JOB),
    "queue dead": _reads("array", "error jobs newestMs example"),
    "queue pause": _writes("object", "done"),
    "queue resume": _writes("object", "done"),
    "queue retry": _writes("object", note="id of the new job and what it was, or with --all how many jobs"),
    "queue cancel": _destroys("object", "done"),
    "queue purge": _destroys("object", "jobs"),
    "schedule list": _reads("array", "name queue expression payload enabled nextMs waiting dead"),
    "schedule add": _destroys("object", "name", "one of that name is replaced"),
    "schedule remove": _destroys("object", "done"),
    "schedule pause": _writes("object", "done"),
    "schedule resume": _writes("object", "done"),
    "schedule run-now": _writes("object", "id"),
    "lock list": _reads("array", "name owner expiresMs"),
    "lock release": _destroys("object", "done"),
    "stream list": _reads("array", "name first last events newestMs perMinute consumers"),
    "stream show": _reads("object", "name first last events newestMs perMinute consumers payloadBytes"),
    "stream gaps": _reads("array", "nodeId stream generation after upto notedMs"),
    "logs": _reads("lines", "number atMs level logger text more"),
    "record": _destroys(note="stdout is the command's", no_dry_run="what a command would do, only that command knows"),
    "session start": _writes("object", "sessionId"),
    "session end": _writes(),
    "session list": _reads("array", _SESSION),
    "session show": _reads("object", f"{_SESSION} calls"),
    "session watch": _reads("lines", "change", "of a call: depth and call; of the session: session"),
    "session replay": _reads("lines", "change", "as `session watch`"),
    "session export": _reads(note="stdout is the document"),
    "session diff": _reads("object", "before after differences"),
    "graph list": _reads("array", _GRAPH),
    "graph types": _reads("array", "name description scope version graphs nodeTypes edgeTypes"),
    "graph show": _reads("object", f"{_GRAPH} nodes edges"),
    "graph node": _reads("object", f"graphId {_NODE} leads attributes before after"),
    "graph neighbours": _reads("array", _NODE),
    "graph path": _reads("array", _NODE, "from the one to the other"),
    "graph create": _writes("object", "graphId"),
    "graph put-node": _destroys("object", "id", "one of that key gets these attributes"),
    "graph put-edge": _writes("object", "id"),
    "graph delete-node": _destroys("object", "key edges"),
    "graph delete-edge": _destroys("object", "id"),
    "graph export": _reads(note="stdout is the document"),
    "graph import": _writes("object", "graphId"),
    "import swe-agent": _writes("array", _IMPORTED),
    "import claude-code": _writes("array", _IMPORTED),
    "import opencode": _writes("array", _IMPORTED, "with --watch an array a line, as things come"),
    "secret set": _destroys(note="the older value is gone"),
    "secret get": _reads(note="stdout is the value alone"),
    "secret list": _reads("array", "name description keyVersion expiresAt lastUsedAt"),
    "secret delete": _destroys(),
    "secret rotate": _writes("object", "keyVersion waiting"),
    "key create": _writes("object", "id name scopes key"),
    "key list": _reads("array", "id name scopes createdAt"),
    "key revoke": _destroys(),
    "tail": _reads("lines", "offset key createdAt type id payload"),
    "find": _reads("lines", "kind id within where snippet start end"),
    "sql": _reads("lines", note="the columns of the query"),
    "backup": _writes("object", "file bytes manifest grown leftOut unmarked"),
    "restore": _destroys("object", "createdMs host databases keys aside configKept", "what was there is moved aside"),
    "db check": _reads("object", "databases problems findings"),
    "db salvage": _writes("object", "file tables"),
    "db vacuum": _writes("array", "file before after", "with --dry-run, after is what it would be at most"),
    "db retention": _destroys("object", "dryRun streams"),
    "db copies": _destroys("object", "copies pruned", "copies: file, schemaVersion, bytes, kept"),
    "db rebuild": _writes("object", "events"),
    "run": _writes(),
    "join": _writes("object", "url nodeId"),
    "leave": _destroys("object", "hubUrl unsent nodeId"),
    "sync status": _reads(
        "object", "state sinceMs hubUrl hubId errorCode error hint streams unsent duplicates daemonPid generations"
    ),
    "sync generations": _reads("array", "topic generation reason"),
    "sync verify": _reads("array", "topic events notes hub hubOffset differsAt good"),
    "sync rejected": _reads("array", "topic offset code detail notedAtMs key payload"),
    "sync now": _writes("object", "acked upTo"),
    "sync pause": _writes("object", "paused changed"),
    "sync resume": _writes("object", "paused changed"),
    "sync rewind": _writes("object", "stream forgotten"),
    "reidentify": _destroys("object", "oldNodeId nodeId logs kept"),
    "hub init": _writes("object", "caFile caSpkiSha256 names notAfter"),
    "hub run": _writes(),
    "hub status": _reads("object", "pid address hubId tenants spokes connected events gaps quarantined duplicates"),
    "hub spokes": _reads("array", "tenant nodeId name connected epoch seenMs events streams"),
    "hub gaps": _reads("array", "tenant nodeId name stream after upto generation notedAtMs"),
    "hub rejected": _reads("array", "tenant nodeId name stream offset code detail notedAtMs payload"),
    "hub devices": _reads("array", "nodeId name tenant standing labels scopes keyNotAfter"),
    "hub revoke": _destroys("object", "nodeId name revoked"),
    "hub token create": _writes("object", "id token tenant minutes uses"),
    "hub token list": _reads("array", "id tenant nodeId labels scopes usesLeft expiresAt revokedAt"),
    "hub token revoke": _destroys("object", "id revoked"),
    "hub key create": _writes("object", "key spoke tenant"),
    "hub key list": _reads("array", "id tenant spoke enabled"),
    "hub key revoke": _destroys("object", "id revoked"),
    "hub key rotate": _writes("object", "id key"),
    "hub tenant create": _writes("object", "id slug name"),
    "hub tenant list": _reads("array", "slug schemaVersion state error updatedAt"),
    "hub tenants": _reads("array", "slug schemaVersion state error updatedAt"),
    "hub delegation create": _writes("object", "id state scopes resources"),
    "hub delegation list": _reads("array", "id state scopes resources error"),
    "hub delegation revoke": _destroys("object", "id revoked"),
    "hub delegation reconcile": _writes("object", "delegations settled unknown failed unreadable"),
    "hub call": _destroys(
        "object", note="as `spoke call` to the hub; the output alone with --live, and without SPOKE/"
    ),
    "hub operations": _reads("array", "tenant name nodeId operationId type description executions active"),
    "hub calls list": _reads("array", f"tenant {_CALL}"),
    "hub calls show": _reads("object", f"{_CALL} input identity result lateResult"),
    "hub calls cancel": _destroys("object", "callId cancelled"),
    "install status": _reads("object", "version prefix system current previous releases backup service hub cutOff"),
    "upgrade": _writes("object", _FOLLOWED),
    "rollback": _destroys("object", _FOLLOWED, "data that is put back: what was there is moved aside"),
    "uninstall": _destroys(),
    "init": _writes("object", "file next"),
    "config show": _reads("array", "key value origin where"),
    "config check": _reads("object", "file ok problems"),
    "config schema": _reads(note="stdout is the schema"),
    "doctor": _reads("object", "ok findings"),
    "health": _reads("object", "stage state text", "its exit codes are those of monitoring plugins"),
    "bundle": _writes("object", "file bytes parts"),
    "paths": _reads("object", "dataDir configFile tenantDb socket hubDir"),
    "completion": _reads(),
    "man": _reads(),
    "spec": _reads("object", "name version options commands exitCodes impacts"),
    "version": _reads("object", "version commit changed madeAt python sqlite openssl libraries"),
    "demo": _writes(note="in a folder of its own"),
    "selftest": _reads(),
}
"""By the words of the command."""
