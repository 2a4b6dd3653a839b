"""`secret.*`: set, get, list, delete, rotate. What is in them is never logged: the operations are sensitive."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from app.operations.declare import Group, NothingInput
from storage import keyring as keys
from storage import secrets
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class SetInput(Model):
    """A secret to keep."""

    name: str
    value: str = Field(json_schema_extra={"writeOnly": True})
    description: str | None = None
    expires_at: datetime | None = None


class NameInput(Model):
    """Which secret."""

    name: str


class ValueOutput(Model):
    """The secret itself."""

    value: str


class InfoOutput(Model):
    """A secret without its value."""

    name: str
    description: str | None
    key_version: int
    expires_at: str | None
    last_used_at: str | None
    updated_at: int


class ListOutput(Model):
    """All secrets, by name."""

    secrets: list[InfoOutput]


class NameOutput(Model):
    """What was set or deleted."""

    name: str


class RotateOutput(Model):
    """The new key's version, and how many secrets wait to be encrypted anew."""

    key_version: int
    waiting: int


def register(registry: Registry, key_file: Path) -> None:
    """Add the operations of this module; the keyring is read when one of them runs."""
    group = Group(registry, "secret")

    @group.mutation("set", "Keep a secret, encrypted, in place of one of that name.", sensitive=True)
    def set_secret(given: SetInput, context: OperationContext) -> NameOutput:
        ends = given.expires_at.astimezone(UTC).isoformat() if given.expires_at is not None else None
        ring = keys.open_keyring(key_file)
        secrets.set_secret(
            context.transaction, ring, given.name, given.value, description=given.description, expires_at=ends
        )
        return NameOutput(name=given.name)

    @group.mutation("get", "Show a secret; when it was used is noted.", sensitive=True, scope="secret:read")
    def get_secret(given: NameInput, context: OperationContext) -> ValueOutput:
        secrets.check_there(context.transaction, given.name)  # first: who never kept one has no keyring, and lost none
        ring = keys.load_keyring(key_file)
        return ValueOutput(value=secrets.get_secret(context.transaction, ring, given.name, datetime.now(UTC)))

    @group.query("list", "List secrets without their values.")
    def list_secrets(_: NothingInput, context: OperationContext) -> ListOutput:
        with context.database.snapshot() as snapshot:
            found = secrets.list_secrets(snapshot)
        return ListOutput(secrets=[InfoOutput(**asdict(info)) for info in found])

    @group.mutation("delete", "Forget a secret.")
    def delete_secret(given: NameInput, context: OperationContext) -> NameOutput:
        secrets.delete_secret(context.transaction, given.name)
        return NameOutput(name=given.name)

    @group.mutation("rotate", "Make a new key and encrypt every secret anew, in the background.")
    def rotate(_: NothingInput, context: OperationContext) -> RotateOutput:
        ring = keys.open_keyring(key_file).rotated()
        keys.save_keyring(key_file, ring)  # on disk before anything is encrypted with it
        return RotateOutput(key_version=ring.current, waiting=secrets.start_rotation(context.transaction, ring.current))
