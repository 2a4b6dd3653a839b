"""Secrets in the tenant file: nodes of a SecretGraph, their values encrypted.

Rotation: `start_rotation` asks the `secret-rotation` queue to bring every secret to the keyring's current version. A
worker runs `rotate_batch` until nothing is left. Each batch is one transaction that only replaces values that are
still what was decrypted, so a crash, two workers, or a secret that is set meanwhile lose nothing; old keys decrypt
until the last batch is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.background import ask
from storage.crypto import DecryptionError, decrypt, encrypt
from storage.engine import Database, Snapshot, Transaction
from storage.engine.payload import dumps
from storage.graphs.errors import NotFoundError
from storage.graphs.writing import check_key, create_graph, delete_node, put_node
from storage.keyring import Keyring

GRAPH = "secrets"
QUEUE = "secret-rotation"
BATCH = 20


class NoSuchSecretError(NotFoundError):
    """There is no secret of that name."""

    hint = "`spoke secret list` shows those that there are"


class SecretExpiredError(NotFoundError):
    """The secret is past its date."""

    hint = "set it again: spoke secret set NAME"


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What may be known of a secret without its value. Times are ISO-8601."""

    name: str
    description: str | None
    key_version: int
    expires_at: str | None
    last_used_at: str | None
    updated_at: int


def set_secret(
    tx: Transaction,
    keyring: Keyring,
    name: str,
    value: str,
    *,
    description: str | None = None,
    expires_at: str | None = None,
) -> None:
    """Store a secret under the current key, in place of one of that name. Takes some 30 ms: the key is derived.

    Raises:
        GraphError: the name is none.
    """
    check_key(name)
    if not tx.rows("SELECT 1 FROM graphs WHERE id = ?", (GRAPH,)):
        create_graph(tx, "secret-graph", GRAPH, graph_id=GRAPH)
    hidden = encrypt(value, keyring.key(keyring.current), keyring.current, context=name)
    given = {"description": description, "expiresAt": expires_at}
    attributes: dict[str, Any] = {key: text for key, text in given.items() if text is not None}
    put_node(
        tx,
        GRAPH,
        "secret",
        name,
        {"key": name, "value": hidden.model_dump(), "keyVersion": keyring.current, **attributes},
    )


def check_there(tx: Transaction, name: str) -> None:
    """Whether a secret is kept; no key is needed to know.

    Raises:
        NoSuchSecretError: there is none.
    """
    if not tx.rows("SELECT 1 FROM nodes WHERE graph_id = ? AND key = ?", (GRAPH, name)):
        raise NoSuchSecretError(f"no secret {name!r}")


def get_secret(tx: Transaction, keyring: Keyring, name: str, now: datetime) -> str:
    """Return a secret's value, and note when it was used.

    Raises:
        NoSuchSecretError: there is none.
        SecretExpiredError: it is past its date.
        DecryptionError, MissingKeyError: the keyring does not open it.
    """
    rows = tx.rows("SELECT attributes FROM nodes WHERE graph_id = ? AND key = ?", (GRAPH, name))
    if not rows:
        raise NoSuchSecretError(f"no secret {name!r}")
    attributes = json.loads(rows[0][0])
    expires = attributes.get("expiresAt")
    if expires is not None and datetime.fromisoformat(expires).astimezone(UTC) <= now:
        raise SecretExpiredError(f"secret {name!r} expired at {expires}")
    value = _decrypt(keyring, name, attributes["value"])
    at = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    tx.execute(
        "UPDATE nodes SET attributes = json_set(attributes, '$.lastUsedAt', ?) WHERE graph_id = ? AND key = ?",
        (at, GRAPH, name),
    )
    return value


def list_secrets(source: Snapshot | Transaction) -> list[SecretInfo]:
    """What there is, by name, without values."""
    rows = source.rows(
        "SELECT key, attributes ->> '$.description', attributes ->> '$.keyVersion', attributes ->> '$.expiresAt',"
        " attributes ->> '$.lastUsedAt', updated_at FROM nodes WHERE graph_id = ? ORDER BY key",
        (GRAPH,),
    )
    return [SecretInfo(*row) for row in rows]


def delete_secret(tx: Transaction, name: str) -> None:
    """Forget a secret.

    Raises:
        NoSuchSecretError: there is none.
    """
    check_there(tx, name)
    delete_node(tx, GRAPH, name)


# -- rotation --------------------------------------------------------------------------------------------------------


def start_rotation(tx: Transaction, key_version: int, batch_size: int = BATCH) -> int:
    """Ask for every secret to be brought to `key_version`; returns how many are not there yet.

    Nothing is queued when none is, or when the same job waits already.
    """
    behind = _count_behind(tx, key_version)
    if behind:
        ask(tx, QUEUE, {"keyVersion": key_version, "batchSize": batch_size}, once=True, max_attempts=10)
    return behind


def rotate_batch(db: Database, keyring: Keyring, key_version: int, batch_size: int = BATCH) -> int:
    """Bring some secrets to `key_version`; returns how many are left.

    Keys are derived outside the transaction: a batch of them takes most of a second.

    Raises:
        DecryptionError, MissingKeyError: a secret cannot be opened; those before it are done. The error names none.
    """
    key = keyring.key(key_version)
    with db.snapshot() as snapshot:
        found = _behind(snapshot, key_version, batch_size)
    ready: list[tuple[str, str, str]] = []
    failed: Exception | None = None
    for name, stored in found:
        try:
            plain = _decrypt(keyring, name, json.loads(stored))
        except Exception as error:  # noqa: BLE001 - raised below, after what was done is stored
            failed = error
            continue
        hidden = encrypt(plain, key, key_version, context=name)
        ready.append((name, stored, dumps(hidden.model_dump())))
    with db.transaction() as tx:
        tx.executemany(
            "UPDATE nodes SET attributes = json_set(attributes, '$.value', json(?1), '$.keyVersion', ?2),"
            " updated_at = unixepoch()"
            " WHERE graph_id = ?3 AND key = ?4 AND attributes -> '$.value' = ?5",
            [(new, key_version, GRAPH, name, stored) for name, stored, new in ready],
        )
        left = _count_behind(tx, key_version)
    if failed is not None and not ready:  # while others are brought on, the batch has done its work
        raise failed
    return left


def versions_in_use(source: Snapshot | Transaction) -> frozenset[int]:
    """The key versions that some secret still needs."""
    rows = source.rows("SELECT DISTINCT attributes ->> '$.value.keyVersion' FROM nodes WHERE graph_id = ?", (GRAPH,))
    return frozenset(int(row[0]) for row in rows)


_BEHIND = "FROM nodes WHERE graph_id = ? AND attributes ->> '$.value.keyVersion' <> ?"


def _count_behind(source: Snapshot | Transaction, key_version: int) -> int:
    rows = source.rows(f"SELECT count(*) {_BEHIND}", (GRAPH, key_version))
    return int(rows[0][0])


def _behind(source: Snapshot | Transaction, key_version: int, limit: int) -> Sequence[tuple[str, str]]:
    return [
        (str(row[0]), str(row[1]))
        for row in source.rows(
            f"SELECT key, attributes -> '$.value' {_BEHIND} ORDER BY key LIMIT ?",
            (GRAPH, key_version, limit),
        )
    ]


def _decrypt(keyring: Keyring, name: str, value: object) -> str:
    version = value.get("keyVersion") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(version, int):
        raise DecryptionError("this value cannot be decrypted with this key")
    return decrypt(value, keyring.key(version), context=name)
